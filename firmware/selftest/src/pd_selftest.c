/* The service: requests in, replies out, one test at a time. SPDX-License-Identifier: Apache-2.0 */
#include "pd_json.h"
#include "pd_selftest_internal.h"

#include <string.h>

void pd_copy_text(char *out, size_t size, const char *text)
{
    size_t i = 0;
    for (; i + 1 < size && text[i] != '\0'; i++) {
        out[i] = text[i];
    }
    out[i] = '\0';
}

/* ---- what tests call -------------------------------------------------------------------------------------------- */

static pd_value *add(pd_selftest *service, const char *name)
{
    if (service->value_count == PD_VALUES_MAX) {
        if (service->lost_count < UINT16_MAX) {
            service->lost_count++;
        }
        return NULL;
    }
    pd_value *const value = &service->values[service->value_count++];
    memset(value, 0, sizeof *value);
    pd_copy_text(value->name, sizeof value->name, name);
    return value;
}

void pd_selftest_measure(pd_selftest *service, const char *name, const char *unit, int32_t value)
{
    pd_value *const added = add(service, name);
    if (added != NULL) {
        added->unit = unit;
        added->value = value;
    }
}

static bool is_good(const pd_value *value)
{
    return !value->has_limits || (value->value >= value->min && value->value <= value->max);
}

bool pd_selftest_limited(pd_selftest *service, const char *name, const char *unit, int32_t value, int32_t min,
                         int32_t max)
{
    pd_value *const added = add(service, name);
    if (added != NULL) {
        added->unit = unit;
        added->value = value;
        added->min = min;
        added->max = max;
        added->has_limits = true;
    }
    return value >= min && value <= max;
}

void pd_selftest_text(pd_selftest *service, const char *name, const char *text)
{
    pd_value *const value = add(service, name);
    if (value != NULL) {
        pd_copy_text(value->text, sizeof value->text, text);
    }
}

void pd_selftest_message(pd_selftest *service, const char *message)
{
    pd_copy_text(service->message, sizeof service->message, message);
}

static pd_json parameter(const pd_selftest *service, const char *name)
{
    const pd_json request = { service->request, service->request_size };
    const pd_json parameters = pd_json_find(request, "p");
    return pd_json_find(parameters, name);
}

bool pd_selftest_is_given(const pd_selftest *service, const char *name)
{
    return parameter(service, name).size > 0;
}

bool pd_selftest_int(const pd_selftest *service, const char *name, int32_t *out)
{
    const pd_json value = parameter(service, name);
    return value.size == 0 || pd_json_int(value, out);
}

bool pd_selftest_bool(const pd_selftest *service, const char *name, bool *out)
{
    const pd_json value = parameter(service, name);
    return value.size == 0 || pd_json_bool(value, out);
}

bool pd_selftest_string(const pd_selftest *service, const char *name, char *out, size_t size)
{
    const pd_json value = parameter(service, name);
    return value.size == 0 || pd_json_string(value, out, size);
}

uint32_t pd_selftest_elapsed_ms(const pd_selftest *service)
{
    return service->hardware->uptime_ms(service->hardware->context) - service->started_ms;
}

/* ---- running ---------------------------------------------------------------------------------------------------- */

void pd_selftest_init(pd_selftest *service, const pd_hardware *hardware, const pd_test *tests, size_t test_count)
{
    memset(service, 0, sizeof *service);
    service->hardware = hardware;
    service->tests = tests;
    service->test_count = test_count;
    service->outcome = PD_WAITING;
}

static void finish(pd_selftest *service, pd_outcome outcome)
{
    if (outcome == PD_PASSED) {
        for (size_t i = 0; i < service->value_count; i++) {
            if (!is_good(&service->values[i])) {
                outcome = PD_FAILED;
            }
        }
        if (service->lost_count > 0) {
            pd_selftest_message(service, "more values than PD_VALUES_MAX");
            outcome = PD_FAILED;
        }
    }
    service->outcome = outcome;
}

static void cancel(pd_selftest *service)
{
    if (service->outcome == PD_RUNNING) {
        service->cancelled = true;
        service->test->step(service);
        service->cancelled = false;
        finish(service, PD_CANCELLED);
    }
}

