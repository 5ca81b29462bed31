/* Unit tests of pd_module and pd_selftest. SPDX-License-Identifier: Apache-2.0 */
#include "check.h"

int failures;
const char *current = "";

uint8_t *copy_of(const void *bytes, size_t size)
{
    uint8_t *copy = malloc(size != 0 ? size : 1);
    if (copy == NULL) {
        abort();
    }
    memcpy(copy, bytes, size);
    return copy;
}

pd_status parse(size_t size, pd_module *out)
{
    uint8_t *copy = copy_of(file, size);
    const pd_source source = { .data = copy, .size = size };
    const pd_status status = pd_module_parse(&source, NULL, out);
    if (status == PD_OK || status == PD_ERR_CRC) {
        pd_extension extension;
        pd_extension_value value;
        pd_extensions areas[2] = { out->prefix_extensions, out->suffix_extensions };
        for (unsigned i = 0; i < 2; i++) {
            while (pd_module_next_extension(&source, &areas[i], &extension) == PD_OK) {
                CHECK(extension.length <= size - extension.offset);
                pd_extension_read(&source, &extension, &value);
            }
        }
    }
    free(copy);
    return status;
}

int main(void)
{
    static const test *const SUITES[] = { MODULE_TESTS, EXTENSION_TESTS, SOURCE_TESTS,
                                          CHECK_TESTS, SELFTEST_TESTS, SERIAL_TESTS };
    unsigned count = 0, failed = 0;

    for (size_t i = 0; i < sizeof SUITES / sizeof SUITES[0]; i++) {
        for (const test *t = SUITES[i]; t->name != NULL; t++) {
            const int before = failures;
            current = "";
            t->run();
            printf("%s %s\n", failures == before ? "ok  " : "FAIL", t->name);
            count++;
            failed += failures != before;
        }
    }
    printf("%u tests, %u failed\n", count, failed);
    return failed == 0 ? 0 : 1;
}
