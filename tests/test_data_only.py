"""Recipes, bench files, releases, records and what boards and clouds send are data: nothing of them is executed."""

import ast
from pathlib import Path

import pytest

import particle_dev

ROOT = Path(particle_dev.__file__).parent
FORBIDDEN_CALLS = {"eval", "exec", "compile", "__import__", "system", "popen"}
FORBIDDEN_MODULES = {"pickle", "cPickle", "marshal", "shelve", "dill", "yaml", "code", "runpy"}
IMPORTS_BY_NAME = {"cli/lazy_group.py"}
"""Takes names from the source alone."""


def findings(tree, path):
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            name = node.func.id if isinstance(node.func, ast.Name) else None
            attribute = node.func.attr if isinstance(node.func, ast.Attribute) else None
            owner = node.func.value.id if attribute and isinstance(node.func.value, ast.Name) else None
            if name in FORBIDDEN_CALLS or (owner == "os" and attribute in FORBIDDEN_CALLS):
                yield f"{path}:{node.lineno}: {name or attribute}"
            if "import_module" in (name, attribute) and path not in IMPORTS_BY_NAME:
                yield f"{path}:{node.lineno}: import_module"
            if any(
                k.arg == "shell" and not (isinstance(k.value, ast.Constant) and not k.value.value)
                for k in node.keywords
            ):
                yield f"{path}:{node.lineno}: shell"
        names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
        names += [node.module or ""] if isinstance(node, ast.ImportFrom) and not node.level else []
        for module in names:
            if module.partition(".")[0] in FORBIDDEN_MODULES:
                yield f"{path}:{node.lineno}: {module}"


@pytest.mark.parametrize("path", sorted(ROOT.rglob("*.py")), ids=lambda path: path.relative_to(ROOT).as_posix())
def test_nothing_executes_what_it_reads(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    assert list(findings(tree, path.relative_to(ROOT).as_posix())) == []


@pytest.mark.parametrize(
    "source",
    [
        "eval(x)",
        "import pickle",
        "from yaml import load",
        "os.system(x)",
        "subprocess.run(x, shell=True)",
        "exec(x)",
        "importlib.import_module(x)",
        "import_module(x)",
    ],
)
def test_the_search_finds_them(source):
    assert len(list(findings(ast.parse(source), "a.py"))) == 1
