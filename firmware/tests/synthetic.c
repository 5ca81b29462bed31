/* SPDX-License-Identifier: Apache-2.0 */
#include "synthetic.h"

#include <string.h>

const recipe PLAIN = { .suffix_extra = "\x0d\x00\x03\x00", .suffix_extra_size = 4, .suffix_size = -1 };

uint8_t file[FILE_MAX];
size_t file_size;

static void put(const void *bytes, size_t size)
{
    memcpy(file + file_size, bytes, size);
    file_size += size;
}

void put_u16(size_t offset, unsigned value)
{
    file[offset] = (uint8_t)value;
    file[offset + 1] = (uint8_t)(value >> 8);
}

void put_u32(size_t offset, uint32_t value)
{
    put_u16(offset, value & 0xffffu);
    put_u16(offset + 2, value >> 16);
}

void seal(void)
{
    const size_t at = file_size - 4;
    const uint32_t crc = pd_crc32_update(0, file, at);
    for (unsigned i = 0; i < 4; i++) {
        file[at + i] = (uint8_t)(crc >> (24 - 8 * i));
    }
}

void build(recipe r)
{
    memset(file, 0, sizeof file);
    put_u32(0, r.first_word);
    file_size = r.prefix_offset + PD_MODULE_PREFIX_SIZE;
    if (r.prefix_tlvs_size != 0) {
        put(r.prefix_tlvs, r.prefix_tlvs_size);
    }
    for (unsigned i = 0; i < BODY; i++) {
        file[file_size++] = (uint8_t)(0xa0 + i);
    }
    if (r.suffix_extra_size != 0) {
        put(r.suffix_extra, r.suffix_extra_size);
    }
    file_size += PD_MODULE_SUFFIX_BASE_SIZE;
    const size_t natural = PD_MODULE_SUFFIX_BASE_SIZE + r.suffix_extra_size;
    put_u16(file_size - 2, r.suffix_size < 0 ? (unsigned)natural : (unsigned)r.suffix_size);

    const size_t p = r.prefix_offset;
    put_u32(p, START);
    put_u32(p + 4, START + (uint32_t)file_size);
    file[p + 8] = 0x21;
    file[p + 9] = r.flags;
    put_u16(p + 10, 2101);
    put_u16(p + 12, 13);
    file[p + 14] = r.function != 0 ? r.function : PD_FUNCTION_SYSTEM_PART;
    file[p + 15] = 1;
    memcpy(file + p + 16, "\x02\x00\xed\x03" "\x08\x00\xca\x00", 8);
    file_size += PD_MODULE_CRC_SIZE;
    seal();
}
