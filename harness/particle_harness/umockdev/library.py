"""libumockdev through ctypes: the few calls that a USB bus needs, without PyGObject.

Source: umockdev 0.17 documentation of UMockdevTestbed, UMockdevIoctlBase, UMockdevIoctlClient, UMockdevIoctlData.
"""

from __future__ import annotations

import ctypes
import errno
import sys
import traceback
from collections.abc import Callable
from ctypes import c_char_p, c_int, c_long, c_size_t, c_ulong, c_void_p
from typing import Any

from particle_dev.errors import BenchError

_HANDLER = ctypes.CFUNCTYPE(c_int, c_void_p, c_void_p, c_void_p)
_WEAK_NOTIFY = ctypes.CFUNCTYPE(None, c_void_p, c_void_p)


class _Libraries:
    """The shared libraries with the signatures of what is used."""

    def __init__(self) -> None:
        try:
            umockdev = ctypes.CDLL("libumockdev.so.0")
        except OSError as error:
            raise BenchError("umockdev is not installed", hint="apt install umockdev") from error
        gobject, glib = ctypes.CDLL("libgobject-2.0.so.0"), ctypes.CDLL("libglib-2.0.so.0")

        def declare(library: ctypes.CDLL, name: str, result: Any, *arguments: Any) -> Callable[..., Any]:
            function = getattr(library, name)
            function.restype, function.argtypes = result, list(arguments)
            return function  # type: ignore[no-any-return]

        pointer, text = c_void_p, c_char_p
        self.testbed_new = declare(umockdev, "umockdev_testbed_new", pointer)
        self.testbed_root = declare(umockdev, "umockdev_testbed_get_root_dir", text, pointer)
        self.testbed_add = declare(umockdev, "umockdev_testbed_add_from_string", c_int, pointer, text, pointer)
        self.testbed_remove = declare(umockdev, "umockdev_testbed_remove_device", None, pointer, text)
        self.testbed_uevent = declare(umockdev, "umockdev_testbed_uevent", None, pointer, text, text)
        self.attach_ioctl = declare(umockdev, "umockdev_testbed_attach_ioctl", c_int, pointer, text, pointer, pointer)
        self.detach_ioctl = declare(umockdev, "umockdev_testbed_detach_ioctl", c_int, pointer, text, pointer)
        self.ioctl_base_new = declare(umockdev, "umockdev_ioctl_base_new", pointer)
        self.client_request = declare(umockdev, "umockdev_ioctl_client_get_request", c_ulong, pointer)
        self.client_argument = declare(umockdev, "umockdev_ioctl_client_get_arg", pointer, pointer)
        self.client_complete = declare(umockdev, "umockdev_ioctl_client_complete", None, pointer, c_long, c_int)
        self.data_resolve = declare(
            umockdev, "umockdev_ioctl_data_resolve", pointer, pointer, c_size_t, c_size_t, pointer
        )
        self.data_retrieve = declare(
            umockdev, "umockdev_ioctl_data_retrieve", None, pointer, ctypes.POINTER(pointer), ctypes.POINTER(c_int)
        )
        self.data_update = declare(umockdev, "umockdev_ioctl_data_update", None, pointer, c_size_t, text, c_int)
        self.data_set_pointer = declare(
            umockdev, "umockdev_ioctl_data_set_ptr", c_int, pointer, c_size_t, pointer, pointer
        )
        self.connect = declare(
            gobject, "g_signal_connect_data", c_ulong, pointer, text, _HANDLER, pointer, pointer, c_int
        )
        self.weak_ref = declare(gobject, "g_object_weak_ref", None, pointer, _WEAK_NOTIFY, pointer)
        self.ref = declare(gobject, "g_object_ref", pointer, pointer)
        self.unref = declare(gobject, "g_object_unref", None, pointer)
        self.free = declare(glib, "g_free", None, pointer)


_libraries: _Libraries | None = None


def _library() -> _Libraries:
    global _libraries  # noqa: PLW0603  # loaded on first use: most users of the harness have no umockdev
    if _libraries is None:
        _libraries = _Libraries()
    return _libraries


