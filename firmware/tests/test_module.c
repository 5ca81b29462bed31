/* Unit tests of pd_module. Every buffer is a malloc of its exact size, so that AddressSanitizer sees one byte too far.
 * SPDX-License-Identifier: Apache-2.0 */
#include "pd_module.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int failures;
static const char *current = "";

#define CHECK(condition)                                                               \
    do {                                                                               \
        if (!(condition)) {                                                            \
            printf("%s:%d: %s: %s\n", __FILE__, __LINE__, current, #condition);        \
            failures++;                                                                \
        }                                                                              \
    } while (0)

enum { START = 0x30000, BODY = 512, FILE_MAX = 2048 };

/* What a test wants its module to look like. */
typedef struct recipe {
    uint32_t first_word;       /* 0: no vector table */
    size_t prefix_offset;
    uint8_t flags;
    const char *prefix_tlvs;   /* raw bytes, with END */
    size_t prefix_tlvs_size;
    const char *suffix_extra;  /* raw bytes between body and suffix base */
    size_t suffix_extra_size;
    int suffix_size;           /* -1: the right one */
} recipe;

static uint8_t file[FILE_MAX];
static size_t file_size;

static void put(const void *bytes, size_t size)
{
    memcpy(file + file_size, bytes, size);
    file_size += size;
}

static void put_u16(size_t offset, unsigned value)
{
    file[offset] = (uint8_t)value;
    file[offset + 1] = (uint8_t)(value >> 8);
}

static void put_u32(size_t offset, uint32_t value)
{
    put_u16(offset, value & 0xffffu);
    put_u16(offset + 2, value >> 16);
}

static void seal(void)
{
    const size_t at = file_size - 4;
    const uint32_t crc = pd_crc32_update(0, file, at);
    for (unsigned i = 0; i < 4; i++) {
        file[at + i] = (uint8_t)(crc >> (24 - 8 * i));
    }
}

static void build(recipe r)
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
    file[p + 14] = 4;
    file[p + 15] = 1;
    memcpy(file + p + 16, "\x02\x00\xed\x03" "\x08\x00\xca\x00", 8);
    file_size += PD_MODULE_CRC_SIZE;
    seal();
}

/* Parses a copy that has exactly `size` bytes. */
static pd_status parse(size_t size, pd_module *out)
{
    uint8_t *copy = malloc(size != 0 ? size : 1);
    memcpy(copy, file, size);
    const pd_status status = pd_module_parse(copy, size, out);
    if (status == PD_OK || status == PD_ERR_CRC) {
        pd_extension extension;
        pd_extensions areas[2] = { out->prefix_extensions, out->suffix_extensions };
        for (unsigned i = 0; i < 2; i++) {
            while (pd_module_next_extension(copy, size, &areas[i], &extension) == PD_OK) {
                CHECK(extension.length <= size - extension.offset);
            }
        }
    }
    free(copy);
    return status;
}

static const recipe PLAIN = { .suffix_extra = "\x0d\x00\x03\x00", .suffix_extra_size = 4, .suffix_size = -1 };

static void test_crc(void)
{
    const uint8_t check[] = { '1', '2', '3', '4', '5', '6', '7', '8', '9' };
    CHECK(pd_crc32_update(0, check, sizeof check) == 0xCBF43926u);
    CHECK(pd_crc32_update(pd_crc32_update(0, check, 4), check + 4, 5) == 0xCBF43926u);
    CHECK(pd_crc32_update(0, check, 0) == 0);
}

