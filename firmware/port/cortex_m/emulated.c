/*
 * The self-test on an emulated STM32F205 or F405 (QEMU's machines netduino2 and netduinoplus2). Processor, UART, ADC, SysTick
 * and program memory are the machine's; pins, I2C, flash controller, radio and cloud, which the machines lack, are those of
 * the simulated board. The word `faults` is written by the emulator before the processor starts:
 * -device loader,addr=0x2001fc00,data=1,data-len=4. SPDX-License-Identifier: Apache-2.0
 */
#include "cortex_m.h"
#include "simulated_device.h"

enum { CORE_HZ = 120000000, PERIPHERAL_HZ = 60000000, BAUD = 115200 };

__attribute__((section(".faults"), used)) static volatile uint32_t faults;

static simulated_device device;

static void write_uart(void *context, const uint8_t *data, size_t size)
{
    (void)context;
    stm32_uart_write(data, size);
}

/* The emulated converter gives 7 more with every conversion, whatever the channel, and never says that one is done. */
static bool adc_read(void *context, int channel, int32_t *out)
{
    const simulated_board *const board = context;
    stm32_adc_start(channel);
    *out = stm32_adc_value() + ((board->faults & FAULT_ADC_HIGH) != 0 ? 4095 : 0);
    return true;
}

void cortex_m_main(void)
{
    static const pd_adc_channel CHANNELS[] = { { "A0", 0, "counts", 0, 4095 }, { "A1", 1, "counts", 0, 4095 } };
    uint8_t bytes[64];

    cortex_m_start_clock(CORE_HZ);
    stm32_uart_open(PERIPHERAL_HZ, BAUD);
    device.board = (simulated_board){ .faults = faults, .now_ms = cortex_m_now_ms,
                                      .device_id = "0123456789abcdef01234567" };
    device.write = write_uart;
    simulated_device_init(&device, true);
    if (device.hardware.adc_read != NULL) {
        device.hardware.adc_read = adc_read;
        device.hardware.adc_channels = CHANNELS;
        device.hardware.adc_channel_count = PD_COUNT(CHANNELS);
    }
    for (;;) {
        const size_t count = stm32_uart_read(bytes, sizeof bytes);
        simulated_device_receive(&device, bytes, count);
        if (count == 0 && !simulated_device_poll(&device)) {
            cortex_m_sleep();
        }
    }
}
