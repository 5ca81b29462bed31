"""Build step: compiles ``core.c`` into ``particle_harness.emulator._native._core`` (cffi, API mode)."""

from pathlib import Path

from cffi import FFI  # type: ignore[import-untyped]

# setuptools wants source paths relative to the folder of setup.py, where it runs this file.
_FOLDER = Path("harness/particle_harness/emulator/_native")
_header = (_FOLDER / "core.h").read_text(encoding="utf-8")
# Called by core.c; :mod:`particle_harness.emulator.core.native_core` defines them.
_CALLBACKS = """
extern "Python+C" {
    uint32_t core_read_peripheral(int64_t cycles_left, uint32_t offset, uint32_t size_bytes, void *read);
    void core_write_peripheral(
        int64_t cycles_left, uint32_t offset, uint32_t size_bytes, uint32_t value, void *write
    );
    _Bool core_store_guarded(uint32_t address, uint32_t size_bytes, int64_t value, void *owner);
}
"""

ffibuilder = FFI()
ffibuilder.cdef(_header[_header.index("/* cdef */") : _header.index("/* end of cdef */")] + _CALLBACKS)
ffibuilder.set_source(
    "particle_harness.emulator._native._core",
    '#include "core.h"',
    include_dirs=[str(_FOLDER)],
    sources=[str(_FOLDER / "core.c"), str(_FOLDER / "loops.c")],
    depends=[str(_FOLDER / "core.h")],
)