static void test_fields(void)
{
    pd_module m;
    build(PLAIN);
    CHECK(parse(file_size, &m) == PD_OK);
    CHECK(m.prefix_offset == 0 && m.prefix_size == 24);
    CHECK(m.size == file_size && m.crc_offset == file_size - 4);
    CHECK(m.start_address == START && m.end_address == START + m.crc_offset);
    CHECK(m.mcu_target == 0x21 && m.flags == 0 && m.version == 2101 && m.platform_id == 13);
    CHECK(m.function == 4 && m.index == 1);
    CHECK(m.dependencies[0].function == 2 && m.dependencies[0].index == 0 && m.dependencies[0].version == 1005);
    CHECK(m.dependencies[1].function == 8 && m.dependencies[1].index == 0 && m.dependencies[1].version == 202);
    CHECK(m.suffix_size == 40 && m.suffix_status == PD_OK);
    CHECK(m.sha256_offset == m.crc_offset - 34);
    CHECK(m.sha256_whole.offset == 0 && m.sha256_whole.size == m.crc_offset - 34);
    CHECK(m.sha256_payload.offset == 24 && m.sha256_payload.size == m.crc_offset - 36 - 24);
    CHECK(m.has_product && m.product_id == 13 && m.product_version == 3);
    CHECK(m.suffix_extensions.offset == m.suffix_extensions.end);
    CHECK(m.prefix_extensions.offset == m.prefix_extensions.end);
}

static void test_prefix_offsets(void)
{
    static const struct { uint32_t first_word; size_t offset; } TABLE[] = {
        { START, 0 },      { 0x2003f000u, 0x200 }, { 0x20020000u, 0x184 }, { 0x20005000u, 0x10c },
        { 0x20008000u, 0xc0 }, { 0x96969999u, 0x20 },
    };
    pd_module m;
    for (size_t i = 0; i < sizeof TABLE / sizeof TABLE[0]; i++) {
        recipe r = PLAIN;
        r.first_word = TABLE[i].first_word;
        r.prefix_offset = TABLE[i].offset;
        build(r);
        if (r.prefix_offset == 0x20) {
            put_u32(4, 0xfc66cc3fu);
            seal();
        }
        CHECK(parse(file_size, &m) == PD_OK);
        CHECK(m.prefix_offset == TABLE[i].offset && m.version == 2101);
        CHECK(m.sha256_payload.offset == TABLE[i].offset + 24);
        file[file_size - 10] ^= 1;
        CHECK(parse(file_size, &m) == PD_ERR_CRC);
        CHECK(m.prefix_offset == TABLE[i].offset);
    }
}

/* Without a CRC to tell, the first word of the file says which of several plausible prefixes is meant. */
static void test_first_word_chooses(void)
{
    static const size_t OFFSETS[] = { 0x20, 0xc0, 0x10c, 0x184, 0x200 };
    static const struct { uint32_t first_word; size_t offset; } TABLE[] = {
        { START, 0 }, { 0x2003f000u, 0x200 }, { 0x20020000u, 0x184 }, { 0x20005000u, 0x10c },
    };
    pd_module m;
    for (size_t i = 0; i < sizeof TABLE / sizeof TABLE[0]; i++) {
        recipe r = PLAIN;
        r.first_word = TABLE[i].first_word;
        r.prefix_offset = TABLE[i].offset;
        build(r);
        for (size_t k = 0; k < sizeof OFFSETS / sizeof OFFSETS[0]; k++) {
            memmove(file + OFFSETS[k], file + r.prefix_offset, 24);
        }
        CHECK(parse(file_size, &m) == PD_ERR_CRC);
        CHECK(m.prefix_offset == TABLE[i].offset);
        CHECK(parse(file_size - 1, &m) == PD_ERR_TRUNCATED);
        CHECK(m.prefix_offset == TABLE[i].offset);
    }
    /* The vendor header of an RTL872x bootloader may look like a prefix itself. */
    recipe r = PLAIN;
    r.prefix_offset = 0x20;
    build(r);
    memcpy(file, file + 0x20, 24);
    memcpy(file, "\x99\x99\x96\x96\x3f\xcc\x66\xfc", 8);
    CHECK(parse(file_size - 1, &m) == PD_ERR_TRUNCATED);
    CHECK(m.prefix_offset == 0x20 && m.size == file_size);
}

