/*
 * pd_module: reads Particle firmware modules (the .bin files that Device OS flashes).
 *
 * Portable C99: no allocation, no stdio, no global state, no alignment or byte-order assumption. Input is a pd_source:
 * memory, or a device's flash that is read in pieces. It is never written, nothing outside it is read. Results go to
 * the last parameter and hold offsets, not pointers, so they outlive the input. SPDX-License-Identifier: Apache-2.0
 *
 * To build it in: put include/ on the include path and compile src/pd_module.c, pd_extension.c, pd_checksum.c and
 * pd_crc32.c; pd_check.c for pd_module_check(), pd_status.c for names and sentences. Nothing else is needed, also from
 * C++. It needs at most 1 KiB of stack. Two programs that use it are in firmware/examples.
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

/* Raised when code written for the version before must be changed. */
#define PD_MODULE_API_VERSION 1

enum {
    PD_MODULE_PREFIX_SIZE = 24,
    PD_MODULE_SUFFIX_BASE_SIZE = 36,
    PD_MODULE_CRC_SIZE = 4,
    PD_SHA256_SIZE = 32
};

/* What a module is: prefix byte 14, and the first byte of a dependency. */
enum {
    PD_FUNCTION_NONE = 0,
    PD_FUNCTION_RESOURCE = 1,
    PD_FUNCTION_BOOTLOADER = 2,
    PD_FUNCTION_MONO_FIRMWARE = 3,
    PD_FUNCTION_SYSTEM_PART = 4,
    PD_FUNCTION_USER_PART = 5,
    PD_FUNCTION_SETTINGS = 6,
    PD_FUNCTION_NCP_FIRMWARE = 7,
    PD_FUNCTION_RADIO_STACK = 8,
    PD_FUNCTION_ASSET = 9
};

/* Prefix byte 9. */
enum {
    PD_MODULE_FLAG_DROP_MODULE_INFO = 0x01,   /* the prefix is not written to the target */
    PD_MODULE_FLAG_COMPRESSED = 0x02,
    PD_MODULE_FLAG_COMBINED = 0x04,           /* another module follows in the file */
    PD_MODULE_FLAG_ENCRYPTED = 0x08,
    PD_MODULE_FLAG_PREFIX_EXTENSIONS = 0x10
};

enum { PD_MCU_ANY = 0xff };

/* 0: done. Positive: nothing more to read. Negative: error. Names and sentences: see pd_status_name(). */
typedef enum pd_status {
    PD_OK = 0,
    PD_NO_MORE = 1,
    PD_ERR_EMPTY = -1,             /* no bytes at all */
    PD_ERR_NO_PREFIX = -2,         /* no plausible prefix at any known offset */
    PD_ERR_TRUNCATED = -3,         /* a plausible prefix wants more bytes than there are */
    PD_ERR_CRC = -4,               /* stored and computed CRC-32 differ */
    PD_ERR_BAD_SUFFIX = -5,        /* suffix size is neither absent (0, 0xffff) nor possible */
    PD_ERR_BAD_EXTENSION = -6,     /* a TLV leaves its area, does not fit its type, or END is missing */
    PD_ERR_READ = -7,              /* the source's read function failed */
    /* what a board says to an intact module: see pd_module_check() */
    PD_ERR_SIZE = -8,
    PD_ERR_NO_SLOT = -9,
    PD_ERR_RANGE = -10,
    PD_ERR_DEPENDENCY = -11,
    PD_ERR_DEPENDENCY_FULL = -12,
    PD_ERR_PLATFORM = -13,
    PD_ERR_FORMAT = -14,
    PD_ERR_UNSUPPORTED = -15,
    PD_ERR_NCP_TARGET = -16,
    PD_ERR_PROTECTED = -17,
    PD_ERR_ASSET = -18,
    PD_ERR_ADDRESS = -19,
    PD_ERR_SHA256 = -20
} pd_status;

/* Stable short name ("crc_mismatch") and one sentence; never NULL, also for values that are no status. */
const char *pd_status_name(pd_status status);
const char *pd_status_text(pd_status status);

/* ---- input -------------------------------------------------------------------------------------------------- */

/*
 * Bytes of a module: data[0 .. size) when data is set, else what read() copies to out: exactly `size` bytes from
 * `offset`, which lie inside the source; false when the medium fails (PD_ERR_READ). Flash is read in pieces of at most
 * PD_PIECE_SIZE bytes, so that a device can feed its watchdog in read().
 */
typedef struct pd_source {
    const uint8_t *data;
    size_t size;
    bool (*read)(void *context, size_t offset, uint8_t *out, size_t size);
    void *context;
} pd_source;

#ifndef PD_PIECE_SIZE
#define PD_PIECE_SIZE 256 /* bytes on the stack, not needed with data */
#endif

/*
 * Faster or hardware checksums. NULL in place of the struct or of crc32: pd_crc32_update(). crc32 continues `crc`.
 *
 * No SHA-256 is part of this library. NULL in place of sha256_start: it is not checked. Else the three are called in
 * their order, update as often as there are pieces, with `context`, where the hash keeps its state.
 */
