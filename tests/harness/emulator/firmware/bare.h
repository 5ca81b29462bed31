/* A bare Cortex-M: registers, a UART that prints (CMSDK APB UART 0 of Arm's MPS2 boards), an end. */
#ifndef BARE_H
#define BARE_H

#include <stdint.h>

#define REGISTER(address) (*(volatile uint32_t *)(address))
#define UART_DATA REGISTER(0x40004000)
#define UART_CTRL REGISTER(0x40004008)
#define NVIC_ISER REGISTER(0xE000E100)
#define NVIC_ICER REGISTER(0xE000E180)
#define NVIC_ISPR REGISTER(0xE000E200)
#define NVIC_ICPR REGISTER(0xE000E280)
#define NVIC_IABR REGISTER(0xE000E300)
#define NVIC_PRIORITY(n) (*(volatile uint8_t *)(0xE000E400 + (n)))
#define ICSR REGISTER(0xE000ED04)
#define VTOR REGISTER(0xE000ED08)
#define AIRCR REGISTER(0xE000ED0C)
#define SCR REGISTER(0xE000ED10)
#define SYSTEM_PRIORITY(n) (*(volatile uint8_t *)(0xE000ED14 + (n)))
#define SHCSR REGISTER(0xE000ED24)
#define CFSR REGISTER(0xE000ED28)
#define HFSR REGISTER(0xE000ED2C)
#define BFAR REGISTER(0xE000ED38)
#define CPACR REGISTER(0xE000ED88)
#define SYST_CSR REGISTER(0xE000E010)
#define SYST_RVR REGISTER(0xE000E014)
#define SYST_CVR REGISTER(0xE000E018)
#define PENDSVSET (1u << 28)
#define BARRIER() __asm volatile("dsb\n isb" ::: "memory")

static void put(char c)
{
    UART_DATA = (uint32_t)c;
}

static void print(const char *text)
{
    while (*text) {
        put(*text++);
    }
}

static void print_hex(uint32_t value)
{
    put(' ');
    for (int shift = 28; shift >= 0; shift -= 4) {
        put("0123456789abcdef"[value >> shift & 15]);
    }
}

__attribute__((unused)) static void line(const char *text, uint32_t first, uint32_t second)
{
    print(text), print_hex(first), print_hex(second), put('\n');
}

/* Semihosting: SYS_EXIT. */
__attribute__((noreturn)) static void end(void)
{
    register uint32_t operation __asm("r0") = 0x18;
    register uint32_t reason __asm("r1") = 0x20026;
    __asm volatile("bkpt 0xab" ::"r"(operation), "r"(reason));
    for (;;) {
    }
}

#endif
