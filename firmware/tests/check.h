/* What the test files share. SPDX-License-Identifier: Apache-2.0 */
#ifndef CHECK_H
#define CHECK_H

#include "synthetic.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

extern int failures;
extern const char *current; /* the row of a table that is being tested */

#define CHECK(condition)                                                               \
    do {                                                                               \
        if (!(condition)) {                                                            \
            printf("%s:%d: %s: %s\n", __FILE__, __LINE__, current, #condition);        \
            failures++;                                                                \
        }                                                                              \
    } while (0)

typedef struct test {
    const char *name;
    void (*run)(void);
} test;

/* Each ends with a row of NULLs. */
extern const test MODULE_TESTS[], EXTENSION_TESTS[], SOURCE_TESTS[], CHECK_TESTS[], SELFTEST_TESTS[], SERIAL_TESTS[];

/* A malloc of exactly these bytes, so that AddressSanitizer sees one byte too far. */
uint8_t *copy_of(const void *bytes, size_t size);

/* Parses such a copy of the first `size` bytes of `file`. */
pd_status parse(size_t size, pd_module *out);

#endif
