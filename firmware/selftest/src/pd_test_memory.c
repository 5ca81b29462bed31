/* Tests of RAM and flash. SPDX-License-Identifier: Apache-2.0 */
#include "pd_selftest_internal.h"

#include <string.h>

/* ---- ram: March C-, with two backgrounds -------------------------------------------------------------------------- */

enum { WORDS_PER_STEP = 1024 };

/* For each element: what is read first, what is then written, and in which order. 0 and 1 are the background and its
 * complement; -1: nothing. Finds stuck bits, transition, coupling and address decoder faults. */
static const struct {
    int8_t read, write;
    bool is_downwards;
} MARCH[] = {
    { -1, 0, false }, { 0, 1, false }, { 1, 0, false }, { 0, 1, true }, { 1, 0, true }, { 0, -1, false },
};
/* The second finds coupling of bits within a word. */
static const uint32_t BACKGROUNDS[] = { 0x00000000u, 0x55555555u };

enum { REGION, BACKGROUND, ELEMENT, INDEX, ERRORS, FIRST_ERROR }; /* of state[] */

static void march(pd_selftest *service, uint32_t count)
{
    const pd_hardware *const hardware = service->hardware;
    uint32_t *const state = service->state;
    const size_t region = state[REGION];
    const uint32_t background = BACKGROUNDS[state[BACKGROUND]];
    const int read = MARCH[state[ELEMENT]].read, write = MARCH[state[ELEMENT]].write;
    const uint32_t word_count = hardware->ram_regions[region].word_count;

    for (; count > 0; count--, state[INDEX]++) {
        const uint32_t index = MARCH[state[ELEMENT]].is_downwards ? word_count - 1 - state[INDEX] : state[INDEX];
        if (read >= 0) {
            const uint32_t expected = read == 1 ? ~background : background;
            const uint32_t difference = hardware->ram_read(hardware->context, region, index) ^ expected;
            if (difference != 0) {
                if (state[ERRORS] == 0) {
                    state[FIRST_ERROR] = index * 4;
                }
                state[ERRORS] += state[ERRORS] < 0x7fffffffu;
            }
        }
        if (write >= 0) {
            hardware->ram_write(hardware->context, region, index, write == 1 ? ~background : background);
        }
    }
}

static void report_region(pd_selftest *service)
{
    uint32_t *const state = service->state;
    const pd_ram_region *const region = &service->hardware->ram_regions[state[REGION]];

    pd_selftest_measure(service, region->name, "B", (int32_t)(region->word_count * 4));
    if (!pd_selftest_limited(service, "errors", "words", (int32_t)state[ERRORS], 0, 0)) {
        pd_selftest_measure(service, "first_error", "B", (int32_t)state[FIRST_ERROR]);
        pd_selftest_message(service, "a memory cell does not keep what is written");
    }
}

/* The content of the regions is lost. */
pd_outcome pd_test_ram(pd_selftest *service)
{
    const pd_hardware *const hardware = service->hardware;
    uint32_t *const state = service->state;

    if (hardware->ram_read == NULL || hardware->ram_write == NULL || hardware->ram_region_count == 0) {
        return PD_NOT_SUPPORTED;
    }
    if (service->cancelled) {
        return PD_CANCELLED;
    }
    const uint32_t word_count = hardware->ram_regions[state[REGION]].word_count;
    const uint32_t left = word_count - state[INDEX];
    march(service, left < WORDS_PER_STEP ? left : WORDS_PER_STEP);
    if (state[INDEX] < word_count) {
        return PD_RUNNING;
    }
    state[INDEX] = 0;
    if (++state[ELEMENT] < PD_COUNT(MARCH)) {
        return PD_RUNNING;
    }
    state[ELEMENT] = 0;
    if (++state[BACKGROUND] < PD_COUNT(BACKGROUNDS)) {
        return PD_RUNNING;
    }
    state[BACKGROUND] = 0;
    report_region(service);
    state[ERRORS] = 0;
    return ++state[REGION] < hardware->ram_region_count ? PD_RUNNING : PD_PASSED;
}

/* ---- flash ------------------------------------------------------------------------------------------------------ */

enum { PIECE = 32, PIECES_PER_STEP = 16 };
enum { ERASED, PROGRAMMED, ERASED_AGAIN }; /* stages: what is checked last */
enum { STAGE, OFFSET, FLASH_ERRORS, FIRST_FLASH_ERROR, ERASE_MS };

/* Depends on all of the offset, so that a byte of another address shows. */
static uint8_t pattern(uint32_t offset)
{
    return (uint8_t)((offset * 0x9e3779b1u) >> 24 ^ offset);
}

static bool check_piece(pd_selftest *service, uint32_t offset, uint32_t stage)
{
    const pd_hardware *const hardware = service->hardware;
    uint32_t *const state = service->state;
    uint8_t expected[PIECE], piece[PIECE];

    memset(expected, 0xff, sizeof expected);
    if (stage == PROGRAMMED) {
        for (uint32_t i = 0; i < PIECE; i++) {
            expected[i] = pattern(offset + i);
        }
        if (!hardware->flash_program(hardware->context, offset, expected, sizeof expected)) {
            return false;
        }
    }
    if (!hardware->flash_read(hardware->context, offset, piece, sizeof piece)) {
        return false;
    }
    for (uint32_t i = 0; i < PIECE; i++) {
        if (piece[i] != expected[i]) {
            if (state[FLASH_ERRORS]++ == 0) {
                state[FIRST_FLASH_ERROR] = offset + i;
            }
        }
    }
    return true;
}

static bool erase(pd_selftest *service)
{
    const pd_hardware *const hardware = service->hardware;
    const uint32_t before_ms = hardware->uptime_ms(hardware->context);
    const bool ok = hardware->flash_erase(hardware->context);
    service->state[ERASE_MS] = hardware->uptime_ms(hardware->context) - before_ms;
    return ok;
}

/* Erase, program and read back, erase again. */
pd_outcome pd_test_flash(pd_selftest *service)
{
    const pd_hardware *const hardware = service->hardware;
    const pd_flash_area *const area = hardware->flash_area;
    uint32_t *const state = service->state;

    if (area == NULL || hardware->flash_erase == NULL || hardware->flash_program == NULL ||
        hardware->flash_read == NULL) {
        return PD_NOT_SUPPORTED;
    }
    if (service->cancelled) {
        hardware->flash_erase(hardware->context);
        return PD_CANCELLED;
    }
    bool ok = state[OFFSET] > 0 || state[STAGE] == PROGRAMMED || erase(service);
    for (unsigned i = 0; ok && i < PIECES_PER_STEP && state[OFFSET] < area->size; i++) {
        ok = check_piece(service, state[OFFSET], state[STAGE]);
        state[OFFSET] += PIECE;
    }
    if (!ok) {
        pd_selftest_message(service, "the flash refuses to erase, program or read");
        return PD_FAILED;
    }
    if (state[OFFSET] < area->size) {
        return PD_RUNNING;
    }
    state[OFFSET] = 0;
    if (state[STAGE] < ERASED_AGAIN) {
        state[STAGE]++;
        return PD_RUNNING;
    }
    pd_selftest_measure(service, area->name, "B", (int32_t)area->size);
    pd_selftest_measure(service, "erase", "ms", (int32_t)state[ERASE_MS]);
    if (!pd_selftest_limited(service, "errors", "B", (int32_t)state[FLASH_ERRORS], 0, 0)) {
        pd_selftest_measure(service, "first_error", "B", (int32_t)state[FIRST_FLASH_ERROR]);
        pd_selftest_message(service, "the flash does not hold what was written");
    }
    return PD_PASSED;
}
