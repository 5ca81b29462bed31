/* The self-test service: requests, the course of a test, every test of the library on good and on faulty hardware.
 * SPDX-License-Identifier: Apache-2.0 */
#include "bench.h"

/* ---- requests --------------------------------------------------------------------------------------------------- */

static void test_requests_of_device_os_test_runner(void)
{
    set_up(0);
    CHECK(request("") == 0 && reply[0] == '\0');
    CHECK(request("{\"c\":\"s\"}") == PD_WAITING);
    CHECK(request("{\"c\":\"i\",\"m\":\"m\",\"t\":1}") == 0);
    CHECK(request("{\"c\":\"l\"}") == 0);
    CHECK(strcmp(reply, "[\"identity\",\"modules\",\"counters\",\"gpio\",\"i2c\",\"adc\",\"ram\",\"flash\",\"radio\","
                        "\"disconnect\",\"connect\",\"publish\",\"subscribe\",\"function\"]") == 0);
    CHECK(request("{\"c\":\"t\",\"t\":\"gpio\"}") == 0);
    CHECK(request("{\"c\":\"s\"}") == PD_RUNNING);
    while (pd_selftest_poll(&service)) {
    }
    CHECK(request("{\"c\":\"s\"}") == PD_PASSED && reply[0] == '\0');
    CHECK(request("{\"c\":\"M\"}") == 0 && reply[0] == '\0');
    CHECK(request("{\"c\":\"L\"}") == 0 && says("\"gpio: passed \\u000aD0-D1 = 0 errors (0 to 0)\\u000a"));
    CHECK(request("{\"c\":\"t\",\"t\":\"nothing\"}") == PD_ERROR_NOT_FOUND);
    CHECK(request("{\"c\":\"r\"}") == PD_RESET_PENDING);
}

static void test_requests_that_are_wrong(void)
{
    static const struct {
        const char *json;
        int32_t result;
    } ROWS[] = {
        { "[]", PD_ERROR_BAD_DATA }, { "{", PD_ERROR_BAD_DATA }, { "x", PD_ERROR_BAD_DATA },
        { "{\"c\":\"s\"", PD_ERROR_BAD_DATA }, { "{\"c\":\"s\"}x", PD_ERROR_BAD_DATA },
        { "{\"c\":\"s\",}", PD_ERROR_BAD_DATA }, { "{\"c\":01}", PD_ERROR_BAD_DATA },
        { "{\"c\":-}", PD_ERROR_BAD_DATA }, { "{\"c\":1.}", PD_ERROR_BAD_DATA }, { "{\"c\":1e}", PD_ERROR_BAD_DATA },
        { "{\"c\":\"\\x\"}", PD_ERROR_BAD_DATA }, { "{\"c\":\"\\u12g4\"}", PD_ERROR_BAD_DATA },
        { "{\"c\":\"\n\"}", PD_ERROR_BAD_DATA }, { "{\"c\":[[[[[[[[1]]]]]]]]}", PD_ERROR_BAD_DATA },
        { "{\"c\":[1}}", PD_ERROR_BAD_DATA }, { "{\"c\" \"s\"}", PD_ERROR_BAD_DATA }, { "{c:1}", PD_ERROR_BAD_DATA },
        { "{}", PD_ERROR_INVALID_ARGUMENT }, { "{\"c\":1}", PD_ERROR_INVALID_ARGUMENT },
        { "{\"c\":\"\"}", PD_ERROR_INVALID_ARGUMENT }, { "{\"c\":\"ss\"}", PD_ERROR_INVALID_ARGUMENT },
        { "{\"c\":\"q\"}", PD_ERROR_INVALID_ARGUMENT }, { "{\"c\":\"t\"}", PD_ERROR_INVALID_ARGUMENT },
        { "{\"c\":\"t\",\"t\":\"adc\",\"n\":\"7\"}", PD_ERROR_INVALID_ARGUMENT },
        { "{\"c\":\"t\",\"t\":\"adc\",\"n\":2147483648}", PD_ERROR_INVALID_ARGUMENT },
        { "{\"c\":\"t\",\"t\":\"adc\",\"n\":1.5}", PD_ERROR_INVALID_ARGUMENT },
        { "{\"c\":\"t\",\"t\":\"adc\",\"p\":[]}", PD_ERROR_INVALID_ARGUMENT },
        { "{\"c\":\"t\",\"t\":\"connect\",\"may_connect\":\"yes\"}", PD_ERROR_INVALID_ARGUMENT },
        { "{\"c\":\"t\",\"t\":\"a test with a long name\"}", PD_ERROR_INVALID_ARGUMENT },
    };
    set_up(0);
    for (size_t i = 0; i < PD_COUNT(ROWS); i++) {
        current = ROWS[i].json;
        CHECK(request(ROWS[i].json) == ROWS[i].result);
        CHECK(reply[0] == '\0' && service.outcome == PD_WAITING);
    }
    current = "";
    char longest[PD_REQUEST_MAX + 2];
    memset(longest, ' ', sizeof longest);
    longest[0] = '{';
    longest[PD_REQUEST_MAX - 1] = '}';
    longest[PD_REQUEST_MAX] = '\0';
    CHECK(request(longest) == PD_ERROR_INVALID_ARGUMENT);
    longest[PD_REQUEST_MAX] = ' ';
    longest[PD_REQUEST_MAX + 1] = '\0';
    CHECK(request(longest) == PD_ERROR_TOO_LARGE);
}