bool pd_selftest_poll(pd_selftest *service)
{
    if (service->outcome != PD_RUNNING) {
        return false;
    }
    const pd_outcome outcome = service->test->step(service);
    if (outcome == PD_RUNNING) {
        service->step_number++;
        return true;
    }
    /* A test that answers with another word has not passed. */
    finish(service, outcome == PD_PASSED || outcome == PD_NOT_SUPPORTED || outcome == PD_NOT_ALLOWED ? outcome
                                                                                                     : PD_FAILED);
    return false;
}

/* ---- requests --------------------------------------------------------------------------------------------------- */

static int32_t start(pd_selftest *service, pd_json request)
{
    char name[PD_NAME_SIZE];
    int32_t number = 0;
    bool may_connect = false;
    const pd_json n = pd_json_find(request, "n");
    const pd_json allowed = pd_json_find(request, "may_connect");
    const pd_json parameters = pd_json_find(request, "p");
    const pd_test *test = NULL;

    if (!pd_json_string(pd_json_find(request, "t"), name, sizeof name) || (n.size > 0 && !pd_json_int(n, &number)) ||
        (allowed.size > 0 && !pd_json_bool(allowed, &may_connect)) || (parameters.size > 0 && *parameters.text != '{')) {
        return PD_ERROR_INVALID_ARGUMENT;
    }
    for (size_t i = 0; i < service->test_count; i++) {
        if (strcmp(service->tests[i].name, name) == 0) {
            test = &service->tests[i];
        }
    }
    if (test == NULL) {
        return PD_ERROR_NOT_FOUND;
    }
    cancel(service);
    memcpy(service->request, request.text, request.size);
    service->request_size = request.size;
    service->test = test;
    service->number = number;
    service->step_number = 0;
    memset(service->state, 0, sizeof service->state);
    service->value_count = 0;
    service->lost_count = 0;
    service->message[0] = '\0';
    service->event_count = 0;
    service->function_count = 0;
    service->started_ms = service->hardware->uptime_ms(service->hardware->context);
    service->outcome = PD_RUNNING;
    if ((test->needs & PD_NEEDS_MAY_CONNECT) != 0 && !may_connect) {
        pd_selftest_message(service, "can go online, which starts billing");
        service->outcome = PD_NOT_ALLOWED;
    }
    return 0;
}

static const char *result_name(pd_outcome outcome)
{
    static const char *const NAMES[] = { "", "passed", "failed", "not_supported", "running", "waiting", "",
                                         "not_allowed", "cancelled" };
    return NAMES[outcome];
}

static void write_list(const pd_selftest *service, pd_json_writer *writer)
{
    pd_json_open(writer, '[');
    for (size_t i = 0; i < service->test_count; i++) {
        pd_json_put_string(writer, service->tests[i].name);
    }
    pd_json_close(writer, ']');
}

static void write_description(const pd_selftest *service, pd_json_writer *writer)
{
    pd_json_open(writer, '{');
    pd_json_key(writer, "version");
    pd_json_put_int(writer, PD_SELFTEST_API_VERSION);
    pd_json_key(writer, "tests");
    pd_json_open(writer, '[');
    for (size_t i = 0; i < service->test_count; i++) {
        pd_json_open(writer, '{');
        pd_json_key(writer, "name");
        pd_json_put_string(writer, service->tests[i].name);
        pd_json_key(writer, "may_connect");
        pd_json_put_bool(writer, (service->tests[i].needs & PD_NEEDS_MAY_CONNECT) != 0);
        pd_json_close(writer, '}');
    }
    pd_json_close(writer, ']');
    pd_json_close(writer, '}');
}

static void write_value(const pd_value *value, pd_json_writer *writer)
{
    pd_json_open(writer, '{');
    pd_json_key(writer, "name");
    pd_json_put_string(writer, value->name);
    if (value->unit == NULL) {
        pd_json_key(writer, "text");
        pd_json_put_string(writer, value->text);
    } else {
        pd_json_key(writer, "unit");
        pd_json_put_string(writer, value->unit);
        pd_json_key(writer, "value");
        pd_json_put_int(writer, value->value);
    }
    if (value->has_limits) {
        pd_json_key(writer, "min");
        pd_json_put_int(writer, value->min);
        pd_json_key(writer, "max");
        pd_json_put_int(writer, value->max);
        pd_json_key(writer, "ok");
        pd_json_put_bool(writer, is_good(value));
    }
    pd_json_close(writer, '}');
}

