"""The folder of compiled kernels: files are whole or not there, nobody else can have put them there, and nothing about it is an error."""
from __future__ import annotations

import errno
import os
import tempfile
import time
from pathlib import Path

import pytest

from minicnn.kernels.numba_backend import store
from minicnn.kernels.numba_backend.store import DAY, Store

POSIX = pytest.mark.skipif(not hasattr(os, "geteuid"), reason="permissions of POSIX")


def test_what_was_written_is_read(tmp_path: Path) -> None:
    first, second = Store(tmp_path / "a" / "b"), Store(tmp_path / "a" / "b")
    assert first.read("v-1") is None
    first.write("v-1", b"code")
    second.write("v-2", b"")
    first.write("v-2", b"other")
    assert (second.read("v-1"), second.read("v-2")) == (b"code", b"other")
    assert sorted(path.name for path in (tmp_path / "a" / "b").iterdir()) == ["v-1.kernel", "v-2.kernel"]
    assert str(first) == f"kept in {tmp_path}/a/b"


def test_home_is_abbreviated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    assert str(Store(tmp_path / "a")) == f"kept in ~{os.sep}a"


@pytest.mark.parametrize("damaged", [b"", b"code", b"\0" * 36])
def test_what_is_damaged_is_not_there(tmp_path: Path, damaged: bytes) -> None:
    kept = Store(tmp_path)
    kept.write("v-1", b"code")
    path = tmp_path / "v-1.kernel"
    whole = path.read_bytes()
    for content in (damaged, whole[:-1], whole + b"\0", whole[:-1] + b"E", b"\0" + whole[1:]):
        path.write_bytes(content)
        assert kept.read("v-1") is None
    kept.write("v-1", b"code")
    assert kept.read("v-1") == b"code"


@POSIX
def test_a_new_folder_is_its_owners(tmp_path: Path) -> None:
    Store(tmp_path / "new")
    assert (tmp_path / "new").stat().st_mode & 0o777 == 0o700


@POSIX
@pytest.mark.parametrize("mode", [0o770, 0o707, 0o1777])
def test_a_folder_that_others_may_write_to_is_not_used(tmp_path: Path, mode: int) -> None:
    Store(tmp_path).write("v-1", b"code")
    tmp_path.chmod(mode)
    kept = Store(tmp_path)
    kept.write("v-2", b"code")
    assert (kept.read("v-1"), kept.read("v-2")) == (None, None)
    assert str(kept) == f"not kept: others may write to {tmp_path} (chmod go-w would do)"


@POSIX
def test_a_folder_of_another_user_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Store(tmp_path).write("v-1", b"code")
    if os.geteuid() == 0:
        os.chown(tmp_path, 12345, -1)
    else:
        monkeypatch.setattr(os, "geteuid", lambda: 12345)
    kept = Store(tmp_path)
    assert kept.read("v-1") is None
    assert str(kept) == f"not kept: {tmp_path} belongs to another user"


def test_a_folder_that_cannot_be_made_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    kept = Store(tmp_path / "file" / "x")
    kept.write("v-1", b"code")
    assert kept.read("v-1") is None
    assert str(kept) == f"not kept: {tmp_path}/file/x: Not a directory"
    assert str(Store(None)) == "not kept: there is no home folder to keep them in"


@pytest.mark.parametrize("fails", ["mkstemp", "replace"])
def test_a_folder_for_reading_only_is_read_and_written_to_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fails: str) -> None:
    tried = []

    def refuse(*_: object, **__: object) -> None:
        tried.append(fails)
        raise OSError(errno.EROFS, "Read-only file system")

    Store(tmp_path).write("v-1", b"code")
    kept = Store(tmp_path)
    monkeypatch.setattr(tempfile if fails == "mkstemp" else os, fails, refuse)
    kept.write("v-2", b"code")
    kept.write("v-3", b"code")
    assert len(tried) == 1
    assert kept.read("v-1") == b"code"
    assert str(kept) == f"not kept: {tmp_path}: Read-only file system"
    assert [path.name for path in tmp_path.iterdir()] == ["v-1.kernel"]


def test_what_nobody_has_used_for_long_is_deleted(tmp_path: Path) -> None:
    kept, now = Store(tmp_path), time.time()
    for name, days in (("old-1.kernel", 31), ("old-2.kernel", 29), ("new-1.kernel", 99), ("x.partial", 2), ("y.partial", 0),
                       ("notes.txt", 99)):
        (tmp_path / name).write_bytes(b"")
        os.utime(tmp_path / name, (now, now - days * DAY))
    for name in ("new-2", "new-3"):
        kept.write(name, b"code")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["new-1.kernel", "new-2.kernel", "new-3.kernel", "notes.txt", "old-2.kernel",
                                                                 "y.partial"]


def test_what_is_read_is_used(tmp_path: Path) -> None:
    kept, path = Store(tmp_path), tmp_path / "v-1.kernel"
    kept.write("v-1", b"code")
    os.utime(path, (0, time.time() - 20 * DAY))
    kept.read("v-1")
    assert path.stat().st_mtime > time.time() - DAY


def test_where_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MINICNN_CACHE", "NUMBA_CACHE_DIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "user"))
    find = store.kernels.__wrapped__
    assert find().folder == tmp_path / "user/minicnn/kernels"
    monkeypatch.setenv("MINICNN_CACHE", str(tmp_path / "own"))
    assert find().folder == tmp_path / "own/kernels"
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "numba"))
    assert find().folder == tmp_path / "numba/minicnn"
