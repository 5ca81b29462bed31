"""What the boards put on the chip's pins.

Source: device-os v2.1.0 platform/MCU/STM32F2xx/SPARK_Firmware_Driver/inc/platform_config.h;
hal/src/electron/pinmap_hal.c.
"""

from __future__ import annotations

PORT_B, PORT_C = 1, 2
MODE_BUTTON_PORT, MODE_BUTTON_PIN = PORT_C, 7
"""Low while pressed."""
FLASH_SELECT_PORT, FLASH_SELECT_PIN = PORT_B, 12
"""Chip select of the P1's serial flash on SPI2."""
MODEM_POWER_PORT, MODEM_POWER_PIN = PORT_B, 2
"""An Electron's PWR_UC: a low pulse switches the modem on."""
MODEM_SENSE_PORT, MODEM_SENSE_PIN = PORT_B, 12
"""RI_UC: high while the modem has power (V_INT)."""
MODEM_READY_PORT, MODEM_READY_PIN = PORT_B, 13
"""CTS_UC: low while the modem takes bytes."""
LIGHT_CHANNELS = (1, 2, 3)
"""Compare registers of TIM2 (counted from 0) that dim red, green and blue."""
WIFI_RESET = {"photon": (PORT_C, 1), "p1": (PORT_B, 8)}
"""Port and pin of the Wi-Fi chip's reset line: what Device OS drives before it looks for the chip."""
