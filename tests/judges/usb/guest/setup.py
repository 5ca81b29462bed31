"""Makes a bootable guest of Debian's stock kernel: `setup.py FOLDER`. The package comes by apt and is not installed.

The kernel is unpacked to an ELF image, which QEMU starts without a boot loader: an emulated CPU would need seconds to
unpack it. The initial RAM disk holds busybox, `init` beside this file and the modules that USB/IP needs.
"""

import lzma
import shutil
import struct
import subprocess
import sys
import tarfile
from pathlib import Path

MODULES = ("virtio_pci", "9pnet_virtio", "9p", "overlay", "virtio_net", "vhci-hcd", "cdc-acm")
WANTED = (
    "drivers/usb",
    "drivers/virtio",
    "drivers/net/virtio_net.ko",
    "drivers/net/net_failover.ko",
    "net/core",
    "net/9p",
    "fs/9p",
    "fs/netfs",
    "fs/fscache",
    "fs/overlayfs",
)


def main(folder):
    folder.mkdir(parents=True, exist_ok=True)
    package = kernel_package()
    version = package.removeprefix("linux-image-")
    tree = folder / "tree"
    shutil.rmtree(tree, ignore_errors=True)
    unpack(folder, package, version, tree)
    subprocess.run(["depmod", "-b", tree, version], check=True)
    (folder / "vmlinux").write_bytes(elf_image((tree / f"boot/vmlinuz-{version}").read_bytes()))
    (folder / "initrd").write_bytes(ram_disk(module_files(tree, version)))
    shutil.rmtree(tree)


def kernel_package():
    """The kernel that Debian's meta package means today."""
    depends = subprocess.run(["apt-cache", "depends", "linux-image-amd64"], capture_output=True, text=True, check=True)
    return next(line.split()[1] for line in depends.stdout.splitlines() if line.strip().startswith("Depends:"))


def unpack(folder, package, version, tree):
    """Kernel and the needed modules from the package."""
    for old in folder.glob("linux-image-*.deb"):
        old.unlink()
    subprocess.run(["apt-get", "download", "-qq", package], cwd=folder, check=True)
    (archive,) = folder.glob("linux-image-*.deb")
    base = f"./lib/modules/{version}/"
    wanted = (f"./boot/vmlinuz-{version}", f"{base}modules.", *(f"{base}kernel/{path}" for path in WANTED))
    with (
        subprocess.Popen(["dpkg-deb", "--fsys-tarfile", archive], stdout=subprocess.PIPE) as process,
        tarfile.open(fileobj=process.stdout, mode="r|") as tar,
    ):
        for member in tar:
            if member.isfile() and member.name.startswith(wanted):
                tar.extract(member, tree, filter="data")
    archive.unlink()


def elf_image(bz_image):
    """The ELF image inside a bzImage. Source: Linux Documentation/arch/x86/boot.rst (setup_sects, payload_offset)."""
    assert bz_image[0x202:0x206] == b"HdrS"
    offset, length = struct.unpack_from("<II", bz_image, 0x248)
    start = (bz_image[0x1F1] + 1) * 512 + offset
    image = lzma.LZMADecompressor().decompress(bz_image[start : start + length])
    assert image[:4] == b"\x7fELF"
    return image


def module_files(tree, version):
    """Module files in the order in which they must be loaded."""
    files = []
    for module in MODULES:
        command = ["modprobe", "-d", tree, "-S", version, "--show-depends", module]
        for line in subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines():
            words = line.split()
            if words[0] == "insmod" and Path(words[1]) not in files:
                files.append(Path(words[1]))
    return files


def ram_disk(modules):
    """A cpio archive. Source: Linux Documentation/driver-api/early-userspace/buffer-format.rst."""
    archive = b"".join(cpio_entry(name, 0o40755) for name in ("bin", "m", "proc", "sys", "dev", "ro", "rw", "root"))
    archive += cpio_entry("bin/busybox", 0o100755, Path("/bin/busybox").read_bytes())
    archive += cpio_entry("init", 0o100755, Path(__file__).with_name("init").read_bytes())
    archive += cpio_entry("m/order", 0o100644, "".join(f"{file.name}\n" for file in modules).encode())
    archive += b"".join(cpio_entry(f"m/{file.name}", 0o100644, file.read_bytes()) for file in modules)
    return archive + cpio_entry("TRAILER!!!", 0)


def cpio_entry(name, mode, data=b""):
    fields = (0, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(name) + 1, 0)
    head = b"070701" + b"".join(b"%08X" % field for field in fields) + name.encode() + b"\0"
    return head + bytes(-len(head) % 4) + data + bytes(-len(data) % 4)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