static void test_json_in_all_its_forms(void)
{
    set_up(0);
    CHECK(request(" {\t\"x\" : { \"c\" : [ { } , [ ] , -0.5e+3 , null , true , \"\\u00e9\\n\" ] } , \"\\u0063\" : "
                  "\"\\u0073\" }\r\n") == PD_WAITING);
    CHECK(request("{\"t\":\"adc\",\"c\":\"t\",\"n\":-2147483648}") == 0 && service.number == INT32_MIN);
    CHECK(request("{\"c\":\"t\",\"t\":\"adc\",\"n\":2147483647}") == 0 && service.number == INT32_MAX);
    CHECK(run("{\"c\":\"t\",\"t\":\"adc\",\"n\":-2147483648}") == PD_PASSED && says("\"n\":-2147483648,"));
}

static void test_a_reply_that_does_not_fit_is_an_error(void)
{
    size_t size = 99;
    char small[16];
    set_up(0);
    CHECK(pd_selftest_request(&service, "{\"c\":\"l\"}", 9, small, sizeof small, &size) == PD_ERROR_TOO_LARGE);
    CHECK(size == 0);
}

static void test_the_longest_report_fits(void)
{
    set_up(0);
    CHECK(request("{\"c\":\"t\",\"t\":\"adc\"}") == 0);
    for (unsigned i = 0; i < PD_VALUES_MAX; i++) {
        pd_selftest_limited(&service, "\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01", "errors",
                            INT32_MIN, INT32_MIN, INT32_MIN);
    }
    CHECK(request("{\"c\":\"R\"}") == PD_ERROR_TOO_LARGE || strlen(reply) < PD_REPLY_MAX);
    set_up(0);
    CHECK(request("{\"c\":\"t\",\"t\":\"adc\"}") == 0);
    for (unsigned i = 0; i < PD_VALUES_MAX; i++) {
        pd_selftest_limited(&service, "name_with_15_cs", "words", INT32_MIN, INT32_MIN, INT32_MIN);
    }
    CHECK(request("{\"c\":\"R\"}") == 0 && says("\"ok\":true}]}"));
}

/* ---- the course of a test --------------------------------------------------------------------------------------- */

static pd_outcome many_values(pd_selftest *s)
{
    for (unsigned i = 0; i <= PD_VALUES_MAX; i++) {
        pd_selftest_measure(s, "n", "1", (int32_t)i);
    }
    return PD_PASSED;
}

static pd_outcome strange_word(pd_selftest *s)
{
    (void)s;
    return (pd_outcome)77;
}

static void test_what_is_no_pass(void)
{
    static const pd_test OWN[] = { { "many", many_values, 0 }, { "strange", strange_word, 0 } };
    set_up(0);
    pd_selftest_init(&service, &hardware, OWN, PD_COUNT(OWN));
    CHECK(run("{\"c\":\"t\",\"t\":\"many\"}") == PD_FAILED && says("\"lost\":1") && says("PD_VALUES_MAX"));
    CHECK(run("{\"c\":\"t\",\"t\":\"strange\"}") == PD_FAILED && says("\"result\":\"failed\""));
}

