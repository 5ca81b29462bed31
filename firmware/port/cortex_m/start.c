/* Start-up of a bare Cortex-M: vectors, initialised and zeroed RAM, a millisecond clock from SysTick.
 * SPDX-License-Identifier: Apache-2.0 */
#include "cortex_m.h"

extern uint32_t load_data[], start_data[], end_data[], start_bss[], end_bss[];
extern char __stack[];

#define REGISTER(address) (*(volatile uint32_t *)(address))
#define SYST_CSR REGISTER(0xe000e010u)
#define SYST_RVR REGISTER(0xe000e014u)
#define SYST_CVR REGISTER(0xe000e018u)
enum { SYST_ENABLE = 1, SYST_TICKINT = 2, SYST_CLKSOURCE_CORE = 4 };

static volatile uint32_t ticks_ms;

uint32_t cortex_m_now_ms(void)
{
    return ticks_ms;
}

void cortex_m_start_clock(uint32_t core_hz)
{
    SYST_RVR = core_hz / 1000 - 1;
    SYST_CVR = 0;
    SYST_CSR = SYST_ENABLE | SYST_TICKINT | SYST_CLKSOURCE_CORE;
}

void cortex_m_sleep(void)
{
    __asm volatile("wfi");
}

static void sys_tick(void)
{
    ticks_ms++;
}

/* A fault stops the board: a host sees that it is silent. */
static void fault(void)
{
    for (;;) {
        cortex_m_sleep();
    }
}

void reset(void);

void reset(void)
{
    for (uint32_t *to = start_data, *from = load_data; (uintptr_t)to < (uintptr_t)end_data;) {
        *to++ = *from++;
    }
    for (uint32_t *to = start_bss; (uintptr_t)to < (uintptr_t)end_bss;) {
        *to++ = 0;
    }
    cortex_m_main();
    fault();
}

__attribute__((section(".vectors"), used)) static const struct {
    char *stack;
    void (*handlers[15])(void);
} VECTORS = { __stack, { reset, fault, fault, fault, fault, fault, 0, 0, 0, 0, fault, 0, 0, fault, sys_tick } };
