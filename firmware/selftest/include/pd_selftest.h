/*
 * pd_selftest: a board tests itself on command, before it is ever online.
 *
 * Portable C99: no allocation, no stdio, no global state, no I/O of its own; memcpy, memset, memcmp and strlen are all it
 * calls. You give it a table of functions that reach your hardware (pd_hardware) and a table of tests (pd_test, those below
 * or your own); it takes requests and gives replies, over USB or a serial line. Hardware that your table leaves out is
 * answered "not supported", which is never a pass. SPDX-License-Identifier: Apache-2.0
 *
 * To build it in: put selftest/include and module/include on the include path, compile selftest/src and module/src.
 *
 *   static pd_selftest service;                                        about 2 KiB, yours
 *   pd_selftest_init(&service, &HARDWARE, TESTS, PD_COUNT(TESTS));
 *   for (;;) { pd_selftest_poll(&service); ... }                       a test advances by one short step in each call
 *
 * USB: hand the payload of an app custom request (control request 10) to pd_selftest_request(), its result and reply
 * back to Device OS. Serial: give received bytes to pd_serial_receive(); frames are below.
 *
 * A request is a JSON object whose "c" is the command. Those of Device OS test applications come first, so that
 * device-os-test-runner runs these tests too:
 *
 *   (no payload)             ping                                     result 0
 *   {"c":"i", ...}           initialise: ends what runs               0; the system mode is not changed
 *   {"c":"l"}                list                                     0 and ["identity","gpio"]
 *   {"c":"t","t":"adc"}      start; a running test is cancelled       0, PD_ERROR_NOT_FOUND
 *   {"c":"s"}                status, without reply                    a pd_outcome; PD_WAITING: nothing was started
 *   {"c":"L"}                log of the latest test                   0 and a JSON string
 *   {"c":"M"}                mailbox                                  0, always empty
 *   {"c":"r"}                reset, by the caller, after the reply    PD_RESET_PENDING
 * and ours:
 *   {"c":"t","t":"adc","n":7,"p":{"samples":4},"may_connect":true}    number of the run, parameters, permission
 *   {"c":"R"}                report of the latest test:
 *      {"test":"adc","n":7,"result":"failed","message":"","lost":0,
 *       "values":[{"name":"A0","unit":"mV","value":3301,"min":0,"max":3300,"ok":false},{"name":"rev","text":"B"}]}
 *   {"c":"a"}                abort: outputs are released              0
 *   {"c":"d"}                describe: {"version":1,"tests":[{"name":"publish","may_connect":true}]}
 *
 * A test that can bring the device online, which starts billing, runs only with "may_connect":true; else it ends as
 * PD_NOT_ALLOWED, and status, which has no word for that, says skipped. For "not supported" it says skipped, too.
 *
 * Source: particle-iot/device-os v6.2.0 user/tests/integration/application/src/request_handler.cpp, test_suite.h;
 * particle-iot/device-os-test-runner 0.19.1 lib/device.js.
 */
#ifndef PD_SELFTEST_H
#define PD_SELFTEST_H

#include "pd_module.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Raised when code written for the version before must be changed; what {"c":"d"} answers. */
#define PD_SELFTEST_API_VERSION 1

#define PD_COUNT(array) (sizeof(array) / sizeof((array)[0]))

#ifndef PD_REQUEST_MAX
#define PD_REQUEST_MAX 384 /* bytes of a request */
#endif
#ifndef PD_VALUES_MAX
#define PD_VALUES_MAX 16 /* values of a report; more are counted as lost, and the test fails */
#endif
/* What the longest report needs: 16 values with limits. */
#define PD_REPLY_MAX (320 + 160 * PD_VALUES_MAX)

/* ---- results ---------------------------------------------------------------------------------------------------- */

/* How a test stands. 1 to 6 are those of Device OS test applications. */
typedef enum pd_outcome {
    PD_PASSED = 1,
    PD_FAILED = 2,
    PD_NOT_SUPPORTED = 3, /* the board's table lacks what the test needs; "skipped" there */
    PD_RUNNING = 4,
    PD_WAITING = 5,       /* nothing was started since power-up */
    PD_RESET_PENDING = 6,
    PD_NOT_ALLOWED = 7,   /* it can bring the device online, and the request does not allow that */
    PD_CANCELLED = 8
} pd_outcome;

