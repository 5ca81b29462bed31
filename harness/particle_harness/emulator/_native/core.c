#include "core.h"

#include <string.h>

#define THUMB (1u << 24)
#define ALIGNED (1u << 9)
#define IT_STATE 0x0600FC00u
#define EXCEPTION_NUMBER 0x1FFu
/* Flags and GE: exception entry replaces IT state and exception number. */
#define KEPT_ON_ENTRY 0xF80F0000u
#define N_PRIV 1u
#define SPSEL 2u
#define FPCA 4u
#define BASIC_FRAME_BYTES 0x20u
#define EXTENDED_FRAME_BYTES 0x68u
#define NOWHERE 0xFFFFFFFEu
/* Source: ST RM0033, CRC registers. */
#define CRC_DR 0u
#define CRC_CR 8u
#define CRC_RESET 1u
#define NOTHING_TAKEN_IN 0xFFFFFFFFu

static const uint8_t stacked[] = {CORE_R0, 1, 2, 3, CORE_R12, CORE_LR};

/* ---- memories and registers ---- */

uint8_t *core_memory_at(const struct core *core, uint32_t address, uint32_t size_bytes, int to_write)
{
    for (uint32_t n = 0; n < core->memory_count; n++) {
        const struct core_memory *memory = &core->memories[n];
        uint32_t offset = address - memory->start;
        if (offset < memory->size_bytes && memory->size_bytes - offset >= size_bytes && (memory->writable || !to_write)) {
            return memory->cells + offset;
        }
    }
    return NULL;
}

static void note_use(const struct core *core, uint32_t address, uint32_t size_bytes, uint8_t use)
{
    for (uint32_t n = 0; n < core->memory_count; n++) {
        const struct core_memory *memory = &core->memories[n];
        uint32_t offset = address - memory->start;
        if (offset >= memory->size_bytes || memory->used == NULL) {
            continue;
        }
        for (uint32_t end = offset + size_bytes; offset < end && offset < memory->size_bytes; offset++) {
            if (!memory->used[offset] || memory->used[offset] == CORE_SUMMED) {
                memory->used[offset] = use;
            }
        }
    }
}

uint32_t core_register(struct core *core, int place)
{
    uint64_t value = 0;
    core->reg_read(core->engine, core->register_ids[place], &value);
    return (uint32_t)value;
}

void core_set_register(struct core *core, int place, uint32_t value)
{
    uint64_t wide = value;
    core->reg_write(core->engine, core->register_ids[place], &wide);
}

void core_sample(struct core *core)
{
    core->pc = core_register(core, CORE_PC) & ~1u;
    core->xpsr = core_register(core, CORE_XPSR);
    core->control = core_register(core, CORE_CONTROL) & (N_PRIV | SPSEL | FPCA);
    int unprivileged = (core->control & N_PRIV) && !(core->xpsr & EXCEPTION_NUMBER);
    if (unprivileged) {
        /* Unprivileged code reads masks as 0; a handler does not. */
        core_set_register(core, CORE_XPSR, core->xpsr | 3);
    }
    core->primask = core_register(core, CORE_PRIMASK) & 1;
    core->basepri = core_register(core, CORE_BASEPRI) & 0xFF;
    core->faultmask = core_register(core, CORE_FAULTMASK) & 1;
    if (unprivileged) {
        core_set_register(core, CORE_XPSR, core->xpsr);
    }
}

void core_save_registers(struct core *core, uint32_t *values)
{
    uint32_t xpsr = core_register(core, CORE_XPSR);
    values[CORE_SP] = core_register(core, CORE_SP);
    /* Privileged code reads them all. */
    core_set_register(core, CORE_XPSR, xpsr | 3);
    for (int place = 0; place < CORE_REGISTERS; place++) {
        if (place != CORE_SP) {
            values[place] = core_register(core, place);
        }
    }
    core_set_register(core, CORE_XPSR, xpsr);
    values[CORE_XPSR] = xpsr;
    values[CORE_CONTROL] &= N_PRIV | SPSEL | FPCA;
}

