"""Build step: compiles ``firmware/module`` into ``particle_dev._native._module`` (cffi, API mode)."""

from pathlib import Path

from cffi import FFI  # type: ignore[import-untyped]

# setuptools wants source paths relative to the folder of setup.py, where it runs this file.
_LIBRARY = Path("firmware/module")

ffibuilder = FFI()
ffibuilder.cdef(Path(__file__).with_name("module.cdef.txt").read_text(encoding="utf-8"))
ffibuilder.set_source(
    "particle_dev._native._module",
    '#include "pd_module.h"',
    include_dirs=[str(_LIBRARY / "include")],
    sources=[str(source) for source in sorted((_LIBRARY / "src").glob("*.c"))],
    depends=[str(header) for header in _LIBRARY.glob("*/*.h")],
)
