/* Says what a Cortex-M does with exceptions, stacks, masks, sleep and faults. The lines must be the same on every
 * implementation: no time is measured, and only bits are printed that the architecture defines. */
#include "bare.h"

extern char stack_top[];
void reset(void);
void svc_entry(void), fault_entry(void), pendsv_entry(void);
static void systick(void), irq0(void), irq1(void), irq2(void), irq3(void), nmi(void);

__attribute__((section(".vectors"), used)) static void *const VECTORS[16 + 4] = {
    stack_top, reset, nmi, fault_entry, fault_entry, fault_entry, fault_entry, 0, 0, 0, 0, svc_entry, 0, 0, pendsv_entry,
    systick, irq0, irq1, irq2, irq3,
};

__attribute__((section(".retained"))) static volatile uint32_t boots[2];
static void *relocated[16 + 4] __attribute__((aligned(128)));
static volatile uint32_t ticks, resume_at, seen_return, seen_frame[8], svc_number;

/* ---- handlers ---- */

__asm(".syntax unified\n .thumb\n"
      ".thumb_func\n .global svc_entry\n svc_entry:\n"
      " tst lr, #4\n ite eq\n mrseq r0, msp\n mrsne r0, psp\n mov r1, lr\n b svc_handler\n"
      ".thumb_func\n .global fault_entry\n fault_entry:\n"
      " tst lr, #4\n ite eq\n mrseq r0, msp\n mrsne r0, psp\n mov r1, lr\n b fault_handler\n");

__attribute__((used)) void svc_handler(uint32_t *frame, uint32_t exception_return)
{
    svc_number = ((uint8_t *)frame[6])[-2];
    seen_return = exception_return;
    for (int n = 0; n < 8; n++) {
        seen_frame[n] = frame[n];
    }
    frame[0] = (uint32_t)frame & 7;
#ifdef __ARM_FP
    if (svc_number == 3) {
        __asm volatile("vmov.f32 s0, #31.0\n vmov.f32 s15, #31.0\n vmov.f32 s16, #31.0" ::: "s0", "s15");
    }
#endif
}

__attribute__((used)) void fault_handler(uint32_t *frame, uint32_t exception_return)
{
    uint32_t number;
    __asm volatile("mrs %0, ipsr" : "=r"(number));
    print("  exception"), print_hex(number), print_hex(CFSR), print_hex(HFSR), print_hex(exception_return);
    if (CFSR & 1u << 15) {
        print_hex(BFAR);
    }
    put('\n');
    CFSR = CFSR, HFSR = HFSR;
    frame[6] = resume_at & ~1u;
    frame[7] |= 1u << 24;
}

static void systick(void)
{
    ticks++;
}

static void nmi(void)
{
    line("  nmi", ICSR & 0x1FF, NVIC_IABR & 0xF);
}

static void irq0(void)
{
    line("  irq0", ICSR & 0x9FF, NVIC_IABR & 0xF);
}

static void irq1(void)
{
    line("  irq1 in", ICSR & 0x9FF, NVIC_IABR & 0xF);
    NVIC_ISPR = 1 << 0 | 1 << 2;
    BARRIER();
    line("  irq1 out", NVIC_ISPR & 0xF, NVIC_IABR & 0xF);
}

static void irq2(void)
{
    line("  irq2", ICSR & 0x9FF, NVIC_IABR & 0xF);
}

static void irq3(void)
{
    line("  irq3", NVIC_ISPR & 0xF, 0);
}

/* ---- threads ---- */

static uint32_t stacks[2][64], *saved[2], current;

__asm(".thumb_func\n .global pendsv_entry\n pendsv_entry:\n"
      " mrs r0, psp\n stmdb r0!, {r4-r11}\n push {r3, lr}\n bl next_thread\n pop {r3, lr}\n"
      " ldmia r0!, {r4-r11}\n msr psp, r0\n bx lr\n");

__attribute__((used)) uint32_t *next_thread(uint32_t *stack_pointer)
{
    saved[current] = stack_pointer;
    current ^= 1;
    return saved[current];
}

static void yield(void)
{
    ICSR = PENDSVSET;
    BARRIER();
}

static void other_thread(void)
{
    for (uint32_t n = 0;; n++) {
        line("  other thread", n, current);
        yield();
    }
}

