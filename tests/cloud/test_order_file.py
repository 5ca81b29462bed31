"""Order files in every shape that people send, and what is said of damaged ones. Pure: no cloud."""

import codecs
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from particle_dev.cloud.order_file import read_order
from particle_dev.errors import FormatError

A, B, C = "e00fce68000000000000000a", "e00fce68000000000000000b", "e00fce68000000000000000c"
SERIAL, SECRET = "P044AF12345ABCD", "Q4bHDHE4B3J0SKQ"


def order(text, name="order.txt"):
    return read_order([(name, text if isinstance(text, bytes) else text.encode())])


def ids(text):
    read = order(text)
    assert read.problems == ()
    return [entry.device_id for entry in read.entries]


@pytest.mark.parametrize(
    "text",
    [
        f"{A}\n{B}\n{C}\n",
        f"{A}\r\n{B}\r\n{C}",
        f"{A}\r{B}\r{C}\r",
        f"\n\n  {A}\n\n{B}\t\n{C}\n\n",
        f"{A.upper()}\n{B}\n{C}",
        f"Device ID\n{A}\n{B}\n{C}\n",
        f"device_id\r\n{A}\r\n{B}\r\n{C}\r\n",
        f"Device IDs:\n{A} {B} {C}",
        f"{A}, {B}, {C}",
        f"{A};{B};{C}\n",
        f"# order 4711\n{A}\n{B}\n{C}",
        f"Hello,\n\nyour Device IDs:\n\n{A}\n{B}\n{C}\n\nRegards\nThe sender",
        f"Device ID: {A}\nDevice ID: {B}\nDevice ID: {C}\n",
        f'"{A}"\n"{B}"\n"{C}"\n',
        f"Device ID,SKU\n{A},BRN404XTRAY50\n{B},BRN404XTRAY50\n{C},BRN404XTRAY50\n",
        f"No;Device ID;Remark\n1;{A};\n2;{B};ok\n3;{C};\n",
        f'"Device ID"\t"Note"\n"{A}"\t"a, b"\n"{B}"\t"say ""hi"""\n"{C}"\t\n',
        f"Your order\n\nDevice ID,SKU\n{A},X\n{B},X\nDevice ID,SKU\n{C},X\n",
        codecs.BOM_UTF8 + f"{A}\n{B}\n{C}".encode(),
        f"{A}\n{B}\n{C}".encode("utf-16"),
        f"{A}\n{B}\n{C}".encode("utf-16-le"),
        f"Device ID;Größe\n{A};ä\n{B};ö\n{C};ü\n".encode("latin-1"),
        f"\u200b{A}\u00a0\n{B}\u2028{C}\ufeff\n",
        json.dumps([{"device_id": A}, {"device_id": B}, {"device_id": C}]),
        "\n".join(json.dumps({"device_id": i, "mode": "dfu", "usb": {"serial_number": i}}) for i in (A, B, C)),
        json.dumps({"devices": [{"id": A, "platform_id": 13}, {"id": B}, {"id": C}]}, indent=2),
    ],
)  # fmt: skip
def test_shapes(text):
    assert ids(text) == [A, B, C]


def test_a_table_with_all_names():
    read = order(f"Serial Number,IMEI,ICCID,Device ID\n{SERIAL},353162071113006,8934076500002589174,{A}\n")
    (entry,) = read.entries
    assert (entry.device_id, entry.serial_number, entry.imei, entry.iccid) == (
        A, SERIAL, "353162071113006", "8934076500002589174",
    )  # fmt: skip
    assert entry.asked == ("device_id", A)
    assert entry.place == "order.txt, line 2"


@pytest.mark.parametrize(
    "text",
    [
        "8934076500002589174\n89014103273027966570\n",
        "ICCID\n8934076500002589174F\n89014103273027966570\n",
        '"ICCID","SKU"\n"8934076500002589174","ELC314TY"\n"89014103273027966570","ELC314TY"\n',
    ],
)
def test_lists_of_sim_cards(text):
    read = order(text)
    assert read.problems == ()
    assert [e.iccid for e in read.entries] == ["8934076500002589174", "89014103273027966570"]


