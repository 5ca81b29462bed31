"""What is wrong with a state folder decides what to do about it."""

import errno
import os
from pathlib import Path

import pytest
from particle_harness.state_lock import StateLock

from particle_dev.errors import BenchError


def test_a_folder_in_a_file_is_not_about_permissions(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(BenchError, match="cannot be used") as error:
        StateLock(tmp_path / "file" / "boards")
    assert error.value.hint == "name another"


@pytest.mark.parametrize("code", [errno.EACCES, errno.EPERM, errno.EROFS])
def test_one_that_may_not_be_written_is(tmp_path, monkeypatch, code):
    def refuses(*_arguments, **_keywords):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(Path, "mkdir", refuses)
    with pytest.raises(BenchError, match=f"cannot be used: {os.strerror(code)}") as error:
        StateLock(tmp_path / "boards")
    assert error.value.hint == "check its permissions"
