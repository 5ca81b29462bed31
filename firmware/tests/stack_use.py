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
# The only table of functions: pd_module_check() goes through all checks. Other indirect calls go to the caller.
calls["pd_module_check"] += [title for title in own if ":check_" in title]
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