static void test_missing_hardware_is_not_supported(void)
{
    static const char *const NAMES[] = { "identity", "modules", "counters", "gpio", "i2c", "adc", "ram", "flash",
                                         "radio", "disconnect", "connect", "publish", "subscribe", "function" };
    set_up(0);
    hardware = (pd_hardware){ .context = &board, .uptime_ms = hardware.uptime_ms };
    for (size_t i = 0; i < PD_COUNT(NAMES); i++) {
        char json[80];
        current = NAMES[i];
        sprintf(json, "{\"c\":\"t\",\"t\":\"%s\",\"may_connect\":true}", NAMES[i]);
        CHECK(run(json) == PD_NOT_SUPPORTED && says("\"result\":\"not_supported\""));
        CHECK(request("{\"c\":\"s\"}") == PD_NOT_SUPPORTED);
    }
    current = "";
}

static void test_nothing_goes_online_without_permission(void)
{
    static const char *const NAMES[] = { "connect", "publish", "subscribe", "function" };
    set_up(0);
    for (size_t i = 0; i < PD_COUNT(NAMES); i++) {
        char json[80];
        current = NAMES[i];
        sprintf(json, "{\"c\":\"t\",\"t\":\"%s\"}", NAMES[i]);
        CHECK(run(json) == PD_NOT_ALLOWED && says("\"result\":\"not_allowed\""));
        sprintf(json, "{\"c\":\"t\",\"t\":\"%s\",\"may_connect\":false}", NAMES[i]);
        CHECK(run(json) == PD_NOT_ALLOWED && board.connections == 0);
        CHECK(request("{\"c\":\"s\"}") == PD_NOT_SUPPORTED);
    }
    current = "";
    CHECK(request("{\"c\":\"d\"}") == 0 && says("{\"name\":\"publish\",\"may_connect\":true}"));
    CHECK(says("{\"version\":1,") && says("{\"name\":\"adc\",\"may_connect\":false}"));
}

static void test_abort_and_restart_release_the_pins(void)
{
    static const char *const ENDS[] = { "{\"c\":\"a\"}", "{\"c\":\"i\"}", "{\"c\":\"r\"}",
                                        "{\"c\":\"t\",\"t\":\"identity\"}" };
    for (size_t i = 0; i < PD_COUNT(ENDS); i++) {
        set_up(0);
        CHECK(request("{\"c\":\"t\",\"t\":\"gpio\",\"n\":1}") == 0);
        CHECK(pd_selftest_poll(&service) && board.modes[0] == PD_GPIO_OUTPUT);
        current = ENDS[i];
        CHECK(request(ENDS[i]) >= 0);
        CHECK(board.modes[0] == PD_GPIO_RELEASED && board.modes[1] == PD_GPIO_RELEASED);
        current = "";
    }
    set_up(0);
    CHECK(request("{\"c\":\"t\",\"t\":\"ram\"}") == 0 && pd_selftest_poll(&service));
    CHECK(request("{\"c\":\"a\"}") == 0 && request("{\"c\":\"s\"}") == PD_FAILED);
    CHECK(request("{\"c\":\"R\"}") == 0 && says("\"result\":\"cancelled\"") && !pd_selftest_poll(&service));
}

/* ---- the tests of the library ----------------------------------------------------------------------------------- */

typedef struct row {
    const char *test;
    unsigned faults;
    pd_outcome outcome;
    const char *says;
} row;

