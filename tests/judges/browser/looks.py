"""How a page looks and reads, asked of the browser: what does not fit, what is not translated, what axe finds."""

import json
import re

from particle_dev.station.web.texts import translations
from tests.station.web import catalogues

OVERFLOWS = """() => {
  const found = [];
  const page = document.documentElement;
  if (page.scrollWidth > page.clientWidth) found.push(`the page is ${page.scrollWidth} wide in ${page.clientWidth}`);
  for (const node of document.querySelectorAll("body *")) {
    if (node.closest(".unseen, svg, select, template, .scroll, .detail") || !node.checkVisibility()) continue;
    const text = [...node.childNodes].some((child) => child.nodeType === 3 && child.textContent.trim());
    if (!text) continue;
    const style = getComputedStyle(node);
    const name = `${node.tagName.toLowerCase()}.${node.className} "${node.textContent.trim().slice(0, 60)}"`;
    if (style.display !== "inline" && node.scrollWidth > node.clientWidth + 1) found.push(`wide: ${name}`);
    if (style.overflowY !== "visible" && style.display !== "inline" && node.scrollHeight > node.clientHeight + 3)
      found.push(`high: ${name}`);
    for (let frame = node.parentElement; frame && frame !== document.body; frame = frame.parentElement) {
      const clips = getComputedStyle(frame);
      if (clips.overflowX === "auto" || clips.overflowY === "auto") break;
      if (clips.overflowX === "visible" && clips.overflowY === "visible") continue;
      const inner = node.getBoundingClientRect(), outer = frame.getBoundingClientRect();
      if (inner.right > outer.right + 1 || inner.bottom > outer.bottom + 3)
        found.push(`cut off by ${frame.className}: ${name}`);
    }
  }
  return [...new Set(found)];
}"""
"""Texts that are cut off, hidden or run out of their place."""

READ = """() => {
  const texts = [document.title];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_ELEMENT | NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const node = walker.currentNode;
    const element = node.nodeType === 3 ? node.parentElement : node;
    const spoken = element.closest("[lang]");
    if (element.closest("script, noscript, style, template, code") || spoken !== document.documentElement) continue;
    if (node.nodeType === 3) { if (node.textContent.trim()) texts.push(node.textContent.trim()); continue; }
    for (const name of ["aria-label", "alt", "title", "placeholder", "data-on", "data-off", "data-begin", "data-send"])
      if (node.getAttribute(name)) texts.push(node.getAttribute(name).trim());
  }
  return texts;
}"""
"""Everything that a person or a screen reader is told in the page's language."""

NOT_LANGUAGE = re.compile(
    r"particle-dev|Device OS|DFU|Wi-Fi|SIM|ICCID|IMEI|USB|CSV|JSON|HTML|PDF|SVG|SHA-256|UTC|Device ID|[kM]?B/s|"
    r"bootloader",
    re.I,
)
NAMES = re.compile(r"[\w@-]*[._/@\d][\w./@-]*", re.ASCII)
"""Files, versions, hashes, identifiers."""
ENGLISH_WORDS = re.compile(r"\b(?:the|and|of|to|is|not|no|are|was|with|for|from|by|has|have|all|each|this)\b", re.I)


def overflows(page):
    return page.evaluate(OVERFLOWS)


def read_texts(page):
    return page.evaluate(READ)


def untranslated(page, language, data=()):
    """Texts in English on a page of another language. ``data``: names that are the same in all."""
    sources = _sources()
    texts = translations(language)
    said = {texts.gettext(source) for source in sources}
    found = []
    for text in read_texts(page):
        rest = text
        for word in data:
            rest = rest.replace(word, "")
        rest = NAMES.sub("", NOT_LANGUAGE.sub("", rest))
        is_source = text in sources and text not in said
        is_english = text not in said and ENGLISH_WORDS.search(rest) and language in ("de", "zh")
        is_latin = language == "zh" and re.search(r"[A-Za-z]{4,}", rest)
        if is_source or is_english or is_latin:
            found.append(text)
    return found


def _sources():
    return {m.id for m in catalogues.texts_of_sources() if isinstance(m.id, str) and m.id}


AXE_RUN = """async () => {
  const result = await axe.run(document, { runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"],
    resultTypes: ["violations"] });
  return JSON.stringify({ passes: result.passes.length, violations: result.violations.map((rule) => ({ id: rule.id,
    help: rule.help, nodes: rule.nodes.map((node) => `${node.target.join(" ")}: ${node.failureSummary}`) })) });
}"""


def axe_violations(page, script):
    """What axe-core finds against WCAG 2.2 A and AA. The page's content security policy must be bypassed for it."""
    if not page.evaluate("typeof axe !== 'undefined'"):
        page.add_script_tag(path=script)
    result = json.loads(page.evaluate(AXE_RUN))
    assert result["passes"] > 5, "axe has looked at nothing"
    return [f"{v['id']}: {v['help']}\n  " + "\n  ".join(v["nodes"]) for v in result["violations"]]
