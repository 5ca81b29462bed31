/* Writes the fuzzer's seeds into a folder: made-up modules of every layout. SPDX-License-Identifier: Apache-2.0 */
#include "synthetic.h"

#include <stdio.h>
#include <stdlib.h>

static void save(const char *folder, unsigned number)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/seed-%02u", folder, number);
    FILE *out = fopen(path, "wb");
    if (out == NULL) {
        perror(path);
        exit(1);
    }
    const size_t written = fwrite(file, 1, file_size, out);
    if (fclose(out) != 0 || written != file_size) {
        perror(path);
        exit(1);
    }
}

int main(int argc, char **argv)
{
    static const struct { uint32_t first_word; size_t offset; } PLACES[] = {
        { START, 0 }, { 0x96969999u, 0x20 }, { 0x20008000u, 0xc0 }, { 0x20005000u, 0x10c }, { 0x20020000u, 0x184 },
        { 0x2003f000u, 0x200 },
    };
    static const struct { const char *bytes; size_t size; } SUFFIXES[] = {
        { "", 0 },
        { "\x0d\0\3\0", 4 },
        { "\x0d\0\0\0\3\0", 6 },
        { "\2\0\x10\0............" "\1\0\x0a\0\xff\xff\x20\0\4\0", 26 },
        { "\x13\0\5\0\1" "\0\0\4\0" "\x0d\0\3\0", 13 },
        { "\x10\0\7\0\0\1h" "\x11\0\6\0hi" "\x14\0\6\0\1\0" "\1\0\x0a\0\xff\xff\xff\xff\xff\xff", 29 },
        { "\x12\0\x0b\0\0\2hhabc" "\3\0\x0c\0\7\1\xb8\x0b\x21\0\0\0" "\x77\7\5\0?" "\0\0\4\0" "\x0d\0\3\0", 36 },
    };
    unsigned number = 0;

    if (argc != 2) {
        fprintf(stderr, "usage: seeds FOLDER\n");
        return 2;
    }
    for (size_t place = 0; place < sizeof PLACES / sizeof PLACES[0]; place++) {
        for (size_t suffix = 0; suffix < sizeof SUFFIXES / sizeof SUFFIXES[0]; suffix++) {
            for (uint8_t extended = 0; extended < 2; extended++) {
                const recipe r = {
                    .first_word = PLACES[place].first_word,
                    .prefix_offset = PLACES[place].offset,
                    .flags = extended != 0 ? PD_MODULE_FLAG_PREFIX_EXTENSIONS : 0,
                    .prefix_tlvs = "\x12\0\x0a\0\0\2hhhi" "\0\0\6\0\0\0",
                    .prefix_tlvs_size = extended != 0 ? 16 : 0,
                    .suffix_extra = SUFFIXES[suffix].bytes,
                    .suffix_extra_size = SUFFIXES[suffix].size,
                    .suffix_size = -1,
                    .function = (uint8_t)(1 + number % PD_FUNCTION_ASSET),
                };
                build(r);
                if (r.prefix_offset == 0x20) {
                    put_u32(4, 0xfc66cc3fu);
                    seal();
                }
                save(argv[1], number++);
            }
        }
    }
    printf("%u seeds\n", number);
    return 0;
}
