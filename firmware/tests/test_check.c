/* What a board says to a module. SPDX-License-Identifier: Apache-2.0 */
#include "check.h"

static const pd_slot SLOTS[] = {
    { .function = PD_FUNCTION_SYSTEM_PART, .index = 1, .mcu_target = 0x21, .start_address = START,
      .end_address = START + 0x1000, .max_size = 0x1000 },
    { .function = PD_FUNCTION_BOOTLOADER, .mcu_target = 0, .start_address = START, .end_address = START + 0x1000,
      .max_size = 0x1000 },
    { .function = PD_FUNCTION_USER_PART, .index = 1, .mcu_target = PD_MCU_ANY, .has_fixed_end = true,
      .start_address = START - 0x1000, .end_address = START + 24 + BODY + 40 + 4, .max_size = 0x2000 },
    { .function = PD_FUNCTION_NCP_FIRMWARE, .index = 1, .mcu_target = PD_MCU_ANY, .start_address = START,
      .end_address = START + 0x1000, .max_size = 0x1000 },
};
static const pd_installed MODULES[] = {
    { .function = PD_FUNCTION_BOOTLOADER, .index = 0, .version = 1005 },
    { .function = PD_FUNCTION_RADIO_STACK, .index = 0, .version = 202 },
    { .function = PD_FUNCTION_SYSTEM_PART, .index = 1, .version = 2000, .start_address = START,
      .dependencies = { { PD_FUNCTION_SYSTEM_PART, 1, 9999 } } }, /* is replaced, so its wishes do not count */
    { .function = PD_FUNCTION_SYSTEM_PART, .index = 2, .version = 2100,
      .dependencies = { { PD_FUNCTION_BOOTLOADER, 0, 9999 }, { PD_FUNCTION_SYSTEM_PART, 1, 2101 } } },
};
static const pd_board BOARD = {
    .platform_id = 13, .ncp_target = 0x21, .is_update = true, .update_max_size = FILE_MAX,
    .slots = SLOTS, .slot_count = sizeof SLOTS / sizeof SLOTS[0],
    .modules = MODULES, .module_count = sizeof MODULES / sizeof MODULES[0],
};

static pd_report check(const pd_board *board)
{
    pd_module m;
    pd_report report;
    uint8_t *copy = copy_of(file, file_size);
    const pd_source source = { .data = copy, .size = file_size };
    const pd_status status = pd_module_parse(&source, NULL, &m);
    CHECK(status == PD_OK || status == PD_ERR_CRC);
    pd_module_check(&source, NULL, &m, board, &report);
    free(copy);
    return report;
}

static void expect(const pd_board *board, unsigned failed, pd_status status, size_t offset, int device_result)
{
    const pd_report r = check(board);
    CHECK((r.checked & ~r.passed) == failed);
    CHECK((r.passed & ~r.checked) == 0);
    CHECK(r.status == status);
    CHECK(status == PD_OK || r.offset == offset);
    CHECK(r.device_result == device_result);
    if (r.status != status || (r.checked & ~r.passed) != failed || r.offset != offset) {
        printf("  got failed 0x%x, %s at %u\n", r.checked & ~r.passed, pd_status_name(r.status), (unsigned)r.offset);
    }
}

static void expect_ok(const pd_board *board)
{
    const pd_report r = check(board);
    CHECK(r.status == PD_OK && r.checked == r.passed && r.checked != 0 && r.device_result == 0);
}

static void test_good_module(void)
{
    pd_board board = BOARD;
    build(PLAIN);
    expect_ok(&board);
    CHECK(check(&board).checked ==
          (PD_CHECK_SIZE | PD_CHECK_RANGE | PD_CHECK_INTEGRITY | PD_CHECK_DEPENDENCIES | PD_CHECK_DEPENDENCIES_FULL |
           PD_CHECK_PLATFORM | PD_CHECK_FORMAT | PD_CHECK_ADDRESS));
    board.is_update = false;
    expect_ok(&board);
    CHECK(check(&board).checked == (PD_CHECK_RANGE | PD_CHECK_INTEGRITY | PD_CHECK_DEPENDENCIES | PD_CHECK_PLATFORM |
                                    PD_CHECK_FORMAT | PD_CHECK_ADDRESS));
}

