/* Bare-metal port: start-up, clock, and drivers of the STM32F2 and F4. SPDX-License-Identifier: Apache-2.0 */
#ifndef CORTEX_M_H
#define CORTEX_M_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* start.c */
uint32_t cortex_m_now_ms(void);
void cortex_m_start_clock(uint32_t core_hz);
void cortex_m_sleep(void); /* until an interrupt: 1 ms at most while the clock runs */
void cortex_m_main(void);  /* yours */

/* stm32.c: USART1 and ADC1, which the STM32F2 and F4 have at the same places. Source: RM0033 and RM0090, USART and ADC. */
void stm32_uart_open(uint32_t peripheral_hz, uint32_t baud);
size_t stm32_uart_read(uint8_t *out, size_t size); /* what has arrived, maybe nothing */
void stm32_uart_write(const uint8_t *data, size_t size);
void stm32_adc_start(int channel);
bool stm32_adc_is_done(void);
int32_t stm32_adc_value(void); /* 0 to 4095 */

#endif
