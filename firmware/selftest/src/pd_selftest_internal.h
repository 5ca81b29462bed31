/* What the sources of the library share. SPDX-License-Identifier: Apache-2.0 */
#ifndef PD_SELFTEST_INTERNAL_H
#define PD_SELFTEST_INTERNAL_H

#include "pd_selftest.h"

/* Copies what fits, always ends with a zero byte. */
void pd_copy_text(char *out, size_t size, const char *text);

#endif
