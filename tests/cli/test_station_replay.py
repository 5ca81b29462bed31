"""``particle-dev station replay``: a journal is shown as the run was."""

import json
import shutil

import pytest
from click.testing import CliRunner

from particle_dev.cli import station_replay
from particle_dev.cli.root import root
from particle_dev.station.journal import JOURNAL_NAME, read_journal


@pytest.fixture
def folder(tmp_path, mixed_journal):
    shutil.copy(mixed_journal, tmp_path / JOURNAL_NAME)
    return tmp_path


def run(*arguments):
    return CliRunner().invoke(root, ["station", "replay", *map(str, arguments)], catch_exceptions=False)


def test_the_events_are_those_of_the_journal(folder):
    lines = run(folder, "--json").stdout.splitlines()
    assert "".join(line + "\n" for line in lines) == (folder / JOURNAL_NAME).read_text("ascii")


def test_people_see_steps_and_summary_and_nothing_is_written(folder):
    result = run(folder)
    assert result.exit_code == 0
    assert "FAIL: 1 of 4 units passed" in result.stdout
    assert "flash" in result.stderr
    assert [path.name for path in folder.iterdir()] == [JOURNAL_NAME]
    with (folder / JOURNAL_NAME).open("ab") as file:
        file.write(b'{"at"')
    assert "cut short" in run(folder).stderr


def test_time_passes_as_it_did_only_faster(folder, monkeypatch):
    waited = []
    monkeypatch.setattr(station_replay.SystemClock, "sleep", lambda _, duration_s: waited.append(duration_s))
    run(folder, "--speed", "10", "--json")
    events, _ = read_journal(folder / JOURNAL_NAME)
    assert sum(waited) * 10 == pytest.approx(sum(station_replay.pauses_s(events)))
    assert min(waited) > 0 and max(waited) <= 6
    assert len(json.loads(run(folder, "--json").stdout.splitlines()[0])) > 3