class ClientMemory:
    """A piece of the other program's memory; changes reach it when an ioctl that refers to it is completed."""

    def __init__(self, owned: int) -> None:
        self._pointer = owned

    def __del__(self) -> None:
        _library().unref(self._pointer)

    def read(self) -> bytes:
        """The bytes."""
        data, size = c_void_p(), c_int()
        _library().data_retrieve(self._pointer, ctypes.byref(data), ctypes.byref(size))
        try:
            return ctypes.string_at(data.value, size.value) if data.value else b""
        finally:
            _library().free(data)

    def write(self, offset: int, data: bytes) -> None:
        """Change bytes."""
        _library().data_update(self._pointer, offset, data, len(data))

    def follow(self, offset: int, size_bytes: int) -> ClientMemory:
        """What the pointer at ``offset`` points to. OSError (EFAULT) for a null pointer."""
        found = _library().data_resolve(self._pointer, offset, size_bytes, None)
        if not found:
            raise OSError(errno.EFAULT, "null pointer")
        return ClientMemory(found)

    def point_at(self, offset: int, other: ClientMemory) -> None:
        """Let the pointer at ``offset`` point to ``other``."""
        _library().data_set_pointer(self._pointer, offset, other._pointer, None)


class IoctlCall:
    """One ioctl that a program waits for. ``client`` tells open files from each other."""

    def __init__(self, client: int) -> None:
        self.client = client
        self._client = _library().ref(client)
        self.request: int = _library().client_request(client) & 0xFFFFFFFF
        self.argument = ClientMemory(_library().ref(_library().client_argument(client)))

    def __del__(self) -> None:
        _library().unref(self._client)

    def pointed(self, size_bytes: int) -> ClientMemory:
        """The structure that the argument points to."""
        return self.argument.follow(0, size_bytes)

    def complete(self, result: int) -> None:
        """Let the program go on: a result, or a negative errno. From any thread."""
        _library().client_complete(self._client, max(result, -1) if result >= 0 else -1, max(0, -result))


class IoctlNode:
    """Answers the ioctls of one device node. ``handle(call)`` returns the result, or None when it completes later.

    ``opened(client)`` and ``closed(client)`` hear of programs that open and close the node. All of them run on the one
    thread of the testbed.
    """

    def __init__(
        self,
        handle: Callable[[IoctlCall], int | None],
        opened: Callable[[int], None] | None = None,
        closed: Callable[[int], None] | None = None,
    ) -> None:
        self.pointer = _library().ioctl_base_new()

        def on_ioctl(_node: int, client: int, _user: int) -> int:
            call = IoctlCall(client)
            try:
                result = handle(call)
            except OSError as error:
                result = -(error.errno or errno.EIO)
            except Exception:  # noqa: BLE001  # nothing above catches it: glib called us
                traceback.print_exc(file=sys.stderr)
                result = -errno.EIO
            if result is not None:
                call.complete(result)
            return 1

        def on_connected(_node: int, client: int, _user: int) -> int:
            if opened:
                opened(client)
            _library().weak_ref(client, self._callbacks[2], None)
            return 0

        def on_finalized(_user: int, client: int) -> None:
            if closed:
                closed(client)

        # The C side keeps no reference to them.
        self._callbacks = _HANDLER(on_ioctl), _HANDLER(on_connected), _WEAK_NOTIFY(on_finalized)
        _library().connect(self.pointer, b"handle-ioctl", self._callbacks[0], None, None, 0)
        # The signals for a client that closes are never sent (umockdev 0.17.16); its object goes then, though.
        _library().connect(self.pointer, b"client-connected", self._callbacks[1], None, None, 0)


class Testbed:
    """A sysfs and a /dev of its own, for this process and its children that run under umockdev-wrapper.

    Use as a context manager; leaving it removes the folder.
    """

    def __init__(self) -> None:
        self._pointer = _library().testbed_new()
        self._nodes: list[IoctlNode] = []

    def __enter__(self) -> Testbed:
        return self

    def __exit__(self, *exception: object) -> None:
        _library().unref(self._pointer)

    @property
    def root(self) -> str:
        """The folder that stands for ``/``."""
        return str(_library().testbed_root(self._pointer).decode())

    def add(self, description: str) -> None:
        """Add devices in the format of umockdev-record. ValueError when umockdev does not take it."""
        if not _library().testbed_add(self._pointer, description.encode(), None):
            raise ValueError(f"umockdev refused: {description}")

    def remove(self, syspath: str) -> None:
        """Remove a device and what is below it."""
        _library().testbed_remove(self._pointer, syspath.encode())

    def uevent(self, syspath: str, action: str) -> None:
        """Tell everybody who listens for ``add`` or ``remove``."""
        _library().testbed_uevent(self._pointer, syspath.encode(), action.encode())

    def attach(self, node: str, handler: IoctlNode) -> None:
        """Let ``handler`` answer for a device node."""
        # umockdev keeps no reference of ours: the handler must live as long as programs may call.
        self._nodes.append(handler)
        if not _library().attach_ioctl(self._pointer, node.encode(), handler.pointer, None):
            raise ValueError(f"umockdev cannot attach to {node}")

    def detach(self, node: str) -> None:
        """End that."""
        _library().detach_ioctl(self._pointer, node.encode(), None)
