/* What a board says to a module. SPDX-License-Identifier: Apache-2.0 */
#include "pd_internal.h"

#include <string.h>

/* Offsets of prefix fields. */
enum { END_ADDRESS = 4, MCU_TARGET = 8, FLAGS = 9, VERSION = 10, PLATFORM = 12, FUNCTION = 14, DEPENDENCY = 16 };

enum { PROTECTED_SYSTEM_VERSION_MIN = 6000, COMPRESSION_HEADER_SIZE = 8 };

typedef struct check_context {
    const pd_source *source;
    const pd_hooks *hooks;
    const pd_module *module;
    const pd_board *board;
    size_t offset; /* of the field at fault; each check sets it before it fails */
} check_context;

/* PD_NO_MORE: the check does not apply. */
typedef pd_status check_fn(check_context *c);

static pd_status fail(check_context *c, size_t prefix_field, pd_status status)
{
    c->offset = c->module->prefix_offset + prefix_field;
    return status;
}

static bool is_asset(const pd_module *m)
{
    return m->function == PD_FUNCTION_ASSET;
}

static const pd_slot *find_slot(const pd_board *board, uint8_t function, uint8_t index, uint8_t mcu_target)
{
    for (size_t i = 0; i < board->slot_count; i++) {
        const pd_slot *slot = &board->slots[i];
        if (slot->function == function && slot->index == index &&
            (slot->mcu_target == mcu_target || slot->mcu_target == PD_MCU_ANY || mcu_target == PD_MCU_ANY)) {
            return slot;
        }
    }
    return NULL;
}

static pd_status check_size(check_context *c)
{
    const uint32_t max = c->board->update_max_size;

    if (!c->board->is_update) {
        return PD_NO_MORE;
    }
    c->offset = max;
    return c->source->size == 0 || (max != 0 && c->source->size > max) ? PD_ERR_SIZE : PD_OK;
}

static pd_status check_range(check_context *c)
{
    const pd_module *m = c->module;

    if (is_asset(m)) {
        return PD_NO_MORE;
    }
    const pd_slot *slot = find_slot(c->board, m->function, m->index, m->mcu_target);
    if (slot == NULL) {
        return fail(c, FUNCTION, PD_ERR_NO_SLOT);
    }
    const uint32_t lowest = slot->has_fixed_end ? slot->end_address - slot->max_size : slot->start_address;
    const bool is_in = m->end_address >= lowest && m->end_address <= slot->end_address;
    return is_in ? PD_OK : fail(c, END_ADDRESS, PD_ERR_RANGE);
}

static pd_status check_integrity(check_context *c)
{
    c->offset = c->module->crc_offset;
    if (c->module->size > c->source->size) {
        return PD_ERR_CRC; /* cut short: whatever pd_module_parse said, its CRC is not there */
    }
    return c->module->crc_computed == c->module->crc_stored ? PD_OK : PD_ERR_CRC;
}

static bool is_satisfied(const pd_board *board, const pd_dependency *dependency)
{
    for (size_t i = 0; i < board->module_count; i++) {
        const pd_installed *module = &board->modules[i];
        if (module->function == dependency->function && module->index == dependency->index) {
            return module->version >= dependency->version;
        }
    }
    return false;
}

static pd_status check_dependencies(check_context *c)
{
    const pd_module *m = c->module;
    const pd_dependency *first = &m->dependencies[0];
    const pd_dependency *second = &m->dependencies[1];

    if (is_asset(m)) {
        return PD_NO_MORE;
    }
    if (first->function == PD_FUNCTION_NONE || (c->board->is_update && m->function == PD_FUNCTION_USER_PART)) {
        return PD_OK;
    }
    if (!is_satisfied(c->board, first)) {
        return fail(c, DEPENDENCY, PD_ERR_DEPENDENCY);
    }
    if (second->function == PD_FUNCTION_NONE ||
        (c->board->is_update && second->function == PD_FUNCTION_BOOTLOADER)) {
        return PD_OK;
    }
    return is_satisfied(c->board, second) ? PD_OK : fail(c, DEPENDENCY + 4, PD_ERR_DEPENDENCY);
}

