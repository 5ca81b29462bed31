/* Tests of what the board is: identity, counters, modules. SPDX-License-Identifier: Apache-2.0 */
#include "pd_selftest_internal.h"

#include <string.h>

pd_outcome pd_test_identity(pd_selftest *service)
{
    static const char *const NAMES[PD_IDENTITY_ITEMS] = { "platform", "device_id", "serial_number", "device_os",
                                                          "hardware", "firmware" };
    const pd_hardware *const hardware = service->hardware;
    char text[PD_TEXT_SIZE];

    if (hardware->identity == NULL) {
        return PD_NOT_SUPPORTED;
    }
    for (int i = 0; i < PD_IDENTITY_ITEMS; i++) {
        memset(text, 0, sizeof text);
        if (hardware->identity(hardware->context, (pd_identity_item)i, text, sizeof text)) {
            text[sizeof text - 1] = '\0';
            pd_selftest_text(service, NAMES[i], text);
        }
    }
    if (service->value_count == 0) {
        pd_selftest_message(service, "the board knows nothing of itself");
        return PD_FAILED;
    }
    return PD_PASSED;
}

pd_outcome pd_test_counters(pd_selftest *service)
{
    static const struct {
        const char *name, *unit;
    } COUNTERS[PD_COUNTERS] = {
        { "cloud_attempts", "1" }, { "connections", "1" }, { "disconnects", "1" }, { "reset_reason", "code" },
        { "free_memory", "B" },
    };
    const pd_hardware *const hardware = service->hardware;

    pd_selftest_measure(service, "uptime", "ms", (int32_t)(hardware->uptime_ms(hardware->context) & 0x7fffffffu));
    if (hardware->counter == NULL) {
        return PD_NOT_SUPPORTED;
    }
    for (int i = 0; i < PD_COUNTERS; i++) {
        int32_t value;
        if (hardware->counter(hardware->context, (pd_counter)i, &value)) {
            pd_selftest_measure(service, COUNTERS[i].name, COUNTERS[i].unit, value);
        }
    }
    return PD_PASSED;
}

/* ---- modules ---------------------------------------------------------------------------------------------------- */

typedef struct slot_reader {
    const pd_hardware *hardware;
    const pd_slot *slot;
} slot_reader;

static bool read_slot(void *context, size_t offset, uint8_t *out, size_t size)
{
    const slot_reader *const reader = context;
    return reader->hardware->program_read(reader->hardware->context, reader->slot->start_address + (uint32_t)offset,
                                          out, size);
}

static void name_module(char out[PD_NAME_SIZE], const pd_slot *slot)
{
    static const char *const FUNCTIONS[] = { "none", "resource", "bootloader", "mono", "system", "user", "settings",
                                             "ncp", "radio", "asset" };
    const char *const function = slot->function < PD_COUNT(FUNCTIONS) ? FUNCTIONS[slot->function] : "other";

    pd_copy_text(out, PD_NAME_SIZE - 2, function);
    const size_t size = strlen(out);
    out[size] = (char)('0' + slot->index % 10);
    out[size + 1] = '\0';
}

/* Those that the board's table names, and what lies in the first slots. */
enum { MODULES_MAX = 8 };

static size_t find_modules(const pd_hardware *hardware, pd_installed installed[MODULES_MAX])
{
    size_t count = 0;
    for (; count < hardware->board->module_count && count < MODULES_MAX; count++) {
        installed[count] = hardware->board->modules[count];
    }
    for (size_t i = 0; i < hardware->board->slot_count && count < MODULES_MAX; i++) {
        slot_reader reader = { hardware, &hardware->board->slots[i] };
        const pd_source source = { .size = reader.slot->max_size, .read = read_slot, .context = &reader };
        unsigned next = 0;
        pd_module module;
        if (pd_module_next_candidate(&source, &next, &module) == PD_OK) {
            installed[count++] = (pd_installed){ module.function, module.index, module.version, module.start_address,
                                                 { module.dependencies[0], module.dependencies[1] } };
        }
    }
    return count;
}

static bool is_good_module(pd_selftest *service, const pd_slot *slot)
{
    const pd_hardware *const hardware = service->hardware;
    slot_reader reader = { hardware, slot };
    const pd_source source = { .size = slot->max_size, .read = read_slot, .context = &reader };
    pd_installed installed[MODULES_MAX];
    pd_board board = *hardware->board;
    pd_module module;
    pd_report report;
    char name[PD_NAME_SIZE];

    name_module(name, slot);
    pd_status status = pd_module_parse(&source, hardware->hooks, &module);
    if (status == PD_OK) {
        board.is_update = false;
        board.modules = installed;
        board.module_count = find_modules(hardware, installed);
        pd_module_check(&source, hardware->hooks, &module, &board, &report);
        status = report.status;
        if (status == PD_OK && (module.function != slot->function || module.index != slot->index)) {
            status = PD_ERR_NO_SLOT;
        }
    }
    if (status != PD_OK) {
        pd_selftest_text(service, name, pd_status_name(status));
        if (service->message[0] == '\0') {
            pd_selftest_message(service, pd_status_text(status));
        }
        return false;
    }
    pd_selftest_measure(service, name, "version", module.version);
    return true;
}

/* A slot in each step. */
pd_outcome pd_test_modules(pd_selftest *service)
{
    const pd_hardware *const hardware = service->hardware;

    if (service->cancelled) {
        return PD_CANCELLED;
    }
    if (hardware->board == NULL || hardware->board->slot_count == 0 || hardware->program_read == NULL) {
        return PD_NOT_SUPPORTED;
    }
    if (!is_good_module(service, &hardware->board->slots[service->step_number])) {
        service->state[0]++;
    }
    if (service->step_number + 1 < hardware->board->slot_count) {
        return PD_RUNNING;
    }
    return service->state[0] == 0 ? PD_PASSED : PD_FAILED;
}