static void test_size_and_place(void)
{
    pd_board board = BOARD;
    build(PLAIN);
    board.update_max_size = (uint32_t)file_size - 1;
    expect(&board, PD_CHECK_SIZE, PD_ERR_SIZE, file_size - 1, -1351);
    board = BOARD;
    file[15] = 7;
    seal();
    expect(&board, PD_CHECK_RANGE, PD_ERR_NO_SLOT, 14, -1300);
    build(PLAIN);
    file[8] = 0x22; /* another MCU than the slot's */
    seal();
    expect(&board, PD_CHECK_RANGE, PD_ERR_NO_SLOT, 14, -1300);
    board.module_count = 2; /* a system part that moves counts as another one, see dependency_full */
    build(PLAIN);
    put_u32(0, START + 0x1000);
    put_u32(4, START + 0x1000 + (uint32_t)file_size - 4);
    seal();
    expect(&board, PD_CHECK_RANGE | PD_CHECK_ADDRESS, PD_ERR_RANGE, 4, -1300);
    build(PLAIN);
    put_u32(0, START - 0x100); /* ends inside, begins outside: only the bootloader will notice */
    put_u32(4, START - 0x100 + (uint32_t)file_size - 4);
    seal();
    expect(&board, PD_CHECK_ADDRESS, PD_ERR_ADDRESS, 0, 0);
}

static void test_limits_of_a_slot(void)
{
    pd_board board = BOARD;
    pd_slot slot = SLOTS[0];
    board.slots = &slot;
    board.slot_count = 1;
    build(PLAIN);
    board.update_max_size = (uint32_t)file_size;
    slot.end_address = START + (uint32_t)file_size;
    slot.max_size = (uint32_t)file_size;
    expect_ok(&board);
    slot.max_size--;
    expect(&board, PD_CHECK_ADDRESS, PD_ERR_ADDRESS, 4, 0);
    slot.max_size++;
    slot.end_address -= 4; /* the CRC is not part of a device's test */
    expect(&board, PD_CHECK_ADDRESS, PD_ERR_ADDRESS, 4, 0);
    slot.end_address--;
    expect(&board, PD_CHECK_RANGE | PD_CHECK_ADDRESS, PD_ERR_RANGE, 4, -1300);

    current = "fixed end: from the end back";
    slot = SLOTS[0];
    slot.has_fixed_end = true;
    slot.max_size = 0x1000 - ((uint32_t)file_size - 4);
    expect(&board, PD_CHECK_ADDRESS, PD_ERR_ADDRESS, 4, 0);
    slot.max_size--;
    expect(&board, PD_CHECK_RANGE | PD_CHECK_ADDRESS, PD_ERR_RANGE, 4, -1300);

    current = "any MCU";
    slot = SLOTS[0];
    file[8] = PD_MCU_ANY;
    seal();
    expect_ok(&board);
}

static void test_integrity_comes_before_dependencies_and_platform(void)
{
    pd_board board = BOARD;
    build(PLAIN);
    file[100] ^= 1;
    board.platform_id = 6;
    board.module_count = 0;
    expect(&board, PD_CHECK_INTEGRITY | PD_CHECK_DEPENDENCIES | PD_CHECK_PLATFORM, PD_ERR_CRC, file_size - 4, -1330);
    seal();
    expect(&board, PD_CHECK_DEPENDENCIES | PD_CHECK_PLATFORM, PD_ERR_DEPENDENCY, 16, -1340);
    board = BOARD;
    board.platform_id = 6;
    expect(&board, PD_CHECK_PLATFORM, PD_ERR_PLATFORM, 12, -1360);
}

static void test_cut_module_is_never_taken(void)
{
    pd_board board = BOARD;
    pd_report report;
    pd_module module;
    build(PLAIN);
    const pd_source cut = { .data = file, .size = file_size - 1 };
    CHECK(pd_module_parse(&cut, NULL, &module) == PD_ERR_TRUNCATED);
    pd_module_check(&cut, NULL, &module, &board, &report);
    CHECK((report.passed & PD_CHECK_INTEGRITY) == 0);
    CHECK(report.device_result == -1330);
}

static void test_dependencies(void)
{
    pd_installed modules[4];
    pd_board board = BOARD;
    memcpy(modules, MODULES, sizeof modules);
    board.modules = modules;
    build(PLAIN);
    modules[0].version = 1004;
    expect(&board, PD_CHECK_DEPENDENCIES, PD_ERR_DEPENDENCY, 16, -1340);
    modules[0].version = 1005;
    modules[1].version = 201;
    expect(&board, PD_CHECK_DEPENDENCIES, PD_ERR_DEPENDENCY, 20, -1340);
    modules[1].function = PD_FUNCTION_ASSET;
    expect(&board, PD_CHECK_DEPENDENCIES, PD_ERR_DEPENDENCY, 20, -1340);

    current = "a second dependency on a bootloader";
    modules[1] = MODULES[1];
    modules[0].version = 0;
    memcpy(file + 16, "\x08\0\xca\0\x02\0\xed\x03", 8);
    seal();
    expect_ok(&board);
    board.is_update = false;
    expect(&board, PD_CHECK_DEPENDENCIES, PD_ERR_DEPENDENCY, 20, 0);

    current = "none means none";
    memset(file + 16, 0, 4);
    seal();
    expect_ok(&board);

    current = "full";
    board = BOARD;
    board.modules = modules;
    memcpy(modules, MODULES, sizeof modules);
    modules[3].start_address = START; /* the same place, another index: is not replaced */
    build(PLAIN);
    put_u16(10, 2100);
    seal();
    expect(&board, PD_CHECK_DEPENDENCIES_FULL, PD_ERR_DEPENDENCY_FULL, 10, -1340);
}

