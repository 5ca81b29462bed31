"""Where the images of a bench come from: a folder of the user's, or what the command has at hand."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from particle_dev.errors import BenchError
from particle_harness.boards import Hardware
from particle_harness.emulator.boards.images import BoardImages, ImagesFolder, images_folder, named_folder, of_modules

DEFAULT_PLATFORMS = ("boron", "tracker", "argon", "photon")


class ImageSource:
    """``chosen``: the folder that a bench names, None for the user's; ``factory_modules`` gives what the command has at
    hand."""

    def __init__(self, chosen: str | None, factory_modules: Callable[[str], Sequence[bytes]]) -> None:
        self._factory_modules = factory_modules
        self._folder: ImagesFolder | None = None
        self._why: BenchError | None = None
        self._is_named = named_folder(chosen) is not None
        try:
            self._folder = images_folder(chosen)
        except BenchError as error:
            self._why = error

    def default_platforms(self) -> Sequence[str]:
        """Boards for a bench whose slots nobody named. BenchError without images."""
        if self._folder is None:
            found = tuple(name for name in DEFAULT_PLATFORMS if self._at_hand(name))
        else:
            there = self._folder.platforms()
            found = tuple(name for name in DEFAULT_PLATFORMS if name in there) or there[:4]
        if not found:
            assert self._why is not None
            raise self._why
        return found

    def images(self, kind: Hardware, device_os: str | None) -> BoardImages:
        """For a new board. BenchError when they are not there."""
        if self._folder is not None:
            return self._folder.for_board(kind, device_os)
        at_hand = None if device_os else self._at_hand(kind.name)
        if at_hand is None:
            assert self._why is not None
            raise self._why
        return at_hand

    def _at_hand(self, name: str) -> BoardImages | None:
        if self._is_named:
            return None
        try:
            return of_modules(self._factory_modules(name))
        except BenchError:
            return None
