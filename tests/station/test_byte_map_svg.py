"""The picture of a byte map."""

import xml.etree.ElementTree as ET

import pytest

from particle_dev.catalog.modules import ModuleFunction
from particle_dev.protocol.module import parse
from particle_dev.protocol.module_build import ModuleParts, build
from particle_dev.station.byte_map_svg import byte_map_svg

SVG = "{http://www.w3.org/2000/svg}"
MODULE = build(ModuleParts(ModuleFunction.SYSTEM_PART, 1, 2101, 13, 0x30000, bytes(1000)))


def test_svg_is_well_formed_escaped_and_to_scale():
    title = '<app> & "friends".bin'
    root = ET.fromstring(byte_map_svg(parse(MODULE), MODULE, title=title))
    assert root.tag == f"{SVG}svg"
    assert root.find(f"{SVG}title").text == f"Byte map of {title}"
    bars = [rect for rect in root.iter(f"{SVG}rect") if rect.find(f"{SVG}title") is not None]
    assert len(bars) == 5
    assert sum(float(bar.get("width")) for bar in bars) == pytest.approx(960, abs=1)
    assert min(float(bar.get("width")) for bar in bars) >= 14
    widest = max(bars, key=lambda bar: float(bar.get("width")))
    assert widest.find(f"{SVG}title").text == "body: 1000 bytes at file offset 0x18, address 0x00030018"
