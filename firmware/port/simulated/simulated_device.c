/* SPDX-License-Identifier: Apache-2.0 */
#include "simulated_device.h"

#include <string.h>

enum { RESETS_AFTER_STEPS = 5 };

static void write_line(void *context, const uint8_t *data, size_t size)
{
    /* Log output of an application, a frame that never ends, and noise. */
    static const uint8_t GARBAGE[] = "0000012345 [app] INFO: hello\r\n\0\x09\x51\xff\xfe{\"c\"";
    simulated_device *const device = context;

    if ((device->board.faults & FAULT_SILENT) != 0) {
        return;
    }
    const bool is_delimiter = size == 1 && data[0] == 0;
    device->is_in_frame = device->is_in_frame != is_delimiter;
    if ((device->board.faults & FAULT_GARBAGE) != 0 && is_delimiter && device->is_in_frame) {
        device->write(device->context, GARBAGE, sizeof GARBAGE - 1);
    }
    device->write(device->context, data, size);
}

static void start(simulated_device *device)
{
    static const pd_test TESTS[] = { PD_TESTS_OFFLINE, PD_TESTS_ONLINE };

    device->steps = 0;
    device->board.service = &device->service;
    pd_selftest_init(&device->service, &device->hardware, TESTS, PD_COUNT(TESTS));
    pd_serial_init(&device->serial, &device->service, write_line, device);
}

void simulated_device_init(simulated_device *device, bool with_modules)
{
    device->hardware = simulated_hardware(&device->board, with_modules);
    start(device);
}

void simulated_device_receive(simulated_device *device, const uint8_t *data, size_t size)
{
    if (pd_serial_receive(&device->serial, data, size)) {
        start(device);
    }
}

bool simulated_device_poll(simulated_device *device)
{
    const bool is_running = pd_selftest_poll(&device->service);
    if (is_running && (device->board.faults & FAULT_RESETS) != 0 && strcmp(device->service.test->name, "ram") == 0 &&
        ++device->steps == RESETS_AFTER_STEPS) {
        start(device);
    }
    return is_running;
}
