"use strict";
// The operators' page. What the stream of events says is shown; text goes in as text, never as markup. All words come
// from the server in the visitor's language.
(() => {
  const $ = (id) => document.getElementById(id);
  let formToken = document.querySelector("meta[name=form-token]").content;
  const list = $("slots");
  const cards = new Map();
  let run = null;
  let first = true;

  // ---- sound ------------------------------------------------------------------------------------------------------
  const TONES = { pass: [[880, 0, 0.12], [1318, 0.12, 0.22]], fail: [[220, 0, 0.3], [165, 0.3, 0.5]],
    call: [[660, 0, 0.15], [660, 0.25, 0.15], [660, 0.5, 0.15]] };
  const soundButton = $("sound");
  let audio = null;
  let isLoud = localStorage.getItem("sound") === "on";

  function showSound() {
    const text = isLoud ? soundButton.dataset.on : soundButton.dataset.off;
    soundButton.querySelector("span").textContent = text;
    soundButton.setAttribute("aria-label", text);
    soundButton.querySelector("use").setAttribute("href", `/static/symbols.svg#${isLoud ? "sound" : "silent"}`);
  }

  function play(name) {
    const tones = TONES[name];
    if (!isLoud || !tones) return;
    audio = audio || new AudioContext();
    if (audio.state === "suspended") audio.resume();
    for (const [frequency, after, duration] of tones) {
      const tone = audio.createOscillator();
      const volume = audio.createGain();
      const start = audio.currentTime + after;
      tone.frequency.value = frequency;
      volume.gain.setValueAtTime(0.25, start);
      volume.gain.exponentialRampToValueAtTime(0.001, start + duration);
      tone.connect(volume).connect(audio.destination);
      tone.start(start);
      tone.stop(start + duration);
    }
  }

  soundButton.addEventListener("click", () => {
    isLoud = !isLoud;
    localStorage.setItem("sound", isLoud ? "on" : "off");
    showSound();
    play("pass");
    line.focus();
  });
  showSound();

  // ---- slots ------------------------------------------------------------------------------------------------------
  function setText(node, text) {
    if (node && node.textContent !== text) node.textContent = text;
  }

  // In letters: Chinese ones are twice as wide.
  function width(text) {
    return [...text].reduce((sum, letter) => sum + (letter > "\u2e7f" ? 1.7 : 1), 0);
  }

  function showPicture(picture, todo) {
    if (picture.dataset.name !== todo.picture) {
      picture.dataset.name = todo.picture;
      picture.src = todo.picture;
    }
    picture.hidden = false;
    picture.alt = todo.alt;
  }

  function makeCard(name) {
    const node = $("slot").content.firstElementChild.cloneNode(true);
    const texts = new Map();
    for (const field of node.querySelectorAll("[data-text]")) texts.set(field.dataset.text, field);
    const path = `/slots/${encodeURIComponent(name)}/`;
    node.dataset.slot = name;
    node.querySelector(".begin").addEventListener("click", () => act(path + "start"));
    const unlock = node.querySelector(".unlock");
    if (unlock) unlock.addEventListener("click", () => act(path + "unlock"));
    return { node, texts, progress: node.querySelector(".progress"), picture: node.querySelector("img"), mode: null, said: null, room: null };
  }

  function showSlot(view) {
    const card = cards.get(view.slot);
    if (!card) return;
    for (const [name, field] of card.texts) {
      let text = name === "next" ? view.do.text : name === "brief" ? view.do.brief : view[name];
      if (name === "unit" && view.unit.length > 12) {
        field.title = view.unit;
        text = `…${view.unit.slice(-6)}`;
      }
      setText(field, String(text ?? ""));
    }
    const { node, progress, picture } = card;
    // So that the longest words of a language fit beside number and symbol.
    node.style.setProperty("--fit", Math.min(1, 4.9 / Math.max(1, width(view.word))));
    progress.hidden = view.percent === null;
    if (view.percent !== null) {
      progress.style.setProperty("--share", view.percent);
      progress.setAttribute("aria-valuenow", String(view.percent));
    }
    showPicture(picture, view.do);
    node.dataset.do = view.do.id;
    node.classList.toggle("calls", view.do.urgency === "now");
    const unlock = node.querySelector(".unlock");
    if (unlock) unlock.hidden = !view.locked;
    node.querySelector(".begin").hidden = !view.may_begin;
    // First of all what the style sheet goes by: what shows decides what fits.
    if (card.mode !== view.mode) {
      node.dataset.mode = view.mode;
      node.querySelector(".symbol use").setAttribute("href", `/static/symbols.svg#${view.mode}`);
    }
    card.texts.get("message").title = view.message;
    const room = [view.do.text, view.message, view.percent === null, view.step === "", view.mode].join("\n");
    if (room !== card.room) {
      card.room = room;
      fit(card);
    }
    if (card.mode !== view.mode || card.said !== view.do.id) {
      if (!first && view.mode !== "working") say(`${view.slot}: ${view.word}. ${view.do.text}`);
      card.mode = view.mode;
      card.said = view.do.id;
      if (!first) play(view.do.sound);
    }
  }

  // The whole text as large as it fits; where it would be too small to read, two words of it.
  function fit(card) {
    const { node, texts } = card;
    const text = texts.get("next");
    const isTight = node.clientHeight < 170 || node.clientWidth < 150;
    node.classList.toggle("tight", isTight);
    if (isTight) return;
    for (const size of [1, 0.9, 0.8, 0.7, 0.6]) {
      node.style.setProperty("--size", size);
      if (text.scrollHeight <= text.clientHeight + 1 && text.scrollWidth <= text.clientWidth + 1) return;
    }
    node.classList.add("tight");
  }

  let spoken = [];
  function say(text) {
    spoken.push(text);
    // Together: a screen reader drops what is replaced at once.
    if (spoken.length === 1) setTimeout(() => { setText($("spoken"), spoken.join(" ")); spoken = []; }, 300);
  }

  function showRun(view) {
    const names = view.slots;
    if (run === null || run.run_id !== view.run_id || names.join("\n") !== run.slots.join("\n")) {
      cards.clear();
      for (const name of names) cards.set(name, makeCard(name));
      list.replaceChildren(...[...cards.values()].map((card) => card.node));
      first = true;
    }
    run = view;
    for (const field of document.querySelectorAll("[data-run]")) setText(field, String(view[field.dataset.run] ?? ""));
    if ($("lines").hidden === view.hears) {
      $("lines").hidden = !view.hears;
      if (view.hears) line.focus();
    }
    if (end) end.hidden = !view.by_hand;
    showButton();
    showNotes(view.notes);
    $("nothing").hidden = names.length > 0;
    showTodo(view);
    lay();
  }

  function showNotes(notes) {
    const shown = $("notes");
    shown.hidden = !notes.length;
    if (shown.dataset.notes === notes.join("\n")) return;
    shown.dataset.notes = notes.join("\n");
    shown.replaceChildren(...notes.map((note) => {
      const item = document.createElement("li");
      item.textContent = note;
      return item;
    }));
  }

  // Of the run as a whole, where a person is needed.
  let told = null;
  function showTodo(view) {
    const isTold = view.do.urgency !== "rest";
    const banner = $("verdict");
    banner.hidden = !isTold;
    banner.dataset.verdict = view.verdict || "";
    if (isTold) {
      showPicture(banner.querySelector("img"), view.do);
      setText(banner.querySelector("span"), view.do.text);
    }
    if (!first && isTold && told !== view.do.id) play(view.do.sound);
    told = isTold ? view.do.id : null;
  }

  // As many columns as make the slots as large as can be.
  function lay() {
    const count = cards.size;
    if (!count) return;
    const { width, height } = list.getBoundingClientRect();
    let best = [0, 1];
    for (let columns = 1; columns <= count; columns++) {
      const size = Math.min(width / columns, 1.25 * Math.max(height, 300) / Math.ceil(count / columns));
      if (size > best[0]) best = [size, columns];
    }
    list.style.setProperty("--columns", best[1]);
  }
  window.addEventListener("resize", lay);
  new ResizeObserver(() => cards.forEach(fit)).observe(list);

  // ---- the stream -------------------------------------------------------------------------------------------------
  let source = null;
  let frames = 0;
  // The station says every five seconds that it is there. A computer that hangs, or a network that is gone, ends no
  // connection.
  const SILENT_MS = 15000;
  let heardAt = Date.now();
  setInterval(() => {
    if (Date.now() - heardAt < SILENT_MS) return;
    lost(!(run && run.verdict));
    connect();
  }, 1000);
  function lost(isLost) {
    $("lost").hidden = !isLost;
    document.body.classList.toggle("is-lost", isLost);
    lay();
  }
  function connect() {
    heardAt = Date.now();
    if (source) source.close();
    source = new EventSource("/events");
    source.addEventListener("alive", () => { heardAt = Date.now(); });
    source.onmessage = (message) => {
      heardAt = Date.now();
      const frame = JSON.parse(message.data);
      lost(false);
      if (frame.run) showRun(frame.run);
      for (const slot of frame.slots) showSlot(slot);
      showButton();
      first = false;
      document.body.dataset.frames = String(++frames);
    };
    source.onerror = () => {
      // After its end a run has nothing more to say.
      lost(!(run && run.verdict));
      // A browser gives up for good when the answer is no stream: then the login may have ended.
      if (source.readyState === EventSource.CLOSED) setTimeout(askAgain, 1000);
    };
  }
  async function askAgain() {
    try {
      const answer = await fetch("/", { redirect: "manual" });
      if (answer.type === "opaqueredirect") location.reload();
      else connect();
    } catch {
      setTimeout(askAgain, 1000);
    }
  }
  connect();

  // ---- what operators say ------------------------------------------------------------------------------------------
  const line = $("line");
  const button = $("start-all");
  function showButton() {
    const isBegin = !line.value && Boolean(run && run.by_hand);
    setText(button, isBegin ? button.dataset.begin : button.dataset.send);
    button.disabled = isBegin && cards.size > 0 && [...cards.values()].every((card) => card.mode === "locked");
  }

  function send(path, fields) {
    return fetch(path, { method: "POST", body: JSON.stringify(fields),
      headers: { "Content-Type": "application/json", "X-Form-Token": formToken } });
  }

  // The station was started again, or the cookie of this page is a shift old: a page of now has the token of now.
  async function renewToken() {
    const page = new DOMParser().parseFromString(await (await fetch("/")).text(), "text/html");
    const found = page.querySelector("meta[name=form-token]");
    if (found) formToken = found.content;
    for (const field of document.querySelectorAll("input[name=form_token]")) field.value = formToken;
  }

  async function act(path, fields = {}) {
    const answer = $("answer");
    try {
      let reply = await send(path, fields);
      if (reply.status === 403 && reply.headers.get("content-type") !== "application/json") {
        // Nothing was done; what was scanned must not be lost.
        await renewToken();
        reply = await send(path, fields);
      }
      if (reply.status === 401 || reply.headers.get("content-type") !== "application/json") return location.reload();
      const said = await reply.json();
      setText(answer, said.text);
      answer.classList.toggle("bad", !said.good);
      if (!said.good) play("fail");
    } catch {
      lost(true);
    }
    line.focus();
  }

  // Lines go one after the other: a scanner is faster than the network.
  let queue = Promise.resolve();
  $("lines").addEventListener("submit", (event) => {
    event.preventDefault();
    const text = line.value;
    line.value = "";
    showButton();
    queue = queue.then(() => act("/lines", { line: text }));
  });
  line.addEventListener("input", showButton);

  // A scanner and a foot-switch type wherever the focus is: their keys go to the field.
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.altKey || event.metaKey || $("ask-end").open) return;
    const on = document.activeElement;
    if (event.key === " " && on === line && !line.value) {
      event.preventDefault();
      return $("lines").requestSubmit();
    }
    if (on === line || on.matches("input, select, textarea")) return;
    const isOnButton = on.matches("button, a");
    if (isOnButton && (event.key === " " || event.key === "Enter")) return;
    if (event.key.length === 1 && event.key !== " ") line.focus();
    else if (event.key === "Enter" || event.key === " ") {
      event.preventDefault();
      line.focus();
      $("lines").requestSubmit();
    }
  });
  line.focus();

  const end = $("end");
  if (end) {
    const ask = $("ask-end");
    end.addEventListener("click", () => ask.showModal());
    ask.addEventListener("close", () => {
      if (ask.returnValue === "yes") act("/end");
      ask.returnValue = "";
      line.focus();
    });
  }
})();
