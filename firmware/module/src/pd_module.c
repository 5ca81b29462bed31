/* SPDX-License-Identifier: Apache-2.0 */
#include "pd_module.h"

#include <string.h>

enum { FUNCTION_MAX = 9, FLAGS_KNOWN = 0x1f };

/* RTL872x, nRF51 (Bluz), STM32F1 (Core), STM32F2, nRF52840; 0 for everything without a table or header in front. */
static const uint16_t PREFIX_OFFSETS[] = { 0, 0x20, 0xc0, 0x10c, 0x184, 0x200 };
enum { PREFIX_OFFSET_COUNT = sizeof PREFIX_OFFSETS / sizeof PREFIX_OFFSETS[0] };

static uint16_t read_u16(const uint8_t *p)
{
    return (uint16_t)(p[0] | p[1] << 8);
}

static uint32_t read_u32(const uint8_t *p)
{
    return (uint32_t)read_u16(p) | (uint32_t)read_u16(p + 2) << 16;
}

static uint32_t read_u32_be(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static pd_dependency read_dependency(const uint8_t *p)
{
    return (pd_dependency){ .function = p[0], .index = p[1], .version = read_u16(p + 2) };
}

/* Where the first words of the file say that the prefix is: the devices' own rules. */
static size_t expected_prefix_offset(const uint8_t *data, size_t size)
{
    static const uint8_t RTL_HEADER[8] = { 0x99, 0x99, 0x96, 0x96, 0x3f, 0xcc, 0x66, 0xfc };

    if (size < sizeof RTL_HEADER) {
        return 0;
    }
    if (memcmp(data, RTL_HEADER, sizeof RTL_HEADER) == 0) {
        return 0x20;
    }
    /* Else an initial stack pointer? Each mask also fits the families tested before it. */
    const uint32_t first_word = read_u32(data);
    if (first_word == 0x20005000u) {
        return 0x10c;
    }
    if ((first_word & 0x2ff10000u) == 0x20000000u) {
        return 0x184;
    }
    if ((first_word & 0x2ffc0000u) == 0x20000000u) {
        return 0x200;
    }
    return 0;
}

/* PD_OK, PD_ERR_NO_PREFIX, or PD_ERR_TRUNCATED with the prefix members filled. */
static pd_status read_prefix(const uint8_t *data, size_t size, size_t offset, pd_module *out)
{
    memset(out, 0, sizeof *out);
    if (size < offset || size - offset < PD_MODULE_PREFIX_SIZE) {
        return PD_ERR_NO_PREFIX;
    }
    const uint8_t *p = data + offset;
    pd_module m = {
        .prefix_offset = offset,
        .prefix_size = PD_MODULE_PREFIX_SIZE,
        .start_address = read_u32(p),
        .end_address = read_u32(p + 4),
        .mcu_target = p[8],
        .flags = p[9],
        .version = read_u16(p + 10),
        .platform_id = read_u16(p + 12),
        .function = p[14],
        .index = p[15],
        .dependencies = { read_dependency(p + 16), read_dependency(p + 20) },
    };
    if (m.end_address <= m.start_address || m.flags > FLAGS_KNOWN || m.function == 0 ||
        m.function > FUNCTION_MAX || m.dependencies[0].function > FUNCTION_MAX ||
        m.dependencies[1].function > FUNCTION_MAX) {
        return PD_ERR_NO_PREFIX;
    }
    const uint32_t length = m.end_address - m.start_address;
    if (length < offset + PD_MODULE_PREFIX_SIZE || length > UINT32_MAX - PD_MODULE_CRC_SIZE) {
        return PD_ERR_NO_PREFIX;
    }
    m.crc_offset = length;
    m.size = m.crc_offset + PD_MODULE_CRC_SIZE;
    const bool fits = m.size <= size;
    if (fits) {
        m.crc_stored = read_u32_be(data + m.crc_offset);
    }
    *out = m;
    return fits ? PD_OK : PD_ERR_TRUNCATED;
}

static void read_prefix_extensions(const uint8_t *data, size_t size, pd_module *m)
{
    const size_t start = m->prefix_offset + PD_MODULE_PREFIX_SIZE;
    m->prefix_extensions = (pd_extensions){ .offset = start, .end = start };
    if (!(m->flags & PD_MODULE_FLAG_PREFIX_EXTENSIONS)) {
        return;
    }
    m->prefix_extensions.end = m->crc_offset;
    m->prefix_extensions.needs_end = true;

    pd_extensions area = m->prefix_extensions;
    pd_extension extension;
    pd_status status;
    while ((status = pd_module_next_extension(data, size, &area, &extension)) == PD_OK) {
    }
    if (status == PD_NO_MORE) {
        m->prefix_size = area.offset - m->prefix_offset;
    }
}

static void read_suffix(const uint8_t *data, pd_module *m)
{
    const size_t end = m->crc_offset;
    const size_t prefix_end = m->prefix_offset + m->prefix_size;
    const uint16_t size = read_u16(data + end - 2);

    if (size == 0 || size == 0xffff) {
        return;
    }
    if (size < PD_MODULE_SUFFIX_BASE_SIZE || size > end - prefix_end) {
        m->suffix_status = PD_ERR_BAD_SUFFIX;
        return;
    }
    const size_t base = end - PD_MODULE_SUFFIX_BASE_SIZE;
    m->suffix_size = size;
    m->sha256_offset = base + 2;
    m->sha256_whole = (pd_range){ 0, m->sha256_offset };
    m->sha256_payload = (pd_range){ prefix_end, base - prefix_end };
    m->suffix_extensions = (pd_extensions){ .offset = base, .end = base };
    if (size >= 40) {
        m->has_product = true;
        m->product_id = size == 42 ? read_u32(data + base - 6) : read_u16(data + base - 4);
        m->product_version = read_u16(data + base - 2);
    }
    if (size > PD_MODULE_SUFFIX_BASE_SIZE && size != 40 && size != 42) {
        m->suffix_extensions.offset = end - size;
    }
}

pd_status pd_module_next_candidate(const uint8_t *data, size_t size, unsigned *next, pd_module *out)
{
    const size_t expected = expected_prefix_offset(data, size);
    const bool first_call = *next == 0;
    pd_module truncated;
    bool is_truncated = false;

    while (*next <= PREFIX_OFFSET_COUNT) {
        /* 0 stands for the expected offset, n for the n-th of the table. */
        const size_t offset = *next == 0 ? expected : PREFIX_OFFSETS[*next - 1];
        const bool seen = *next != 0 && offset == expected;
        ++*next;
        if (seen) {
            continue;
        }
        const pd_status status = read_prefix(data, size, offset, out);
        if (status == PD_OK) {
            read_prefix_extensions(data, size, out);
            read_suffix(data, out);
            return PD_OK;
        }
        if (status == PD_ERR_TRUNCATED && !is_truncated) {
            is_truncated = true;
            truncated = *out;
        }
    }
    memset(out, 0, sizeof *out);
    if (!first_call) {
        return PD_NO_MORE;
    }
    if (is_truncated) {
        *out = truncated;
        return PD_ERR_TRUNCATED;
    }
    return size == 0 ? PD_ERR_EMPTY : PD_ERR_NO_PREFIX;
}

pd_status pd_module_parse(const uint8_t *data, size_t size, pd_module *out)
{
    unsigned next = 0;
    pd_module candidate;
    pd_status status = pd_module_next_candidate(data, size, &next, out);

    if (status != PD_OK) {
        return status;
    }
    for (candidate = *out; status == PD_OK;
         status = pd_module_next_candidate(data, size, &next, &candidate)) {
        if (pd_crc32_update(0, data, candidate.crc_offset) == candidate.crc_stored) {
            *out = candidate;
            return PD_OK;
        }
    }
    return PD_ERR_CRC;
}

pd_status pd_module_next_extension(const uint8_t *data, size_t size, pd_extensions *area, pd_extension *out)
{
    const size_t end = area->end < size ? area->end : size;

    memset(out, 0, sizeof *out);
    if (area->offset >= end) {
        return area->needs_end ? PD_ERR_BAD_EXTENSION : PD_NO_MORE;
    }
    const size_t room = end - area->offset;
    if (room < PD_EXTENSION_HEADER_SIZE) {
        return PD_ERR_BAD_EXTENSION;
    }
    const uint16_t type = read_u16(data + area->offset);
    const uint16_t length = read_u16(data + area->offset + 2);
    if (type == PD_EXTENSION_INVALID && !area->needs_end) {
        return PD_NO_MORE;
    }
    if (type == PD_EXTENSION_INVALID || length < PD_EXTENSION_HEADER_SIZE || length > room) {
        return PD_ERR_BAD_EXTENSION;
    }
    if (type == PD_EXTENSION_END) {
        area->offset += length;
        area->end = area->offset;
        area->needs_end = false;
        return PD_NO_MORE;
    }
    *out = (pd_extension){ .type = type, .offset = area->offset, .length = length };
    area->offset += length;
    return PD_OK;
}

const char *pd_status_name(pd_status status)
{
    switch (status) {
    case PD_OK: return "ok";
    case PD_NO_MORE: return "no_more";
    case PD_ERR_EMPTY: return "empty";
    case PD_ERR_NO_PREFIX: return "no_prefix";
    case PD_ERR_TRUNCATED: return "truncated";
    case PD_ERR_CRC: return "crc_mismatch";
    case PD_ERR_BAD_SUFFIX: return "bad_suffix";
    case PD_ERR_BAD_EXTENSION: return "bad_extension";
    }
    return "unknown_status";
}

const char *pd_status_text(pd_status status)
{
    switch (status) {
    case PD_OK: return "The module is well formed.";
    case PD_NO_MORE: return "There is nothing more to read.";
    case PD_ERR_EMPTY: return "The file is empty.";
    case PD_ERR_NO_PREFIX:
        return "No module prefix stands where Particle platforms have it: not a module, or damaged at its start.";
    case PD_ERR_TRUNCATED: return "The file ends before the module does.";
    case PD_ERR_CRC: return "The CRC-32 stored in the module differs from the one computed.";
    case PD_ERR_BAD_SUFFIX: return "The suffix size is impossible.";
    case PD_ERR_BAD_EXTENSION: return "An extension is cut or does not end.";
    }
    return "This value is no status of pd_module.";
}
