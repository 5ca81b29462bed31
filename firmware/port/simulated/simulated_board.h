/*
 * A board that is not there: pins with wires, I2C devices, RAM, flash, a radio and a cloud as a few bytes each, and faults to
 * plant. port/host runs it on a PC, port/cortex_m on emulated Cortex-M, whose emulator has no pins, I2C devices or flash
 * controller; the unit tests use it, too. SPDX-License-Identifier: Apache-2.0
 */
#ifndef SIMULATED_BOARD_H
#define SIMULATED_BOARD_H

#include "pd_selftest.h"

/* What is wrong with it. */
enum {
    FAULT_RAM_STUCK = 0x01,    /* bit 5 of a word is always 1 */
    FAULT_RAM_COUPLED = 0x02,  /* writing a word changes its neighbour */
    FAULT_GPIO_OPEN = 0x04,    /* a wire is missing */
    FAULT_GPIO_SHORT = 0x08,   /* two wires touch */
    FAULT_ADC_HIGH = 0x10,     /* a voltage is too high */
    FAULT_I2C_MISSING = 0x20,  /* a device does not answer */
    FAULT_I2C_STUCK = 0x40,    /* SDA is low */
    FAULT_FLASH_STUCK = 0x80,  /* a bit does not erase */
    FAULT_RADIO_DEAD = 0x100,
    FAULT_SILENT = 0x200,      /* for the port: takes requests and gives no answer */
    FAULT_GARBAGE = 0x400,     /* for the port: log output and noise around every reply */
    FAULT_RESETS = 0x800,      /* for the port: resets while the RAM test runs */
    FAULT_NO_IO = 0x1000       /* the table has no pins, I2C, ADC, radio */
};

enum { SIM_PINS = 4, SIM_RAM_WORDS = 2048, SIM_FLASH_SIZE = 1024 };

typedef struct simulated_board {
    unsigned faults;
    uint32_t (*now_ms)(void);
    /* Program memory, and where it starts; NULL: the address itself is read. */
    const uint8_t *program;
    uint32_t program_address;
    uint32_t program_size;
    const char *device_id;

    pd_gpio_mode modes[SIM_PINS];
    bool levels[SIM_PINS];
    uint32_t ram[SIM_RAM_WORDS];
    uint8_t flash[SIM_FLASH_SIZE];
    bool radio_on;
    bool is_connected;
    int connections;
    char subscribed[64];
    char published_name[96];
    char published_data[96];
    pd_selftest *service; /* gets its own published events back; may be NULL */
} simulated_board;

/* Tables and functions for the board. `with_modules`: it has the slots of a Photon. */
pd_hardware simulated_hardware(simulated_board *board, bool with_modules);

#endif
