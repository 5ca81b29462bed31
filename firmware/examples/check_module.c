/* Says what a Boron with Device OS 2.1.0 answers to a module that arrives. SPDX-License-Identifier: Apache-2.0
 *
 * The table is that of the board and its Device OS: hal/src/nRF52840/ota_module_bounds.c of the release, on a device
 * its own module_bounds_t. The installed modules are what the device reports, or the prefixes in its flash. */
#include "read_file.h"

static const pd_slot SLOTS[] = {
    { .function = PD_FUNCTION_BOOTLOADER, .start_address = 0xf4000, .end_address = 0x100000, .max_size = 0xc000 },
    { .function = PD_FUNCTION_SYSTEM_PART, .index = 1, .start_address = 0x30000, .end_address = 0xd4000,
      .max_size = 0xa4000 },
    { .function = PD_FUNCTION_USER_PART, .index = 1, .start_address = 0xd4000, .end_address = 0xf4000,
      .max_size = 0x20000 },
    { .function = PD_FUNCTION_RADIO_STACK, .start_address = 0x1000, .end_address = 0x2f000, .max_size = 0x2e000 },
};
static const pd_installed INSTALLED[] = {
    { .function = PD_FUNCTION_BOOTLOADER, .version = 1005, .start_address = 0xf4000 },
    { .function = PD_FUNCTION_RADIO_STACK, .version = 202, .start_address = 0x1000 },
    { .function = PD_FUNCTION_SYSTEM_PART, .index = 1, .version = 2101, .start_address = 0x30000,
      .dependencies = { { PD_FUNCTION_BOOTLOADER, 0, 1005 }, { PD_FUNCTION_RADIO_STACK, 0, 202 } } },
};
static const pd_board BORON = {
    .platform_id = 13,
    .is_update = true, /* false: the rules at start-up, which also look at what an application needs */
    .slots = SLOTS, .slot_count = sizeof SLOTS / sizeof SLOTS[0],
    .modules = INSTALLED, .module_count = sizeof INSTALLED / sizeof INSTALLED[0],
};

int main(int argc, char **argv)
{
    if (argc != 2) {
        fprintf(stderr, "usage: check_module FILE\n");
        return 2;
    }
    const pd_source source = read_file(argv[1]);
    pd_module module;
    const pd_status status = pd_module_parse(&source, NULL, &module);
    if (status != PD_OK && status != PD_ERR_CRC) { /* a wrong CRC is for the board to find */
        puts(pd_status_text(status));
        return 1;
    }
    pd_report report;
    pd_module_check(&source, NULL, &module, &BORON, &report);
    printf("0x%x: %s: %s The device answers %d.\n", (unsigned)report.offset, pd_status_name(report.status),
           pd_status_text(report.status), report.device_result);
    return report.passed == report.checked ? 0 : 1;
}
