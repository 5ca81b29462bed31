"""Build step: compiles ``pace.c`` into ``particle_harness.emulator._native._pace`` (cffi, API mode)."""

from pathlib import Path

from cffi import FFI  # type: ignore[import-untyped]

# setuptools wants source paths relative to the folder of setup.py, where it runs this file.
_FOLDER = Path("harness/particle_harness/emulator/_native")
_header = (_FOLDER / "pace.h").read_text(encoding="utf-8")

ffibuilder = FFI()
ffibuilder.cdef(_header[_header.index("/* cdef */") : _header.index("/* end of cdef */")])
ffibuilder.set_source(
    "particle_harness.emulator._native._pace",
    '#include "pace.h"',
    include_dirs=[str(_FOLDER)],
    sources=[str(_FOLDER / "pace.c")],
    depends=[str(_FOLDER / "pace.h")],
)
