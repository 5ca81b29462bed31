#include "pace.h"

#include <stddef.h>

static const uint8_t *code_at(const struct pace *pace, uint32_t address)
{
    for (uint32_t n = 0; n < pace->memory_count; n++) {
        const struct pace_memory *memory = &pace->memories[n];
        if (address - memory->start < memory->size_bytes) {
            return memory->cells + (address - memory->start);
        }
    }
    return NULL;
}

/* Source: Armv7-M Architecture Reference Manual, A7.7.35 CPS (B5.2.1), B5.2.3 MSR. */
static int may_unmask(uint32_t first, uint32_t second)
{
    if ((first & 0xFFF0) == 0xB660) {
        return !(first & 0x10);
    }
    return (first & 0xFFE0) == 0xF380 && (second & 0xFFF0) == 0x8810;
}

/* Source: Armv7-M Architecture Reference Manual, A5.3.18 and A6.4 to A6.7: coprocessors 10 and 11. */
static int is_floating_point(uint32_t first, uint32_t second)
{
    return (first & 0xEC00) == 0xEC00 && (first & 0x0300) != 0x0300 && (second & 0x0E00) == 0x0A00;
}

static void look_for_breakpoints(struct pace *pace, uint32_t address)
{
    uint32_t passing = pace->passing;
    pace->passing = 1;
    for (uint32_t n = 0; n < pace->breakpoint_count; n++) {
        if (pace->breakpoints[n] == address && address != passing) {
            pace->attention = PACE_BREAKPOINT;
        }
    }
}

static void look(struct pace *pace, uint32_t address)
{
    if (pace->watch & PACE_WATCH_BREAKPOINTS) {
        look_for_breakpoints(pace, address);
    }
    if (pace->attention || !(pace->watch & ~(uint32_t)PACE_WATCH_BREAKPOINTS)) {
        return;
    }
    const uint8_t *code = code_at(pace, address);
    if (code == NULL) {
        return;
    }
    uint32_t first = code[0] | (uint32_t)code[1] << 8;
    uint32_t second = first >= 0xE800 ? code[2] | (uint32_t)code[3] << 8 : 0;
    if ((pace->watch & PACE_WATCH_UNMASK) && may_unmask(first, second)) {
        /* The next instruction is the one before which the core stops. */
        pace->attention = -1;
    } else if ((pace->watch & PACE_WATCH_FLOATING_POINT) && is_floating_point(first, second)) {
        pace->attention = PACE_FLOATING_POINT;
    }
}

void pace_before_instruction(void *engine, uint64_t address64, uint32_t size_bytes, void *user)
{
    struct pace *pace = user;
    uint32_t address = (uint32_t)address64;

    if (address != pace->next_address) {
        pace->branches[pace->branch_count++ % PACE_BRANCHES] = address;
        pace->code_pages[address >> 12] = 1;
    } else if ((address & 0xFFF) < 4) {
        pace->code_pages[address >> 12] = 1;
    }
    pace->address = address;
    pace->next_address = address + size_bytes;
    int32_t stop = pace->attention;
    if (pace->watch && !stop) {
        look(pace, address);
        stop = pace->attention > 0;
    }
    if (pace->cycles_left-- <= 0 || stop) {
        pace->stop(engine);
    }
}
