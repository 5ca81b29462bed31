/* TLV extensions. SPDX-License-Identifier: Apache-2.0 */
#include "pd_internal.h"

#include <string.h>

enum { HASH_HEADER_SIZE = 2 };

pd_status pd_module_next_extension(const pd_source *source, pd_extensions *area, pd_extension *out)
{
    uint8_t header[PD_EXTENSION_HEADER_SIZE];
    const size_t end = area->end < source->size ? area->end : source->size;

    memset(out, 0, sizeof *out);
    if (area->offset >= end) {
        return area->needs_end ? PD_ERR_BAD_EXTENSION : PD_NO_MORE;
    }
    const size_t room = end - area->offset;
    if (room < sizeof header) {
        return PD_ERR_BAD_EXTENSION;
    }
    if (!pd_fetch(source, area->offset, header, sizeof header)) {
        return PD_ERR_READ;
    }
    const uint16_t type = pd_u16(header);
    const uint16_t length = pd_u16(header + 2);
    if (type == PD_EXTENSION_INVALID && !area->needs_end) {
        return PD_NO_MORE;
    }
    if (type == PD_EXTENSION_INVALID || length < sizeof header || length > room) {
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

/* Payload bytes that must be there; their number, because what follows them may have any length. */
static size_t fixed_size(uint16_t type)
{
    switch (type) {
    case PD_EXTENSION_PRODUCT_DATA: return 6;
    case PD_EXTENSION_DYNAMIC_LOCATION: return 12;
    case PD_EXTENSION_DEPENDENCY: return 8;
    case PD_EXTENSION_HASH: return HASH_HEADER_SIZE;
    case PD_EXTENSION_ASSET_DEPENDENCY: return HASH_HEADER_SIZE;
    case PD_EXTENSION_SECURITY_MODE: return 1;
    case PD_EXTENSION_ASSET_TYPE: return 1;
    default: return 0;
    }
}

pd_status pd_extension_read(const pd_source *source, const pd_extension *extension, pd_extension_value *out)
{
    uint8_t p[12];
    const size_t fixed = fixed_size(extension->type);
    const size_t start = extension->offset + PD_EXTENSION_HEADER_SIZE;

    memset(out, 0, sizeof *out);
    if (extension->length < PD_EXTENSION_HEADER_SIZE + fixed) {
        return PD_ERR_BAD_EXTENSION;
    }
    if (!pd_fetch(source, start, p, fixed)) {
        return PD_ERR_READ;
    }
    out->payload = (pd_range){ start, extension->length - PD_EXTENSION_HEADER_SIZE };
    const pd_range rest = { start + fixed, out->payload.size - fixed };
    switch (extension->type) {
    case PD_EXTENSION_PRODUCT_DATA: /* two bytes of filler first */
        out->product_id = pd_u16(p + 2);
        out->product_version = pd_u16(p + 4);
        break;
    case PD_EXTENSION_DYNAMIC_LOCATION:
        out->start_address = pd_u32(p);
        out->dynalib_load_address = pd_u32(p + 4);
        out->dynalib_start_address = pd_u32(p + 8);
        break;
    case PD_EXTENSION_DEPENDENCY:
        out->dependency = pd_read_dependency(p);
        out->target_id = pd_u32(p + 4);
        break;
    case PD_EXTENSION_HASH:
    case PD_EXTENSION_ASSET_DEPENDENCY: {
        const size_t hash_size = p[1];
        if (hash_size > rest.size) {
            memset(out, 0, sizeof *out);
            return PD_ERR_BAD_EXTENSION;
        }
        out->hash_type = p[0];
        out->hash = (pd_range){ rest.offset, hash_size };
        if (extension->type == PD_EXTENSION_ASSET_DEPENDENCY) {
            out->name = (pd_range){ rest.offset + hash_size, rest.size - hash_size };
        }
        break;
    }
    case PD_EXTENSION_NAME:
        out->name = out->payload;
        break;
    case PD_EXTENSION_SECURITY_MODE:
        out->security_mode = p[0];
        out->certificate = rest;
        break;
    case PD_EXTENSION_ASSET_TYPE:
        out->asset_type = p[0];
        break;
    default:
        break;
    }
    return PD_OK;
}