typedef struct pd_hooks {
    void *context;
    uint32_t (*crc32)(void *context, uint32_t crc, const uint8_t *data, size_t size);
    void (*sha256_start)(void *context);
    void (*sha256_update)(void *context, const uint8_t *data, size_t size);
    void (*sha256_finish)(void *context, uint8_t digest[PD_SHA256_SIZE]);
} pd_hooks;

/*
 * Continues a CRC-32 (reflected 0xEDB88320, as zlib); start with 0. So a stream is checked as it arrives:
 *
 *   crc = pd_crc32_update(pd_crc32_update(0, a, a_size), b, b_size);
 *
 * 64 bytes of tables; with PD_CRC32_TABLE_DRIVEN 1 KiB and twice the speed.
 */
uint32_t pd_crc32_update(uint32_t crc, const uint8_t *data, size_t size);

/* ---- what a module says about itself ---------------------------------------------------------------------------- */

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

typedef struct pd_module {
    size_t prefix_offset;
    size_t prefix_size;  /* 24 plus TLVs through END; 24 when the TLVs are damaged */
    size_t size;         /* crc_offset + 4; the file may be longer (padding, combined modules) */
    size_t crc_offset;   /* L = end_address - start_address */
    uint32_t crc_stored;
    uint32_t crc_computed;  /* 0 until pd_module_parse(), or the caller of next_candidate, computes it */

    uint32_t start_address;  /* of file byte 0 in flash */
    uint32_t end_address;    /* exclusive, the CRC lies behind it */
    uint8_t mcu_target;      /* 0 main MCU, PD_MCU_ANY, else NCP identifier */
    uint8_t flags;           /* PD_MODULE_FLAG_ */
    uint16_t version;
    uint16_t platform_id;
    uint8_t function;        /* PD_FUNCTION_ */
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
 * Reads the module: of all places where a plausible prefix stands, the one whose CRC is right.
 *
 * PD_ERR_CRC when none is right: *out then is the most plausible candidate, so that a damaged module can be told
 * from something else. PD_ERR_TRUNCATED: the prefix members of *out are filled, size is what the file should have.
 * PD_ERR_EMPTY, PD_ERR_NO_PREFIX, PD_ERR_READ: *out is zeroed. A bad suffix or bad TLVs are no error here: look at
 * suffix_status, walk the TLVs.
 */
pd_status pd_module_parse(const pd_source *source, const pd_hooks *hooks, pd_module *out);

/*
 * The same without computing a CRC: the candidates, most plausible first.
 *
 *   unsigned next = 0;
 *   while (pd_module_next_candidate(&source, &next, &m) == PD_OK)
 *       if (my_crc32(data, m.crc_offset) == m.crc_stored) ...
 *
 * Returns PD_NO_MORE after the last one. When there was none at all, the end is the reason instead, as above.
 */
pd_status pd_module_next_candidate(const pd_source *source, unsigned *next, pd_module *out);

/*
 * Compares the stored SHA-256 with one computed as linked modules have it and one as packed payloads have it; either
 * will do. computed[] is that of the form that applies. PD_OK, PD_ERR_SHA256, PD_ERR_READ; PD_NO_MORE without a suffix or
 * without the hooks for SHA-256.
 */
pd_status pd_module_sha256(const pd_source *source, const pd_hooks *hooks, const pd_module *module,
                           uint8_t computed[PD_SHA256_SIZE]);

/* ---- TLV extensions --------------------------------------------------------------------------------------------- */

enum {
    PD_EXTENSION_HEADER_SIZE = 4,

    PD_EXTENSION_END = 0x0000, /* last TLV, payload is padding; a must in the prefix */
    PD_EXTENSION_PRODUCT_DATA = 0x0001,
    PD_EXTENSION_DYNAMIC_LOCATION = 0x0002,
    PD_EXTENSION_DEPENDENCY = 0x0003,
    PD_EXTENSION_HASH = 0x0010,
    PD_EXTENSION_NAME = 0x0011,
    PD_EXTENSION_ASSET_DEPENDENCY = 0x0012,
    PD_EXTENSION_SECURITY_MODE = 0x0013,
    PD_EXTENSION_ASSET_TYPE = 0x0014,
    PD_EXTENSION_INVALID = 0xffff /* erased flash: stop */
};

typedef struct pd_extension {
    uint16_t type;  /* PD_EXTENSION_, or one that this library does not know */
    size_t offset;  /* of the header, from the start of the file */
    size_t length;  /* header included */
} pd_extension;

/* A TLV's payload. Members that its type does not have are 0. */
typedef struct pd_extension_value {
    pd_range payload;           /* all types */
    uint16_t product_id;        /* PRODUCT_DATA */
    uint16_t product_version;
    uint32_t start_address;     /* DYNAMIC_LOCATION */
    uint32_t dynalib_load_address;
    uint32_t dynalib_start_address;
    pd_dependency dependency;   /* DEPENDENCY */
    uint32_t target_id;
    uint8_t hash_type;          /* HASH, ASSET_DEPENDENCY: 0 = SHA-256 */
    pd_range hash;
    pd_range name;              /* NAME, ASSET_DEPENDENCY: UTF-8, no terminator */
    uint8_t security_mode;      /* SECURITY_MODE: 0 none, 1 protected */
    pd_range certificate;       /* DER, may be empty */
    uint8_t asset_type;         /* ASSET_TYPE: 0 default, 1 environment variables of an application, 2 a snapshot */
} pd_extension_value;

/*
 * Walks the TLVs of module.prefix_extensions or module.suffix_extensions:
 *
 *   pd_extensions area = module.suffix_extensions;
 *   pd_extension extension;
 *   pd_status status;
 *   while ((status = pd_module_next_extension(&source, &area, &extension)) == PD_OK) ...
 *   if (status != PD_NO_MORE) ...                      a TLV at area.offset is damaged
 *
 * Reads the TLV at area->offset and moves on. PD_NO_MORE at END, at type 0xffff and at the end of the area;
 * PD_ERR_BAD_EXTENSION leaves area->offset at the culprit. END itself is not delivered. Unknown types are.
 */
pd_status pd_module_next_extension(const pd_source *source, pd_extensions *area, pd_extension *out);

/* The payload in typed form. PD_ERR_BAD_EXTENSION when it is too short for its type; unknown types are PD_OK. */
pd_status pd_extension_read(const pd_source *source, const pd_extension *extension, pd_extension_value *out);

/* ---- would a board take it? ------------------------------------------------------------------------------------- */

/*
 * Where a board keeps modules of one kind: module_bounds_t of Device OS, hal/src/<family>/ota_module_bounds.c of the
 * release. They differ between platforms and between releases. The Python package has them for all:
 * particle_dev.protocol.board_check.slots_at(platform_by_name("boron"), "2.1.0").
 */
typedef struct pd_slot {
    uint8_t function;
    uint8_t index;
    uint8_t mcu_target;
    bool has_fixed_end;      /* RTL872x user part: the module ends where the slot ends and starts anywhere in it */
    uint32_t start_address;
    uint32_t end_address;    /* exclusive */
    uint32_t max_size;
} pd_slot;

/* A module that the board has now. */
typedef struct pd_installed {
    uint8_t function;
    uint8_t index;
    uint16_t version;
    uint32_t start_address;
    pd_dependency dependencies[2];
} pd_installed;

typedef struct pd_board {
    uint16_t platform_id;
    uint8_t ncp_target;       /* identifier of the updatable NCP, 0: none */
    bool is_update;           /* true: rules for an update that arrives; false: rules at start-up (safe mode or not) */
    bool is_protected;        /* protected or service mode, and the update is a local one */
    uint32_t update_max_size; /* of the OTA region; 0: no limit */
    const pd_slot *slots;
    size_t slot_count;
    const pd_installed *modules;
    size_t module_count;
} pd_board;

/*
 * In the order of a device's verdict. 0x02 to 0x40 are Device OS's own bits (module_validation_flags_t; no version of it
 * ever checks 0x20, the product), the rest are ours.
 */
enum {
    PD_CHECK_SIZE = 0x100,              /* 0 < size <= update_max_size */
    PD_CHECK_RANGE = 0x08,              /* a slot for this function and index; the end address lies in it */
    PD_CHECK_INTEGRITY = 0x02,          /* CRC-32 */
    PD_CHECK_DEPENDENCIES = 0x04,       /* both, not transitive. An update does not look at those of a user part, nor
                                           at a second one on a bootloader; without a first there is no second */
    PD_CHECK_DEPENDENCIES_FULL = 0x40,  /* no other system part wants a newer version of this one */
    PD_CHECK_PLATFORM = 0x10,
    PD_CHECK_FORMAT = 0x200,            /* flags that fit the kind, NCP target */
    PD_CHECK_PROTECTION = 0x400,        /* bootloader 0 with SECURITY_MODE, system part >= 6000 */
    PD_CHECK_ASSET = 0x800,             /* flags, packing, NAME and HASH of an asset */
    /* No device makes these two. */
    PD_CHECK_ADDRESS = 0x1000,          /* every byte lies in the slot, at its fixed end */
    PD_CHECK_SHA256 = 0x2000            /* only with hooks for it */
};

typedef struct pd_report {
    unsigned checked;    /* PD_CHECK_ that apply to this module and board */
    unsigned passed;     /* equal to checked: the board takes it */
    pd_status status;    /* the first failure in the order above, or PD_OK */
    size_t offset;       /* the file offset of the field that fails */
    int device_result;   /* what Device OS 6.2 answers to an update: 0 or its negative error code */
} pd_report;

/*
 * Applies Device OS's checks to a module that pd_module_parse() has read (PD_OK or PD_ERR_CRC).
 *
 * Source: device-os v6.2.0 hal/src/nRF52840/ota_module.cpp (fetch_module), ota_flash_hal.cpp (validateModules,
 * validate_module_dependencies), hal/src/rtl872x/ota_module.cpp, system/src/asset_manager.cpp (AssetReader::validate).
 */
void pd_module_check(const pd_source *source, const pd_hooks *hooks, const pd_module *module, const pd_board *board,
                     pd_report *out);

#ifdef __cplusplus
}
#endif

#endif
