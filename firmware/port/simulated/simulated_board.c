/* SPDX-License-Identifier: Apache-2.0 */
#include "simulated_board.h"

#include <string.h>

static void copy(char *out, size_t size, const char *text)
{
    size_t i = 0;
    for (; i + 1 < size && text[i] != '\0'; i++) {
        out[i] = text[i];
    }
    out[i] = '\0';
}

static uint32_t uptime_ms(void *context)
{
    const simulated_board *const board = context;
    return board->now_ms();
}

static bool identity(void *context, pd_identity_item item, char *out, size_t size)
{
    static const char *const TEXTS[PD_IDENTITY_ITEMS] = { "photon", NULL, NULL, NULL, "simulated", "selftest 1" };
    const simulated_board *const board = context;
    const char *const text = item == PD_IDENTITY_DEVICE_ID ? board->device_id : TEXTS[item];
    if (text == NULL) {
        return false;
    }
    copy(out, size, text);
    return true;
}

static bool counter(void *context, pd_counter which, int32_t *out)
{
    const simulated_board *const board = context;
    *out = board->connections;
    return which == PD_COUNTER_CLOUD_ATTEMPTS || which == PD_COUNTER_CLOUD_CONNECTIONS;
}

static bool program_read(void *context, uint32_t address, uint8_t *out, size_t size)
{
    const simulated_board *const board = context;
    if (board->program == NULL) {
        memcpy(out, (const void *)(uintptr_t)address, size);
        return true;
    }
    if (address < board->program_address || address - board->program_address > board->program_size ||
        size > board->program_size - (address - board->program_address)) {
        memset(out, 0xff, size);
        return true;
    }
    memcpy(out, board->program + (address - board->program_address), size);
    return true;
}

/* ---- pins: D0-D1 and D2-D3 are joined ---------------------------------------------------------------------------- */

static bool gpio_mode(void *context, int pin, pd_gpio_mode mode)
{
    simulated_board *const board = context;
    board->modes[pin] = mode;
    return true;
}

static bool gpio_write(void *context, int pin, bool level)
{
    simulated_board *const board = context;
    board->levels[pin] = level;
    return true;
}

static bool are_joined(const simulated_board *board, int a, int b)
{
    if ((board->faults & FAULT_GPIO_SHORT) != 0) {
        return true;
    }
    if ((board->faults & FAULT_GPIO_OPEN) != 0 && a / 2 == 1) {
        return a == b;
    }
    return a / 2 == b / 2;
}

static int gpio_read(void *context, int pin)
{
    const simulated_board *const board = context;
    for (int other = 0; other < SIM_PINS; other++) {
        if (board->modes[other] == PD_GPIO_OUTPUT && are_joined(board, pin, other)) {
            return board->levels[other];
        }
    }
    return board->modes[pin] == PD_GPIO_INPUT_PULL_UP;
}

static int i2c_probe(void *context, int bus, uint8_t address)
{
    const simulated_board *const board = context;
    if ((board->faults & FAULT_I2C_STUCK) != 0 && bus == 1) {
        return -1;
    }
    if (address == 0x68 && (board->faults & FAULT_I2C_MISSING) != 0) {
        return 0;
    }
    return bus == 0 ? address == 0x68 || address == 0x3c : address == 0x36;
}

static bool adc_read(void *context, int channel, int32_t *out)
{
    const simulated_board *const board = context;
    *out = channel == 0 ? 1650 : 3297;
    if (channel == 1 && (board->faults & FAULT_ADC_HIGH) != 0) {
        *out = 3700;
    }
    return true;
}

/* ---- memories --------------------------------------------------------------------------------------------------- */

enum { STUCK_WORD = 300, COUPLED_WORD = 1500 };

static uint32_t ram_read(void *context, size_t region, uint32_t index)
{
    const simulated_board *const board = context;
    (void)region;
    const bool is_stuck = (board->faults & FAULT_RAM_STUCK) != 0 && index == STUCK_WORD;
    return board->ram[index] | (is_stuck ? 1u << 5 : 0);
}

static void ram_write(void *context, size_t region, uint32_t index, uint32_t word)
{
    simulated_board *const board = context;
    (void)region;
    if ((board->faults & FAULT_RAM_COUPLED) != 0 && index == COUPLED_WORD && word != board->ram[index]) {
        board->ram[index + 1] ^= 1;
    }
    board->ram[index] = word;
}

static bool flash_erase(void *context)
{
    simulated_board *const board = context;
    memset(board->flash, 0xff, sizeof board->flash);
    if ((board->faults & FAULT_FLASH_STUCK) != 0) {
        board->flash[700] = 0x7f;
    }
    return true;
}

static bool flash_program(void *context, uint32_t offset, const uint8_t *data, size_t size)
{
    simulated_board *const board = context;
    for (size_t i = 0; i < size; i++) {
        board->flash[offset + i] &= data[i];
    }
    return true;
}

