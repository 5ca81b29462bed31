"""Real stations on virtual benches: what people at browsers see while boards go through."""

import re
import signal
import socket

import pytest

from particle_dev.station.journal import JOURNAL_NAME, read_journal

PLATFORMS = ("boron", "photon", "bsom", "tracker")
LOST = r"ERR_CONNECTION_REFUSED|ERR_INCOMPLETE_CHUNKED|ERR_CONNECTION_RESET|ERR_NETWORK|ERR_EMPTY_RESPONSE"


def all_in(mode, slots=PLATFORMS):
    return {f"s{number}": mode for number in range(1, len(slots) + 1)}


def counts(page):
    return tuple(int(page.locator(f"[data-run={name}]").inner_text()) for name in ("passed", "not_passed"))


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


def test_boards_go_through_while_three_people_look(visit, station):
    """The first stays, the second comes when work is under way, the third closes the browser and comes back."""
    process = station(PLATFORMS, "--stay")
    people = [visit(process.address)]
    first = people[0]
    first.await_slots(4)
    first.await_modes(s1="working")
    people.append(visit(process.address, language="de-DE"))
    third = visit(process.address, width=768, height=1024)
    third.await_slots(4)
    third.context.close()
    shares = set()
    for _ in range(200):
        share = first.page.locator('[data-slot="1"] .progress').get_attribute("aria-valuenow")
        speed = first.page.locator('[data-slot="1"] [data-text=speed]').inner_text()
        if first.modes()["1"] == "working" and share is not None and re.search(r"\d B/s|\d [kM]B/s", speed):
            shares.add(share)
        if len(shares) > 3:
            break
        first.page.wait_for_timeout(100)
    assert len(shares) > 3, "the progress of slot 1 does not move"
    first.shot("live-working")
    again = visit(process.address)
    again.await_slots(4)
    # It needs no event after its coming to show what there is.
    assert set(again.modes().values()) <= {"working", "pass"}
    people.append(again)
    for person in people:
        person.await_modes(**all_in("pass"))
        assert counts(person.page) == (4, 0)
    first.shot("live-passed")
    assert first.page.locator("#verdict").inner_text().strip() == "Finished. Every board passed."
    assert people[1].page.locator("#verdict").inner_text().strip() == "Fertig. Alle Platinen haben bestanden."
    assert "/events" in "".join(first.requests)


def test_a_station_that_is_killed_is_missed_and_found_again(visit, station):
    address = f"127.0.0.1:{free_port()}"
    process = station(("boron", "photon"), page=address)
    person = visit(process.address, may_complain=f"{LOST}|403")  # a browser tells of every refusal
    person.await_slots(2)
    person.await_modes(s1="working", s2="working")
    process.kill()
    person.page.wait_for_selector("#lost:visible")
    text = person.page.locator("#lost").inner_text()
    person.shot("live-lost")
    assert text.strip() == "The station does not answer. What you see is old. Boards may stay where they are."
    station(("boron", "photon"), "--stay", page=address)
    person.page.wait_for_selector("#lost", state="hidden")
    person.page.keyboard.press("Enter")
    person.until("document.getElementById('answer').textContent", "what is said first is heard: no new page, no answer")
    person.await_modes(s1="pass", s2="pass")
    assert counts(person.page) == (2, 0)


def test_a_station_that_hangs_is_missed_and_found_again(visit, station):
    """Its connections stay open, as those of a tablet do whose network is gone."""
    process = station(("boron",), "--watch", "--start", "operator")
    person = visit(process.address, may_complain=LOST)
    person.await_modes(s1="waiting")
    process.process.send_signal(signal.SIGSTOP)
    person.page.wait_for_selector("#lost:visible")
    process.process.send_signal(signal.SIGCONT)
    person.page.wait_for_selector("#lost", state="hidden")
    person.page.keyboard.press("Enter")
    person.await_modes(s1="working")


def test_a_run_that_is_quiet_is_not_missed(visit, station):
    process = station(("boron",), "--watch", "--start", "operator")
    person = visit(process.address)
    person.await_modes(s1="waiting")
    for _ in range(20):
        person.page.wait_for_timeout(1000)
        assert not person.page.locator("#lost").is_visible()


def test_a_run_is_shown_again(visit, station, particle_dev, tmp_path):
    process = station(("boron", "photon"), "--stay", options='delays = "none"')
    person = visit(process.address)
    person.await_modes(s1="pass", s2="pass")
    before, _ = read_journal(tmp_path / "run" / JOURNAL_NAME)
    shown = particle_dev("station", "replay", tmp_path / "run", "--page", "127.0.0.1:0", "--site", tmp_path / "site")
    viewer = visit(shown.address, may_complain="409")  # a browser tells of every refusal
    viewer.await_modes(s1="pass", s2="pass")
    assert counts(viewer.page) == (2, 0)
    viewer.page.keyboard.press("Enter")
    viewer.until("document.getElementById('answer').textContent === 'No run goes on here.'")
    after, _ = read_journal(tmp_path / "run" / JOURNAL_NAME)
    assert after == before


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_console_and_policy_hold_during_a_run(visit, station, scheme):
    """``visit`` fails for any complaint of the console, which is where a breach of the policy is told."""
    process = station(("boron",), "--stay", options='delays = "none"')
    person = visit(process.address, color_scheme=scheme)
    person.await_modes(s1="pass")
    policy = person.page.request.get(process.address).headers["content-security-policy"]
    assert "default-src 'self'" in policy
    assert "unsafe" not in policy
    breach = "document.body.insertAdjacentHTML('beforeend', '<img src=x onerror=\"window.bad = 1\">')"
    person.page.evaluate(breach)
    person.page.wait_for_timeout(200)
    assert person.page.evaluate("window.bad") is None
    assert any("Content Security Policy" in problem for problem in person.problems)
    person.problems.clear()
