#include "core.h"

#include <string.h>

/* Firmware that waits in a loop for time to pass costs the host as much as firmware that works. Such a loop is cut
 * short where that makes no difference to anything but the host's time.
 *
 * The anchor of a loop is the one instruction in it that reads the cycle counter. What the core does from one visit of
 * the anchor to the next follows from its registers, from memory and from the value that is read there, as long as it
 * touches no other register of a peripheral and nothing stops it: an alarm, a breakpoint, a mask that is lifted from an
 * interrupt that waits. When it came back twice with the same registers and the same memory after the same number of
 * cycles, it will do so again if what it reads next time comes to the same as what it read last time. That is tried
 * instruction by instruction, with both values, until nothing is left by which the two could be told apart: the
 * milliseconds are still the same. A loop that does not read the clock either, as that of an idle task, has any
 * instruction in it for an anchor, and goes on until something stops it.
 *
 * Neither in registers nor in memory is the monitor of exclusive accesses: of two rounds from the same state, the second
 * one leaves it as the first one did.
 */

#define FPCA 4u
#define LONGEST_PAUSE 6
#define NO_ANCHOR 1u
#define FIRST_INTERVAL 128u
#define LONGEST_SLICE 24
#define FLAGS 0xF0000000u
/* B, T2. */
#define BRANCH_TO_ITSELF 0xE7FEu
#define N_FLAG (1u << 31)
#define Z_FLAG (1u << 30)
#define C_FLAG (1u << 29)
#define V_FLAG (1u << 28)

/* ---- the state of core and memory ---- */

static void read_registers(struct core *core, uint32_t *values)
{
    memset(values, 0, sizeof core->loop.registers);
    for (int place = 0; place < CORE_FPSCR; place++) {
        values[place] = core_register(core, place);
    }
    /* Whoever uses floating point sets FPCA. */
    for (int place = CORE_FPSCR; place < CORE_REGISTERS && (values[CORE_CONTROL] & FPCA); place++) {
        values[place] = core_register(core, place);
    }
}

static void copy_memories(const struct core *core)
{
    for (uint32_t n = 0; n < core->memory_count; n++) {
        const struct core_memory *memory = &core->memories[n];
        if (memory->copy != NULL) {
            memcpy(memory->copy, memory->cells, memory->size_bytes);
        }
    }
}

static int memories_are_the_same(const struct core *core)
{
    for (uint32_t n = 0; n < core->memory_count; n++) {
        const struct core_memory *memory = &core->memories[n];
        if (memory->copy != NULL && memcmp(memory->copy, memory->cells, memory->size_bytes)) {
            return 0;
        }
    }
    return 1;
}

/* ---- what comes of a value of the clock ---- */

struct machine {
    uint32_t registers[15];
    uint32_t flags;
    uint32_t pc;
};

static int load(const struct core *core, uint32_t address, uint32_t *value)
{
    const uint8_t *cells = address & 3 ? NULL : core_memory_at(core, address, 4, 0);
    if (cells != NULL) {
        memcpy(value, cells, 4);
    }
    return cells != NULL;
}

/* Source: Armv7-M Architecture Reference Manual, A2.2.1 AddWithCarry. */
static uint32_t add_with_flags(struct machine *machine, uint32_t first, uint32_t second, uint32_t carry)
{
    uint64_t sum = (uint64_t)first + second + carry;
    uint32_t result = (uint32_t)sum;
    machine->flags = (result & N_FLAG) | (result ? 0 : Z_FLAG) | (sum >> 32 ? C_FLAG : 0);
    machine->flags |= (~(first ^ second) & (first ^ result)) >> 31 ? V_FLAG : 0;
    return result;
}

/* Source: Armv7-M Architecture Reference Manual, A5.3.2 ThumbExpandImm, for values that set no carry. */
static int expand_immediate(uint32_t first, uint32_t second, uint32_t *value)
{
    uint32_t code = (first >> 10 & 1) << 11 | (second >> 12 & 7) << 8 | (second & 0xFF);
    uint32_t rotation = code >> 7;
    *value = rotation < 8 ? code : ((code & 0x7F) | 0x80) >> rotation | ((code & 0x7F) | 0x80) << (32 - rotation);
    return rotation < 2 || rotation >= 8;
}