static void test_hardware_good_and_faulty(void)
{
    static const row ROWS[] = {
        { "\"identity\"", 0, PD_PASSED, "{\"name\":\"device_id\",\"text\":\"e00fce681122334455667788\"}" },
        { "\"counters\"", 0, PD_PASSED, "{\"name\":\"uptime\",\"unit\":\"ms\",\"value\":5000}" },
        { "\"gpio\"", 0, PD_PASSED, "\"D2-D3\",\"unit\":\"errors\",\"value\":0" },
        { "\"gpio\"", FAULT_GPIO_OPEN, PD_FAILED, "\"D2-D3\",\"unit\":\"errors\",\"value\":2" },
        { "\"gpio\"", FAULT_GPIO_SHORT, PD_FAILED, "\"D0-D1\",\"unit\":\"errors\",\"value\":2" },
        { "\"gpio\"", FAULT_NO_IO, PD_NOT_SUPPORTED, "" },
        { "\"i2c\"", 0, PD_PASSED, "{\"name\":\"0:0x3c\",\"unit\":\"found\",\"value\":1}" },
        { "\"i2c\"", FAULT_I2C_MISSING, PD_FAILED, "\"imu\",\"unit\":\"found\",\"value\":0" },
        { "\"i2c\"", FAULT_I2C_STUCK, PD_FAILED, "the bus does not work" },
        { "\"adc\"", 0, PD_PASSED, "\"supply\",\"unit\":\"mV\",\"value\":3297,\"min\":3200,\"max\":3400,\"ok\":true" },
        { "\"adc\"", FAULT_ADC_HIGH, PD_FAILED, "\"value\":3700,\"min\":3200,\"max\":3400,\"ok\":false" },
        { "\"adc\",\"p\":{\"samples\":0}", 0, PD_FAILED, "samples" },
        { "\"adc\",\"p\":{\"samples\":\"x\"}", 0, PD_FAILED, "samples" },
        { "\"ram\"", 0, PD_PASSED, "{\"name\":\"ram\",\"unit\":\"B\",\"value\":8192}" },
        { "\"ram\"", FAULT_RAM_STUCK, PD_FAILED, "\"first_error\",\"unit\":\"B\",\"value\":1200" },
        { "\"ram\"", FAULT_RAM_COUPLED, PD_FAILED, "\"first_error\",\"unit\":\"B\",\"value\":6004" },
        { "\"flash\"", 0, PD_PASSED, "{\"name\":\"scratch\",\"unit\":\"B\",\"value\":1024}" },
        { "\"flash\"", FAULT_FLASH_STUCK, PD_FAILED, "\"first_error\",\"unit\":\"B\",\"value\":700" },
        { "\"radio\"", 0, PD_PASSED, "{\"name\":\"radio\",\"text\":\"off\"}" },
        { "\"radio\",\"p\":{\"on\":true}", 0, PD_PASSED, "{\"name\":\"radio\",\"text\":\"on\"}" },
        { "\"radio\",\"p\":{\"on\":1}", FAULT_RADIO_DEAD, PD_FAILED, "the radio does not answer" },
        { "\"radio\",\"p\":{\"on\":\"yes\"}", 0, PD_FAILED, "true or false" },
        { "\"disconnect\"", 0, PD_PASSED, "\"time\"" },
    };
    for (size_t i = 0; i < PD_COUNT(ROWS); i++) {
        char json[96];
        current = ROWS[i].test;
        set_up(ROWS[i].faults);
        sprintf(json, "{\"c\":\"t\",\"n\":3,\"t\":%s}", ROWS[i].test);
        CHECK(run(json) == ROWS[i].outcome);
        CHECK(says(ROWS[i].says) && says("\"n\":3,"));
    }
    current = "";
}

static pd_radio_state stuck_radio(void *context)
{
    (void)context;
    return PD_RADIO_CHANGING;
}

static bool refuses(void *context, bool on)
{
    (void)context;
    (void)on;
    return false;
}

static void test_radio_that_does_not_follow(void)
{
    set_up(0);
    hardware.radio_state = stuck_radio;
    CHECK(run("{\"c\":\"t\",\"t\":\"radio\",\"p\":{\"on\":false}}") == PD_FAILED && says("does not change"));
    CHECK(now_ms == 5000 + 60000);
    CHECK(run("{\"c\":\"t\",\"t\":\"radio\"}") == PD_PASSED && says("changing"));
    hardware.radio_set = refuses;
    CHECK(run("{\"c\":\"t\",\"t\":\"radio\",\"p\":{\"on\":false}}") == PD_FAILED && says("take the request"));
    CHECK(run("{\"c\":\"t\",\"t\":\"radio\",\"p\":{\"on\":true,\"timeout_s\":0}}") == PD_FAILED);
}

static const char PUBLISH[] = "{\"c\":\"t\",\"t\":\"publish\",\"may_connect\":true,\"p\":{\"name\":\"hil/1\","
                              "\"data\":\"nonce-7\"}}";