void core_load_registers(struct core *core, const uint32_t *values)
{
    /* Handler mode, then privileged Thread mode on the main stack: there everything may be written. */
    core_set_register(core, CORE_XPSR, THUMB | 3);
    core_set_register(core, CORE_CONTROL, 0);
    core_set_register(core, CORE_XPSR, THUMB);
    core_set_register(core, CORE_CONTROL, 0);
    for (int place = 0; place < CORE_REGISTERS; place++) {
        if (place != CORE_SP && place != CORE_PC && place != CORE_XPSR && place != CORE_CONTROL) {
            core_set_register(core, place, values[place]);
        }
    }
    if (values[CORE_XPSR] & EXCEPTION_NUMBER) {
        core_set_register(core, CORE_CONTROL, values[CORE_CONTROL] & ~SPSEL);
        core_set_register(core, CORE_XPSR, values[CORE_XPSR]);
    } else {
        core_set_register(core, CORE_XPSR, values[CORE_XPSR]);
        core_set_register(core, CORE_CONTROL, values[CORE_CONTROL]);
    }
    core_set_register(core, CORE_PC, values[CORE_PC] | 1);
    core_sample(core);
}

/* ---- instructions ---- */

/* Source: Armv7-M Architecture Reference Manual, B5.2.1 CPS, B5.2.3 MSR. */
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

static void look_for_breakpoints(struct core *core, uint32_t address)
{
    uint32_t passing = core->passing;
    core->passing = 1;
    for (uint32_t n = 0; n < core->breakpoint_count; n++) {
        if (core->breakpoints[n] == address && address != passing) {
            core->attention = CORE_BREAKPOINT;
        }
    }
}

static void look(struct core *core, uint32_t address)
{
    if (core->watch & CORE_WATCH_BREAKPOINTS) {
        look_for_breakpoints(core, address);
    }
    if (core->attention || !(core->watch & (CORE_WATCH_UNMASK | CORE_WATCH_FLOATING_POINT))) {
        return;
    }
    const uint8_t *code = core_memory_at(core, address, 4, 0);
    if (code == NULL) {
        return;
    }
    uint32_t first = code[0] | (uint32_t)code[1] << 8;
    uint32_t second = first >= 0xE800 ? code[2] | (uint32_t)code[3] << 8 : 0;
    if ((core->watch & CORE_WATCH_UNMASK) && may_unmask(first, second)) {
        /* The next instruction is the one before which the core stops. */
        core->attention = -1;
    } else if ((core->watch & CORE_WATCH_FLOATING_POINT) && is_floating_point(first, second)) {
        core->attention = CORE_FLOATING_POINT;
    }
}

void core_before_instruction(void *engine, uint64_t address64, uint32_t size_bytes, void *user)
{
    struct core *core = user;
    uint32_t address = (uint32_t)address64;
    int came_again = 0;

    if (address != core->next_address) {
        came_again = address == core->address;
        core->branches[core->branch_count++ % CORE_BRANCHES] = address;
        core->code_pages[address >> 12] = 1;
        if (core->branch_count == core->loop.look_at) {
            core_look_for_loop(core, address);
        }
    } else if ((address & 0xFFF) < 4) {
        core->code_pages[address >> 12] = 1;
    }
    core->address = address;
    core->next_address = address + size_bytes;
    if (core->notes_reads) {
        /* The longest instruction: what the engine or look() has seen of it. */
        note_use(core, address, 4, CORE_READ);
    }
    int32_t stop = core->attention;
    if (core->watch && !stop) {
        look(core, address);
        stop = core->attention > 0;
    }
    if (came_again && !stop) {
        core_stay(core);
    } else if (address == core->loop.anchor && !stop) {
        core_visit_loop(core);
    }
    int64_t left = core->cycles_left;
    core->cycles_left = left - core->instruction_cycles;
    if (left <= 0 || stop) {
        core->emu_stop(engine);
    }
}

void core_on_interrupt(void *engine, uint32_t number, void *user)
{
    struct core *core = user;
    core->interrupt = (int32_t)number;
    core->emu_stop(engine);
}

