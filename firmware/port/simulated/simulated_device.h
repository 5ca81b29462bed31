/*
 * Service, serial line and simulated board in one, with the faults that concern the line. A port only moves bytes.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef SIMULATED_DEVICE_H
#define SIMULATED_DEVICE_H

#include "simulated_board.h"

typedef struct simulated_device {
    simulated_board board;
    pd_hardware hardware;
    pd_selftest service;
    pd_serial serial;
    void (*write)(void *context, const uint8_t *data, size_t size);
    void *context;
    bool is_in_frame;
    unsigned steps; /* of the RAM test since the last reset */
} simulated_device;

/* device->board and device->write are set before; the tables may be changed after. */
void simulated_device_init(simulated_device *device, bool with_modules);

/* Bytes from the line. */
void simulated_device_receive(simulated_device *device, const uint8_t *data, size_t size);

/* False when nothing runs. */
bool simulated_device_poll(simulated_device *device);

#endif
