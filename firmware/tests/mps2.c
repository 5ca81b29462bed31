/* Start-up of the tests on a bare Cortex-M under QEMU; output and exit status go through semihosting.
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

extern char __stack[];
extern void initialise_monitor_handles(void);
extern int main(void);

void reset(void);
void _init(void); /* newlib's exit() calls these two */
void _fini(void);

void _init(void)
{
}

void _fini(void)
{
}

static void fault(void)
{
    abort();
}

void reset(void)
{
    initialise_monitor_handles();
    exit(main());
}

/* The stack pointer that the chip starts with, then reset, NMI, hard fault, memory, bus and usage fault. */
__attribute__((section(".vectors"), used)) static const struct {
    char *stack;
    void (*handlers[6])(void);
} VECTORS = { __stack, { reset, fault, fault, fault, fault, fault } };