_Bool core_on_unmapped(void *engine, int kind, uint64_t address, int size_bytes, int64_t value, void *user)
{
    struct core *core = user;
    (void)engine, (void)size_bytes, (void)value;
    core->unmapped_kind = kind;
    core->unmapped_address = (uint32_t)address;
    return 0;
}

/* Before it calls a hook for a memory, the engine restores state as for a fault, IT state included; translated code, which
 * goes on behind the hook, has none outside of a translation's start, and would stay in the block for ever. */
static void leave_it_block(struct core *core)
{
    uint64_t state = 0;
    core->reg_read(core->engine, core->epsr_id, &state);
    if (state & IT_STATE) {
        state &= ~(uint64_t)IT_STATE;
        core->reg_write(core->engine, core->epsr_id, &state);
    }
}

static void begin_sum(struct core *core)
{
    /* One that has taken in nothing from these memories is none. */
    if (core->sum_count == 0 || core->sum_count > CORE_SUMS || core->sums[core->sum_count - 1].end) {
        core->sum_count++;
    }
    if (core->sum_count > CORE_SUMS) {
        return;
    }
    struct core_sum *sum = &core->sums[core->sum_count - 1];
    memset(sum, 0, sizeof *sum);
    memcpy(sum->before, core->loads, sizeof sum->before);
}

static void take_into_sum(struct core *core, uint32_t address, uint32_t size_bytes)
{
    if (core->sum_count == 0 || core->sum_count > CORE_SUMS) {
        return;
    }
    struct core_sum *sum = &core->sums[core->sum_count - 1];
    if (!sum->end) {
        sum->start = sum->end = address;
    }
    if (address != sum->end) {
        sum->broken = 1;
    }
    sum->end = address + size_bytes;
}

void core_on_load(void *engine, int kind, uint64_t address, int size_bytes, int64_t value, void *user)
{
    struct core *core = user;
    (void)engine, (void)kind, (void)value;
    uint8_t use = CORE_READ;
    for (uint32_t n = 0; n < core->summer_count; n++) {
        if (core->address == core->summers[n].begins) {
            begin_sum(core);
        } else if (core->address == core->summers[n].takes) {
            take_into_sum(core, (uint32_t)address, (uint32_t)size_bytes);
            use = CORE_SUMMED;
        }
    }
    if (use == CORE_READ && size_bytes == 4) {
        core->loads[core->load_count++ % CORE_LOADS] = (uint32_t)address;
    }
    note_use(core, (uint32_t)address, (uint32_t)size_bytes, use);
    leave_it_block(core);
}

_Bool core_on_guarded_store(void *engine, int kind, uint64_t address, int size_bytes, int64_t value, void *user)
{
    struct core *core = user;
    (void)engine, (void)kind;
    core->guarded_stores++;
    _Bool stored = core_store_guarded((uint32_t)address, (uint32_t)size_bytes, value, core->owner);
    leave_it_block(core);
    return stored;
}

static void note_access(const struct core_door *door, uint64_t offset, uint32_t value, int is_write)
{
    struct core *core = door->core;
    struct core_access *access = &core->accesses[core->access_count++ % CORE_ACCESSES];
    access->address = door->address + (uint32_t)offset;
    access->value = value;
    access->by = core->address;
    access->is_write = is_write;
}

/* Source: ST RM0033, CRC calculation unit. */
uint32_t core_crc(uint32_t crc, uint32_t word)
{
    static const uint32_t rows[16] = {
        0x00000000, 0x04C11DB7, 0x09823B6E, 0x0D4326D9, 0x130476DC, 0x17C56B6B, 0x1A864DB2, 0x1E475005,
        0x2608EDB8, 0x22C9F00F, 0x2F8AD6D6, 0x2B4BCB61, 0x350C9B64, 0x31CD86D3, 0x3C8EA00A, 0x384FBDBD,
    };
    crc ^= word;
    for (int n = 0; n < 8; n++) {
        crc = crc << 4 ^ rows[crc >> 28];
    }
    return crc;
}