static void threads(void)
{
    uint32_t *frame = &stacks[1][64 - 16];
    frame[8 + 6] = (uint32_t)other_thread & ~1u;
    frame[8 + 7] = 1u << 24;
    saved[1] = frame;
    __asm volatile("msr psp, %0\n movs r0, #2\n msr control, r0\n isb" ::"r"(&stacks[0][64]) : "r0", "memory");
    for (uint32_t n = 0; n < 3; n++) {
        line("  first thread", n, current);
        yield();
    }
    __asm volatile("svc 7" ::: "r0", "memory");
    uint32_t returned = seen_return;
    __asm volatile("movs r0, #0\n msr control, r0\n isb" ::: "r0", "memory");
    line("  svc on the process stack", returned & ~0x10u, svc_number);
}

/* ---- what is asked ---- */

static void alignment(void)
{
    uint32_t before, within, after;
    __asm volatile("mov r2, sp\n bic r2, r2, #7\n mov r3, sp\n mov sp, r2\n svc 1\n mov %0, r0\n"
                   "sub sp, sp, #4\n svc 2\n mov %1, r0\n mov %2, sp\n mov sp, r3"
                   : "=&r"(before), "=&r"(within), "=&r"(after)::"r0", "r1", "r2", "r3", "r12", "lr", "memory");
    line("  frames are aligned", before, within);
    line("  and the stack is put back", after & 7, seen_frame[7] & 0x200);
}

static void nesting(void)
{
    NVIC_PRIORITY(0) = 0x40, NVIC_PRIORITY(1) = 0x80, NVIC_PRIORITY(2) = 0xC0, NVIC_PRIORITY(3) = 0x80;
    NVIC_ISER = 0xF;
    NVIC_ISPR = 1 << 1 | 1 << 3;
    BARRIER();
    print("  tail\n");
    NVIC_ISPR = 1 << 2 | 1 << 0 | 1 << 3;
    BARRIER();
    ICSR = 1u << 31;
    BARRIER();
    AIRCR = 0x05FA0700;
    print("  no preemption\n");
    NVIC_ISPR = 1 << 1;
    BARRIER();
    AIRCR = 0x05FA0000;
    __asm volatile("cpsid i" ::: "memory");
    NVIC_ISPR = 1 << 2 | 1 << 3;
    NVIC_ICPR = 1 << 2;
    __asm volatile("cpsie i\n isb" ::: "memory");
    NVIC_ICER = 1 << 3;
    NVIC_ISPR = 1 << 3;
    BARRIER();
    line("  disabled and pending", NVIC_ISPR & 0xF, NVIC_ISER & 0xF);
    NVIC_ICPR = 1 << 3;
    NVIC_ISER = 1 << 3;
}

static void masks(void)
{
    __asm volatile("cpsid i" ::: "memory");
    NVIC_ISPR = 1;
    BARRIER();
    print("  primask\n");
    __asm volatile("cpsie i\n isb" ::: "memory");
    for (uint32_t base = 0x40; base <= 0x80; base += 0x20) {
        line("  basepri", base, 0);
        __asm volatile("msr basepri, %0\n isb" ::"r"(base) : "memory");
        NVIC_ISPR = 1 << 0 | 1 << 1 | 1 << 3;
        BARRIER();
        print("  lifted\n");
        __asm volatile("msr basepri, %0\n isb" ::"r"(0) : "memory");
    }
    __asm volatile("msr basepri, %0\n msr basepri_max, %1\n mrs r0, basepri\n msr basepri, %2\n isb\n mov %0, r0" ::"r"(0x40),
                   "r"(0x80), "r"(0) : "r0", "memory");
    __asm volatile("cpsid f" ::: "memory");
    NVIC_ISPR = 1;
    BARRIER();
    print("  faultmask\n");
    __asm volatile("cpsie f\n isb" ::: "memory");
}

static void sleep(void)
{
    SYST_RVR = 9999, SYST_CVR = 0, SYST_CSR = 7;
    for (uint32_t n = 0; n < 3; n++) {
        uint32_t before = ticks;
        while (ticks == before) {
            __asm volatile("wfi");
        }
    }
    SYST_CSR = 0;
    line("  systick", ticks >= 3, SYST_CSR >> 17);
    __asm volatile("sev\n wfe");
    __asm volatile("cpsid i" ::: "memory");
    NVIC_ISPR = 1;
    __asm volatile("wfi");
    print("  wfi wakes with primask set\n");
    __asm volatile("cpsie i\n isb" ::: "memory");
    SCR = 1 << 4;
    __asm volatile("sev\n wfe\n cpsid i" ::: "memory");
    NVIC_ISPR = 1;
    BARRIER();
    __asm volatile("wfe");
    print("  wfe wakes by sevonpend\n");
    __asm volatile("cpsie i\n isb" ::: "memory");
    SCR = 0;
}

