/* Interrupt handlers that do what a script says: pend each other, raise and lift masks, enable and disable. Each entry
 * and return is printed. The script lies at SCRIPT: priorities of eight interrupts and PendSV, PRIGROUP, then for the
 * thread, for each interrupt and for PendSV eight operations. */
#include "bare.h"

#define SCRIPT ((const uint8_t *)0x8000)
#define OPERATIONS 8
#define ENTRIES_MAX 120

extern char stack_top[];
void reset(void);
static void handler(void), fault(void);

__attribute__((section(".vectors"), used)) static void *const VECTORS[16 + 8] = {
    stack_top, reset, fault, fault, fault, fault, fault, 0, 0, 0, 0, fault, 0, 0, handler, fault,
    handler, handler, handler, handler, handler, handler, handler, handler,
};

static volatile uint32_t entries;

static void fault(void)
{
    print("fault\n");
    end();
}

static void operate(uint8_t operation)
{
    uint32_t n = operation & 7, kind = operation >> 4;
    uint32_t wide = operation & 15;
    if (kind == 1 && entries < ENTRIES_MAX) {
        NVIC_ISPR = 1u << n;
    } else if (kind == 2) {
        __asm volatile("msr basepri, %0" ::"r"(wide << 4) : "memory");
    } else if (kind == 3) {
        if (n & 1) {
            __asm volatile("cpsie i" ::: "memory");
        } else {
            __asm volatile("cpsid i" ::: "memory");
        }
    } else if (kind == 4) {
        NVIC_ICPR = 1u << n;
    } else if (kind == 5) {
        NVIC_ICER = 1u << n;
    } else if (kind == 6) {
        NVIC_ISER = 1u << n;
    } else if (kind == 7 && entries < ENTRIES_MAX) {
        ICSR = PENDSVSET;
    } else if (kind == 8) {
        NVIC_PRIORITY(n) = (uint8_t)((operation & 8) << 4 | n << 4);
    }
    BARRIER();
}

static void run_script(uint32_t number)
{
    for (uint32_t n = 0; n < OPERATIONS; n++) {
        operate(SCRIPT[10 + number * OPERATIONS + n]);
    }
}

static void handler(void)
{
    uint32_t number = ICSR & 0x1FF;
    uint32_t index = number == 14 ? 8 : number - 16;
    entries++;
    put((char)('a' + index));
    run_script(1 + index);
    put((char)('A' + index));
}

void reset(void)
{
    UART_CTRL = 1;
    entries = 0;
    for (uint32_t n = 0; n < 8; n++) {
        NVIC_PRIORITY(n) = SCRIPT[n];
    }
    SYSTEM_PRIORITY(14) = SCRIPT[8];
    AIRCR = 0x05FA0000u | (uint32_t)SCRIPT[9] << 8;
    NVIC_ISER = 0xFF;
    BARRIER();
    run_script(0);
    put('.');
    end();
}