uint64_t core_read(void *engine, uint64_t offset, unsigned size_bytes, void *user)
{
    const struct core_door *door = user;
    (void)engine;
    struct core *core = door->core;
    uint32_t value;
    core->cycles_left -= core->access_cycles;
    if (core->clock_runs && !core->traced && door->address + (uint32_t)offset == core->clock_address && size_bytes == 4) {
        value = core->clock_at_end - (uint32_t)core->cycles_left;
        if (core->address != core->loop.anchor) {
            core->loop.anchor = core->address;
            core->loop.reads_clock = 1;
            core->loop.rounds = 0;
        }
    } else if (door->address + (uint32_t)offset == core->crc_address && size_bytes == 4 && !core->traced) {
        value = core->crc;
    } else {
        value = core_read_peripheral(core->cycles_left, (uint32_t)offset, size_bytes, door->read);
    }
    note_access(door, offset, value, 0);
    return value;
}

void core_write(void *engine, uint64_t offset, unsigned size_bytes, uint64_t value, void *user)
{
    const struct core_door *door = user;
    struct core *core = door->core;
    (void)engine;
    core->cycles_left -= core->access_cycles;
    note_access(door, offset, (uint32_t)value, 1);
    uint32_t of_crc_unit = door->address + (uint32_t)offset - core->crc_address;
    if (of_crc_unit == CRC_DR && size_bytes == 4 && !core->traced) {
        core->crc = core_crc(core->crc, (uint32_t)value);
    } else if (of_crc_unit == CRC_CR && size_bytes == 4 && !core->traced) {
        core->crc = value & CRC_RESET ? NOTHING_TAKEN_IN : core->crc;
    } else {
        core_write_peripheral(core->cycles_left, (uint32_t)offset, size_bytes, (uint32_t)value, door->write);
    }
}

void core_run(struct core *core)
{
    core->attention = 0;
    core_forget_loop(core);
    core->interrupt = core->unmapped_kind = -1;
    core->error = core->emu_start(core->engine, core_register(core, CORE_PC) | 1, NOWHERE, 0, 0);
    core_sample(core);
    core->stopped = core->attention != 0 || core->cycles_left <= -core->instruction_cycles;
    if (core->stopped && core->pc == core->address) {
        /* The hook stopped before this instruction. */
        core->cycles_left += core->instruction_cycles;
    }
}

/* ---- exception frames ----
 *
 * Source: Armv7-M Architecture Reference Manual, B1.5.6 (exception entry), B1.5.7 (stack alignment), B1.5.8 (exception
 * return). The floating-point frame is written at once where hardware may only reserve it (lazy preservation, B1.5.7).
 */

static void put_word(uint8_t *at, uint32_t value)
{
    at[0] = (uint8_t)value, at[1] = (uint8_t)(value >> 8), at[2] = (uint8_t)(value >> 16), at[3] = (uint8_t)(value >> 24);
}

static uint32_t get_word(const uint8_t *at)
{
    return at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
}

int core_push_frame(struct core *core, uint32_t return_address, int from_thread)
{
    core_sample(core);
    int floating_point = (core->control & FPCA) && core->automatic_state;
    uint32_t stack_pointer = core_register(core, CORE_SP);
    uint32_t size_bytes = floating_point ? EXTENDED_FRAME_BYTES : BASIC_FRAME_BYTES;
    int align = (stack_pointer & 4) && (core->align_to_8 || floating_point);
    uint32_t frame_at = stack_pointer - size_bytes - (align ? 4 : 0);

    core->exception_return = 0xFFFFFFE1u | (floating_point ? 0 : 0x10);
    if (from_thread) {
        core->exception_return |= core->control & SPSEL ? 0xC : 8;
    }
    core_set_register(core, CORE_SP, frame_at);
    uint8_t *cells = core_memory_at(core, frame_at, size_bytes, 1);
    if (cells == NULL) {
        return 0;
    }
    for (unsigned n = 0; n < sizeof stacked; n++) {
        put_word(cells + 4 * n, core_register(core, stacked[n]));
    }
    put_word(cells + 24, return_address & ~1u);
    put_word(cells + 28, (core->xpsr & ~ALIGNED) | (align ? ALIGNED : 0));
    if (floating_point) {
        for (unsigned n = 0; n < 16; n++) {
            put_word(cells + 32 + 4 * n, core_register(core, (int)(CORE_S0 + n)));
        }
        put_word(cells + 96, core_register(core, CORE_FPSCR));
    }
    if (core->code_pages[frame_at >> 12] || core->code_pages[(frame_at + size_bytes - 1) >> 12]) {
        core->code_written = 1;
    }
    return 1;
}

