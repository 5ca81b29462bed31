import pytest

from particle_dev.protocol.log_lines import LogLine, parse_log_line


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("0000001234 [app] INFO: Hello", LogLine("INFO", "Hello", 1234, "app")),
        ("0000001234 [app] INFO: Hello\r\n", LogLine("INFO", "Hello", 1234, "app")),
        ("0000001234 [system] ERROR: failed: -1 [really]", LogLine("ERROR", "failed: -1 [really]", 1234, "system")),
        (
            "0000000001 [comm.protocol] main.cpp:12, setup(): WARN: x [code = -5, details = y z]",
            LogLine("WARN", "x", 1, "comm.protocol", "main.cpp", 12, "setup", -5, "y z"),
        ),
        ("0000000001 [app] main.cpp:12: TRACE: x", LogLine("TRACE", "x", 1, "app", "main.cpp", 12)),
        (
            "0000000001 [app] foo::bar(): PANIC: x [code = 7]",
            LogLine("PANIC", "x", 1, "app", None, None, "foo::bar", 7),
        ),
        ("INFO: bare", LogLine("INFO", "bare")),
        ("0000000001 [app] INFO: ", LogLine("INFO", "", 1, "app")),
        (
            '{"l":"WARN","m":"x","c":"app","f":"a.cpp","ln":3,"fn":"loop","t":99,"code":-5,"detail":"d"}',
            LogLine("WARN", "x", 99, "app", "a.cpp", 3, "loop", -5, "d"),
        ),
        ('{"l":"INFO","m":"x"}\r\n', LogLine("INFO", "x")),
    ],
)
def test_log_lines(text, line):
    assert parse_log_line(text) == line


@pytest.mark.parametrize(
    "text", ["", "hello", "{", "{}", "[]", '{"m":"x"}', "12 apples", "info: lower case", "Device ID: 1"]
)
def test_other_lines(text):
    assert parse_log_line(text) is None


@pytest.mark.parametrize("text", ['{"a":' + "[" * 16_000, '{"l":"INFO","m":' + "{" * 16_000])
def test_json_too_deep_to_read_is_no_log_line(text):
    assert parse_log_line(text) is None


def test_a_code_longer_than_any_is_part_of_the_message():
    line = parse_log_line(f"INFO: x [code = {'1' * 5000}]")
    assert line.code is None
    assert line.message.endswith("1]")