static pd_status check_dependencies_full(check_context *c)
{
    const pd_module *m = c->module;

    if (!c->board->is_update || is_asset(m)) {
        return PD_NO_MORE;
    }
    if (m->function != PD_FUNCTION_SYSTEM_PART) {
        return PD_OK;
    }
    for (size_t i = 0; i < c->board->module_count; i++) {
        const pd_installed *other = &c->board->modules[i];
        const bool is_replaced = other->index == m->index && other->start_address == m->start_address;
        if (other->function != PD_FUNCTION_SYSTEM_PART || is_replaced) {
            continue;
        }
        for (unsigned k = 0; k < 2; k++) {
            const pd_dependency *wanted = &other->dependencies[k];
            if (wanted->function == m->function && wanted->index == m->index && wanted->version > m->version) {
                return fail(c, VERSION, PD_ERR_DEPENDENCY_FULL);
            }
        }
    }
    return PD_OK;
}

static pd_status check_platform(check_context *c)
{
    if (is_asset(c->module)) {
        return PD_NO_MORE;
    }
    return c->module->platform_id == c->board->platform_id ? PD_OK : fail(c, PLATFORM, PD_ERR_PLATFORM);
}

static pd_status check_format(check_context *c)
{
    const pd_module *m = c->module;
    const bool is_compressed = (m->flags & PD_MODULE_FLAG_COMPRESSED) != 0;

    if (m->prefix_offset > 0 && (m->flags & (PD_MODULE_FLAG_DROP_MODULE_INFO | PD_MODULE_FLAG_COMPRESSED)) != 0) {
        return fail(c, FLAGS, PD_ERR_FORMAT);
    }
    if (is_compressed && m->function != PD_FUNCTION_USER_PART && m->function != PD_FUNCTION_SYSTEM_PART &&
        !is_asset(m)) {
        return fail(c, FLAGS, PD_ERR_UNSUPPORTED);
    }
    if (m->function == PD_FUNCTION_NCP_FIRMWARE) {
        if (c->board->ncp_target == 0) {
            return fail(c, FUNCTION, PD_ERR_UNSUPPORTED);
        }
        if (c->board->ncp_target != m->mcu_target) {
            return fail(c, MCU_TARGET, PD_ERR_NCP_TARGET);
        }
    }
    return PD_OK;
}

/* Looks into the suffix alone, as devices do for these types. */
static bool has_suffix_extension(const check_context *c, uint16_t type)
{
    pd_extensions area = c->module->suffix_extensions;
    pd_extension extension;
    pd_extension_value value;

    while (pd_module_next_extension(c->source, &area, &extension) == PD_OK) {
        if (extension.type == type) {
            return pd_extension_read(c->source, &extension, &value) == PD_OK;
        }
    }
    return false;
}

static pd_status check_protection(check_context *c)
{
    const pd_module *m = c->module;

    if (!c->board->is_protected || !c->board->is_update) {
        return PD_NO_MORE;
    }
    if (m->function == PD_FUNCTION_BOOTLOADER && m->index == 0 &&
        !has_suffix_extension(c, PD_EXTENSION_SECURITY_MODE)) {
        c->offset = m->crc_offset - m->suffix_size;
        return PD_ERR_PROTECTED;
    }
    if (m->function == PD_FUNCTION_SYSTEM_PART && m->version < PROTECTED_SYSTEM_VERSION_MIN) {
        return fail(c, VERSION, PD_ERR_PROTECTED);
    }
    return PD_OK;
}

static pd_status check_asset(check_context *c)
{
    const pd_module *m = c->module;

    if (!is_asset(m)) {
        return PD_NO_MORE;
    }
    if ((m->flags & PD_MODULE_FLAG_DROP_MODULE_INFO) == 0 || (m->flags & PD_MODULE_FLAG_PREFIX_EXTENSIONS) != 0) {
        return fail(c, FLAGS, PD_ERR_ASSET);
    }
    if (c->source->size != m->size) {
        return fail(c, END_ADDRESS, PD_ERR_ASSET);
    }
    if ((m->flags & PD_MODULE_FLAG_COMPRESSED) != 0) {
        uint8_t compression[COMPRESSION_HEADER_SIZE];
        /* header size u16, method u8 (0: deflate), window bits u8, original size u32 */
        c->offset = m->prefix_offset + m->prefix_size;
        if (!pd_fetch(c->source, c->offset, compression, sizeof compression) ||
            pd_u16(compression) < sizeof compression || compression[2] != 0) {
            return PD_ERR_ASSET;
        }
    }
    c->offset = m->crc_offset - m->suffix_size;
    return has_suffix_extension(c, PD_EXTENSION_NAME) && has_suffix_extension(c, PD_EXTENSION_HASH) ? PD_OK
                                                                                                    : PD_ERR_ASSET;
}