/* RTL872x: ends at the slot's end; its dependencies decide at start-up, not on arrival. */
static void test_user_part(void)
{
    pd_board board = BOARD;
    recipe r = PLAIN;
    r.function = PD_FUNCTION_USER_PART;
    build(r);
    board.module_count = 0;
    expect_ok(&board);
    board.is_update = false;
    expect(&board, PD_CHECK_DEPENDENCIES, PD_ERR_DEPENDENCY, 16, 0);
    board = BOARD;
    put_u32(0, START - 8);
    put_u32(4, START - 8 + (uint32_t)file_size - 4);
    seal();
    expect(&board, PD_CHECK_ADDRESS, PD_ERR_ADDRESS, 4, 0);
}

static void test_format(void)
{
    pd_board board = BOARD;
    recipe r = PLAIN;
    r.first_word = 0x2003f000u;
    r.prefix_offset = 0x200;
    r.flags = PD_MODULE_FLAG_DROP_MODULE_INFO;
    build(r);
    expect(&board, PD_CHECK_FORMAT, PD_ERR_FORMAT, 0x209, -1370);
    r.flags = PD_MODULE_FLAG_COMPRESSED;
    build(r);
    expect(&board, PD_CHECK_FORMAT, PD_ERR_FORMAT, 0x209, -1370);

    r = PLAIN;
    r.function = PD_FUNCTION_BOOTLOADER;
    r.flags = PD_MODULE_FLAG_COMPRESSED;
    build(r);
    file[8] = 0;
    file[15] = 0;
    seal();
    expect(&board, PD_CHECK_FORMAT, PD_ERR_UNSUPPORTED, 9, -1310);

    r.function = PD_FUNCTION_NCP_FIRMWARE;
    r.flags = 0;
    build(r);
    expect_ok(&board);
    board.ncp_target = 0x22;
    expect(&board, PD_CHECK_FORMAT, PD_ERR_NCP_TARGET, 8, -1360);
    board.ncp_target = 0;
    expect(&board, PD_CHECK_FORMAT, PD_ERR_UNSUPPORTED, 14, -1310);
}

static void test_protection(void)
{
    pd_board board = BOARD;
    board.is_protected = true;
    build(PLAIN);
    expect(&board, PD_CHECK_PROTECTION, PD_ERR_PROTECTED, 10, -1801);
    put_u16(10, 6000);
    seal();
    expect_ok(&board);

    recipe r = PLAIN;
    r.function = PD_FUNCTION_BOOTLOADER;
    build(r);
    file[8] = 0;
    file[15] = 0;
    seal();
    expect(&board, PD_CHECK_PROTECTION, PD_ERR_PROTECTED, file_size - 4 - 40, -1801);
    r.suffix_extra = "\x13\0\5\0\1" "\0\0\4\0" "\x0d\0\3\0";
    r.suffix_extra_size = 13;
    build(r);
    file[8] = 0;
    file[15] = 0;
    seal();
    expect_ok(&board);
}

static recipe asset_recipe(void)
{
    recipe r = PLAIN;
    r.function = PD_FUNCTION_ASSET;
    r.flags = PD_MODULE_FLAG_DROP_MODULE_INFO;
    r.suffix_extra = "\x10\0\7\0\0\1h" "\x11\0\6\0hi" "\1\0\x0a\0\xff\xff\xff\xff\xff\xff";
    r.suffix_extra_size = 23;
    return r;
}

