"""Download a dataset's files: from the first mirror that gives the right bytes, resumed where an earlier attempt stopped.

What is on its way lies in `<name>.part`. Only a file whose size and SHA-256 are right, flushed to disk, gets its final name.
"""
from __future__ import annotations

import hashlib
import http.client
import os
import re
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from minicnn.data.locate import DatasetNotFound
from minicnn.data.sources import File, Source

Progress = Callable[[str, int, int], None]  # (file name, bytes so far, bytes in all)
CHUNK = 1 << 16
ATTEMPTS = 5  # per mirror
TIMEOUT = 20.0  # seconds without a byte


class MirrorFailed(Exception):
    """Why one attempt at one mirror gave no file."""


def fetch(source: Source, folder: Path, progress: Progress | None = None) -> dict[str, Path]:
    """Download the files of `source` that are missing in `folder`; returns {name: path} of all of them.

    $MINICNN_MIRROR, when set, replaces the mirrors: its files are at <MINICNN_MIRROR>/<dataset>/<file>.
    progress(name, done, total) is called with byte counts as they come.

    Raises DatasetNotFound, with one sentence that says what to put where, when no mirror gave a file; OSError when the folder cannot
    be written. Folders that were made for nothing are removed.
    """
    mirrors = _mirrors(source)
    new_folders = [path for path in (folder, *folder.parents) if not path.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with _one_at_a_time(folder):
            for file in source.files:
                if not (folder / file.name).is_file():
                    _fetch_one(source, file, mirrors, folder / file.name, progress)
    except OSError as error:
        with suppress(OSError):                                # at the first one that is not empty
            for path in new_folders:
                path.rmdir()
        if isinstance(error, (DatasetNotFound, BrokenPipeError)):
            raise
        raise OSError(f"cannot write dataset {source.name} into {folder}: {error.strerror or error}") from error
    return {file.name: folder / file.name for file in source.files}


def _mirrors(source: Source) -> list[str]:
    own = os.environ.get("MINICNN_MIRROR")
    if own and not own.startswith(("http://", "https://")):
        raise ValueError(f"MINICNN_MIRROR is {own!r}, expected an address that starts with http:// or https://")
    return [f"{own.rstrip('/')}/{source.name}/"] if own else list(source.mirrors)


def _fetch_one(source: Source, file: File, mirrors: list[str], target: Path, progress: Progress | None) -> None:
    """Fill `target` from the first mirror that can. Raises DatasetNotFound with the reason of each, said once where they are the same."""
    part = target.with_name(target.name + ".part")
    reasons: dict[str, list[str]] = {}
    for mirror in mirrors:
        for attempt in range(ATTEMPTS):
            before = _size(part)
            try:
                _transfer(mirror + file.name, file, part, progress)
                _check(file, part)
            except MirrorFailed as error:
                if _size(part) != before and attempt + 1 < ATTEMPTS:
                    continue  # bytes came, or what an earlier attempt had left was wrong and is gone: worth another go
                reasons.setdefault(str(error), []).append(mirror)
                break
            else:
                os.replace(part, target)
                return
    why = "; ".join(f"{' and '.join(names)}: {reason}" for reason, names in reasons.items())
    raise DatasetNotFound(source, target.parent, f"no mirror gave them ({why})")


def _transfer(url: str, file: File, part: Path, progress: Progress | None) -> None:
    """Append to `part` what it lacks of `file`, by HTTP Range (RFC 9110, §14); from the start when the server ignores it."""
    done = _size(part)
    if done >= file.size:
        return
    request = urllib.request.Request(url, headers={"User-Agent": "minicnn", "Accept-Encoding": "identity"})
    if done:
        request.add_header("Range", f"bytes={done}-")
    with _open(request, part) as response:
        start = _start(response, file, done)
        with open(part, "r+b" if start else "wb") as out:
            out.seek(start)
            done = start
            while chunk := _read(response):
                done += len(chunk)
                if done > file.size:
                    break
                out.write(chunk)
                if progress:
                    progress(file.name, done, file.size)
    if done > file.size:
        part.unlink()
        raise MirrorFailed(f"it sends more than the {file.size} bytes expected")
    if done < file.size:
        raise MirrorFailed(f"the connection was cut after {done} of {file.size} bytes")


def _open(request: urllib.request.Request, part: Path) -> Any:
    try:
        return urllib.request.urlopen(request, timeout=TIMEOUT)
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == 416:  # Range Not Satisfiable: what we have is no beginning of what it has
            part.unlink(missing_ok=True)
        raise MirrorFailed(f"HTTP {error.code} {error.reason}") from error
    except (OSError, http.client.HTTPException) as error:
        reason = getattr(error, "reason", error)
        raise MirrorFailed(getattr(reason, "strerror", None) or str(reason) or type(error).__name__) from error


def _start(response: Any, file: File, done: int) -> int:
    """The byte of the file at which the response's body starts, checked against what was asked for."""
    if response.status != 206:
        length = response.headers.get("Content-Length", str(file.size))
        if length != str(file.size):
            raise MirrorFailed(f"it has a file of {length} bytes, expected {file.size}")
        return 0
    range_ = response.headers.get("Content-Range", "")
    match = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", range_)
    if not match or int(match[1]) != done or match[2] not in (str(file.size), "*"):
        raise MirrorFailed(f"asked for bytes {done}- of {file.size}, it answered Content-Range {range_!r}")
    return done


def _read(response: Any) -> bytes:
    try:
        return response.read(CHUNK)
    except http.client.IncompleteRead as error:
        return error.partial
    except (OSError, http.client.HTTPException):
        return b""  # cut: the caller counts the bytes


def _check(file: File, part: Path) -> None:
    """Have `part` on disk for good, and know that it is the file."""
    with open(part, "r+b") as stream:
        os.fsync(stream.fileno())
        found = hashlib.file_digest(stream, "sha256").hexdigest()
    if found != file.sha256:
        part.unlink()
        raise MirrorFailed(f"SHA-256 is {found}, expected {file.sha256}")


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


@contextmanager
def _one_at_a_time(folder: Path) -> Iterator[None]:
    """Let a second process wait for the first one's download, where the system has flock."""
    try:
        import fcntl
    except ImportError:  # Windows, which refuses to rename an open file: the slower process fails, no file is spoilt
        yield
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)
