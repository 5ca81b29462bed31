/* CRC-32 and SHA-256 of a module, in pieces when it is not in memory. SPDX-License-Identifier: Apache-2.0 */
#include "pd_internal.h"

#include <string.h>

typedef void consume_fn(const pd_hooks *hooks, uint32_t *crc, const uint8_t *data, size_t size);

static void consume_crc32(const pd_hooks *hooks, uint32_t *crc, const uint8_t *data, size_t size)
{
    if (hooks != NULL && hooks->crc32 != NULL) {
        *crc = hooks->crc32(hooks->context, *crc, data, size);
    } else {
        *crc = pd_crc32_update(*crc, data, size);
    }
}

static void consume_sha256(const pd_hooks *hooks, uint32_t *crc, const uint8_t *data, size_t size)
{
    (void)crc;
    hooks->sha256_update(hooks->context, data, size);
}

static pd_status feed(const pd_source *source, pd_range range, consume_fn *consume, const pd_hooks *hooks,
                      uint32_t *crc)
{
    uint8_t piece[PD_PIECE_SIZE];

    if (!pd_is_inside(source, range.offset, range.size)) {
        return PD_ERR_READ;
    }
    if (source->data != NULL) {
        consume(hooks, crc, source->data + range.offset, range.size);
        return PD_OK;
    }
    while (range.size > 0) {
        const size_t size = range.size < sizeof piece ? range.size : sizeof piece;
        if (!pd_fetch(source, range.offset, piece, size)) {
            return PD_ERR_READ;
        }
        consume(hooks, crc, piece, size);
        range.offset += size;
        range.size -= size;
    }
    return PD_OK;
}

pd_status pd_module_parse(const pd_source *source, const pd_hooks *hooks, pd_module *out)
{
    unsigned next = 0;
    bool has_first = false;
    pd_module candidate;
    pd_status status;

    while ((status = pd_module_next_candidate(source, &next, &candidate)) == PD_OK) {
        const pd_range covered = { 0, candidate.crc_offset };
        status = feed(source, covered, consume_crc32, hooks, &candidate.crc_computed);
        if (status != PD_OK) {
            memset(&candidate, 0, sizeof candidate);
            break;
        }
        const bool is_right = candidate.crc_computed == candidate.crc_stored;
        if (is_right || !has_first) {
            has_first = true;
            *out = candidate;
        }
        if (is_right) {
            return PD_OK;
        }
    }
    if (status == PD_NO_MORE) {
        return PD_ERR_CRC;
    }
    *out = candidate;
    return status;
}

static pd_status sha256(const pd_source *source, pd_range range, const pd_hooks *hooks, uint8_t digest[PD_SHA256_SIZE])
{
    hooks->sha256_start(hooks->context);
    const pd_status status = feed(source, range, consume_sha256, hooks, NULL);
    hooks->sha256_finish(hooks->context, digest);
    return status;
}

pd_status pd_module_sha256(const pd_source *source, const pd_hooks *hooks, const pd_module *module,
                           uint8_t computed[PD_SHA256_SIZE])
{
    uint8_t stored[PD_SHA256_SIZE];
    uint8_t other[PD_SHA256_SIZE];
    const bool is_packed = module->suffix_size == PD_MODULE_SUFFIX_BASE_SIZE;
    const pd_range first = is_packed ? module->sha256_payload : module->sha256_whole;
    const pd_range second = is_packed ? module->sha256_whole : module->sha256_payload;

    memset(computed, 0, PD_SHA256_SIZE);
    if (module->suffix_size == 0 || hooks == NULL || hooks->sha256_start == NULL) {
        return PD_NO_MORE;
    }
    if (!pd_fetch(source, module->sha256_offset, stored, sizeof stored) ||
        sha256(source, first, hooks, computed) != PD_OK) {
        return PD_ERR_READ;
    }
    if (memcmp(computed, stored, sizeof stored) == 0) {
        return PD_OK;
    }
    if (sha256(source, second, hooks, other) != PD_OK) {
        return PD_ERR_READ;
    }
    if (memcmp(other, stored, sizeof stored) != 0) {
        return PD_ERR_SHA256;
    }
    memcpy(computed, other, sizeof other);
    return PD_OK;
}