/* The CRC decides between two plausible prefixes, whichever is tried first. */
static void test_crc_chooses(void)
{
    pd_module m;
    unsigned next = 0;
    recipe r = PLAIN;
    r.prefix_offset = 0x20;
    build(r);
    memcpy(file, file + 0x20, 24);
    put_u32(4, START + 40);
    seal();
    CHECK(parse(file_size, &m) == PD_OK);
    CHECK(m.prefix_offset == 0x20);

    CHECK(pd_module_next_candidate(file, file_size, &next, &m) == PD_OK && m.prefix_offset == 0);
    CHECK(pd_module_next_candidate(file, file_size, &next, &m) == PD_OK && m.prefix_offset == 0x20);
    CHECK(pd_module_next_candidate(file, file_size, &next, &m) == PD_NO_MORE);
    CHECK(pd_module_next_candidate(file, file_size, &next, &m) == PD_NO_MORE);
}

static void test_implausible_prefixes(void)
{
    static const struct { const char *name; size_t offset; uint8_t value; } TABLE[] = {
        { "end before start", 6, 0 }, { "function 0", 14, 0 },      { "function 10", 14, 10 },
        { "dependency 10", 16, 10 },  { "dependency2 10", 20, 10 }, { "flag 0x20", 9, 0x20 },
    };
    pd_module m;
    for (size_t i = 0; i < sizeof TABLE / sizeof TABLE[0]; i++) {
        current = TABLE[i].name;
        build(PLAIN);
        file[TABLE[i].offset] = TABLE[i].value;
        seal();
        CHECK(parse(file_size, &m) == PD_ERR_NO_PREFIX);
        CHECK(m.size == 0);
    }
    current = "end inside prefix";
    build(PLAIN);
    put_u32(4, START + 23);
    CHECK(parse(file_size, &m) == PD_ERR_NO_PREFIX);
    current = "length 0xffffffff";
    build(PLAIN);
    put_u32(0, 0);
    put_u32(4, 0xffffffffu);
    CHECK(parse(file_size, &m) == PD_ERR_NO_PREFIX);
    current = "";
}

static void test_suffix_sizes(void)
{
    static const struct {
        int size;
        pd_status status;
        size_t suffix_size;
        bool has_product;
        uint32_t product_id;
    } TABLE[] = {
        { 0, PD_OK, 0, false, 0 },
        { 0xffff, PD_OK, 0, false, 0 },
        { 35, PD_ERR_BAD_SUFFIX, 0, false, 0 },
        { 36, PD_OK, 36, false, 0 },
        { 40, PD_OK, 40, true, 13 },
        { 42, PD_OK, 42, true, 13u << 16 | 0x2211u },
        { BODY + 6 + 36, PD_OK, BODY + 6 + 36, true, 13 },
        { BODY + 6 + 37, PD_ERR_BAD_SUFFIX, 0, false, 0 },
    };
    pd_module m;
    for (size_t i = 0; i < sizeof TABLE / sizeof TABLE[0]; i++) {
        recipe r = PLAIN;
        r.suffix_extra = "\x11\x22\x0d\x00\x03\x00";
        r.suffix_extra_size = 6;
        r.suffix_size = TABLE[i].size;
        build(r);
        CHECK(parse(file_size, &m) == PD_OK);
        CHECK(m.suffix_status == TABLE[i].status && m.suffix_size == TABLE[i].suffix_size);
        CHECK(m.has_product == TABLE[i].has_product && m.product_id == TABLE[i].product_id);
        CHECK((m.sha256_offset != 0) == (TABLE[i].suffix_size != 0));
    }
}

