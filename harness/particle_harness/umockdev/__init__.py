"""Virtual boards as USB devices of this machine, for unmodified programs: umockdev in place of the kernel.

``umockdev-wrapper python -m particle_harness.umockdev [--firmware DIR] BENCH.toml -- COMMAND…`` runs COMMAND with the
boards of BENCH.toml on its bus.
Linux with glibc only; statically linked programs and those that make system calls by themselves see nothing of it.
A libusb built without udev listens to the kernel itself, which umockdev does not imitate: programs that bring such a
libusb see only the devices of their start.
"""

from particle_harness.umockdev.foreign import foreign_command, run_foreign

__all__ = ["foreign_command", "run_foreign"]
