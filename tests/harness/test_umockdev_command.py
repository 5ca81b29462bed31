"""The command that puts boards of a bench before programs of this machine, without umockdev."""

import subprocess

from particle_harness.umockdev import __main__ as command


class NoBus:
    """Stands where the mocked bus would."""

    def __init__(self, boards):
        self.environment = {}

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        pass


def test_ctrl_c_ends_it_in_one_line_and_the_board_is_kept(tmp_path, monkeypatch, capsys):
    bench_file = tmp_path / "bench.toml"
    text = '[bench]\ndriver = "virtual"\nstate_dir = "boards"\n[[slot]]\nname = "1"\nplatform = "boron"\n'
    bench_file.write_text(text, encoding="utf-8")

    def press_ctrl_c(*_arguments, **_options):
        raise KeyboardInterrupt

    monkeypatch.setattr(subprocess, "run", press_ctrl_c)
    monkeypatch.setattr(command, "UmockdevBus", NoBus)
    monkeypatch.setenv("LD_PRELOAD", "libumockdev-preload.so.0")
    monkeypatch.setattr("sys.argv", ["umockdev", str(bench_file), "--", "dfu-util", "-l"])
    assert command.main() == 130
    assert capsys.readouterr().err == "interrupted\n"
    assert (tmp_path / "boards" / "1" / "internal.bin").exists()