/* Results of requests: 0, a pd_outcome, or one of these codes of Device OS (services/inc/system_error.h). */
enum {
    PD_ERROR_NOT_FOUND = -170,
    PD_ERROR_TOO_LARGE = -190,      /* the request has more than PD_REQUEST_MAX bytes, or the reply does not fit */
    PD_ERROR_INVALID_ARGUMENT = -270,
    PD_ERROR_BAD_DATA = -280        /* no JSON object */
};

enum { PD_NAME_SIZE = 16, PD_TEXT_SIZE = 40, PD_MESSAGE_SIZE = 112 };

/* One measured thing. Longer names and texts are cut. */
typedef struct pd_value {
    char name[PD_NAME_SIZE];
    char text[PD_TEXT_SIZE]; /* when it is no number */
    const char *unit;        /* NULL: a text */
    int32_t value;
    int32_t min;             /* inclusive, both */
    int32_t max;
    bool has_limits;
} pd_value;

/* ---- the board -------------------------------------------------------------------------------------------------- */

typedef enum pd_identity_item {
    PD_IDENTITY_PLATFORM,      /* "boron" */
    PD_IDENTITY_DEVICE_ID,     /* 24 lower-case hex digits */
    PD_IDENTITY_SERIAL_NUMBER,
    PD_IDENTITY_DEVICE_OS,     /* "6.2.0" */
    PD_IDENTITY_HARDWARE,      /* revision of your own board */
    PD_IDENTITY_FIRMWARE,      /* version of this application */
    PD_IDENTITY_ITEMS
} pd_identity_item;

typedef enum pd_counter {
    PD_COUNTER_CLOUD_ATTEMPTS,
    PD_COUNTER_CLOUD_CONNECTIONS,
    PD_COUNTER_CLOUD_DISCONNECTS,
    PD_COUNTER_RESET_REASON,
    PD_COUNTER_FREE_MEMORY,     /* bytes */
    PD_COUNTERS
} pd_counter;

typedef enum pd_gpio_mode {
    PD_GPIO_RELEASED, /* as after a reset */
    PD_GPIO_OUTPUT,
    PD_GPIO_INPUT_PULL_UP,
    PD_GPIO_INPUT_PULL_DOWN
} pd_gpio_mode;

/* Two pins that the test fixture joins. */
typedef struct pd_loopback {
    const char *name; /* "D2-D3" */
    int output;
    int input;
} pd_loopback;

typedef struct pd_i2c_device {
    const char *name;
    int bus;
    uint8_t address; /* 7 bits */
} pd_i2c_device;

typedef struct pd_adc_channel {
    const char *name;
    int channel;
    const char *unit; /* "mV" */
    int32_t min;
    int32_t max;
} pd_adc_channel;

/* RAM that may be overwritten: not the stack, not this service. */
typedef struct pd_ram_region {
    const char *name;
    uint32_t word_count; /* of 32 bits */
} pd_ram_region;

/* A part of some flash that holds nothing: the test erases it. */
typedef struct pd_flash_area {
    const char *name;
    uint32_t size; /* bytes, a multiple of 32 */
} pd_flash_area;

/* Answers to "is it done?". */
typedef enum pd_progress { PD_PENDING, PD_DONE, PD_FAILURE } pd_progress;

typedef enum pd_radio_state { PD_RADIO_OFF, PD_RADIO_ON, PD_RADIO_CHANGING, PD_RADIO_ERROR } pd_radio_state;

/*
 * The hardware. Any function may be NULL but uptime_ms; a test whose functions or tables are missing is "not supported".
 * bool functions return false when the hardware failed, unless said otherwise.
 */
