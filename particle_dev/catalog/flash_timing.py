"""How long flash work takes, for estimates. Typical figures of the data sheets, at 3.3 V."""

from __future__ import annotations

from typing import NamedTuple


class FlashTiming(NamedTuple):
    """``erase_s`` maps a sector size in bytes to seconds; ``program_s_per_byte`` to program one byte."""

    erase_s: dict[int, float]
    program_s_per_byte: float
    source: str


FLASH_TIMING: dict[str, FlashTiming] = {
    "nrf52840": FlashTiming(
        {4096: 0.085},
        41e-6 / 4,
        "nRF52840 Product Specification v1.7, NVMC electrical specification: tERASEPAGE, tWRITE",
    ),
    "stm32f2xx": FlashTiming(
        {16 * 1024: 0.25, 64 * 1024: 0.55, 128 * 1024: 1.0},
        16e-6 / 4,
        "STM32F205xx data sheet (DocID15818), flash memory programming, x32 parallelism, typical",
    ),
    "rtl872x": FlashTiming(
        {4096: 0.040},
        0.4e-3 / 256,
        "Macronix MX25R6435F data sheet, tSE and tPP typical (the part: device-os v6.2.0 hal/src/tron/"
        "hal_platform_config.h)",
    ),
}
"""By the platform's family."""
USB_BYTES_PER_S = 1_000_000
"""Throughput of control data at full speed: about sixteen 64-byte packets in a 1 ms frame (USB 2.0, table 5-3)."""
