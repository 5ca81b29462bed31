/* Modules made up for tests and as the fuzzer's seeds. SPDX-License-Identifier: Apache-2.0 */
#ifndef SYNTHETIC_H
#define SYNTHETIC_H

#include "pd_module.h"

enum { START = 0x30000, BODY = 512, FILE_MAX = 2048 };

/* What a test wants its module to look like. */
typedef struct recipe {
    uint32_t first_word;       /* 0: no vector table */
    size_t prefix_offset;
    uint8_t flags;
    const char *prefix_tlvs;   /* raw bytes, with END */
    size_t prefix_tlvs_size;
    const char *suffix_extra;  /* raw bytes between body and suffix base */
    size_t suffix_extra_size;
    int suffix_size;           /* -1: the right one */
    uint8_t function;          /* 0: system part */
} recipe;

/* System part 1 of platform 13, version 2101, product 13 / 3; needs bootloader 0 >= 1005 and radio stack 0 >= 202. */
extern const recipe PLAIN;

extern uint8_t file[FILE_MAX];
extern size_t file_size;

void put_u16(size_t offset, unsigned value);
void put_u32(size_t offset, uint32_t value);
void build(recipe r);
void seal(void); /* makes the CRC right again after a change */

#endif