@pytest.mark.parametrize(
    "text",
    [
        f"{SERIAL} {SECRET}\n",
        f"{SERIAL}\t{SECRET}\r\n",
        f"{SERIAL}  {SECRET}",
        f"{SERIAL},{SECRET}",
        f"Serial Number\n{SERIAL} {SECRET}\n",
        f"Serial Number,Mobile Secret,SKU\n{SERIAL},{SECRET},BRN404X\n",
        f"Station,Serial Number\n1,{SERIAL} {SECRET}\n",
        f"{SERIAL} {SECRET[:4]}:{SECRET[5:]}",
        f"{SERIAL} P123{SECRET[4:]}",
    ],
)
def test_scanned_labels_give_the_serial_number_and_keep_no_secret(text):
    read = order(text)
    assert read.problems == ()
    assert [e.serial_number for e in read.entries] == [SERIAL]
    assert SECRET[5:] not in repr(read)


@pytest.mark.parametrize(
    "text",
    [
        SECRET,
        f"x {SECRET}",
        f"{SERIAL[:-1]} {SECRET}",
        f"{SERIAL},P123{SECRET[4:]},7",
        f"ID of {SERIAL} is P123{SECRET[4:]}",
    ],
)
def test_a_secret_in_a_bad_line_is_not_told(text):
    read = order(f"{A}\n{text}\n")
    assert SECRET[4:] not in repr(read.problems) + repr(read.notes)
    assert [p.line for p in read.problems] == [2]


@pytest.mark.parametrize(
    ("line", "code"),
    [
        (A[:-1], "wrong_length"),
        (A[:8], "wrong_length"),
        ("B31K6262", "wrong_length"),
        (SERIAL[:6], "wrong_length"),
        (f"{SERIAL}0", "wrong_length"),
        (A.replace("a", "x"), "wrong_character"),
        ("1.2E+23", "spreadsheet_number"),
        ("0" * 24, "blank_device_id"),
        (f"{A} 8934076500002589174 {B}", "several_devices"),
        ("353162071113007", "imei_check_digit"),
        (SECRET, "no_identifier"),
        ("0a10aced202194944a0abcde P046AF1234ABCDE", "names_of_two_devices"),
    ],
)  # fmt: skip
def test_a_bad_line_is_told_with_its_number_and_what_to_do(line, code):
    read = order(f"{B}\n{line}\n{C}\n")
    assert [e.device_id for e in read.entries] == [B, C]
    (problem,) = read.problems
    assert (problem.file, problem.line, problem.code) == ("order.txt", 2, code)
    assert problem.message and problem.hint


@pytest.mark.parametrize(
    ("row", "code"),
    [
        (f"{SERIAL},{A}", "another_kind"),
        (",", "nothing"),
        (",B404", "no_identifier"),
        ("hello,B404", "not_device_id"),
        (f'"{C},B404', "quotation_marks"),
        (f"{C},B404,{A}", "too_many_columns"),
    ],
)
def test_a_bad_row_of_a_table(row, code):
    read = order(f"Device ID,SKU\n{B},B404\n{row}\n")
    assert [e.device_id for e in read.entries] == [B]
    assert [(p.line, p.code) for p in read.problems] == ([] if code == "nothing" else [(3, code)])


@pytest.mark.parametrize("line", ["BRN404XTRAY50", "B404XMTY", "Regards", "Boron", "No 4711"])
def test_text_and_skus_are_no_cut_serial_numbers(line):
    read = order(f"{A}\n{line}\n")
    assert read.problems == ()
    assert [(n.line, n.code) for n in read.notes] == [(2, "text")]


def test_a_row_without_identifier_is_a_problem_also_without_heading():
    read = order(f"{A},B404\n,B404\n{B},B404\n")
    assert [(p.line, p.code) for p in read.problems] == [(2, "no_identifier")]


