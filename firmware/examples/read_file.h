/* Shared by the examples: the whole file, or the end of the program. SPDX-License-Identifier: Apache-2.0 */
#ifndef READ_FILE_H
#define READ_FILE_H

#include "pd_module.h"

#include <stdio.h>
#include <stdlib.h>

static inline pd_source read_file(const char *path)
{
    static uint8_t bytes[2 * 1024 * 1024];
    FILE *in = fopen(path, "rb");
    if (in == NULL) {
        perror(path);
        exit(2);
    }
    const pd_source source = { .data = bytes, .size = fread(bytes, 1, sizeof bytes, in) };
    fclose(in);
    return source;
}

#endif
