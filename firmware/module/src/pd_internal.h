/* Shared by the library's own sources. SPDX-License-Identifier: Apache-2.0 */
#ifndef PD_INTERNAL_H
#define PD_INTERNAL_H

#include "pd_module.h"

/* Whether these bytes lie inside the source. Everything that is read was asked here first. */
static inline bool pd_is_inside(const pd_source *source, size_t offset, size_t size)
{
    return offset <= source->size && size <= source->size - offset;
}

/* Copies bytes; false when they are not inside or the medium fails. */
bool pd_fetch(const pd_source *source, size_t offset, uint8_t *out, size_t size);

static inline uint16_t pd_u16(const uint8_t *p)
{
    return (uint16_t)(p[0] | p[1] << 8);
}

static inline uint32_t pd_u32(const uint8_t *p)
{
    return (uint32_t)pd_u16(p) | (uint32_t)pd_u16(p + 2) << 16;
}

static inline pd_dependency pd_read_dependency(const uint8_t *p)
{
    return (pd_dependency){ .function = p[0], .index = p[1], .version = pd_u16(p + 2) };
}

#endif
