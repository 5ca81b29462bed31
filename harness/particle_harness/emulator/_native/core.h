/* The part of an emulated Cortex-M core that is too frequent for Python: what happens before each instruction, at each
 * access to a register of a peripheral, and at exception entry and return. It drives the Unicorn library through
 * pointers to its functions and knows register numbers only from its owner, so it needs neither headers nor linking. */
#ifndef PARTICLE_HARNESS_CORE_H
#define PARTICLE_HARNESS_CORE_H

#include <stddef.h>
#include <stdint.h>

/* cdef */
#define CORE_BRANCHES 64
#define CORE_ACCESSES 32
#define CORE_MEMORIES 16
#define CORE_BREAKPOINTS 12
#define CORE_CODE_PAGES 1048576

/* Stop behind an instruction that may lift a mask: CPSIE, MSR to PRIMASK, FAULTMASK, BASEPRI. */
#define CORE_WATCH_UNMASK 1
/* Stop before an instruction of the floating-point unit. */
#define CORE_WATCH_FLOATING_POINT 2
/* Stop before the instructions in breakpoints. */
#define CORE_WATCH_BREAKPOINTS 4

/* In a memory's used: this byte was read; it was taken into a sum and is in no other way known. */
#define CORE_READ 1
#define CORE_SUMMED 4

#define CORE_SUMMERS 8
#define CORE_SUMS 64
#define CORE_LOADS 8

/* Values of attention. */
#define CORE_ASKED 1
#define CORE_FLOATING_POINT 2
#define CORE_BREAKPOINT 3

/* Places in register_ids. */
#define CORE_R0 0
#define CORE_R12 12
#define CORE_SP 13
#define CORE_LR 14
#define CORE_PC 15
#define CORE_XPSR 16
#define CORE_MSP 17
#define CORE_PSP 18
#define CORE_CONTROL 19
#define CORE_PRIMASK 20
#define CORE_BASEPRI 21
#define CORE_FAULTMASK 22
#define CORE_FPSCR 23
#define CORE_S0 24
#define CORE_REGISTERS 56

/* A memory that code may run from, and that may hold a stack. */
struct core_memory {
    uint32_t start;
    uint32_t size_bytes;
    uint8_t *cells;
    int32_t writable;
    /* NULL, or one byte for each of cells: 0 becomes CORE_READ when the byte is read. */
    uint8_t *used;
    /* NULL, or room for a copy of cells: once for each memory that may be written. */
    uint8_t *copy;
};

/* A routine that computes a checksum over memory: its loads at `begins` come once in each call, before it takes in
 * anything, those at `takes` take in the next bytes and do nothing else. */
struct core_summer {
    uint32_t begins;
    uint32_t takes;
};

/* What one call has taken in, in ascending order without gaps, unless it is `broken`; and the last loads before it. */
struct core_sum {
    uint32_t start;
    uint32_t end;
    int32_t broken;
    uint32_t before[CORE_LOADS];
};

/* An access to a register of a peripheral: by which instruction, and what was read or written. */
struct core_access {
    uint32_t address;
    uint32_t value;
    uint32_t by;
    int32_t is_write;
};

struct core;

/* Registers of a peripheral: where they are, whose time passes, and what Python knows them by. */
struct core_door {
    struct core *core;
    uint32_t address;
    void *read;
    void *write;
};

/* A loop that may only wait for time to pass, see loops.c. */
struct core_loop {
    /* The instruction that reads the cycle counter, or any in a loop that reads no register at all; an odd address is
     * none. */
    uint32_t anchor;
    int32_t reads_clock;
    /* A loop of the second kind is looked for when branch_count gets there, and next after so many jumps more. */
    uint32_t look_at;
    uint32_t interval;
    uint32_t accesses_before;
    /* Visits in a row in the same state; and those in another one, since rounds were last skipped. */
    uint32_t rounds;
    uint32_t misses;
    /* Visits that are not looked at. */
    uint32_t pause;
    /* At the last visit. */
    uint32_t registers[CORE_REGISTERS];
    uint32_t access_count;
    uint32_t branch_count;
    uint32_t guarded_stores;
    int64_t cycles_left;
    /* From the visit before it. */
    int64_t period;
    /* In all rounds that were cut off. */
    uint32_t skipped_accesses;
    uint32_t skipped_branches;
};