static void write_report(const pd_selftest *service, pd_json_writer *writer)
{
    pd_json_open(writer, '{');
    pd_json_key(writer, "test");
    pd_json_put_string(writer, service->test != NULL ? service->test->name : "");
    pd_json_key(writer, "n");
    pd_json_put_int(writer, service->number);
    pd_json_key(writer, "result");
    pd_json_put_string(writer, result_name(service->outcome));
    pd_json_key(writer, "message");
    pd_json_put_string(writer, service->message);
    pd_json_key(writer, "lost");
    pd_json_put_int(writer, service->lost_count);
    pd_json_key(writer, "values");
    pd_json_open(writer, '[');
    for (size_t i = 0; i < service->value_count; i++) {
        write_value(&service->values[i], writer);
    }
    pd_json_close(writer, ']');
    pd_json_close(writer, '}');
}

/* For people, and for device-os-test-runner, which shows it when a test failed. */
static void write_log(const pd_selftest *service, pd_json_writer *writer)
{
    char digits[PD_INT_TEXT_SIZE];

    pd_json_begin_string(writer);
    if (service->test != NULL) {
        pd_json_part(writer, service->test->name);
        pd_json_part(writer, ": ");
        pd_json_part(writer, result_name(service->outcome));
        pd_json_part(writer, " ");
        pd_json_part(writer, service->message);
        pd_json_part(writer, "\n");
    }
    for (size_t i = 0; i < service->value_count; i++) {
        const pd_value *const value = &service->values[i];
        pd_json_part(writer, value->name);
        pd_json_part(writer, " = ");
        pd_json_part(writer, value->unit == NULL ? value->text : pd_int_text(value->value, digits));
        if (value->unit != NULL) {
            pd_json_part(writer, " ");
            pd_json_part(writer, value->unit);
        }
        if (value->has_limits) {
            pd_json_part(writer, is_good(value) ? " (" : " (NOT ");
            pd_json_part(writer, pd_int_text(value->min, digits));
            pd_json_part(writer, " to ");
            pd_json_part(writer, pd_int_text(value->max, digits));
            pd_json_part(writer, ")");
        }
        pd_json_part(writer, "\n");
    }
    pd_json_end_string(writer);
}

static int32_t status_of(pd_outcome outcome)
{
    switch (outcome) {
    case PD_NOT_ALLOWED:
        return PD_NOT_SUPPORTED;
    case PD_CANCELLED:
        return PD_FAILED;
    default:
        return (int32_t)outcome;
    }
}

static int32_t answer(pd_selftest *service, pd_json request, pd_json_writer *writer)
{
    char command[2];

    if (!pd_json_string(pd_json_find(request, "c"), command, sizeof command)) {
        return PD_ERROR_INVALID_ARGUMENT;
    }
    switch (command[0]) {
    case 'i':
    case 'a':
        cancel(service);
        return 0;
    case 'l':
        write_list(service, writer);
        return 0;
    case 'd':
        write_description(service, writer);
        return 0;
    case 't':
        return start(service, request);
    case 's':
        return status_of(service->outcome);
    case 'L':
        write_log(service, writer);
        return 0;
    case 'R':
        write_report(service, writer);
        return 0;
    case 'M':
        return 0;
    case 'r':
        cancel(service);
        return PD_RESET_PENDING;
    default:
        return PD_ERROR_INVALID_ARGUMENT;
    }
}

int32_t pd_selftest_request(pd_selftest *service, const char *request, size_t size, char *reply, size_t reply_max,
                            size_t *reply_size)
{
    const pd_json document = { request, size };
    pd_json_writer writer = { .out = reply, .max = reply_max };

    *reply_size = 0;
    if (size == 0) {
        return 0;
    }
    if (size > PD_REQUEST_MAX) {
        return PD_ERROR_TOO_LARGE;
    }
    if (!pd_json_is_object(document)) {
        return PD_ERROR_BAD_DATA;
    }
    const int32_t result = answer(service, document, &writer);
    if (writer.overflow) {
        return PD_ERROR_TOO_LARGE;
    }
    *reply_size = writer.size;
    return result;
}

void pd_selftest_event(pd_selftest *service, const char *name, const char *data)
{
    pd_copy_text(service->event_name, sizeof service->event_name, name);
    pd_copy_text(service->event_data, sizeof service->event_data, data);
    service->event_count++;
}

int32_t pd_selftest_function(pd_selftest *service, const char *argument)
{
    pd_copy_text(service->event_data, sizeof service->event_data, argument);
    service->function_count++;
    return (int32_t)(pd_crc32_update(0, (const uint8_t *)argument, strlen(argument)) & 0x7fffffffu);
}
