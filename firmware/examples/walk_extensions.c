/* Prints the extensions of a module, and which assets it wants. Needs the parser's files and pd_status.c.
 * SPDX-License-Identifier: Apache-2.0 */
#include "read_file.h"

/* Copied, since walking moves it on. False when an extension is damaged. */
static bool walk(const pd_source *source, pd_extensions area)
{
    pd_extension extension;
    pd_extension_value value;
    pd_status status;

    while ((status = pd_module_next_extension(source, &area, &extension)) == PD_OK) {
        printf("0x%x: type 0x%04x, %u bytes\n", (unsigned)extension.offset, extension.type, (unsigned)extension.length);
        status = pd_extension_read(source, &extension, &value);
        if (status != PD_OK) {
            break; /* too short for its type */
        }
        if (extension.type == PD_EXTENSION_ASSET_DEPENDENCY) {
            printf("  wants %.*s\n", (int)value.name.size, (const char *)source->data + value.name.offset);
        }
    }
    if (status != PD_NO_MORE) {
        puts(pd_status_text(status));
    }
    return status == PD_NO_MORE;
}

int main(int argc, char **argv)
{
    if (argc != 2) {
        fprintf(stderr, "usage: walk_extensions FILE\n");
        return 2;
    }
    const pd_source source = read_file(argv[1]);
    pd_module module;
    const pd_status status = pd_module_parse(&source, NULL, &module);
    if (status != PD_OK) {
        puts(pd_status_text(status));
        return 1;
    }
    const bool prefix_ok = walk(&source, module.prefix_extensions);
    return walk(&source, module.suffix_extensions) && prefix_ok ? 0 : 1;
}
