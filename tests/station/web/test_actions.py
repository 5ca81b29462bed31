"""What people do on the page is done by the lines that standard input has too, and written down."""

import errno
import hashlib
import json
import os
from concurrent.futures import ThreadPoolExecutor

import pytest

from particle_dev.station.arrivals import StartBy
from particle_dev.station.operator_lines import ANSWER_TEXTS, Answer, AnswerId, OperatorLines
from particle_dev.station.slot_health import HealthFile, Lock, SlotHealth
from particle_dev.station.web.access import Role
from particle_dev.station.web.actions import MOST_LINE
from particle_dev.station.web.audit import BEGUN, check_audit

ID = "e00fce68" + "1" * 16


@pytest.fixture
def acts(page, context, lines, audit):
    context.desk.lines = lines

    def act(path, **fields):
        return page.act(path, **fields).json()

    act.log = lambda: [
        (entry["what"], entry["target"], entry["result"])
        for entry in map(json.loads, audit.path.read_text().splitlines())
        if entry["result"] != BEGUN
    ]
    return act


def test_a_label_is_heard_and_nothing_of_it_is_kept(acts, audit):
    said = acts("/lines", line=f"{ID.upper()} SECRET9")
    assert said == {"text": f"Put {ID} in", "good": True, "id": "put_in"}
    assert acts.log() == [("line", ID, "put_in")]
    assert "SECRET9" not in audit.path.read_text()


def test_what_is_no_label_is_not_repeated(acts, audit):
    said = acts("/lines", line="SECRET9")
    assert said["id"] == "no_label"
    assert "SECRET9" not in json.dumps(said) + audit.path.read_text()


def test_slots_begin_and_end(acts, arrivals):
    assert acts("/start")["id"] == "none_free"
    assert acts("/slots/1/start")["id"] == "at_work"
    assert acts("/slots/9/start")["id"] == "no_slot"
    assert acts("/end") == {"text": "No more units are begun", "good": True, "id": "ending"}
    assert arrivals.ending
    assert [what for what, _, _ in acts.log()] == ["start", "start", "start", "end"]


def test_a_slot_is_unlocked(acts, site):
    health = HealthFile(site, "line")
    health.change("left", lambda _: SlotHealth(lock=Lock("engineer", "bent pin", "2026-05-04T08:00:00.000Z")))
    assert acts("/slots/left/unlock")["id"] == "unlocked"
    assert health.read()["left"].lock is None
    assert acts.log() == [("unlock", "left", "unlocked")]


def test_slots_of_any_name_can_be_reached(page, context, arrivals, site):
    name = "a/b ü?#%"
    context.desk.lines = OperatorLines(None, [name], StartBy.OPERATOR, HealthFile(site, "line"))
    assert page.act("/slots/a%2Fb%20%C3%BC%3F%23%25/unlock").json()["text"] == f"Slot {name} is back in use"


def test_without_a_run_nothing_is_done(page):
    answer = page.act("/start")
    assert (answer.status_code, answer.json()["good"]) == (409, False)


def test_a_line_longer_than_any_label_is_none(acts, page):
    assert page.act("/lines", line="x" * (MOST_LINE + 1)).status_code == 400
    assert acts("/lines", line="x" * MOST_LINE)["id"] == "no_label"


def test_what_cannot_be_written_down_is_not_done(page, context, lines, arrivals, audit):
    context.desk.lines = lines
    audit.path.parent.parent.mkdir(exist_ok=True)
    audit.path.parent.write_text("a file where the folder belongs")
    answer = page.act("/end")
    assert (answer.status_code, answer.json()["good"]) == (503, False)
    assert not arrivals.ending


def test_answers_are_in_the_visitors_language(page, context, lines):
    context.desk.lines = lines
    page.cookies.set("language", "de")
    assert page.act("/start").json()["text"] == "Kein Platz ist frei"


def test_a_round_is_begun_by_nobody(site):
    lines = OperatorLines(None, ["1"], StartBy.INSERTION, HealthFile(site, "line"))
    assert not lines.begins_by_hand
    asked = [lines.start_all(), lines.start("1"), lines.scan(ID), lines.end(), lines.carry_out("")]
    assert {answer.id for answer in asked} == {AnswerId.ONE_ROUND}
    assert lines.unlock("1").id is AnswerId.UNLOCKED


@pytest.mark.parametrize("answer", list(AnswerId))
def test_every_answer_has_words(answer):
    assert answer in ANSWER_TEXTS
    assert "{" not in str(Answer(answer, "1"))


# ---- the log -----------------------------------------------------------------------------------------------------


def write(audit, count, visitor):
    for n in range(count):
        with audit.act(visitor, "127.0.0.1", "start", str(n)) as act:
            act.result = "begins"


def test_the_log_tells_who_did_what_and_from_where(guarded, audit, lines):
    guarded.context.desk.lines = lines
    browser = guarded.browser()
    browser.log_in(guarded.tokens[Role.ENGINEER])
    browser.act("/slots/1/unlock")
    acts, wrong = check_audit(audit.path)
    assert wrong == ()
    assert [(a["who"], a["role"], a["what"], a["result"]) for a in acts] == [
        (None, "nobody", "login", BEGUN),
        ("engineer", "engineer", "login", "welcome"),
        ("engineer", "engineer", "unlock", BEGUN),
        ("engineer", "engineer", "unlock", "unlocked"),
    ]
    assert acts[2]["act"] == acts[3]["act"] != acts[1]["act"]
    assert acts[1]["from"] == "testclient"
    assert acts[1]["at"].endswith("Z")
    assert guarded.tokens[Role.ENGINEER].partition(".")[2] not in audit.path.read_text()