static bool flash_read(void *context, uint32_t offset, uint8_t *out, size_t size)
{
    const simulated_board *const board = context;
    memcpy(out, board->flash + offset, size);
    return true;
}

/* ---- radio and cloud -------------------------------------------------------------------------------------------- */

static bool radio_set(void *context, bool on)
{
    simulated_board *const board = context;
    board->radio_on = on;
    return true;
}

static pd_radio_state radio_state(void *context)
{
    const simulated_board *const board = context;
    if ((board->faults & FAULT_RADIO_DEAD) != 0) {
        return PD_RADIO_ERROR;
    }
    return board->radio_on ? PD_RADIO_ON : PD_RADIO_OFF;
}

static bool cloud_set(void *context, bool connect)
{
    simulated_board *const board = context;
    board->connections += connect && !board->is_connected;
    board->is_connected = connect;
    return true;
}

static bool cloud_is_connected(void *context)
{
    const simulated_board *const board = context;
    return board->is_connected;
}

static bool publish(void *context, const char *name, const char *data)
{
    simulated_board *const board = context;
    copy(board->published_name, sizeof board->published_name, name);
    copy(board->published_data, sizeof board->published_data, data);
    if (board->service != NULL && board->subscribed[0] != '\0' &&
        strncmp(name, board->subscribed, strlen(board->subscribed)) == 0) {
        pd_selftest_event(board->service, name, data);
    }
    return true;
}

static pd_progress publish_progress(void *context)
{
    const simulated_board *const board = context;
    return board->is_connected ? PD_DONE : PD_FAILURE;
}

static bool subscribe(void *context, const char *prefix)
{
    simulated_board *const board = context;
    copy(board->subscribed, sizeof board->subscribed, prefix);
    return true;
}

/* ---- tables ----------------------------------------------------------------------------------------------------- */

pd_hardware simulated_hardware(simulated_board *board, bool with_modules)
{
    static const pd_loopback LOOPBACKS[] = { { "D0-D1", 0, 1 }, { "D2-D3", 2, 3 } };
    static const pd_i2c_device DEVICES[] = { { "imu", 0, 0x68 }, { "fuel_gauge", 1, 0x36 } };
    static const pd_adc_channel CHANNELS[] = { { "A0", 0, "mV", 1600, 1700 }, { "supply", 1, "mV", 3200, 3400 } };
    static const pd_ram_region REGIONS[] = { { "ram", SIM_RAM_WORDS } };
    static const pd_flash_area AREA = { "scratch", SIM_FLASH_SIZE };
    /* Of a Photon: STM32F205, Device OS 2.1.0. */
    static const pd_slot SLOTS[] = {
        { .function = PD_FUNCTION_SYSTEM_PART, .index = 1, .start_address = 0x8020000, .end_address = 0x8060000,
          .max_size = 0x40000 },
        { .function = PD_FUNCTION_SYSTEM_PART, .index = 2, .start_address = 0x8060000, .end_address = 0x80a0000,
          .max_size = 0x40000 },
        { .function = PD_FUNCTION_USER_PART, .index = 1, .start_address = 0x80a0000, .end_address = 0x80c0000,
          .max_size = 0x20000 },
    };
    static const pd_installed BOOTLOADER = { .function = PD_FUNCTION_BOOTLOADER, .version = 1005 };
    static const pd_board PHOTON = { .platform_id = 6, .slots = SLOTS, .slot_count = PD_COUNT(SLOTS),
                                     .modules = &BOOTLOADER, .module_count = 1 };
    pd_hardware hardware = {
        .context = board, .uptime_ms = uptime_ms, .identity = identity, .counter = counter,
        .program_read = program_read, .ram_regions = REGIONS, .ram_region_count = PD_COUNT(REGIONS),
        .ram_read = ram_read, .ram_write = ram_write, .flash_area = &AREA, .flash_erase = flash_erase,
        .flash_program = flash_program, .flash_read = flash_read,
    };

    if (with_modules) {
        hardware.board = &PHOTON;
    }
    if ((board->faults & FAULT_NO_IO) == 0) {
        hardware.loopbacks = LOOPBACKS;
        hardware.loopback_count = PD_COUNT(LOOPBACKS);
        hardware.gpio_mode = gpio_mode;
        hardware.gpio_write = gpio_write;
        hardware.gpio_read = gpio_read;
        hardware.i2c_devices = DEVICES;
        hardware.i2c_device_count = PD_COUNT(DEVICES);
        hardware.i2c_bus_count = 2;
        hardware.i2c_probe = i2c_probe;
        hardware.adc_channels = CHANNELS;
        hardware.adc_channel_count = PD_COUNT(CHANNELS);
        hardware.adc_read = adc_read;
        hardware.radio_set = radio_set;
        hardware.radio_state = radio_state;
        hardware.cloud_set = cloud_set;
        hardware.cloud_is_connected = cloud_is_connected;
        hardware.publish = publish;
        hardware.publish_progress = publish_progress;
        hardware.subscribe = subscribe;
    }
    return hardware;
}