static pd_status check_address(check_context *c)
{
    const pd_module *m = c->module;
    const pd_slot *slot = find_slot(c->board, m->function, m->index, m->mcu_target);

    if (slot == NULL) {
        return PD_NO_MORE;
    }
    if (m->start_address < slot->start_address || m->start_address >= slot->end_address) {
        return fail(c, 0, PD_ERR_ADDRESS);
    }
    const uint32_t room = slot->end_address - m->start_address;
    const bool fits = m->size <= room && m->size <= slot->max_size && (!slot->has_fixed_end || m->size == room);
    return fits ? PD_OK : fail(c, END_ADDRESS, PD_ERR_ADDRESS);
}

static pd_status check_sha256(check_context *c)
{
    uint8_t computed[PD_SHA256_SIZE];

    if (c->hooks == NULL || c->hooks->sha256_start == NULL) {
        return PD_NO_MORE;
    }
    c->offset = c->module->sha256_offset;
    return pd_module_sha256(c->source, c->hooks, c->module, computed);
}

/* validityResultToSystemError() and validateModules() of Device OS, AssetReader's for assets. */
static int device_result(const pd_module *m, pd_status status)
{
    switch (status) {
    case PD_ERR_SIZE: return -1351;
    case PD_ERR_NO_SLOT: return -1300;
    case PD_ERR_RANGE: return -1300;
    case PD_ERR_CRC: return is_asset(m) ? -280 : -1330;
    case PD_ERR_DEPENDENCY: return -1340;
    case PD_ERR_DEPENDENCY_FULL: return -1340;
    case PD_ERR_PLATFORM: return -1360;
    case PD_ERR_FORMAT: return -1370;
    case PD_ERR_UNSUPPORTED: return -1310;
    case PD_ERR_NCP_TARGET: return -1360;
    case PD_ERR_PROTECTED: return -1801;
    case PD_ERR_ASSET: return -280;
    default: return 0;
    }
}

void pd_module_check(const pd_source *source, const pd_hooks *hooks, const pd_module *module, const pd_board *board,
                     pd_report *out)
{
    static const struct {
        unsigned flag;
        check_fn *run;
    } CHECKS[] = {
        { PD_CHECK_SIZE, check_size },
        { PD_CHECK_RANGE, check_range },
        { PD_CHECK_INTEGRITY, check_integrity },
        { PD_CHECK_DEPENDENCIES, check_dependencies },
        { PD_CHECK_DEPENDENCIES_FULL, check_dependencies_full },
        { PD_CHECK_PLATFORM, check_platform },
        { PD_CHECK_FORMAT, check_format },
        { PD_CHECK_PROTECTION, check_protection },
        { PD_CHECK_ASSET, check_asset },
        { PD_CHECK_ADDRESS, check_address },
        { PD_CHECK_SHA256, check_sha256 },
    };
    check_context c = { .source = source, .hooks = hooks, .module = module, .board = board };

    memset(out, 0, sizeof *out);
    for (size_t i = 0; i < sizeof CHECKS / sizeof CHECKS[0]; i++) {
        const pd_status status = CHECKS[i].run(&c);
        if (status == PD_NO_MORE) {
            continue;
        }
        out->checked |= CHECKS[i].flag;
        if (status == PD_OK) {
            out->passed |= CHECKS[i].flag;
        } else if (out->status == PD_OK) {
            out->status = status;
            out->offset = c.offset;
            out->device_result = board->is_update ? device_result(module, status) : 0;
        }
    }
}
