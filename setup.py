"""Builds the C module parser and what the emulator does at each instruction; everything else is in pyproject.toml.

setup.py stays because setuptools takes ``cffi_modules`` from nowhere else. The limited API gives one wheel
for all Python versions instead of one for each.
"""

from setuptools import setup

setup(
    cffi_modules=[
        "particle_dev/_native/build_module.py:ffibuilder",
        "harness/particle_harness/emulator/_native/build_core.py:ffibuilder",
    ],
    options={"bdist_wheel": {"py_limited_api": "cp311"}},
)
