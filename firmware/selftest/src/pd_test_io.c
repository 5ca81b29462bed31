/* Tests of pins, buses and voltages. SPDX-License-Identifier: Apache-2.0 */
#include "pd_selftest_internal.h"

/* ---- gpio ------------------------------------------------------------------------------------------------------- */

static bool set_all(const pd_hardware *hardware, pd_gpio_mode outputs, pd_gpio_mode inputs)
{
    bool ok = true;
    for (size_t i = 0; i < hardware->loopback_count; i++) {
        ok = hardware->gpio_mode(hardware->context, hardware->loopbacks[i].output, outputs) && ok;
        ok = hardware->gpio_mode(hardware->context, hardware->loopbacks[i].input, inputs) && ok;
    }
    return ok;
}

/*
 * One output drives `level`; all inputs are pulled the other way, so that an open wire shows, and so does one that
 * touches a neighbour: its input must not follow.
 */
static int32_t errors_with(const pd_hardware *hardware, size_t driven, bool level)
{
    const pd_gpio_mode pull = level ? PD_GPIO_INPUT_PULL_DOWN : PD_GPIO_INPUT_PULL_UP;
    const pd_loopback *const loopback = &hardware->loopbacks[driven];
    int32_t errors = 0;

    if (!set_all(hardware, PD_GPIO_RELEASED, pull) ||
        !hardware->gpio_mode(hardware->context, loopback->output, PD_GPIO_OUTPUT) ||
        !hardware->gpio_write(hardware->context, loopback->output, level)) {
        return 1;
    }
    for (size_t i = 0; i < hardware->loopback_count; i++) {
        const int expected = i == driven ? level : !level;
        if (hardware->gpio_read(hardware->context, hardware->loopbacks[i].input) != expected) {
            errors++;
        }
    }
    return errors;
}

/* A pair in each step. */
pd_outcome pd_test_gpio(pd_selftest *service)
{
    const pd_hardware *const hardware = service->hardware;
    const size_t i = service->step_number;

    if (hardware->loopback_count == 0 || hardware->gpio_mode == NULL || hardware->gpio_write == NULL ||
        hardware->gpio_read == NULL) {
        return PD_NOT_SUPPORTED;
    }
    if (service->cancelled) {
        set_all(hardware, PD_GPIO_RELEASED, PD_GPIO_RELEASED);
        return PD_CANCELLED;
    }
    const int32_t errors = errors_with(hardware, i, true) + errors_with(hardware, i, false);
    if (!pd_selftest_limited(service, hardware->loopbacks[i].name, "errors", errors, 0, 0)) {
        pd_selftest_message(service, "a pin is open, stuck or touches another");
    }
    if (i + 1 < hardware->loopback_count) {
        return PD_RUNNING;
    }
    return set_all(hardware, PD_GPIO_RELEASED, PD_GPIO_RELEASED) ? PD_PASSED : PD_FAILED;
}

/* ---- i2c -------------------------------------------------------------------------------------------------------- */

enum { FIRST_ADDRESS = 0x08, LAST_ADDRESS = 0x77 }; /* the others are reserved */

static bool is_expected(const pd_hardware *hardware, int bus, int address)
{
    for (size_t i = 0; i < hardware->i2c_device_count; i++) {
        if (hardware->i2c_devices[i].bus == bus && hardware->i2c_devices[i].address == address) {
            return true;
        }
    }
    return false;
}

static void name_address(char out[PD_NAME_SIZE], int bus, int address)
{
    static const char HEX[] = "0123456789abcdef";
    pd_copy_text(out, PD_NAME_SIZE, "0:0x00");
    out[0] = (char)('0' + bus % 10);
    out[4] = HEX[address >> 4 & 15];
    out[5] = HEX[address & 15];
}

/* A bus in each step. What answers and is not in the board's table is told, and is no fault. */
pd_outcome pd_test_i2c(pd_selftest *service)
{
    const pd_hardware *const hardware = service->hardware;
    const int bus = (int)service->step_number;
    bool is_working = true;

    if (hardware->i2c_probe == NULL || hardware->i2c_bus_count <= 0) {
        return PD_NOT_SUPPORTED;
    }
    if (service->cancelled) {
        return PD_CANCELLED;
    }
    for (size_t i = 0; i < hardware->i2c_device_count; i++) {
        const pd_i2c_device *const device = &hardware->i2c_devices[i];
        if (device->bus == bus) {
            const int found = hardware->i2c_probe(hardware->context, bus, device->address);
            if (!pd_selftest_limited(service, device->name, "found", found, 1, 1)) {
                pd_selftest_message(service, found < 0 ? "the bus does not work" : "a device does not answer");
            }
        }
    }
    for (int address = FIRST_ADDRESS; address <= LAST_ADDRESS && is_working; address++) {
        if (!is_expected(hardware, bus, address)) {
            const int found = hardware->i2c_probe(hardware->context, bus, (uint8_t)address);
            char name[PD_NAME_SIZE];
            name_address(name, bus, address);
            is_working = found >= 0;
            if (found > 0) {
                pd_selftest_measure(service, name, "found", 1);
            }
        }
    }
    if (!is_working) {
        pd_selftest_message(service, "the bus does not work");
        return PD_FAILED;
    }
    return bus + 1 < hardware->i2c_bus_count ? PD_RUNNING : PD_PASSED;
}

/* ---- adc -------------------------------------------------------------------------------------------------------- */

enum { SAMPLES_MAX = 256 };

/* A channel in each step: the mean of `samples` (default 8) conversions. */
pd_outcome pd_test_adc(pd_selftest *service)
{
    const pd_hardware *const hardware = service->hardware;
    int32_t samples = 8;
    int64_t sum = 0;

    if (hardware->adc_read == NULL || hardware->adc_channel_count == 0) {
        return PD_NOT_SUPPORTED;
    }
    if (service->cancelled) {
        return PD_CANCELLED;
    }
    if (!pd_selftest_int(service, "samples", &samples) || samples < 1 || samples > SAMPLES_MAX) {
        pd_selftest_message(service, "samples: a number from 1 to 256");
        return PD_FAILED;
    }
    const pd_adc_channel *const channel = &hardware->adc_channels[service->step_number];
    for (int32_t i = 0; i < samples; i++) {
        int32_t value;
        if (!hardware->adc_read(hardware->context, channel->channel, &value)) {
            pd_selftest_message(service, "the converter does not answer");
            return PD_FAILED;
        }
        sum += value;
    }
    if (!pd_selftest_limited(service, channel->name, channel->unit, (int32_t)(sum / samples), channel->min,
                             channel->max)) {
        pd_selftest_message(service, "a value is outside of its limits");
    }
    return service->step_number + 1 < hardware->adc_channel_count ? PD_RUNNING : PD_PASSED;
}