/* All of it may be read and written whenever the core stands still or is inside a callback. */
struct core {
    void *engine;
    /* uc_emu_start, uc_emu_stop, uc_reg_read, uc_reg_write. */
    int (*emu_start)(void *engine, uint64_t begin, uint64_t until, uint64_t timeout, size_t count);
    int (*emu_stop)(void *engine);
    int (*reg_read)(void *engine, int id, void *value);
    int (*reg_write)(void *engine, int id, const void *value);
    int32_t register_ids[CORE_REGISTERS];
    int32_t epsr_id;
    /* What Python knows the owner by. */
    void *owner;

    /* Falls by instruction_cycles with each instruction and by access_cycles with each access to a register of a peripheral; the core
     * stops when it is used up. */
    int64_t cycles_left;
    int32_t access_cycles;
    int32_t instruction_cycles;
    /* Not 0: stop before the next instruction. Positive values say why. */
    int32_t attention;
    /* Look at opcodes: CORE_WATCH_... Each costs time. */
    uint32_t watch;
    /* The instruction that is being executed, and where the one after it would be. */
    uint32_t address;
    uint32_t next_address;
    /* Targets of the last jumps; the newest before branches[branch_count % CORE_BRANCHES]. */
    uint32_t branches[CORE_BRANCHES];
    uint32_t branch_count;
    /* The last accesses, likewise. */
    struct core_access accesses[CORE_ACCESSES];
    uint32_t access_count;
    uint32_t memory_count;
    struct core_memory memories[CORE_MEMORIES];
    /* Instructions before which the core stops, except the first one of a run where it is `passing`. */
    uint32_t breakpoint_count;
    uint32_t breakpoints[CORE_BREAKPOINTS];
    uint32_t passing;

    /* How the last run ended: the number from the interrupt hook or -1; kind (uc_mem_type) or -1 and address of an
     * access to nothing; the library's error; whether this file stopped it. */
    int32_t interrupt;
    int32_t unmapped_kind;
    uint32_t unmapped_address;
    int32_t error;
    int32_t stopped;
    /* Registers after it. */
    uint32_t pc;
    uint32_t xpsr;
    uint32_t control;
    uint32_t primask;
    uint32_t basepri;
    uint32_t faultmask;

    /* Not 0: somebody wants to be told of each access to a register, so none is answered here. */
    int32_t traced;
    /* Registers of an STM32F2's CRC unit, answered here with crc; an odd address is none. */
    uint32_t crc_address;
    uint32_t crc;
    /* Not 0: reads of the word there are answered here, by what the cycle counter will be when cycles_left is 0. */
    int32_t clock_runs;
    uint32_t clock_address;
    uint32_t clock_at_end;
    /* Not 0: loops that only wait for the clock are cut short. */
    int32_t skips_loops;
    struct core_loop loop;
    uint32_t guarded_stores;

    /* Not 0: some memory has used, and fetches are noted there, too. */
    int32_t notes_reads;
    uint32_t summer_count;
    struct core_summer summers[CORE_SUMMERS];
    /* The sums so far: the last of sums may have nothing in it yet. Those beyond CORE_SUMS are counted, not kept. */
    uint32_t sum_count;
    struct core_sum sums[CORE_SUMS];
    /* Addresses of the last words loaded from a memory that has used; the newest before load_count % CORE_LOADS. */
    uint32_t loads[CORE_LOADS];
    uint32_t load_count;

