/* libFuzzer target: any bytes, read from memory and from flash in pieces, must give the same answer.
 * SPDX-License-Identifier: Apache-2.0 */
#include "synthetic.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

typedef struct flash {
    const uint8_t *bytes;
    size_t size;
} flash;

static void require(bool condition)
{
    if (!condition) {
        abort();
    }
}

static bool read_flash(void *context, size_t offset, uint8_t *out, size_t size)
{
    const flash *chip = context;
    require(offset <= chip->size && size <= chip->size - offset);
    memcpy(out, chip->bytes + offset, size);
    return true;
}

/* Touches every byte that would be hashed. */
static void start(void *context)
{
    memset(context, 0, PD_SHA256_SIZE);
}

static void update(void *context, const uint8_t *data, size_t size)
{
    uint8_t *sums = context;
    for (size_t i = 0; i < size; i++) {
        sums[data[i] % PD_SHA256_SIZE]++;
    }
}

static void finish(void *context, uint8_t digest[PD_SHA256_SIZE])
{
    memcpy(digest, context, PD_SHA256_SIZE);
}

static void require_inside(pd_range range, size_t size)
{
    require(range.offset <= size && range.size <= size - range.offset);
}

static void walk(const pd_source *source, pd_extensions area)
{
    pd_extension extension;
    pd_extension_value value;
    pd_status status;
    size_t last = 0;

    while ((status = pd_module_next_extension(source, &area, &extension)) == PD_OK) {
        require(extension.offset >= last && extension.length >= PD_EXTENSION_HEADER_SIZE);
        last = extension.offset + extension.length;
        if (pd_extension_read(source, &extension, &value) == PD_OK) {
            require_inside(value.payload, source->size);
            require_inside(value.hash, source->size);
            require_inside(value.name, source->size);
            require_inside(value.certificate, source->size);
        }
    }
    require(status == PD_NO_MORE || status == PD_ERR_BAD_EXTENSION);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const pd_slot SLOTS[] = {
        { .function = PD_FUNCTION_SYSTEM_PART, .index = 1, .mcu_target = PD_MCU_ANY, .start_address = START,
          .end_address = START + FILE_MAX, .max_size = FILE_MAX },
        { .function = PD_FUNCTION_USER_PART, .index = 1, .has_fixed_end = true, .start_address = START,
          .end_address = START + FILE_MAX, .max_size = FILE_MAX },
    };
    static const pd_installed MODULES[] = {
        { .function = PD_FUNCTION_BOOTLOADER, .version = 1005 },
        { .function = PD_FUNCTION_SYSTEM_PART, .index = 2, .version = 1,
          .dependencies = { { PD_FUNCTION_SYSTEM_PART, 1, 2000 } } },
    };
    const pd_board board = {
        .platform_id = 13, .ncp_target = 0x21, .is_update = size % 2 != 0, .is_protected = size % 4 > 1,
        .update_max_size = FILE_MAX, .slots = SLOTS, .slot_count = 2, .modules = MODULES, .module_count = 2,
    };
    uint8_t sums[PD_SHA256_SIZE] = { 0 };
    const pd_hooks hooks = { .context = sums, .sha256_start = start, .sha256_update = update, .sha256_finish = finish };
    flash chip = { data, size };
    const pd_source memory = { .data = data, .size = size };
    const pd_source pieces = { .size = size, .read = read_flash, .context = &chip };
    pd_module m, other;
    pd_report report, other_report;

    memset(&m, 0, sizeof m);
    memset(&other, 0, sizeof other);
    const pd_status status = pd_module_parse(&memory, NULL, &m);
    require(pd_module_parse(&pieces, NULL, &other) == status);
    require(m.prefix_offset == other.prefix_offset && m.size == other.size && m.crc_computed == other.crc_computed);
    require(m.suffix_size == other.suffix_size && m.prefix_size == other.prefix_size);
    if (status != PD_OK && status != PD_ERR_CRC) {
        return 0;
    }
    require(m.size <= size && m.prefix_offset + m.prefix_size <= m.crc_offset);
    require_inside(m.sha256_whole, size);
    require_inside(m.sha256_payload, size);
    walk(&memory, m.prefix_extensions);
    walk(&memory, m.suffix_extensions);
    pd_module_check(&memory, &hooks, &m, &board, &report);
    pd_module_check(&pieces, &hooks, &other, &board, &other_report);
    require(report.status == other_report.status && report.passed == other_report.passed);
    require((report.passed & ~report.checked) == 0 && (report.status == PD_OK) == (report.passed == report.checked));
    return 0;
}
