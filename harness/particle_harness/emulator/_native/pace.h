/* What happens before each instruction of an emulated core. */
#ifndef PARTICLE_HARNESS_PACE_H
#define PARTICLE_HARNESS_PACE_H

#include <stdint.h>

/* cdef */
#define PACE_BRANCHES 64
#define PACE_MEMORIES 16
#define PACE_BREAKPOINTS 8
#define PACE_CODE_PAGES 1048576

/* A memory that code may run from. */
struct pace_memory {
    uint32_t start;
    uint32_t size_bytes;
    const uint8_t *cells;
};

/* All of it may be read and written whenever the core stands still or is inside a callback. */
struct pace {
    /* Falls by one with each instruction, and by what its owner takes off; the core stops when it is used up. */
    int64_t cycles_left;
    /* Not 0: stop before the next instruction. Cleared by the owner; positive values say why. */
    int32_t attention;
    /* Look at opcodes: PACE_WATCH_... Each costs time. */
    uint32_t watch;
    /* The instruction that is being executed, and where the one after it would be. */
    uint32_t address;
    uint32_t next_address;
    /* Targets of the last jumps; the newest before branches[branch_count % PACE_BRANCHES]. */
    uint32_t branches[PACE_BRANCHES];
    uint32_t branch_count;
    uint32_t memory_count;
    struct pace_memory memories[PACE_MEMORIES];
    /* Instructions before which the core stops, except the first one of a run where it is `passing`. */
    uint32_t breakpoint_count;
    uint32_t breakpoints[PACE_BREAKPOINTS];
    uint32_t passing;
    /* uc_emu_stop of the library that executes. */
    int (*stop)(void *engine);
    /* Not 0 for each page that code has run from, by its number. */
    uint8_t code_pages[PACE_CODE_PAGES];
};

/* Stop behind an instruction that may lift a mask: CPSIE, MSR to PRIMASK, FAULTMASK, BASEPRI. */
#define PACE_WATCH_UNMASK 1
/* Stop before an instruction of the floating-point unit. */
#define PACE_WATCH_FLOATING_POINT 2
/* Stop before the instructions in breakpoints. */
#define PACE_WATCH_BREAKPOINTS 4

/* Values of attention. */
#define PACE_ASKED 1
#define PACE_FLOATING_POINT 2
#define PACE_BREAKPOINT 3

/* Code hook of the library (uc_cb_hookcode_t). */
void pace_before_instruction(void *engine, uint64_t address, uint32_t size_bytes, void *pace);
/* end of cdef */

#endif