    /* CCR.STKALIGN and FPCCR.ASPEN. */
    int32_t align_to_8;
    int32_t automatic_state;
    /* A stack frame went where code has run. */
    int32_t code_written;
    uint32_t exception_return;
    uint32_t frame[26];
    /* Not 0 for each page that code has run from, by its number. */
    uint8_t code_pages[CORE_CODE_PAGES];
};

/* Hooks with the core as `user`, in the library's own types (uc_cb_hookcode_t, uc_cb_hookintr_t, uc_cb_eventmem_t). */
void core_before_instruction(void *engine, uint64_t address64, uint32_t size_bytes, void *user);
void core_on_interrupt(void *engine, uint32_t number, void *user);
_Bool core_on_unmapped(void *engine, int kind, uint64_t address, int size_bytes, int64_t value, void *user);
/* A store into a memory with rules of its own. */
_Bool core_on_guarded_store(void *engine, int kind, uint64_t address, int size_bytes, int64_t value, void *user);
/* Notes loads (uc_cb_hookmem_t). */
void core_on_load(void *engine, int kind, uint64_t address, int size_bytes, int64_t value, void *user);

/* Accesses to a door, which `user` is (uc_cb_mmio_read_t, uc_cb_mmio_write_t). */
uint64_t core_read(void *engine, uint64_t offset, unsigned size_bytes, void *user);
void core_write(void *engine, uint64_t offset, unsigned size_bytes, uint64_t value, void *user);

/* Execute from pc until something stops it, and fill in how that was. */
void core_run(struct core *core);
/* CRC-32 of whole words, most significant bit first, as STM32F2 chips compute it. */
uint32_t core_crc(uint32_t crc, uint32_t word);
/* At the anchor of loop, before it is executed: takes off cycles_left whole rounds of a loop that does nothing else. */
void core_visit_loop(struct core *core);
/* At the beginning of a run: nothing is known of loops. */
void core_forget_loop(struct core *core);
/* At the target of a jump: it may be the anchor of a loop that reads no register. */
void core_look_for_loop(struct core *core, uint32_t address);
/* At an instruction that was reached from itself: likewise, if it is nothing but the branch to there. */
void core_stay(struct core *core);
/* Cells of a memory, NULL where none holds all of those bytes. */
uint8_t *core_memory_at(const struct core *core, uint32_t address, uint32_t size_bytes, int to_write);
/* Read pc, xpsr, control and the masks. */
void core_sample(struct core *core);
uint32_t core_register(struct core *core, int place);
void core_set_register(struct core *core, int place, uint32_t value);

/* All CORE_REGISTERS of them, whatever the core's mode and privilege. */
void core_save_registers(struct core *core, uint32_t *values);
void core_load_registers(struct core *core, const uint32_t *values);

/* Exception entry: the stack pointer moves and exception_return is set in any case; gives 1 when a memory took the
 * frame, else 0. */
int core_push_frame(struct core *core, uint32_t return_address, int from_thread);
/* Handler mode on the main stack, at the handler's first instruction. */
void core_enter_handler(struct core *core, uint32_t number, uint32_t exception_return, uint32_t handler);
/* Exception return: put the frame of that EXC_RETURN into frame; gives 1 when a memory had it, else 0. */
int core_read_frame(struct core *core, uint32_t exception_return);
/* Registers as in frame, stack pointer behind it. */
void core_pop_frame(struct core *core, uint32_t exception_return);
/* end of cdef */

/* Python's part of a store; whether there is a memory. */
_Bool core_store_guarded(uint32_t address, uint32_t size_bytes, int64_t value, void *owner);
/* Python's part of an access; cycles_left is what the core has after it. */
uint32_t core_read_peripheral(int64_t cycles_left, uint32_t offset, uint32_t size_bytes, void *read);
void core_write_peripheral(
    int64_t cycles_left, uint32_t offset, uint32_t size_bytes, uint32_t value, void *write);

#endif
