/* Names and sentences, apart from the code so that a device without a screen does not carry them.
 * SPDX-License-Identifier: Apache-2.0 */
#include "pd_module.h"

typedef struct status_text {
    const char *name, *text;
} status_text;

/* Index: -status. */
static const status_text TEXTS[] = {
    { "ok", "The module is well formed." },
    { "empty", "The file is empty." },
    { "no_prefix",
      "This is not a firmware module, or it is damaged at its start." },
    { "truncated", "The file ends before the module does." },
    { "crc_mismatch", "The CRC-32 stored in the module differs from the one computed." },
    { "bad_suffix", "The suffix size is impossible." },
    { "bad_extension", "An extension is cut, too short for its type, or does not end." },
    { "read_failed", "The medium that holds the module could not be read." },
    { "bad_size", "The file is empty or larger than the board's update area." },
    { "no_slot", "The board has no place for this kind of module and index." },
    { "out_of_range", "The module ends outside the place that the board has for it." },
    { "dependency", "A module that this one depends on is missing on the board, or too old." },
    { "dependency_full", "A system part on the board needs a newer version of this module." },
    { "wrong_platform", "The module is for another platform." },
    { "bad_format", "A module behind a vector table cannot be compressed or drop its prefix." },
    { "unsupported", "The board does not take this kind of module, or not compressed." },
    { "wrong_ncp", "The firmware is for another network coprocessor." },
    { "protected", "A protected board takes only bootloaders that protect it and system parts from 6.0.0 on." },
    { "bad_asset", "The asset module lacks a flag, its name or its hash, or is packed wrongly." },
    { "bad_address", "The module does not lie in the place that the board has for it." },
    { "sha256_mismatch", "The SHA-256 stored in the suffix differs from the one computed." },
};
enum { TEXT_COUNT = sizeof TEXTS / sizeof TEXTS[0] };

static status_text find(pd_status status)
{
    static const status_text NO_MORE = { "no_more", "There is nothing more to read." };
    static const status_text UNKNOWN = { "unknown_status", "This value is no status of pd_module." };

    if (status == PD_NO_MORE) {
        return NO_MORE;
    }
    return status <= 0 && status > -TEXT_COUNT ? TEXTS[-(int)status] : UNKNOWN;
}

const char *pd_status_name(pd_status status)
{
    return find(status).name;
}

const char *pd_status_text(pd_status status)
{
    return find(status).text;
}
