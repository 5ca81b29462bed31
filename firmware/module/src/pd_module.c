/* Prefix and suffix. SPDX-License-Identifier: Apache-2.0 */
#include "pd_internal.h"

#include <string.h>

enum { FLAGS_KNOWN = 0x1f };

/* RTL872x, nRF51 (Bluz), STM32F1 (Core), STM32F2, nRF52840; 0 for everything without a table or header in front. */
static const uint16_t PREFIX_OFFSETS[] = { 0, 0x20, 0xc0, 0x10c, 0x184, 0x200 };
enum { PREFIX_OFFSET_COUNT = sizeof PREFIX_OFFSETS / sizeof PREFIX_OFFSETS[0] };

bool pd_fetch(const pd_source *source, size_t offset, uint8_t *out, size_t size)
{
    if (!pd_is_inside(source, offset, size)) {
        return false;
    }
    if (source->data == NULL) {
        return source->read(source->context, offset, out, size);
    }
    memcpy(out, source->data + offset, size);
    return true;
}

/* Where the first words of the file say that the prefix is: the devices' own rules. */
static pd_status expected_prefix_offset(const pd_source *source, size_t *out)
{
    static const uint8_t RTL_HEADER[8] = { 0x99, 0x99, 0x96, 0x96, 0x3f, 0xcc, 0x66, 0xfc };
    uint8_t head[sizeof RTL_HEADER];

    *out = 0;
    if (source->size < sizeof head) {
        return source->size == 0 ? PD_ERR_EMPTY : PD_OK;
    }
    if (!pd_fetch(source, 0, head, sizeof head)) {
        return PD_ERR_READ;
    }
    /* Else an initial stack pointer? Each mask also fits the families tested before it. */
    const uint32_t first_word = pd_u32(head);
    if (memcmp(head, RTL_HEADER, sizeof head) == 0) {
        *out = 0x20;
    } else if (first_word == 0x20005000u) {
        *out = 0x10c;
    } else if ((first_word & 0x2ff10000u) == 0x20000000u) {
        *out = 0x184;
    } else if ((first_word & 0x2ffc0000u) == 0x20000000u) {
        *out = 0x200;
    }
    return PD_OK;
}

/* PD_OK, PD_ERR_READ, PD_ERR_NO_PREFIX, or PD_ERR_TRUNCATED with the prefix members filled. */
static pd_status read_prefix(const pd_source *source, size_t offset, pd_module *out)
{
    uint8_t p[PD_MODULE_PREFIX_SIZE];

    memset(out, 0, sizeof *out);
    if (!pd_is_inside(source, offset, sizeof p)) {
        return PD_ERR_NO_PREFIX;
    }
    if (!pd_fetch(source, offset, p, sizeof p)) {
        return PD_ERR_READ;
    }
    pd_module m = {
        .prefix_offset = offset,
        .prefix_size = PD_MODULE_PREFIX_SIZE,
        .start_address = pd_u32(p),
        .end_address = pd_u32(p + 4),
        .mcu_target = p[8],
        .flags = p[9],
        .version = pd_u16(p + 10),
        .platform_id = pd_u16(p + 12),
        .function = p[14],
        .index = p[15],
        .dependencies = { pd_read_dependency(p + 16), pd_read_dependency(p + 20) },
    };
    if (m.end_address <= m.start_address || m.flags > FLAGS_KNOWN || m.function == PD_FUNCTION_NONE ||
        m.function > PD_FUNCTION_ASSET || m.dependencies[0].function > PD_FUNCTION_ASSET ||
        m.dependencies[1].function > PD_FUNCTION_ASSET) {
        return PD_ERR_NO_PREFIX;
    }
    const uint32_t length = m.end_address - m.start_address;
    if (length < offset + PD_MODULE_PREFIX_SIZE || length > UINT32_MAX - PD_MODULE_CRC_SIZE) {
        return PD_ERR_NO_PREFIX;
    }
    m.crc_offset = length;
    m.size = m.crc_offset + PD_MODULE_CRC_SIZE;
    *out = m;
    return m.size <= source->size ? PD_OK : PD_ERR_TRUNCATED;
}

