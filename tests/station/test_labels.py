"""Labels are read back by ZXing, a decoder of others, from the very pixels that would be printed."""

import re
from xml.etree import ElementTree

import pytest
import zxingcpp
from hypothesis import given, settings
from hypothesis import strategies as st

from particle_dev.errors import ConfigError
from particle_dev.protocol.identifiers import Identifier, IdentifierKind
from particle_dev.protocol.secret import Secret
from particle_dev.station.labels import (
    LabelContent,
    LabelLayout,
    Symbology,
    compare_scan,
    encode,
    label_svg,
    label_zpl,
)

SERIAL = Identifier(IdentifierKind.SERIAL_NUMBER, "P046ABCDEF12345")
DEVICE = Identifier(IdentifierKind.DEVICE_ID, "e00fce68d3a1b2c4f5061728")
SECRET = Secret("aB3^~_x/\\<&>'\"9")
FORMATS = {Symbology.DATA_MATRIX: "DataMatrix", Symbology.QR: "QRCode"}


def read_pixels(rows):
    """What ZXing finds in rows of dark (True) and light pixels."""
    height, width = len(rows), len(rows[0])
    pixels = memoryview(bytes(0 if dark else 255 for row in rows for dark in row)).cast("B", [height, width])
    return [
        (str(found.format).rpartition(".")[2].replace(" ", ""), found.text) for found in zxingcpp.read_barcodes(pixels)
    ]


def enlarged(grid, scale, quiet):
    size = (len(grid[0]) + 2 * quiet) * scale
    border = [[False] * size for _ in range(quiet * scale)]
    middle = [
        [False] * quiet * scale + [dark for dark in row for _ in range(scale)] + [False] * quiet * scale
        for row in grid
        for _ in range(scale)
    ]
    return border + middle + border


def svg_pixels(text, scale=10):
    """Pixels of an SVG's path and white ground, at ``scale`` per millimetre."""
    root = ElementTree.fromstring(text)
    _, _, width, height = map(float, root.get("viewBox").split())
    rows = [[False] * round(width * scale) for _ in range(round(height * scale))]
    path = next(element for element in root if element.tag.endswith("path")).get("d")
    for x, y, w, h in re.findall(r"M([\d.]+) ([\d.]+)h([\d.]+)v([\d.]+)", path):
        left, top, right, bottom = (
            round(v * scale) for v in (*map(float, (x, y)), float(x) + float(w), float(y) + float(h))
        )
        for row in rows[top:bottom]:
            row[left:right] = [True] * (right - left)
    return rows


def zpl_pixels(text):
    width, height = (int(re.search(rf"\^{command}(\d+)", text)[1]) for command in ("PW", "LL"))
    left, top, size, row_bytes, data = re.search(r"\^FO(\d+),(\d+)\^GFA,(\d+),\d+,(\d+),([0-9A-F]+)", text).groups()
    assert len(data) == 2 * int(size)
    rows = [[False] * width for _ in range(height)]
    step = 2 * int(row_bytes)
    for number in range(len(data) // step):
        bits = f"{int(data[number * step : (number + 1) * step], 16):0{int(row_bytes) * 8}b}"
        for x, bit in enumerate(bits):
            if bit == "1":
                rows[int(top) + number][int(left) + x] = True
    return rows


@pytest.mark.parametrize("symbology", Symbology)
@pytest.mark.parametrize(
    "content",
    [LabelContent(SERIAL, SECRET), LabelContent(SERIAL), LabelContent(DEVICE)],
    ids=["secret", "serial", "id"],
)
def test_printed_labels_read_as_what_they_should_say(symbology, content):
    layout = LabelLayout(symbology)
    wanted = [(FORMATS[symbology], content.coded().reveal())]
    assert read_pixels(svg_pixels(label_svg(content, layout))) == wanted
    for dpi in (203, 300, 600):
        assert read_pixels(zpl_pixels(label_zpl(content, LabelLayout(symbology, 0.4, dpi)))) == wanted


@given(text=st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), min_size=1, max_size=60))
@settings(max_examples=60, deadline=None)
@pytest.mark.parametrize("symbology", Symbology)
def test_whatever_is_printable_can_be_read(symbology, text):
    grid = encode(Secret(text), symbology)
    assert read_pixels(enlarged(grid, 4, 4)) == [(FORMATS[symbology], text)]


def test_the_mobile_secret_is_in_no_text():
    content = LabelContent(SERIAL, SECRET, ("Boron <LTE> & more", "^XA~JA_ü"))
    for text in (label_svg(content, LabelLayout()), label_zpl(content, LabelLayout())):
        assert SECRET.reveal() not in text
        assert "***" not in text
        assert SERIAL.value in text
    ElementTree.fromstring(label_svg(content, LabelLayout()))
    zpl = label_zpl(content, LabelLayout())
    assert "^FD_5EXA_7EJA_5F_C3_BC^FS" in zpl
    assert (zpl.count("^XA"), zpl.count("~")) == (1, 0)
    assert SECRET.reveal() not in repr(content)


@pytest.mark.parametrize(
    ("scanned", "matches", "message"),
    [
        ("P046ABCDEF12345 aB3^~_x/\\<&>'\"9\r\n", True, "says P046ABCDEF12345"),
        ("P046ABCDEF12345 aB3^~_x/\\<&>'\"8", False, "secret differs"),
        ("P046ABCDEF12345", False, "lacks the mobile secret"),
        ("P046ABCDEF12346 aB3^~_x/\\<&>'\"9", False, "the label says P046ABCDEF12346, the unit is"),
        ("e00fce68d3a1b2c4f5061728", False, "the label says e00fce68d3a1b2c4f5061728"),
        ("https://example.com", False, "another code, of 19 characters"),
        ("\n", False, "nothing was scanned"),
    ],
)
def test_a_scan_is_held_against_the_unit(scanned, matches, message):
    result = compare_scan(LabelContent(SERIAL, SECRET), scanned)
    assert result.matches is matches
    assert message in result.message
    assert SECRET.reveal()[:6] not in result.message


def test_a_label_that_says_too_much_does_not_match():
    result = compare_scan(LabelContent(SERIAL), "P046ABCDEF12345 aB3^~_x/\\<&>'\"9")
    assert (result.matches, result.message) == (False, "the label says P046ABCDEF12345, and holds more than it should")
    result = compare_scan(LabelContent(DEVICE), "E00FCE68D3A1B2C4F5061728")
    assert (result.matches, result.message) == (False, f"the label says {DEVICE.value}, but spells it differently")


def test_what_cannot_be_printed_is_an_error():
    with pytest.raises(ConfigError, match="1 dots"):
        label_zpl(LabelContent(SERIAL), LabelLayout(module_mm=0.15))
    for text in ("", "line\nend", "größe"):
        with pytest.raises(ConfigError, match="plain characters"):
            encode(Secret(text), Symbology.QR)
