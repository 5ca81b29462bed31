"""What the boards put on the chip's pins.

Source: device-os v2.1.0 platform/MCU/STM32F2xx/SPARK_Firmware_Driver/inc/platform_config.h.
"""

from __future__ import annotations

PORT_B, PORT_C = 1, 2
MODE_BUTTON_PORT, MODE_BUTTON_PIN = PORT_C, 7
"""Low while pressed."""
FLASH_SELECT_PORT, FLASH_SELECT_PIN = PORT_B, 12
"""Chip select of the P1's serial flash on SPI2."""
LIGHT_CHANNELS = (1, 2, 3)
"""Compare registers of TIM2 (counted from 0) that dim red, green and blue."""
