/* SPDX-License-Identifier: Apache-2.0 */
#include "cortex_m.h"

typedef struct usart {
    volatile uint32_t sr, dr, brr, cr1, cr2, cr3, gtpr;
} usart;

typedef struct adc {
    volatile uint32_t sr, cr1, cr2, smpr1, smpr2, jofr[4], htr, ltr, sqr1, sqr2, sqr3, jsqr, jdr[4], dr;
} adc;

#define USART1 ((usart *)0x40011000u)
#define ADC1 ((adc *)0x40012000u)
#define RCC_APB2ENR (*(volatile uint32_t *)0x40023844u)
enum { RCC_USART1EN = 1 << 4, RCC_ADC1EN = 1 << 8 };
enum { USART_RXNE = 1 << 5, USART_TXE = 1 << 7 };                   /* of SR */
enum { USART_RE = 1 << 2, USART_TE = 1 << 3, USART_UE = 1 << 13 }; /* of CR1 */
enum { ADC_EOC = 1 << 1, ADC_ADON = 1, ADC_SWSTART = 1 << 30 };

void stm32_uart_open(uint32_t peripheral_hz, uint32_t baud)
{
    RCC_APB2ENR |= RCC_USART1EN;
    USART1->brr = (peripheral_hz + baud / 2) / baud;
    USART1->cr1 = USART_UE | USART_TE | USART_RE;
}

size_t stm32_uart_read(uint8_t *out, size_t size)
{
    size_t count = 0;
    while (count < size && (USART1->sr & USART_RXNE) != 0) {
        out[count++] = (uint8_t)USART1->dr;
    }
    return count;
}

void stm32_uart_write(const uint8_t *data, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        while ((USART1->sr & USART_TXE) == 0) {
        }
        USART1->dr = data[i];
    }
}

void stm32_adc_start(int channel)
{
    RCC_APB2ENR |= RCC_ADC1EN;
    ADC1->sqr3 = (uint32_t)channel;
    ADC1->cr2 = ADC_ADON;
    ADC1->cr2 = ADC_ADON | ADC_SWSTART;
}

bool stm32_adc_is_done(void)
{
    return (ADC1->sr & ADC_EOC) != 0;
}

int32_t stm32_adc_value(void)
{
    return (int32_t)(ADC1->dr & 0xfff);
}
