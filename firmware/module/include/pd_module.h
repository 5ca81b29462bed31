/*
 * pd_module: reads Particle firmware modules (the .bin files that Device OS flashes).
 *
 * Portable C99: no allocation, no stdio, no global state, no alignment or byte-order assumption. Input is
 * (pointer, length) and is never written; results go to the last parameter and hold offsets, not pointers, so they
 * outlive the buffer. SPDX-License-Identifier: Apache-2.0
 *
 * A module file, integers little-endian:
 *
 *   0                prefix_offset                       suffix             crc_offset = L
 *   | [vector table] | prefix 24 B [+ TLVs] | body ...   | [TLVs][product] base 36 B | CRC-32, big-endian |
 *   ^ start_address                                                     end_address ^
 *
 *   prefix   +0 start u32  +4 end u32  +8 MCU target u8  +9 flags u8  +10 version u16  +12 platform u16
 *            +14 function u8  +15 index u8  +16 and +20 a dependency each: function u8, index u8, version u16
 *   suffix   base: reserved u16, SHA-256, size u16. The size counts everything from the first suffix TLV, or the
 *            product data, through itself: 36 = base alone, 40 = product id u16 and version u16 before it,
 *            42 = product id u32 and version u16, larger = TLVs, then id and version as with 40.
 *   TLV      type u16, length u16 (header included), payload; not aligned
 *   CRC-32   over file bytes [0, L), as zlib's crc32
 *
 * Source: device-os v6.2.0 dynalib/inc/module_info.h, platform/MCU/nRF52840/src/flash_mal.c (FLASH_ModuleInfo),
 * build/arm/linker/linker_module_end.ld; v2.3.1 platform/MCU/STM32F2xx/SPARK_Firmware_Driver/inc/flash_mal.h.
 */
#ifndef PD_MODULE_H
#define PD_MODULE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum {
    PD_MODULE_PREFIX_SIZE = 24,
    PD_MODULE_SUFFIX_BASE_SIZE = 36,
    PD_MODULE_CRC_SIZE = 4,
    PD_SHA256_SIZE = 32
};

enum {
    PD_EXTENSION_HEADER_SIZE = 4,
    PD_EXTENSION_END = 0x0000,     /* last TLV, payload is padding; a must in the prefix */
    PD_EXTENSION_INVALID = 0xffff  /* erased flash: stop */
};

enum { PD_MODULE_FLAG_PREFIX_EXTENSIONS = 0x10 };

/* 0: done. Positive: nothing more to read. Negative: error. Names and sentences: see pd_status_name(). */
typedef enum pd_status {
    PD_OK = 0,
    PD_NO_MORE = 1,
    PD_ERR_EMPTY = -1,         /* no bytes at all */
    PD_ERR_NO_PREFIX = -2,     /* no plausible prefix at any known offset */
    PD_ERR_TRUNCATED = -3,     /* a plausible prefix wants more bytes than there are */
    PD_ERR_CRC = -4,           /* stored and computed CRC-32 differ */
    PD_ERR_BAD_SUFFIX = -5,    /* suffix size is neither absent (0, 0xffff) nor possible */
    PD_ERR_BAD_EXTENSION = -6  /* a TLV is shorter than its header, leaves its area, or END is missing */
} pd_status;

typedef struct pd_dependency {
    uint8_t function;  /* 0: no dependency */
    uint8_t index;
    uint16_t version;  /* minimum */
} pd_dependency;

/* Bytes [offset, offset + size) of the file. */
typedef struct pd_range {
    size_t offset;
    size_t size;
} pd_range;

/* What is still to be walked of a TLV area. Copy it to walk twice. */
typedef struct pd_extensions {
    size_t offset;   /* of the next TLV header; after an error, of the bad one */
    size_t end;      /* exclusive */
    bool needs_end;  /* running out without END is an error */
} pd_extensions;

typedef struct pd_extension {
    uint16_t type;
    size_t offset;  /* of the header, from the start of the file */
    size_t length;  /* header included */
} pd_extension;

typedef struct pd_module {
    size_t prefix_offset;
    size_t prefix_size;  /* 24 plus TLVs through END; 24 when the TLVs are damaged */
    size_t size;         /* crc_offset + 4; the file may be longer (padding, combined modules) */
    size_t crc_offset;   /* L = end_address - start_address */
    uint32_t crc_stored;

    uint32_t start_address;  /* of file byte 0 in flash */
    uint32_t end_address;    /* exclusive, the CRC lies behind it */
    uint8_t mcu_target;      /* 0 main MCU, 0xff any, else NCP identifier */
    uint8_t flags;
    uint16_t version;
    uint16_t platform_id;
    uint8_t function;
    uint8_t index;
    pd_dependency dependencies[2];
    pd_extensions prefix_extensions;  /* empty area without the flag */

    size_t suffix_size;       /* 0: no suffix, the members below are 0 */
    pd_status suffix_status;  /* PD_OK or PD_ERR_BAD_SUFFIX */
    size_t sha256_offset;     /* of the 32 stored bytes */
    pd_range sha256_whole;    /* what a linked module's hash covers */
    pd_range sha256_payload;  /* what the hash of a packed payload (SoftDevice, NCP) covers */
    bool has_product;         /* meaningful for user part and mono firmware only */
    uint32_t product_id;
    uint16_t product_version;
    pd_extensions suffix_extensions;
} pd_module;

/*
 * Continues a CRC-32 (reflected 0xEDB88320, as zlib); start with 0.
 *
 *   crc = pd_crc32_update(pd_crc32_update(0, a, a_size), b, b_size);
 */
uint32_t pd_crc32_update(uint32_t crc, const uint8_t *data, size_t size);

/*
 * Reads the module: of all places where a plausible prefix stands, the one whose CRC is right.
 *
 * PD_ERR_CRC when none is right: *out then is the most plausible candidate, so that a damaged module can be told
 * from something else. PD_ERR_TRUNCATED: the prefix members of *out are filled, size is what the file should have.
 * PD_ERR_EMPTY, PD_ERR_NO_PREFIX: *out is zeroed. A bad suffix or bad TLVs are no error here: look at
 * suffix_status, walk the TLVs.
 */
pd_status pd_module_parse(const uint8_t *data, size_t size, pd_module *out);

/*
 * The same without computing a CRC, for callers that have a faster one: the candidates, most plausible first.
 *
 *   unsigned next = 0;
 *   while (pd_module_next_candidate(data, size, &next, &m) == PD_OK)
 *       if (my_crc32(data, m.crc_offset) == m.crc_stored) ...
 *
 * Returns PD_NO_MORE after the last one. When there was none at all, the end is the reason instead, as above.
 */
pd_status pd_module_next_candidate(const uint8_t *data, size_t size, unsigned *next, pd_module *out);

/*
 * Reads the TLV at area->offset and moves on. PD_NO_MORE at END, at type 0xffff and at the end of the area;
 * PD_ERR_BAD_EXTENSION leaves area->offset at the culprit. END itself is not delivered.
 */
pd_status pd_module_next_extension(const uint8_t *data, size_t size, pd_extensions *area, pd_extension *out);

/* Stable short name ("crc_mismatch") and one sentence; never NULL, also for values that are no status. */
const char *pd_status_name(pd_status status);
const char *pd_status_text(pd_status status);

#ifdef __cplusplus
}
#endif

#endif