static void test_asset(void)
{
    pd_board board = BOARD;
    recipe r = asset_recipe();
    build(r);
    expect_ok(&board);
    CHECK((check(&board).checked & (PD_CHECK_PLATFORM | PD_CHECK_RANGE | PD_CHECK_ASSET)) == PD_CHECK_ASSET);
    file[50] ^= 1;
    expect(&board, PD_CHECK_INTEGRITY, PD_ERR_CRC, file_size - 4, -280);

    r.flags = 0;
    build(r);
    expect(&board, PD_CHECK_ASSET, PD_ERR_ASSET, 9, -280);
    r.flags = PD_MODULE_FLAG_DROP_MODULE_INFO | PD_MODULE_FLAG_PREFIX_EXTENSIONS;
    r.prefix_tlvs = "\0\0\4\0";
    r.prefix_tlvs_size = 4;
    build(r);
    expect(&board, PD_CHECK_ASSET, PD_ERR_ASSET, 9, -280);

    r = asset_recipe();
    build(r);
    file[file_size++] = 0;
    expect(&board, PD_CHECK_ASSET, PD_ERR_ASSET, 4, -280);

    static const struct { const char *name, *tlvs; size_t size; } TABLE[] = {
        { "no name", "\x10\0\7\0\0\1h" "\1\0\x0a\0\xff\xff\xff\xff\xff\xff", 17 },
        { "no hash", "\x11\0\6\0hi" "\1\0\x0a\0\xff\xff\xff\xff\xff\xff", 16 },
        { "hash cut", "\x10\0\7\0\0\2h" "\x11\0\6\0hi" "\1\0\x0a\0\xff\xff\xff\xff\xff\xff", 23 },
    };
    for (size_t i = 0; i < sizeof TABLE / sizeof TABLE[0]; i++) {
        current = TABLE[i].name;
        r = asset_recipe();
        r.suffix_extra = TABLE[i].tlvs;
        r.suffix_extra_size = TABLE[i].size;
        build(r);
        expect(&board, PD_CHECK_ASSET, PD_ERR_ASSET, file_size - 4 - 36 - TABLE[i].size, -280);
    }
}

static void test_compressed_asset(void)
{
    static const struct { const char *name, *header; bool ok; } TABLE[] = {
        { "deflate", "\x08\0\0\x0f", true }, { "longer header", "\x09\0\0\x0f", true },
        { "short header", "\x07\0\0\x0f", false }, { "method 1", "\x08\0\1\x0f", false },
    };
    pd_board board = BOARD;
    for (size_t i = 0; i < sizeof TABLE / sizeof TABLE[0]; i++) {
        recipe r = asset_recipe();
        r.flags |= PD_MODULE_FLAG_COMPRESSED;
        current = TABLE[i].name;
        build(r);
        memcpy(file + 24, TABLE[i].header, 4);
        seal();
        if (TABLE[i].ok) {
            expect_ok(&board);
        } else {
            expect(&board, PD_CHECK_ASSET, PD_ERR_ASSET, 24, -280);
        }
    }
}

static void start(void *context)
{
    (void)context;
}

static void update(void *context, const uint8_t *data, size_t size)
{
    (void)context;
    (void)data;
    (void)size;
}

static void finish_with_sevens(void *context, uint8_t out[PD_SHA256_SIZE])
{
    (void)context;
    memset(out, 7, PD_SHA256_SIZE);
}

static void test_hash(void)
{
    const pd_hooks hooks = { .sha256_start = start, .sha256_update = update, .sha256_finish = finish_with_sevens };
    pd_module m;
    pd_report report;
    build(PLAIN);
    const pd_source source = { .data = file, .size = file_size };
    CHECK(pd_module_parse(&source, &hooks, &m) == PD_OK);
    pd_module_check(&source, &hooks, &m, &BOARD, &report);
    CHECK(report.status == PD_ERR_SHA256 && report.offset == m.sha256_offset && report.device_result == 0);
    CHECK((report.checked & ~report.passed) == PD_CHECK_SHA256);
    memset(file + m.sha256_offset, 7, PD_SHA256_SIZE);
    seal();
    CHECK(pd_module_parse(&source, &hooks, &m) == PD_OK);
    pd_module_check(&source, &hooks, &m, &BOARD, &report);
    CHECK(report.status == PD_OK && (report.passed & PD_CHECK_SHA256) != 0);
}

const test CHECK_TESTS[] = {
    { "good_module", test_good_module },
    { "size_and_place", test_size_and_place },
    { "limits_of_a_slot", test_limits_of_a_slot },
    { "integrity_comes_before_dependencies_and_platform", test_integrity_comes_before_dependencies_and_platform },
    { "cut_module_is_never_taken", test_cut_module_is_never_taken },
    { "dependencies", test_dependencies },
    { "user_part", test_user_part },
    { "format", test_format },
    { "protection", test_protection },
    { "asset", test_asset },
    { "compressed_asset", test_compressed_asset },
    { "hash", test_hash },
    { NULL, NULL },
};