@pytest.mark.parametrize("harm", ["changed", "deleted", "added", "exchanged"])
def test_a_log_that_was_altered_is_found(audit, harm, guarded):
    write(audit, 5, guarded.context.admission.visitor(""))
    lines = audit.path.read_bytes().splitlines(keepends=True)
    assert check_audit(audit.path)[1] == ()
    if harm == "changed":
        lines[3] = lines[3].replace(b"begins", b"at_work")
    elif harm == "deleted":
        del lines[2]
    elif harm == "added":
        lines.insert(2, lines[1])
    else:
        lines[1], lines[2] = lines[2], lines[1]
    audit.path.write_bytes(b"".join(lines))
    assert check_audit(audit.path)[1] != ()


def test_a_line_that_was_cut_off_is_shown_and_the_log_goes_on(audit, guarded):
    visitor = guarded.context.admission.visitor("")
    write(audit, 2, visitor)
    audit.path.write_bytes(audit.path.read_bytes()[:-10])
    write(audit, 2, visitor)
    acts, wrong = check_audit(audit.path)
    assert (len(acts), wrong) == (7, (4,))


@pytest.mark.parametrize("taken", [0, 20])
def test_on_a_full_disk_nothing_is_done(page, context, lines, arrivals, audit, monkeypatch, taken):
    """The file opens, and takes no more than a part of the line."""
    context.desk.lines = lines
    write(audit, 1, context.admission.visitor(""))
    before = audit.path.read_bytes()
    full_after(monkeypatch, taken)
    answer = page.act("/end")
    assert (answer.status_code, "do it again" in answer.json()["text"]) == (503, True)
    assert not arrivals.ending
    assert audit.path.read_bytes() == before


def test_a_disk_that_is_full_after_the_act_asks_nobody_to_do_it_again(
    page, context, lines, arrivals, audit, monkeypatch
):
    context.desk.lines = lines
    real = arrivals.end

    def end():
        full_after(monkeypatch, 0)
        real()

    monkeypatch.setattr(arrivals, "end", end)
    answer = page.act("/end")
    assert (answer.status_code, "do not do it again" in answer.json()["text"]) == (503, True)
    acts, wrong = check_audit(audit.path)
    assert ([(a["what"], a["result"]) for a in acts], wrong) == ([("end", BEGUN)], ())


def full_after(monkeypatch, taken):
    """No write takes more than so many bytes; from the second on, none at all."""
    real, left = os.write, [taken]

    def write(descriptor, data):
        if not left[0]:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        count = real(descriptor, bytes(data)[: left[0]])
        left[0] -= count
        return count

    monkeypatch.setattr("particle_dev.station.web.audit.os.write", write)


def test_a_line_that_the_disk_takes_in_parts_is_whole(audit, context, monkeypatch):
    real = os.write
    monkeypatch.setattr("particle_dev.station.web.audit.os.write", lambda fd, data: real(fd, bytes(data)[:7]))
    write(audit, 3, context.admission.visitor(""))
    acts, wrong = check_audit(audit.path)
    assert (len(acts), wrong) == (6, ())


def test_what_the_act_itself_fails_with_passes_through(audit, context):
    with pytest.raises(FileNotFoundError, match="bench"), audit.act(context.admission.visitor(""), "", "start"):
        raise FileNotFoundError("bench")


def test_two_acts_go_on_at_once(audit, context):
    """One that lasts keeps nobody else from the log."""
    visitor = context.admission.visitor("")
    with audit.act(visitor, "", "start"), ThreadPoolExecutor(1) as pool:
        pool.submit(write, audit, 1, visitor).result()
    acts, wrong = check_audit(audit.path)
    assert ([a["result"] for a in acts], wrong) == ([BEGUN, BEGUN, "begins", "failed"], ())


@pytest.mark.parametrize(
    "line", [b"1", b"null", b"[]", b'"x"', b"", b"\xff", b"{}", b'{"before": "%s"}', b"[" * 100_000]
)
def test_what_is_no_act_is_wrong_and_not_shown(audit, context, line):
    write(audit, 1, context.admission.visitor(""))
    last = audit.path.read_bytes().splitlines()[-1]
    line = line.replace(b"%s", hashlib.sha256(last).hexdigest().encode())
    audit.path.write_bytes(audit.path.read_bytes() + line + b"\n")
    acts, wrong = check_audit(audit.path)
    assert (len(acts), wrong) == (2, (3,))


def test_what_fails_is_written_down_as_failed(audit, guarded):
    with pytest.raises(ZeroDivisionError), audit.act(guarded.context.admission.visitor(""), "", "start") as act:
        act.result = str(1 / 0)
    assert check_audit(audit.path)[0][1]["result"] == "failed"


def test_who_waits_at_a_slot_hears_that_it_is_unlocked(lines, arrivals):
    with arrivals:
        with ThreadPoolExecutor(1) as pool:
            waits = pool.submit(arrivals.wait, "1")
            assert lines.unlock("1").id is AnswerId.UNLOCKED
            assert waits.result().by is None
        arrivals.end()
        assert arrivals.wait("1") is None