/* One instruction outside of IT blocks; 0 for one that is not known here. With a clock it has to be the one that reads
 * it. Source: Armv7-M Architecture Reference Manual, A7.7: LDR (immediate, T1), LDR (literal, T1), ADD and SUB (register,
 * T1), MOV (register, T1), UDIV (T1), MOV (immediate, T2), LDRD (immediate, T1, no write-back). */
static int step(const struct core *core, struct machine *machine, const uint32_t *clock)
{
    const uint8_t *code = core_memory_at(core, machine->pc, 4, 0);
    if (code == NULL) {
        return 0;
    }
    uint32_t first = code[0] | (uint32_t)code[1] << 8, second = code[2] | (uint32_t)code[3] << 8;
    uint32_t *r = machine->registers, low = first & 7, base = first >> 3 & 7, third = first >> 6 & 7;
    uint32_t next = machine->pc + 4, n = first & 15, d = second >> 8 & 15;

    machine->pc += first >= 0xE800 ? 4 : 2;
    if ((first & 0xF800) == 0x6800) {
        uint32_t address = r[base] + (first >> 6 & 31) * 4;
        if (clock != NULL && address == core->clock_address) {
            r[low] = *clock;
            return 1;
        }
        return clock == NULL && load(core, address, &r[low]);
    }
    if (clock != NULL) {
        return 0;
    }
    if ((first & 0xF800) == 0x4800) {
        return load(core, (next & ~3u) + (first & 0xFF) * 4, &r[first >> 8 & 7]);
    }
    if ((first & 0xFE00) == 0x1800) {
        r[low] = add_with_flags(machine, r[base], r[third], 0);
        return 1;
    }
    if ((first & 0xFE00) == 0x1A00) {
        r[low] = add_with_flags(machine, r[base], ~r[third], 1);
        return 1;
    }
    if ((first & 0xFF00) == 0x4600) {
        uint32_t to = low | (first >> 4 & 8), from = first >> 3 & 15;
        if (to > 12 || from > 12) {
            return 0;
        }
        r[to] = r[from];
        return 1;
    }
    if ((first & 0xFFF0) == 0xFBB0 && (second & 0xF0F0) == 0xF0F0) {
        uint32_t m = second & 15;
        if (n > 12 || d > 12 || m > 12 || r[m] == 0) {
            return 0;
        }
        r[d] = r[n] / r[m];
        return 1;
    }
    if ((first & 0xFBFF) == 0xF04F && !(second & 0x8000)) {
        return d <= 12 && expand_immediate(first, second, &r[d]);
    }
    if ((first & 0xFF70) == 0xE950) {
        uint32_t t = second >> 12, offset = (second & 0xFF) * 4, values[2];
        if (n > 12 || d > 12 || t > 12) {
            return 0;
        }
        uint32_t address = first & 0x80 ? r[n] + offset : r[n] - offset;
        if (!load(core, address, values) || !load(core, address + 4, values + 1)) {
            return 0;
        }
        r[t] = values[0], r[d] = values[1];
        return 1;
    }
    return 0;
}

static int come_to_the_same(const struct core *core, const struct machine *anchor, uint32_t one, uint32_t other)
{
    struct machine first = *anchor, second = *anchor;
    for (int n = 0; n < LONGEST_SLICE; n++) {
        if (!step(core, &first, n ? NULL : &one) || !step(core, &second, n ? NULL : &other)) {
            return 0;
        }
        if (!memcmp(&first, &second, sizeof first)) {
            return 1;
        }
    }
    return 0;
}

/* What stands in an IT block is executed by other rules. A halfword of another instruction may look like IT. */
static int may_be_conditional(const struct core *core, uint32_t address)
{
    const uint8_t *code = core_memory_at(core, address - 8, 8, 0);
    for (int n = 0; code != NULL && n < 8; n += 2) {
        if (code[n + 1] == 0xBF && code[n] & 0xF) {
            return 1;
        }
    }
    return code == NULL;
}

/* ---- rounds ---- */

static uint32_t clock_at(const struct core *core, int64_t cycles_left)
{
    return core->clock_at_end - (uint32_t)(cycles_left - core->instruction_cycles - core->access_cycles);
}