def test_a_device_comes_once_over_all_files():
    read = read_order([("a.txt", f"{A}\n{B}\n{A.upper()}\n".encode()), ("b.txt", f"{C}\n{B}\n".encode())])
    assert [e.device_id for e in read.entries] == [A, B, C]
    assert read.duplicates == 2
    assert [(n.file, n.line, n.message) for n in read.notes] == [
        ("a.txt", 3, "the same device as line 1"),
        ("b.txt", 2, "the same device as a.txt, line 2"),
    ]


def test_what_lines_tell_of_one_device_comes_together():
    read = order(f"{A}\n{SERIAL}\n{B}\nDevice ID: {A} {SERIAL}\n")
    assert read.problems == ()
    assert [(e.device_id, e.serial_number) for e in read.entries] == [(A, SERIAL), (B, None)]


@pytest.mark.parametrize("line", [f"{B} {SERIAL}", f"{A} P044AF12345ABCE"])
def test_a_name_of_two_devices_is_a_contradiction(line):
    read = order(f"{A} {SERIAL}\n{line}\n")
    assert [(p.line, p.code) for p in read.problems] == [(2, "contradiction")]
    assert "line 1" in read.problems[0].message


def test_two_serial_numbers_of_one_product_in_a_line_are_two_devices():
    assert [e.serial_number for e in order(f"{SERIAL} P044AF12345ABCE\n").entries] == [SERIAL, "P044AF12345ABCE"]


def test_text_around_is_a_note():
    assert [(n.line, n.code) for n in order(f"Hello\n{A}\nBye\n").notes] == [(1, "text"), (3, "text")]


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"", "empty"),
        (b" \r\n\r\n", "empty"),
        (b"Device ID\n", "no_devices"),
        (b"nothing here\n", "no_devices"),
        (b"PK\x03\x04\x14\x00\x06\x00", "not_text"),
        (b"%PDF-1.7\n", "not_text"),
        (b"e00f\0\0\0ce68", "not_text"),
        (b'{"device_id": "', "bad_json"),
        (b'{"a":' * 100_000, "bad_json"),
        (b'{"a":' * 980 + b"1" + b"}" * 980, "bad_json"),
        (b"[]", "no_devices"),
    ],
)
def test_files_that_are_no_lists(content, code):
    with pytest.raises(FormatError) as caught:
        order(content)
    assert (caught.value.code, caught.value.file) == (code, "order.txt")
    assert caught.value.hint


def test_a_board_whose_id_nobody_could_read_is_a_problem():
    read = order(json.dumps({"device_id": A}) + "\n" + json.dumps({"device_id": None, "mode": "dfu"}))
    assert [e.device_id for e in read.entries] == [A]
    assert [(p.line, p.code) for p in read.problems] == [(2, "no_identifier")]


SHAPES = st.tuples(
    st.sampled_from(["\n", "\r\n", "\r"]),
    st.sampled_from([None, ",", ";", "\t", "|"]),
    st.booleans(),
    st.booleans(),
    st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]),
    st.booleans(),
)
DEVICE_IDS = st.lists(
    st.text("0123456789abcdef", min_size=16, max_size=16).map(lambda tail: "e00fce68" + tail), min_size=1, unique=True
)


@given(DEVICE_IDS, SHAPES)
def test_whatever_the_shape_the_ids_are_the_same(device_ids, shape):
    line_end, delimiter, heading, quoted, encoding, upper = shape
    quote = '"{}"'.format if quoted and delimiter else "{}".format
    rows = [[d.upper() if upper else d, "BRN404X", str(n)] for n, d in enumerate(device_ids)]
    rows = [["Device ID", "SKU", "No"], *rows] if heading else rows
    cells = [[quote(cell) for cell in row] for row in rows]
    lines = [delimiter.join(row) if delimiter else row[0] for row in cells]
    read = order(line_end.join(lines).encode(encoding))
    assert read.problems == ()
    assert [e.device_id for e in read.entries] == device_ids


@given(st.binary(max_size=300) | st.text(max_size=200).map(str.encode))
def test_any_file_is_read_or_refused(content):
    try:
        read = order(content)
    except FormatError as error:
        assert error.file == "order.txt"
    else:
        assert read.entries or read.problems