void core_enter_handler(struct core *core, uint32_t number, uint32_t exception_return, uint32_t handler)
{
    uint32_t xpsr = (core_register(core, CORE_XPSR) & KEPT_ON_ENTRY) | THUMB;
    uint32_t control = core_register(core, CORE_CONTROL);
    /* CONTROL can only be written by privileged code, and SPSEL only in Thread mode. */
    core_set_register(core, CORE_XPSR, xpsr | number);
    if (control & SPSEL) {
        core_set_register(core, CORE_CONTROL, 0);
        core_set_register(core, CORE_XPSR, xpsr);
        core_set_register(core, CORE_CONTROL, 0);
        core_set_register(core, CORE_XPSR, xpsr | number);
    }
    core_set_register(core, CORE_CONTROL, control & N_PRIV);
    core_set_register(core, CORE_LR, exception_return);
    core_set_register(core, CORE_PC, handler | 1);
}

static int stack_of(uint32_t exception_return)
{
    return exception_return & 4 ? CORE_PSP : CORE_MSP;
}

int core_read_frame(struct core *core, uint32_t exception_return)
{
    uint32_t at = core_register(core, stack_of(exception_return));
    uint32_t size_bytes = exception_return & 0x10 ? BASIC_FRAME_BYTES : EXTENDED_FRAME_BYTES;
    const uint8_t *cells = core_memory_at(core, at, size_bytes, 0);
    if (cells == NULL) {
        return 0;
    }
    if (core->notes_reads) {
        note_use(core, at, size_bytes, CORE_READ);
    }
    for (unsigned n = 0; n < size_bytes / 4; n++) {
        core->frame[n] = get_word(cells + 4 * n);
    }
    return 1;
}

void core_pop_frame(struct core *core, uint32_t exception_return)
{
    int to_thread = (exception_return & 8) != 0;
    int floating_point = !(exception_return & 0x10);
    int stack = stack_of(exception_return);
    uint32_t address = core->frame[6], xpsr = (core->frame[7] & ~ALIGNED) | THUMB;
    uint32_t size_bytes = floating_point ? EXTENDED_FRAME_BYTES : BASIC_FRAME_BYTES;
    uint32_t state = floating_point ? FPCA : 0;

    core_set_register(core, stack, core_register(core, stack) + size_bytes + ((core->frame[7] & ALIGNED) ? 4 : 0));
    uint32_t privilege = core_register(core, CORE_CONTROL) & N_PRIV;
    if (to_thread) {
        core_set_register(core, CORE_CONTROL, 0);
        core_set_register(core, CORE_XPSR, xpsr & ~EXCEPTION_NUMBER);
        core_set_register(core, CORE_CONTROL, privilege | ((exception_return & 4) ? SPSEL : 0) | state);
    } else {
        core_set_register(core, CORE_CONTROL, privilege | state);
        core_set_register(core, CORE_XPSR, xpsr);
    }
    for (unsigned n = 0; n < sizeof stacked; n++) {
        core_set_register(core, stacked[n], core->frame[n]);
    }
    if (floating_point) {
        for (unsigned n = 0; n < 16; n++) {
            core_set_register(core, (int)(CORE_S0 + n), core->frame[8 + n]);
        }
        core_set_register(core, CORE_FPSCR, core->frame[24]);
    }
    core_set_register(core, CORE_PC, address | 1);
}
