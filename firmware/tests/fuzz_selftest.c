/* libFuzzer target: any bytes on a serial line, and the same bytes as a USB request. Nothing may go online without
 * permission, and every reply must be whole. SPDX-License-Identifier: Apache-2.0 */
#include "simulated_board.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint32_t time_ms;

static uint32_t now(void)
{
    return time_ms += 50;
}

static void require(bool condition)
{
    if (!condition) {
        abort();
    }
}

typedef struct line {
    bool is_in_frame;
    size_t frames;
} line;

static line out;

/* Zero bytes come in pairs around frames. */
static void count(void *context, const uint8_t *data, size_t size)
{
    (void)context;
    require(size > 0);
    for (size_t i = 0; i < size; i++) {
        if (data[i] == 0) {
            out.frames += out.is_in_frame;
            out.is_in_frame = !out.is_in_frame;
        }
    }
}

static bool allows_connecting(const uint8_t *data, size_t size)
{
    static const char WORD[] = "may_connect";
    for (size_t i = 0; i + sizeof WORD - 1 <= size; i++) {
        if (memcmp(data + i, WORD, sizeof WORD - 1) == 0) {
            return true;
        }
    }
    /* A key may also be written with escapes. */
    return memchr(data, '\\', size) != NULL;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const pd_test TESTS[] = { PD_TESTS_OFFLINE, PD_TESTS_ONLINE };
    static simulated_board board;
    static pd_selftest service;
    static pd_serial serial;
    static char reply[PD_REPLY_MAX];
    size_t reply_size;

    out = (line){ false, 0 };
    board = (simulated_board){ .faults = (unsigned)(size % 8192), .now_ms = now, .device_id = "0", .program = data,
                               .program_address = 0x8020000, .program_size = (uint32_t)size, .service = &service };
    const pd_hardware hardware = simulated_hardware(&board, size % 2 == 0);
    pd_selftest_init(&service, &hardware, TESTS, PD_COUNT(TESTS));

    const int32_t result = pd_selftest_request(&service, (const char *)data, size, reply, sizeof reply, &reply_size);
    require(result >= -280 && result <= 8 && reply_size <= sizeof reply);
    for (unsigned i = 0; i < 200 && pd_selftest_poll(&service); i++) {
    }
    require(pd_selftest_request(&service, "{\"c\":\"R\"}", 9, reply, sizeof reply, &reply_size) == 0);
    require(reply_size > 2 && reply[0] == '{' && reply[reply_size - 1] == '}');
    require(board.connections == 0 || allows_connecting(data, size));

    pd_serial_init(&serial, &service, count, NULL);
    pd_serial_receive(&serial, data, size);
    const size_t frames = out.frames;
    /* Whatever came before, a whole frame is answered; its first zero byte may end another. */
    static const uint8_t PING[] = { 0, 2, PD_FRAME_PING, 1, 1, 5, 0x79, 0xb8, 0xf8, 0x99, 0 };
    pd_serial_receive(&serial, PING, sizeof PING);
    require(!out.is_in_frame && out.frames > frames);
    for (unsigned i = 0; i < 50 && pd_selftest_poll(&service); i++) {
    }
    return 0;
}