static void test_extensions(void)
{
    static const struct {
        const char *name, *tlvs;
        size_t size;
        unsigned count;
        pd_status end, end_if_needed;
    } TABLE[] = {
        { "END only", "\0\0\4\0", 4, 0, PD_NO_MORE, PD_NO_MORE },
        { "one and END with padding", "\x13\0\5\0\1\0\0\6\0zz", 11, 1, PD_NO_MORE, PD_NO_MORE },
        { "two, area ends", "\2\0\4\0\1\0\4\0", 8, 2, PD_NO_MORE, PD_ERR_BAD_EXTENSION },
        { "erased", "\2\0\4\0\xff\xff\xff\xff", 8, 1, PD_NO_MORE, PD_ERR_BAD_EXTENSION },
        { "length 3", "\2\0\3\0", 4, 0, PD_ERR_BAD_EXTENSION, PD_ERR_BAD_EXTENSION },
        { "length past the area", "\2\0\5\0", 4, 0, PD_ERR_BAD_EXTENSION, PD_ERR_BAD_EXTENSION },
        { "cut header", "\2\0\4\0\1\0\4", 7, 1, PD_ERR_BAD_EXTENSION, PD_ERR_BAD_EXTENSION },
    };
    for (size_t i = 0; i < 2 * sizeof TABLE / sizeof TABLE[0]; i++) {
        const size_t row = i / 2, size = TABLE[row].size;
        const bool needs_end = i % 2 != 0;
        pd_extensions area = { .offset = 0, .end = size, .needs_end = needs_end };
        pd_extension extension;
        unsigned count = 0;
        pd_status status;
        uint8_t *copy = malloc(size);
        current = TABLE[row].name;
        memcpy(copy, TABLE[row].tlvs, size);
        while ((status = pd_module_next_extension(copy, size, &area, &extension)) == PD_OK) {
            count++;
        }
        CHECK(count == TABLE[row].count);
        CHECK(status == (needs_end ? TABLE[row].end_if_needed : TABLE[row].end));
        CHECK(pd_module_next_extension(copy, size, &area, &extension) == status);
        free(copy);
    }
    current = "";
}

static void test_prefix_extensions(void)
{
    pd_module m;
    pd_extension extension;
    recipe r = PLAIN;
    r.flags = PD_MODULE_FLAG_PREFIX_EXTENSIONS;
    r.prefix_tlvs = "\x11\0\6\0hi" "\0\0\6\0\0\0";
    r.prefix_tlvs_size = 12;
    build(r);
    CHECK(parse(file_size, &m) == PD_OK);
    CHECK(m.prefix_size == 36 && m.sha256_payload.offset == 36);
    pd_extensions area = m.prefix_extensions;
    CHECK(pd_module_next_extension(file, file_size, &area, &extension) == PD_OK);
    CHECK(extension.type == 0x11 && extension.offset == 24 && extension.length == 6);
    CHECK(pd_module_next_extension(file, file_size, &area, &extension) == PD_NO_MORE);

    r.prefix_tlvs = "\x11\0\6\0hi" "\xff\xff\0\0\0\0"; /* no END */
    build(r);
    CHECK(parse(file_size, &m) == PD_OK);
    CHECK(m.prefix_size == 24);
    area = m.prefix_extensions;
    CHECK(pd_module_next_extension(file, file_size, &area, &extension) == PD_OK);
    CHECK(pd_module_next_extension(file, file_size, &area, &extension) == PD_ERR_BAD_EXTENSION);
    CHECK(area.offset == 30);
}

static void test_suffix_extensions(void)
{
    pd_module m;
    pd_extension extension;
    recipe r = PLAIN;
    r.suffix_extra = "\2\0\x10\0.12345678901" "\1\0\x0a\0\xff\xff\x20\0\4\0"; /* as RTL872x: 62 */
    r.suffix_extra_size = 26;
    build(r);
    CHECK(parse(file_size, &m) == PD_OK);
    CHECK(m.suffix_size == 62 && m.has_product && m.product_id == 32 && m.product_version == 4);
    pd_extensions area = m.suffix_extensions;
    CHECK(pd_module_next_extension(file, file_size, &area, &extension) == PD_OK);
    CHECK(extension.type == 2 && extension.length == 16 && extension.offset == m.crc_offset - 62);
    CHECK(pd_module_next_extension(file, file_size, &area, &extension) == PD_OK);
    CHECK(extension.type == 1 && extension.length == 10);
    CHECK(pd_module_next_extension(file, file_size, &area, &extension) == PD_NO_MORE);
}