static void test_cloud(void)
{
    set_up(0);
    board.service = NULL;
    CHECK(run(PUBLISH) == PD_FAILED && says("not connected"));
    CHECK(run("{\"c\":\"t\",\"t\":\"connect\",\"may_connect\":true}") == PD_PASSED && board.connections == 1);
    CHECK(run(PUBLISH) == PD_PASSED);
    CHECK(strcmp(board.published_name, "hil/1") == 0 && strcmp(board.published_data, "nonce-7") == 0);

    CHECK(request("{\"c\":\"t\",\"t\":\"subscribe\",\"may_connect\":true,\"p\":{\"name\":\"hil/id/down\"}}") == 0);
    CHECK(pd_selftest_poll(&service) && pd_selftest_poll(&service));
    CHECK(strcmp(board.subscribed, "hil/id/down") == 0);
    pd_selftest_event(&service, "hil/id/down", "nonce-8");
    CHECK(!pd_selftest_poll(&service) && service.outcome == PD_PASSED);
    CHECK(strcmp(board.published_name, "hil/id/down/echo") == 0 && strcmp(board.published_data, "nonce-8") == 0);
    CHECK(run("{\"c\":\"t\",\"t\":\"subscribe\",\"may_connect\":true}") == PD_FAILED && says("no event"));

    CHECK(request("{\"c\":\"t\",\"t\":\"function\",\"may_connect\":true}") == 0 && pd_selftest_poll(&service));
    CHECK(pd_selftest_function(&service, "123456789") == (0xcbf43926 & 0x7fffffff));
    CHECK(!pd_selftest_poll(&service) && service.outcome == PD_PASSED);
    CHECK(request("{\"c\":\"R\"}") == 0 && says("{\"name\":\"argument\",\"text\":\"123456789\"}"));

    CHECK(run("{\"c\":\"t\",\"t\":\"disconnect\"}") == PD_PASSED && !board.is_connected);
}

static bool never_connected(void *context)
{
    (void)context;
    return false;
}

static void test_a_connection_that_does_not_come_is_given_up(void)
{
    set_up(0);
    hardware.cloud_is_connected = never_connected;
    CHECK(run("{\"c\":\"t\",\"t\":\"connect\",\"may_connect\":true,\"p\":{\"timeout_s\":20}}") == PD_FAILED);
    CHECK(says("no connection") && !board.is_connected && now_ms == 25000);
}

/* ---- modules ---------------------------------------------------------------------------------------------------- */

static void test_modules(void)
{
    static const pd_slot SLOTS[] = { { .function = PD_FUNCTION_SYSTEM_PART, .index = 1, .mcu_target = PD_MCU_ANY,
                                       .start_address = START, .end_address = START + FILE_MAX,
                                       .max_size = FILE_MAX } };
    const pd_board photon = { .platform_id = 13, .slots = SLOTS, .slot_count = 1 };
    recipe r = PLAIN;

    set_up(0);
    build(r);
    /* Its dependencies are not there. */
    memset(file + 16, 0, 8);
    seal();
    board.program = file;
    board.program_address = START;
    board.program_size = (uint32_t)file_size;
    hardware.board = &photon;
    CHECK(run("{\"c\":\"t\",\"t\":\"modules\"}") == PD_PASSED);
    CHECK(says("{\"name\":\"system1\",\"unit\":\"version\",\"value\":2101}"));
    file[100] ^= 1;
    CHECK(run("{\"c\":\"t\",\"t\":\"modules\"}") == PD_FAILED);
    CHECK(says("{\"name\":\"system1\",\"text\":\"crc_mismatch\"}"));
    build(r);
    CHECK(run("{\"c\":\"t\",\"t\":\"modules\"}") == PD_FAILED && says("\"text\":\"dependency"));
    memset(file, 0xff, sizeof file);
    CHECK(run("{\"c\":\"t\",\"t\":\"modules\"}") == PD_FAILED && says("\"text\":\"no_prefix\""));
}

const test SELFTEST_TESTS[] = {
    { "selftest: requests of device-os-test-runner", test_requests_of_device_os_test_runner },
    { "selftest: wrong requests", test_requests_that_are_wrong },
    { "selftest: JSON in all its forms", test_json_in_all_its_forms },
    { "selftest: a reply that does not fit", test_a_reply_that_does_not_fit_is_an_error },
    { "selftest: the longest report fits", test_the_longest_report_fits },
    { "selftest: what is no pass", test_what_is_no_pass },
    { "selftest: missing hardware is not supported", test_missing_hardware_is_not_supported },
    { "selftest: nothing goes online without permission", test_nothing_goes_online_without_permission },
    { "selftest: abort and restart release the pins", test_abort_and_restart_release_the_pins },
    { "selftest: hardware, good and faulty", test_hardware_good_and_faulty },
    { "selftest: a radio that does not follow", test_radio_that_does_not_follow },
    { "selftest: cloud", test_cloud },
    { "selftest: a connection that does not come", test_a_connection_that_does_not_come_is_given_up },
    { "selftest: modules", test_modules },
    { NULL, NULL },
};
