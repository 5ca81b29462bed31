/* Prefix, suffix, choice between candidates. SPDX-License-Identifier: Apache-2.0 */
#include "check.h"

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

/* 256 table entries, against the definition. */
static void test_crc_of_every_byte(void)
{
    for (unsigned value = 0; value < 256; value++) {
        const uint8_t byte = (uint8_t)value;
        uint32_t crc = ~(uint32_t)value;
        for (unsigned bit = 0; bit < 8; bit++) {
            crc = crc >> 1 ^ ((crc & 1u) != 0 ? 0xEDB88320u : 0u);
        }
        CHECK(pd_crc32_update(0, &byte, 1) == ~crc);
    }
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

    const pd_source source = { .data = file, .size = file_size };
    CHECK(pd_module_next_candidate(&source, &next, &m) == PD_OK && m.prefix_offset == 0);
    CHECK(pd_module_next_candidate(&source, &next, &m) == PD_OK && m.prefix_offset == 0x20);
    CHECK(pd_module_next_candidate(&source, &next, &m) == PD_NO_MORE);
    CHECK(pd_module_next_candidate(&source, &next, &m) == PD_NO_MORE);
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
    for (int status = PD_ERR_SHA256; status <= PD_NO_MORE; status++) {
        CHECK(strcmp(pd_status_name((pd_status)status), "unknown_status") != 0);
        CHECK(strlen(pd_status_text((pd_status)status)) > 10);
    }
    CHECK(strcmp(pd_status_name(PD_ERR_CRC), "crc_mismatch") == 0);
    CHECK(strcmp(pd_status_name((pd_status)(PD_ERR_SHA256 - 1)), "unknown_status") == 0);
}

const test MODULE_TESTS[] = {
    { "crc", test_crc },
    { "crc_of_every_byte", test_crc_of_every_byte },
    { "fields", test_fields },
    { "prefix_offsets", test_prefix_offsets },
    { "first_word_chooses", test_first_word_chooses },
    { "crc_chooses", test_crc_chooses },
    { "implausible_prefixes", test_implausible_prefixes },
    { "suffix_sizes", test_suffix_sizes },
    { "trailing_bytes", test_trailing_bytes },
    { "every_truncation", test_every_truncation },
    { "every_bit_flip", test_every_bit_flip },
    { "status_texts", test_status_texts },
    { NULL, NULL },
};
