/* SPDX-License-Identifier: Apache-2.0 */
#include "bench.h"

pd_selftest service;
simulated_board board;
pd_hardware hardware;
char reply[PD_REPLY_MAX + 1];
uint32_t now_ms;

static uint32_t now(void)
{
    return now_ms;
}

void set_up(unsigned faults)
{
    static const pd_test TESTS[] = { PD_TESTS_OFFLINE, PD_TESTS_ONLINE };

    board = (simulated_board){ .faults = faults, .now_ms = now, .device_id = "e00fce681122334455667788",
                               .service = &service };
    now_ms = 5000;
    hardware = simulated_hardware(&board, false);
    pd_selftest_init(&service, &hardware, TESTS, PD_COUNT(TESTS));
}

int32_t request(const char *json)
{
    size_t size = 0;
    char *const copy = (char *)copy_of(json, strlen(json));
    const int32_t result = pd_selftest_request(&service, copy, strlen(json), reply, PD_REPLY_MAX, &size);

    free(copy);
    reply[size] = '\0';
    return result;
}

pd_outcome run(const char *json)
{
    const int32_t started = request(json);
    CHECK(started == 0);
    for (unsigned i = 0; i < 10000 && pd_selftest_poll(&service); i++) {
        now_ms += 100;
    }
    CHECK(request("{\"c\":\"R\"}") == 0);
    return service.outcome;
}

bool says(const char *part)
{
    return strstr(reply, part) != NULL;
}