static void test_trailing_bytes(void)
{
    pd_module m;
    build(PLAIN);
    CHECK(parse(file_size + 100, &m) == PD_OK);
    CHECK(m.size == file_size);
}

static void test_every_truncation(void)
{
    static const size_t OFFSETS[] = { 0, 0x200 };
    pd_module m;
    for (size_t i = 0; i < 2; i++) {
        recipe r = PLAIN;
        r.first_word = 0x2003f000u;
        r.prefix_offset = OFFSETS[i];
        build(r);
        for (size_t size = 0; size < file_size; size++) {
            const pd_status status = parse(size, &m);
            if (size == 0) {
                CHECK(status == PD_ERR_EMPTY);
            } else if (size < OFFSETS[i] + 24) {
                CHECK(status == PD_ERR_NO_PREFIX);
            } else {
                CHECK(status == PD_ERR_TRUNCATED && m.size == file_size && m.version == 2101);
            }
        }
    }
}

static void test_every_bit_flip(void)
{
    pd_module m;
    recipe r = PLAIN;
    r.flags = PD_MODULE_FLAG_PREFIX_EXTENSIONS;
    r.prefix_tlvs = "\x11\0\6\0hi" "\0\0\6\0\0\0";
    r.prefix_tlvs_size = 12;
    build(r);
    for (size_t bit = 0; bit < file_size * 8; bit++) {
        file[bit / 8] ^= (uint8_t)(1u << bit % 8);
        const pd_status status = parse(file_size, &m);
        CHECK(status < 0);
        CHECK(bit < 24 * 8 || status == PD_ERR_CRC);
        file[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
}

static void test_status_texts(void)
{
    for (int status = PD_ERR_BAD_EXTENSION; status <= PD_NO_MORE; status++) {
        CHECK(strcmp(pd_status_name((pd_status)status), "unknown_status") != 0);
        CHECK(strlen(pd_status_text((pd_status)status)) > 10);
    }
    CHECK(strcmp(pd_status_name(PD_ERR_CRC), "crc_mismatch") == 0);
    CHECK(strcmp(pd_status_name((pd_status)(PD_ERR_BAD_EXTENSION - 1)), "unknown_status") == 0);
}

int main(void)
{
    static const struct { const char *name; void (*run)(void); } TESTS[] = {
        { "crc", test_crc },
        { "fields", test_fields },
        { "prefix_offsets", test_prefix_offsets },
        { "first_word_chooses", test_first_word_chooses },
        { "crc_chooses", test_crc_chooses },
        { "implausible_prefixes", test_implausible_prefixes },
        { "suffix_sizes", test_suffix_sizes },
        { "extensions", test_extensions },
        { "prefix_extensions", test_prefix_extensions },
        { "suffix_extensions", test_suffix_extensions },
        { "trailing_bytes", test_trailing_bytes },
        { "every_truncation", test_every_truncation },
        { "every_bit_flip", test_every_bit_flip },
        { "status_texts", test_status_texts },
    };
    const size_t count = sizeof TESTS / sizeof TESTS[0];
    size_t failed = 0;
    for (size_t i = 0; i < count; i++) {
        const int before = failures;
        TESTS[i].run();
        failed += failures != before;
        printf("%s %s\n", failures == before ? "ok  " : "FAIL", TESTS[i].name);
    }
    printf("%zu tests, %zu failed\n", count, failed);
    return failed == 0 ? 0 : 1;
}
