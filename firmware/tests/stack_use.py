"""Worst stack use of every public function, from the call graphs that gcc writes with -fcallgraph-info=su.

    stack_use.py LIMIT_BYTES FILE.ci...

Functions of the caller (hooks, read) and libc count as nothing. Fails above the limit, or when a chain has no bound.
"""

import re
import sys
from pathlib import Path

limit_bytes, *files = sys.argv[1:]
graph = "".join(Path(file).read_text() for file in files)
own = {
    title: int(size)
    for title, size in re.findall(r'node: \{ title: "([^"]+)" label: "[^"]*\\n(\d+) bytes \(static\)', graph)
}
calls: dict[str, list[str]] = {}
for source, target in re.findall(r'edge: \{ sourcename: "([^"]+)" targetname: "([^"]+)"', graph):
    calls.setdefault(source, []).append(target)
# Indirect calls go to the caller, but for these: pd_module_check() goes through all checks, a test is run by a step and
# cancelled by a request, and modules are read by the self-test's own function.
tables = {
    "pd_module_check": ":check_",
    "pd_selftest_poll": "pd_test_",
    "pd_selftest_request": "pd_test_",
    "pd_fetch": ":read_slot",
}
for caller, callees in tables.items():
    calls.setdefault(caller, []).extend(title for title in own if title.rpartition(".c")[2].startswith(callees))
if "(dynamic" in graph or not own:
    sys.exit("a function's stack use is not known at compile time")


def worst(function: str, chain: tuple[str, ...] = ()) -> int:
    """Bytes of stack from this function down."""
    if function in chain:
        sys.exit(f"recursion: {' > '.join(chain)}")
    below = (worst(callee, (*chain, function)) for callee in calls.get(function, ()))
    return own.get(function, 0) + max(below, default=0)


public = {name: worst(name) for name in own if name.startswith("pd_")}
for name, size in sorted(public.items(), key=lambda item: -item[1]):
    sys.stdout.write(f"  {size:4} bytes of stack: {name}\n")
if max(public.values()) > int(limit_bytes):
    sys.exit(f"more than {limit_bytes} bytes of stack")