static pd_status read_prefix_extensions(const pd_source *source, pd_module *m)
{
    const size_t start = m->prefix_offset + PD_MODULE_PREFIX_SIZE;
    m->prefix_extensions = (pd_extensions){ .offset = start, .end = start };
    if ((m->flags & PD_MODULE_FLAG_PREFIX_EXTENSIONS) == 0) {
        return PD_OK;
    }
    m->prefix_extensions.end = m->crc_offset;
    m->prefix_extensions.needs_end = true;

    pd_extensions area = m->prefix_extensions;
    pd_extension extension;
    pd_status status;
    do {
        status = pd_module_next_extension(source, &area, &extension);
    } while (status == PD_OK);
    if (status == PD_NO_MORE) {
        m->prefix_size = area.offset - m->prefix_offset;
    }
    return status == PD_ERR_READ ? PD_ERR_READ : PD_OK;
}

/* CRC, suffix and product data: the last 46 bytes of the module at most, the first 24 are prefix for sure. */
static pd_status read_suffix(const pd_source *source, pd_module *m)
{
    uint8_t tail[2 + PD_MODULE_CRC_SIZE];
    const size_t end = m->crc_offset;
    const size_t prefix_end = m->prefix_offset + m->prefix_size;

    if (!pd_fetch(source, end - 2, tail, sizeof tail)) {
        return PD_ERR_READ;
    }
    m->crc_stored = (uint32_t)tail[2] << 24 | (uint32_t)tail[3] << 16 | (uint32_t)tail[4] << 8 | tail[5];

    const uint16_t size = pd_u16(tail);
    if (size == 0 || size == 0xffff) {
        return PD_OK;
    }
    if (size < PD_MODULE_SUFFIX_BASE_SIZE || size > end - prefix_end) {
        m->suffix_status = PD_ERR_BAD_SUFFIX;
        return PD_OK;
    }
    const size_t base = end - PD_MODULE_SUFFIX_BASE_SIZE;
    m->suffix_size = size;
    m->sha256_offset = base + 2;
    m->sha256_whole = (pd_range){ 0, m->sha256_offset };
    m->sha256_payload = (pd_range){ prefix_end, base - prefix_end };
    m->suffix_extensions = (pd_extensions){ .offset = base, .end = base };
    if (size >= 40) {
        uint8_t product[6];
        if (!pd_fetch(source, base - sizeof product, product, sizeof product)) {
            return PD_ERR_READ;
        }
        m->has_product = true;
        m->product_id = size == 42 ? pd_u32(product) : pd_u16(product + 2);
        m->product_version = pd_u16(product + 4);
    }
    if (size > PD_MODULE_SUFFIX_BASE_SIZE && size != 40 && size != 42) {
        m->suffix_extensions.offset = end - size;
    }
    return PD_OK;
}

pd_status pd_module_next_candidate(const pd_source *source, unsigned *next, pd_module *out)
{
    const bool first_call = *next == 0;
    pd_module truncated;
    bool is_truncated = false;
    size_t expected;
    pd_status status = expected_prefix_offset(source, &expected);

    while (status == PD_OK && *next <= PREFIX_OFFSET_COUNT) {
        /* 0 stands for the expected offset, n for the n-th of the table. */
        const size_t offset = *next == 0 ? expected : PREFIX_OFFSETS[*next - 1];
        const bool seen = *next != 0 && offset == expected;
        ++*next;
        if (seen) {
            continue;
        }
        const pd_status found = read_prefix(source, offset, out);
        if (found == PD_OK) {
            status = read_prefix_extensions(source, out);
            if (status == PD_OK) {
                status = read_suffix(source, out);
            }
            if (status == PD_OK) {
                return PD_OK;
            }
        } else if (found == PD_ERR_READ) {
            status = PD_ERR_READ;
        } else if (found == PD_ERR_TRUNCATED && !is_truncated) {
            is_truncated = true;
            truncated = *out;
        }
    }
    memset(out, 0, sizeof *out);
    if (status != PD_OK) {
        return status;
    }
    if (!first_call) {
        return PD_NO_MORE;
    }
    if (is_truncated) {
        *out = truncated;
        return PD_ERR_TRUNCATED;
    }
    return PD_ERR_NO_PREFIX;
}
