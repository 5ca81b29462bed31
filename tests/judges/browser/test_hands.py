"""Without a mouse: keys, a scanner that types, a foot-switch that is one key, and what is heard."""

import json

ID = "e00fce68" + "0" * 13 + "abc"
OTHER = "e00fce68" + "0" * 13 + "def"
LISTEN = """
window.heard = [];
const Real = window.AudioContext;
window.AudioContext = class extends Real {
  createOscillator() { const made = super.createOscillator(); window.heard.push(made.frequency); return made; }
};
"""
"""Counts tones without changing them."""


def watched(station, start, **named):
    return station(
        ("boron", "boron"),
        *("--watch", "--start", start),
        options='delays = "none"',
        slot_lines={1: f'device_id = "{ID}"', 2: f'device_id = "{OTHER}"'},
        **named,
    )


def await_idle(person):
    person.await_slots(2)
    person.await_modes(s1="waiting", s2="waiting")
    person.until("[...document.querySelectorAll('[data-slot]')].every(n => n.dataset.do.startsWith('insert'))")


def test_enter_begins_in_all_free_slots_wherever_the_focus_is(visit, station):
    person = visit(watched(station, "operator").address)
    await_idle(person)
    assert person.page.locator('[data-slot="1"] .full').inner_text().endswith("then press Enter or the foot switch.")
    person.page.evaluate("document.activeElement.blur()")
    person.page.keyboard.press("Enter")
    person.until("document.getElementById('answer').textContent.startsWith('Begins: slot 1')")
    person.await_modes(s1="pass", s2="pass")


def test_a_foot_switch_is_a_space_bar(visit, station):
    person = visit(watched(station, "operator").address)
    await_idle(person)
    person.page.keyboard.press("Space")
    person.await_modes(s1="pass", s2="pass")


def test_the_name_of_a_slot_begins_there_alone(visit, station):
    person = visit(watched(station, "operator").address)
    await_idle(person)
    person.page.keyboard.type("2")
    person.page.keyboard.press("Enter")
    person.await_modes(s2="pass")
    assert person.modes()["1"] == "waiting"


def test_a_scanner_types_faster_than_people(visit, station):
    """Two labels in a row, without a pause, while the focus is on a button."""
    person = visit(watched(station, "scan").address)
    await_idle(person)
    person.page.locator("#sound").focus()
    person.page.keyboard.type(f"{ID}\n{OTHER.upper()}\n", delay=0)
    person.await_modes(s1="pass", s2="pass")
    assert person.page.locator("#line").input_value() == ""


def test_a_label_that_is_none_is_refused_in_words_and_sound(visit, station):
    process = watched(station, "scan")
    person = visit()
    person.page.add_init_script(LISTEN)
    person.page.add_init_script("localStorage.setItem('sound', 'on')")
    person.page.goto(process.address)
    await_idle(person)
    person.page.keyboard.type("no label\n", delay=0)
    person.until("document.getElementById('answer').classList.contains('bad')")
    assert "no slot and no label" in person.page.locator("#answer").inner_text()
    assert person.page.evaluate("heard.length") > 0


def test_sound_is_off_until_somebody_wants_it_and_stays_as_it_was_left(visit, station):
    process = watched(station, "operator")
    person = visit()
    person.page.add_init_script(LISTEN)
    person.page.goto(process.address)
    await_idle(person)
    button = person.page.locator("#sound")
    assert button.inner_text() == "Sound off"
    person.page.keyboard.type("1\n")
    person.await_modes(s1="pass")
    assert person.page.evaluate("heard.length") == 0
    button.focus()
    person.page.keyboard.press("Enter")
    assert button.inner_text() == "Sound on"
    sample = person.page.evaluate("heard.length")
    assert sample > 0
    person.page.keyboard.type("2\n")
    person.await_modes(s2="pass")
    person.until("(before) => heard.length > before", sample)
    person.page.reload()
    person.await_slots(2)
    assert button.inner_text() == "Sound on"


def test_every_control_is_reached_by_tab_and_seen_when_it_has_the_focus(visit, station):
    person = visit(watched(station, "operator").address)
    await_idle(person)
    person.page.evaluate("document.body.tabIndex = -1; document.body.focus()")
    seen = []
    for _ in range(40):
        person.page.keyboard.press("Tab")
        focus = json.loads(
            person.page.evaluate(
                """() => { const on = document.activeElement, style = getComputedStyle(on);
                const box = on.getBoundingClientRect();
                return JSON.stringify({ end: on === document.body, name: on.id || on.className || on.textContent.trim(),
                  ring: style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2,
                  inside: box.left >= 0 && box.right <= innerWidth && box.width > 0 }); }"""
            )
        )
        if focus["end"] or (
            focus["name"] in [name["name"] for name in seen] and focus["name"] not in ("begin", "unlock")
        ):
            break
        seen.append(focus)
    names = [focus["name"] for focus in seen]
    assert names[0] == "skip"
    for wanted in ("Operator", "Units", "Statistics", "sound", "language", "line", "start-all", "end", "begin"):
        assert wanted in names
    assert [focus["name"] for focus in seen if not focus["ring"] or not focus["inside"]] == []


def test_the_run_is_ended_by_keys_and_only_after_a_question(visit, station):
    process = watched(station, "operator", run="ended")
    person = visit(process.address, may_complain="ERR_")  # the page goes away with its station
    await_idle(person)
    person.page.locator("#end").focus()
    person.page.keyboard.press("Enter")
    person.page.wait_for_selector("#ask-end[open]")
    person.shot("operator-ask-end")
    person.page.keyboard.press("Enter")  # "Go on" has the focus
    person.page.wait_for_selector("#ask-end", state="hidden")
    assert process.process.poll() is None
    person.page.locator("#end").focus()
    person.page.keyboard.press("Enter")
    person.page.keyboard.press("Tab")
    person.page.keyboard.press("Enter")
    assert process.process.wait(60) in (0, 6)


def test_a_slot_is_locked_and_unlocked_where_people_see_it(visit, station, particle_dev, tmp_path):
    process = watched(station, "operator")
    person = visit(process.address)
    await_idle(person)
    lock = ("station", "lock", "1", "--bench", tmp_path / "bench.toml", "--reason", "bent pin")
    particle_dev(*lock, "--site", tmp_path / "site", page=False)
    person.page.keyboard.type("1\n")
    person.await_modes(s1="locked")
    assert person.page.locator('[data-slot="1"] .full').inner_text() == "Do not use this slot. Call an engineer."
    person.page.locator('[data-slot="1"] .unlock').focus()
    person.page.keyboard.press("Enter")
    person.until("document.getElementById('answer').textContent.includes('back in use')")
    person.await_modes(s1="waiting")
    person.page.keyboard.type("1\n")
    person.await_modes(s1="pass")


def test_the_language_is_chosen_in_the_menu_and_kept(visit, station):
    person = visit(watched(station, "operator").address)
    await_idle(person)
    for code, word in (("de", "Wartet"), ("es", "En espera"), ("zh", "等待中"), ("en", "Waiting")):
        person.page.locator("#language").select_option(code)
        person.until("(code) => document.documentElement.lang.startsWith(code)", code)
        await_idle(person)
        assert person.page.locator('[data-slot="1"] .word').inner_text() == word
        person.page.reload()
        await_idle(person)
        assert person.page.locator('[data-slot="1"] .word').inner_text() == word