typedef struct pd_hardware {
    void *context;
    uint32_t (*uptime_ms)(void *context); /* wraps */

    /* identity, counters: false when the board has no such item */
    bool (*identity)(void *context, pd_identity_item item, char *out, size_t size);
    bool (*counter)(void *context, pd_counter which, int32_t *out);

    /* modules: every slot of `board` must hold an intact module that fits the others and board->modules, which name what
     * lies in no slot */
    const pd_board *board;
    bool (*program_read)(void *context, uint32_t address, uint8_t *out, size_t size);
    const pd_hooks *hooks;

    /* gpio: read gives 0, 1 or a negative number */
    const pd_loopback *loopbacks;
    size_t loopback_count;
    bool (*gpio_mode)(void *context, int pin, pd_gpio_mode mode);
    bool (*gpio_write)(void *context, int pin, bool level);
    int (*gpio_read)(void *context, int pin);

    /* i2c: probe gives 1 (acknowledged), 0, or a negative number when the bus does not work */
    const pd_i2c_device *i2c_devices;
    size_t i2c_device_count;
    int i2c_bus_count;
    int (*i2c_probe)(void *context, int bus, uint8_t address);

    /* adc: one conversion, in the channel's unit */
    const pd_adc_channel *adc_channels;
    size_t adc_channel_count;
    bool (*adc_read)(void *context, int channel, int32_t *out);

    /* ram: words of a region, so that a region need not be memory of the processor */
    const pd_ram_region *ram_regions;
    size_t ram_region_count;
    uint32_t (*ram_read)(void *context, size_t region, uint32_t index);
    void (*ram_write)(void *context, size_t region, uint32_t index, uint32_t word);

    /* flash: erased bytes are 0xff; 32 bytes are programmed at a time */
    const pd_flash_area *flash_area;
    bool (*flash_erase)(void *context);
    bool (*flash_program)(void *context, uint32_t offset, const uint8_t *data, size_t size);
    bool (*flash_read)(void *context, uint32_t offset, uint8_t *out, size_t size);

    /* radio: switching on may not connect to the cloud. radio_set starts it, radio_state tells how far it is */
    bool (*radio_set)(void *context, bool on);
    pd_radio_state (*radio_state)(void *context);

    /* cloud, which starts billing: called by tests that were allowed to only */
    bool (*cloud_set)(void *context, bool connect);
    bool (*cloud_is_connected)(void *context);
    bool (*publish)(void *context, const char *name, const char *data);
    pd_progress (*publish_progress)(void *context);
    bool (*subscribe)(void *context, const char *prefix); /* events go to pd_selftest_event() */
} pd_hardware;

/* ---- tests ------------------------------------------------------------------------------------------------------ */

typedef struct pd_selftest pd_selftest;

enum { PD_NEEDS_MAY_CONNECT = 1 };

/*
 * A test. step() is called again as long as it returns PD_RUNNING, from pd_selftest_poll(), and should take a few
 * milliseconds. When service->cancelled is set it undoes what it did; its return value is not used then.
 */
typedef struct pd_test {
    const char *name;
    pd_outcome (*step)(pd_selftest *service);
    unsigned needs; /* PD_NEEDS_ */
} pd_test;

/* Those of the library; name them in your table. Parameters and values of each are in firmware/README.md. */
pd_outcome pd_test_identity(pd_selftest *service);
pd_outcome pd_test_modules(pd_selftest *service);
pd_outcome pd_test_counters(pd_selftest *service);
pd_outcome pd_test_gpio(pd_selftest *service);
pd_outcome pd_test_i2c(pd_selftest *service);
pd_outcome pd_test_adc(pd_selftest *service);
pd_outcome pd_test_ram(pd_selftest *service);
pd_outcome pd_test_flash(pd_selftest *service);
pd_outcome pd_test_radio(pd_selftest *service);
pd_outcome pd_test_connect(pd_selftest *service);
pd_outcome pd_test_disconnect(pd_selftest *service);
pd_outcome pd_test_publish(pd_selftest *service);
pd_outcome pd_test_subscribe(pd_selftest *service);
pd_outcome pd_test_function(pd_selftest *service);

/* All of them. */
#define PD_TESTS_OFFLINE                                                                                               \
    { "identity", pd_test_identity, 0 }, { "modules", pd_test_modules, 0 }, { "counters", pd_test_counters, 0 },       \
    { "gpio", pd_test_gpio, 0 }, { "i2c", pd_test_i2c, 0 }, { "adc", pd_test_adc, 0 }, { "ram", pd_test_ram, 0 },      \
    { "flash", pd_test_flash, 0 }, { "radio", pd_test_radio, 0 }, { "disconnect", pd_test_disconnect, 0 }
#define PD_TESTS_ONLINE                                                                                                \
    { "connect", pd_test_connect, PD_NEEDS_MAY_CONNECT }, { "publish", pd_test_publish, PD_NEEDS_MAY_CONNECT },        \
    { "subscribe", pd_test_subscribe, PD_NEEDS_MAY_CONNECT }, { "function", pd_test_function, PD_NEEDS_MAY_CONNECT }

/* What a test's own code may use: step_number is 0 in the first call, state[] is zeroed before it. */
struct pd_selftest {
    const pd_hardware *hardware;
    const pd_test *tests;
    size_t test_count;

    uint32_t step_number;
    uint32_t state[6];
    bool cancelled;

