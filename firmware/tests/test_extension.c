/* TLV extensions: walking and reading. SPDX-License-Identifier: Apache-2.0 */
#include "check.h"

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
        uint8_t *copy = copy_of(TABLE[row].tlvs, size);
        const pd_source source = { .data = copy, .size = size };
        current = TABLE[row].name;
        while ((status = pd_module_next_extension(&source, &area, &extension)) == PD_OK) {
            count++;
        }
        CHECK(count == TABLE[row].count);
        CHECK(status == (needs_end ? TABLE[row].end_if_needed : TABLE[row].end));
        CHECK(pd_module_next_extension(&source, &area, &extension) == status);
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
    pd_source source = { .data = file, .size = file_size };
    pd_extensions area = m.prefix_extensions;
    CHECK(pd_module_next_extension(&source, &area, &extension) == PD_OK);
    CHECK(extension.type == 0x11 && extension.offset == 24 && extension.length == 6);
    CHECK(pd_module_next_extension(&source, &area, &extension) == PD_NO_MORE);

    r.prefix_tlvs = "\x11\0\6\0hi" "\xff\xff\0\0\0\0"; /* no END */
    build(r);
    CHECK(parse(file_size, &m) == PD_OK);
    CHECK(m.prefix_size == 24);
    source.size = file_size;
    area = m.prefix_extensions;
    CHECK(pd_module_next_extension(&source, &area, &extension) == PD_OK);
    CHECK(pd_module_next_extension(&source, &area, &extension) == PD_ERR_BAD_EXTENSION);
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
    const pd_source source = { .data = file, .size = file_size };
    pd_extensions area = m.suffix_extensions;
    CHECK(pd_module_next_extension(&source, &area, &extension) == PD_OK);
    CHECK(extension.type == 2 && extension.length == 16 && extension.offset == m.crc_offset - 62);
    CHECK(pd_module_next_extension(&source, &area, &extension) == PD_OK);
    CHECK(extension.type == 1 && extension.length == 10);
    CHECK(pd_module_next_extension(&source, &area, &extension) == PD_NO_MORE);
}

static pd_status read_value(const char *tlv, size_t size, pd_extension_value *out)
{
    uint8_t *copy = copy_of(tlv, size);
    const pd_source source = { .data = copy, .size = size };
    pd_extensions area = { .offset = 0, .end = size };
    pd_extension extension;
    pd_status status = pd_module_next_extension(&source, &area, &extension);
    if (status == PD_OK) {
        status = pd_extension_read(&source, &extension, out);
    }
    free(copy);
    return status;
}

static bool is_range(pd_range range, size_t offset, size_t size)
{
    return range.offset == offset && range.size == size;
}

static void test_typed_values(void)
{
    pd_extension_value v;
    CHECK(read_value("\1\0\x0a\0\xff\xff\x20\0\4\0", 10, &v) == PD_OK);
    CHECK(v.product_id == 32 && v.product_version == 4 && is_range(v.payload, 4, 6));
    CHECK(read_value("\2\0\x10\0\1\2\3\4\5\6\7\x08\x09\x0a\x0b\x0c", 16, &v) == PD_OK);
    CHECK(v.start_address == 0x04030201 && v.dynalib_load_address == 0x08070605);
    CHECK(v.dynalib_start_address == 0x0c0b0a09);
    CHECK(read_value("\3\0\x0c\0\7\1\xb8\x0b\x21\0\0\0", 12, &v) == PD_OK);
    CHECK(v.dependency.function == 7 && v.dependency.index == 1 && v.dependency.version == 3000 && v.target_id == 0x21);
    CHECK(read_value("\x10\0\x09\0\0\3abc", 9, &v) == PD_OK);
    CHECK(v.hash_type == 0 && is_range(v.hash, 6, 3) && v.name.size == 0);
    CHECK(read_value("\x11\0\x08\0name", 8, &v) == PD_OK);
    CHECK(is_range(v.name, 4, 4));
    CHECK(read_value("\x12\0\x0c\0\0\2hhname", 12, &v) == PD_OK);
    CHECK(is_range(v.hash, 6, 2) && is_range(v.name, 8, 4));
    CHECK(read_value("\x13\0\7\0\1DE", 7, &v) == PD_OK);
    CHECK(v.security_mode == 1 && is_range(v.certificate, 5, 2));
    CHECK(read_value("\x14\0\6\0\2\0", 6, &v) == PD_OK);
    CHECK(v.asset_type == 2);
    CHECK(read_value("\x77\x07\6\0hi", 6, &v) == PD_OK);
    CHECK(is_range(v.payload, 4, 2));
}

/* Each payload one byte too short for its type. */
static void test_short_values(void)
{
    static const struct { const char *name, *tlv; size_t size; } TABLE[] = {
        { "product data", "\1\0\x09\0.....", 9 },       { "dynamic location", "\2\0\x0f\0...........", 15 },
        { "dependency", "\3\0\x0b\0.......", 11 },      { "hash type alone", "\x10\0\5\0\0", 5 },
        { "hash longer", "\x10\0\x08\0\0\3ab", 8 },     { "asset dependency", "\x12\0\x08\0\0\3ab", 8 },
        { "security mode", "\x13\0\4\0", 4 },          { "asset type", "\x14\0\4\0", 4 },
    };
    for (size_t i = 0; i < sizeof TABLE / sizeof TABLE[0]; i++) {
        pd_extension_value v;
        current = TABLE[i].name;
        CHECK(read_value(TABLE[i].tlv, TABLE[i].size, &v) == PD_ERR_BAD_EXTENSION);
        CHECK(v.payload.size == 0 && v.hash.size == 0);
    }
}

const test EXTENSION_TESTS[] = {
    { "extensions", test_extensions },
    { "prefix_extensions", test_prefix_extensions },
    { "suffix_extensions", test_suffix_extensions },
    { "typed_values", test_typed_values },
    { "short_values", test_short_values },
    { NULL, NULL },
};
