/* Flash read in pieces, checksums through hooks. SPDX-License-Identifier: Apache-2.0 */
#include "check.h"

/* A flash chip that fails at the n-th read and notices reads outside itself. */
typedef struct flash {
    const uint8_t *bytes;
    size_t size, reads, fails_at, longest;
} flash;

static bool read_flash(void *context, size_t offset, uint8_t *out, size_t size)
{
    flash *chip = context;
    CHECK(offset <= chip->size && size <= chip->size - offset);
    if (++chip->reads == chip->fails_at) {
        return false;
    }
    chip->longest = size > chip->longest ? size : chip->longest;
    memcpy(out, chip->bytes + offset, size);
    return true;
}

static pd_source source_of(flash *chip)
{
    return (pd_source){ .size = chip->size, .read = read_flash, .context = chip };
}

static void build_rich(void)
{
    recipe r = PLAIN;
    r.flags = PD_MODULE_FLAG_PREFIX_EXTENSIONS;
    r.first_word = 0x2003f000u;
    r.prefix_offset = 0x200;
    r.prefix_tlvs = "\x11\0\6\0hi" "\0\0\6\0\0\0";
    r.prefix_tlvs_size = 12;
    r.suffix_extra = "\x13\0\5\0\1" "\0\0\4\0" "\x0d\0\3\0";
    r.suffix_extra_size = 13;
    build(r);
}

static void test_flash_in_pieces(void)
{
    pd_module memory, m;
    build_rich();
    CHECK(parse(file_size, &memory) == PD_OK);
    flash chip = { .bytes = file, .size = file_size };
    const pd_source source = source_of(&chip);
    CHECK(pd_module_parse(&source, NULL, &m) == PD_OK);
    CHECK(m.crc_computed == m.crc_stored && m.crc_stored == memory.crc_stored);
    CHECK(m.prefix_offset == memory.prefix_offset && m.prefix_size == memory.prefix_size && m.prefix_size == 36);
    CHECK(m.suffix_size == memory.suffix_size && m.suffix_size == 49 && m.product_version == 3);
    CHECK(chip.longest <= PD_PIECE_SIZE && chip.reads > file_size / PD_PIECE_SIZE);
    file[0x300] ^= 1;
    CHECK(pd_module_parse(&source, NULL, &m) == PD_ERR_CRC);
    CHECK(m.version == 2101 && m.crc_computed != m.crc_stored);
}

static void test_every_failing_read(void)
{
    pd_module m;
    build_rich();
    flash healthy = { .bytes = file, .size = file_size };
    const pd_source all = source_of(&healthy);
    CHECK(pd_module_parse(&all, NULL, &m) == PD_OK);
    for (size_t n = 1; n <= healthy.reads; n++) {
        flash chip = { .bytes = file, .size = file_size, .fails_at = n };
        const pd_source source = source_of(&chip);
        CHECK(pd_module_parse(&source, NULL, &m) == PD_ERR_READ);
        CHECK(m.size == 0);
    }
    flash chip = { .bytes = file, .size = file_size, .fails_at = 1 };
    const pd_source source = source_of(&chip);
    pd_extensions area = { .offset = 0, .end = 8 };
    pd_extension extension = { .type = PD_EXTENSION_SECURITY_MODE, .length = 5 };
    pd_extension_value value;
    CHECK(pd_module_next_extension(&source, &area, &extension) == PD_ERR_READ);
    extension = (pd_extension){ .type = PD_EXTENSION_SECURITY_MODE, .length = 5 };
    chip.reads = 0;
    CHECK(pd_extension_read(&source, &extension, &value) == PD_ERR_READ);
}

/* A stream is checked as it arrives, whatever its pieces. */
static void test_stream(void)
{
    build(PLAIN);
    for (size_t piece = 1; piece < 40; piece++) {
        uint32_t crc = 0;
        for (size_t at = 0; at < file_size - 4; at += piece) {
            const size_t left = file_size - 4 - at;
            crc = pd_crc32_update(crc, file + at, piece < left ? piece : left);
        }
        pd_module m;
        CHECK(parse(file_size, &m) == PD_OK && m.crc_stored == crc);
    }
}

/* A stand-in for SHA-256: the sum and the number of the bytes that it was given. */
typedef struct digest {
    uint32_t sum, count;
    unsigned starts, crcs;
} digest;

static uint32_t hook_crc32(void *context, uint32_t crc, const uint8_t *data, size_t size)
{
    ((digest *)context)->crcs++;
    return pd_crc32_update(crc, data, size);
}

static void hook_start(void *context)
{
    digest *d = context;
    d->sum = 0;
    d->count = 0;
    d->starts++;
}

static void hook_update(void *context, const uint8_t *data, size_t size)
{
    digest *d = context;
    for (size_t i = 0; i < size; i++) {
        d->sum += data[i];
    }
    d->count += (uint32_t)size;
}

static void hook_finish(void *context, uint8_t out[PD_SHA256_SIZE])
{
    const digest *d = context;
    for (unsigned i = 0; i < PD_SHA256_SIZE; i++) {
        out[i] = (uint8_t)((i < 16 ? d->sum : d->count) >> 8 * (i % 4));
    }
}

static void test_hooks(void)
{
    digest d = { 0, 0, 0, 0 };
    const pd_hooks hooks = { &d, hook_crc32, hook_start, hook_update, hook_finish };
    uint8_t computed[PD_SHA256_SIZE];
    pd_module m;
    for (unsigned in_pieces = 0; in_pieces < 2; in_pieces++) {
        build_rich();
        flash chip = { .bytes = file, .size = file_size };
        pd_source source = source_of(&chip);
        source.data = in_pieces != 0 ? NULL : file;
        d.crcs = 0;
        CHECK(pd_module_parse(&source, &hooks, &m) == PD_OK && d.crcs > 0);
        CHECK(pd_module_sha256(&source, &hooks, &m, computed) == PD_ERR_SHA256);
        hook_start(&d);
        hook_update(&d, file, m.crc_offset - 34);
        uint8_t whole[PD_SHA256_SIZE];
        hook_finish(&d, whole);
        CHECK(memcmp(computed, whole, sizeof whole) == 0); /* the form that applies to a module with product data */
        memcpy(file + m.sha256_offset, whole, sizeof whole);
        d.starts = 0;
        CHECK(pd_module_sha256(&source, &hooks, &m, computed) == PD_OK && d.starts == 1);

        hook_start(&d);
        hook_update(&d, file + 0x200 + 36, m.crc_offset - 36 - (0x200 + 36));
        hook_finish(&d, file + m.sha256_offset);
        CHECK(pd_module_sha256(&source, &hooks, &m, computed) == PD_OK && d.starts == 4);
        CHECK(memcmp(computed, file + m.sha256_offset, sizeof computed) == 0);

        for (size_t n = 1; n < 6; n++) {
            chip.fails_at = n;
            chip.reads = 0;
            const pd_status status = pd_module_sha256(&source, &hooks, &m, computed);
            CHECK(status == (in_pieces != 0 ? PD_ERR_READ : PD_OK));
        }
        m.suffix_size = 0;
        CHECK(pd_module_sha256(&source, &hooks, &m, computed) == PD_NO_MORE);
    }
}

const test SOURCE_TESTS[] = {
    { "flash_in_pieces", test_flash_in_pieces },
    { "every_failing_read", test_every_failing_read },
    { "stream", test_stream },
    { "hooks", test_hooks },
    { NULL, NULL },
};
