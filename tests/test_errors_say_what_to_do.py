"""Errors that an operator meets carry a hint: read off the source, since many need a fault to be raised."""

import ast
import re
from pathlib import Path

import pytest

from particle_dev import errors

ROOT = Path(__file__).parents[1]
FILES = [
    *sorted((ROOT / "particle_dev").rglob("*.py")),
    *(ROOT / "harness" / "particle_harness" / f"{name}.py" for name in ("bench", "bench_toml", "sim", "vhci")),
    *sorted((ROOT / "harness" / "particle_harness" / "emulator").rglob("*.py")),
]
NAMES = {
    name for name, kind in vars(errors).items() if isinstance(kind, type) and issubclass(kind, errors.ParticleDevError)
}


def without_hint(path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in NAMES:
            hints = [k.value for k in node.keywords if k.arg in ("hint", None)]
            if not hints or (isinstance(hints[0], ast.Constant) and not hints[0].value):
                yield f"{path.name}:{node.lineno}: {node.func.id}"


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_every_error_has_a_hint(path):
    assert list(without_hint(path)) == []


def test_the_search_finds_them(tmp_path):
    module = tmp_path / "a.py"
    module.write_text(
        "raise ConfigError('x', file='y')\nraise BenchError('x', hint='')\nraise BenchError('x', hint=why)\n"
    )
    assert [line.split(":")[1] for line in without_hint(module)] == ["1", "2"]


def test_the_tree_shows_every_error_below_the_one_that_it_extends():
    above, parents = [], {}
    for line in errors.__doc__.splitlines():
        depth, name = len(line) - len(line.lstrip(" │├└─")), re.match(r"[ │├└─]*(\w+Error)\b", line)
        if name:
            above = [*(pair for pair in above if pair[0] < depth), (depth, name[1])]
            parents[name[1]] = above[-2][1] if len(above) > 1 else "Exception"
    assert parents == {name: vars(errors)[name].__bases__[0].__name__ for name in NAMES}
