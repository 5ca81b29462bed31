"""Registers of the USB OTG cores."""

from __future__ import annotations

from particle_harness.emulator.peripherals.registers import Register, RegisterMap

OTG_REGISTERS = RegisterMap(
    "OTG",
    "ST RM0033, USB on-the-go full-speed (OTG_FS) and high-speed (OTG_HS), control and status registers",
    Register("GOTGCTL", 0x000),
    Register("GOTGINT", 0x004),
    Register("GAHBCFG", 0x008),
    Register("GUSBCFG", 0x00C, reset=0x1440),
    Register("GRSTCTL", 0x010, reset=0x80000000),
    Register("GINTSTS", 0x014),
    Register("GINTMSK", 0x018),
    Register("GRXSTSR", 0x01C, access="r"),
    Register("GRXSTSP", 0x020, access="r"),
    Register("GRXFSIZ", 0x024, reset=0x200),
    Register("DIEPTXF0", 0x028, reset=0x02000200),
    Register("GCCFG", 0x038),
    Register("CID", 0x03C, reset=0x1200),
    Register("DIEPTXF", 0x104, reset=0x02000400, count=5),
    Register("DCFG", 0x800, reset=0x02200000),
    Register("DCTL", 0x804),
    Register("DSTS", 0x808, access="r"),
    Register("DIEPMSK", 0x810),
    Register("DOEPMSK", 0x814),
    Register("DAINT", 0x818),
    Register("DAINTMSK", 0x81C),
    Register("DIEPEMPMSK", 0x834),
    Register("DEACHINT", 0x838, access="r"),
    Register("DEACHINTMSK", 0x83C),
    Register("DIEPEACHMSK1", 0x844),
    Register("DOEPEACHMSK1", 0x884),
    Register("DIEPCTL", 0x900, count=6, stride=0x20),
    Register("DIEPINT", 0x908, count=6, stride=0x20),
    Register("DIEPTSIZ", 0x910, count=6, stride=0x20),
    Register("DTXFSTS", 0x918, count=6, stride=0x20, access="r"),
    Register("DOEPCTL", 0xB00, count=6, stride=0x20),
    Register("DOEPINT", 0xB08, count=6, stride=0x20),
    Register("DOEPTSIZ", 0xB10, count=6, stride=0x20),
    Register("PCGCCTL", 0xE00),
)