#define EXPECT(text, code, ...)                                                                                          \
    do {                                                                                                                 \
        print(text), put('\n');                                                                                          \
        __asm volatile("adr r3, 1f\n str r3, [%0]\n" code "\n .align 2\n 1: nop" ::"r"(&resume_at), ##__VA_ARGS__          \
                       : "r0", "r1", "r2", "r3", "r12", "lr", "memory", "cc");                                           \
    } while (0)

static void faults(uint32_t enabled)
{
    SHCSR = enabled;
    line(" faults", enabled >> 16, 0);
    EXPECT("  read of nothing", "ldr r1, [%1]", "r"(0x30000000));
    EXPECT("  write to nothing", "str r1, [%1, #4]", "r"(0x30000000));
    EXPECT("  undefined", "udf 0");
    EXPECT("  without the Thumb bit", "bx %1", "r"(0x1000));
    EXPECT("  fetch from nothing", "bx %1", "r"(0x30000001));
    EXPECT("  unaligned exclusive", "ldrex r1, [%1]", "r"(0x20008001));
    EXPECT("  coprocessor", "mrc p5, 0, r1, c0, c0, 0");
    __asm volatile("cpsid f" ::: "memory");
    __asm volatile("cpsie f" ::: "memory");
    SHCSR = 0;
}

static void unaligned_and_code_in_ram(void)
{
    static volatile uint32_t words[3] = {0, 0, 0};
    words[0] = 0x44332211, words[1] = 0x88776655;
    line("  unaligned", *(volatile uint32_t *)((uintptr_t)words + 1), *(volatile uint16_t *)((uintptr_t)words + 3));
    static volatile uint16_t code[2];
    uint32_t (*call)(void) = (uint32_t(*)(void))((uintptr_t)code | 1);
    uint32_t values[2];
    for (uint32_t n = 0; n < 2; n++) {
        code[0] = (uint16_t)(0x2000 | (n + 5)), code[1] = 0x4770;
        BARRIER();
        values[n] = call();
    }
    line("  code in RAM", values[0], values[1]);
    volatile uint32_t *bit = (volatile uint32_t *)(0x22000000 + ((uintptr_t)words - 0x20000000) * 32 + 4 * 4);
    uint32_t was = *bit;
    *bit = 0;
    line("  bit band", was, words[0]);
    uint32_t zero = 0, quotient;
    __asm volatile("udiv %0, %1, %2" : "=r"(quotient) : "r"(7), "r"(zero));
    line("  division by zero", quotient, 0);
    for (int n = 0; n < 20; n++) {
        relocated[n] = VECTORS[n];
    }
    relocated[16] = irq2;
    VTOR = (uint32_t)relocated;
    NVIC_ISPR = 1;
    BARRIER();
    VTOR = 0;
}

#ifdef __ARM_FP
static void floating_point(void)
{
    uint32_t low, high, callee, control;
    CPACR |= 0xFu << 20;
    BARRIER();
    __asm volatile("vmov.f32 s0, #2.0\n vmov.f32 s15, #3.0\n vmov.f32 s16, #4.0\n svc 3\n vmov %0, s0\n vmov %1, s15\n"
                   "vmov %2, s16\n mrs %3, control"
                   : "=r"(low), "=r"(high), "=r"(callee), "=r"(control)::"r0", "r1", "r2", "r3", "r12", "lr", "s0", "s15",
                     "s16", "memory");
    line("  caller's registers", low, high);
    line("  callee's register and control", callee, control & 7);
    line("  frame", seen_return, seen_frame[7] & 0x1FF);
    __asm volatile("mrs %0, control\n bic %0, %0, #4\n msr control, %0\n isb\n svc 4" : "=&r"(control)::"r0", "r1", "r2",
                   "r3", "r12", "lr", "memory");
    line("  basic frame after FPCA was cleared", seen_return, 0);
    CPACR = 0;
    BARRIER();
    EXPECT("  fpu off", "vmov.f32 s0, #2.0");
}
#endif

void reset(void)
{
    UART_CTRL = 1;
    if (boots[0] != 0x600DB007) {
        boots[0] = 0x600DB007, boots[1] = 0;
    }
    boots[1]++;
    line("boot", boots[1], 0);
    if (boots[1] == 2) {
        end();
    }
    print("alignment\n"), alignment();
    print("nesting\n"), nesting();
    print("masks\n"), masks();
    print("sleep\n"), sleep();
    print("faults\n"), faults(0), faults(7 << 16);
    print("memory\n"), unaligned_and_code_in_ram();
    print("threads\n"), threads();
#ifdef __ARM_FP
    print("floating point\n"), floating_point();
#endif
    AIRCR = 0x05FA0004;
    for (;;) {
    }
}