static int64_t rounds_to_skip(const struct core *core, int64_t period)
{
    const struct core_loop *loop = &core->loop;
    struct machine anchor = {.flags = loop->registers[CORE_XPSR] & FLAGS, .pc = loop->anchor};
    memcpy(anchor.registers, loop->registers, sizeof anchor.registers);
    uint32_t before = clock_at(core, core->cycles_left + period);
    int64_t rounds = 0, most = (core->cycles_left - 1) / period;
    if (!loop->reads_clock) {
        return most;
    }
    while (rounds < most && come_to_the_same(core, &anchor, before, clock_at(core, core->cycles_left - rounds * period))) {
        rounds++;
    }
    return rounds;
}

static void look_later(struct core *core)
{
    struct core_loop *loop = &core->loop;
    loop->look_at = core->branch_count + loop->interval;
    loop->interval *= 2;
    loop->accesses_before = core->access_count;
}

void core_forget_loop(struct core *core)
{
    struct core_loop *loop = &core->loop;
    loop->rounds = 0;
    loop->interval = FIRST_INTERVAL;
    if (!loop->reads_clock) {
        loop->anchor = NO_ANCHOR;
        loop->pause = 0;
    }
    look_later(core);
}

void core_look_for_loop(struct core *core, uint32_t address)
{
    struct core_loop *loop = &core->loop;
    if (core->access_count == loop->accesses_before) {
        loop->anchor = address;
        loop->reads_clock = 0;
        loop->rounds = loop->pause = 0;
    }
    look_later(core);
}

void core_stay(struct core *core)
{
    const uint8_t *code = core_memory_at(core, core->address, 2, 0);
    uint32_t opcode = code == NULL ? 0 : code[0] | (uint32_t)code[1] << 8;
    int64_t rounds = (core->cycles_left - 1) / core->instruction_cycles;
    if (opcode == BRANCH_TO_ITSELF && rounds > 0 && core->skips_loops && !(core->watch & CORE_WATCH_BREAKPOINTS)) {
        core->cycles_left -= rounds * core->instruction_cycles;
        core->loop.skipped_branches += (uint32_t)rounds;
    }
}

static void miss(struct core_loop *loop)
{
    if (!loop->reads_clock) {
        loop->anchor = NO_ANCHOR;
        return;
    }
    loop->misses += loop->misses < LONGEST_PAUSE;
    loop->pause = (1u << loop->misses) - 1;
    loop->rounds = 0;
}

void core_visit_loop(struct core *core)
{
    struct core_loop *loop = &core->loop;
    if (!core->skips_loops || core->cycles_left <= 0 || (loop->reads_clock && (!core->clock_runs || core->traced))) {
        return;
    }
    if (loop->pause) {
        loop->pause--;
        return;
    }
    uint32_t registers[CORE_REGISTERS];
    read_registers(core, registers);
    int64_t period = loop->cycles_left - core->cycles_left;
    if (loop->rounds
        && (core->access_count - loop->access_count != (loop->reads_clock ? 1 : 0) || core->guarded_stores != loop->guarded_stores
            || memcmp(registers, loop->registers, sizeof registers)
            || (loop->rounds > 1 && (period != loop->period || !memories_are_the_same(core))))) {
        miss(loop);
        return;
    }
    if (loop->rounds == 0 && loop->reads_clock && may_be_conditional(core, loop->anchor)) {
        miss(loop);
        return;
    }
    if (loop->rounds == 0) {
        memcpy(loop->registers, registers, sizeof registers);
    } else if (loop->rounds == 1) {
        copy_memories(core);
    } else if (loop->rounds > 2) {
        int64_t rounds = rounds_to_skip(core, period);
        core->cycles_left -= rounds * period;
        loop->skipped_accesses += loop->reads_clock ? (uint32_t)rounds : 0;
        loop->skipped_branches += (uint32_t)rounds * (core->branch_count - loop->branch_count);
        if (rounds == 0) {
            miss(loop);
            return;
        }
        loop->misses = 0;
    }
    loop->rounds += loop->rounds < 3;
    loop->access_count = core->access_count;
    loop->branch_count = core->branch_count;
    loop->guarded_stores = core->guarded_stores;
    loop->cycles_left = core->cycles_left;
    loop->period = period;
}