    /* the library's own */
    const pd_test *test;
    pd_outcome outcome;
    int32_t number;
    uint32_t started_ms;
    uint16_t value_count;
    uint16_t lost_count;
    pd_value values[PD_VALUES_MAX];
    char message[PD_MESSAGE_SIZE];
    char request[PD_REQUEST_MAX];
    size_t request_size;
    char event_name[PD_REQUEST_MAX / 4];
    char event_data[PD_REQUEST_MAX / 4];
    uint32_t event_count;
    uint32_t function_count;
};

/* Adds to the report. limited() returns whether the value is good; one that is not makes the test fail at its end. */
void pd_selftest_measure(pd_selftest *service, const char *name, const char *unit, int32_t value);
bool pd_selftest_limited(pd_selftest *service, const char *name, const char *unit, int32_t value, int32_t min,
                         int32_t max);
void pd_selftest_text(pd_selftest *service, const char *name, const char *text);
void pd_selftest_message(pd_selftest *service, const char *message);

/* Parameters of the request that started the test. *out stays as it is when there is none; false when it is of another
 * type or does not fit. */
bool pd_selftest_is_given(const pd_selftest *service, const char *name);
bool pd_selftest_int(const pd_selftest *service, const char *name, int32_t *out);
bool pd_selftest_bool(const pd_selftest *service, const char *name, bool *out);
bool pd_selftest_string(const pd_selftest *service, const char *name, char *out, size_t size);

uint32_t pd_selftest_elapsed_ms(const pd_selftest *service); /* since the test was started */

/* ---- the service ------------------------------------------------------------------------------------------------ */

/* The tables must outlive the service. */
void pd_selftest_init(pd_selftest *service, const pd_hardware *hardware, const pd_test *tests, size_t test_count);

/* Advances the running test by a step; false when none runs. */
bool pd_selftest_poll(pd_selftest *service);

/*
 * Answers a request. The result is 0, a pd_outcome or a PD_ERROR_; *reply_size bytes of JSON, maybe none, are in `reply`,
 * which has room for `reply_max` (PD_REPLY_MAX is enough for everything but a list of very many tests).
 */
int32_t pd_selftest_request(pd_selftest *service, const char *request, size_t size, char *reply, size_t reply_max,
                            size_t *reply_size);

/* An event that arrived from the cloud. */
void pd_selftest_event(pd_selftest *service, const char *name, const char *data);

/* A cloud function was called: gives what it returns, the CRC-32 of the argument without its highest bit. */
int32_t pd_selftest_function(pd_selftest *service, const char *argument);

/* ---- serial line ------------------------------------------------------------------------------------------------ */

/*
 * A frame, integers little-endian:
 *
 *   kind u8 | sequence u8 | length u16 | payload: `length` bytes | CRC-32 u32 of all before it
 *
 * COBS-encoded (so that it has no zero byte) between two zero bytes. Whatever else is on the line, log output say, spoils at
 * most the frame that it hits: after a zero byte the next one is read whole. Frames that are not right are not answered.
 *
 *   request   kind 'Q': payload as in pd_selftest_request()
 *   reply     kind 'A', same sequence: result i32, then the reply's JSON
 *   ping      kind 0x01, empty; answered by kind 0x02, same sequence, u16 PD_SELFTEST_API_VERSION. A host sends it first:
 *             unlike a request it has no letters, which a device in listening mode would take as commands
 */
enum {
    PD_FRAME_REQUEST = 'Q',
    PD_FRAME_REPLY = 'A',
    PD_FRAME_PING = 0x01,
    PD_FRAME_PONG = 0x02,
    PD_FRAME_OVERHEAD = 8,
    PD_FRAME_MAX = PD_FRAME_OVERHEAD + PD_REQUEST_MAX
};

typedef struct pd_serial {
    pd_selftest *service;
    void (*write)(void *context, const uint8_t *data, size_t size); /* all of it */
    void *context;

    /* the library's own */
    uint8_t frame[PD_FRAME_MAX];
    size_t size;
    uint8_t block_left; /* bytes until the next COBS code byte */
    bool ends_in_zero;
    bool is_bad;
    char reply[PD_REPLY_MAX];
} pd_serial;

void pd_serial_init(pd_serial *serial, pd_selftest *service,
                    void (*write)(void *context, const uint8_t *data, size_t size), void *context);

/*
 * Takes bytes as they arrive, any number, and writes the replies to what they hold. True when a reset was asked for: let
 * the line run dry, then reset.
 */
bool pd_serial_receive(pd_serial *serial, const uint8_t *data, size_t size);

#ifdef __cplusplus
}
#endif

#endif
