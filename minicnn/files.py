"""Writing a file so that it is either whole or not there."""
from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path


def write_whole(path: str | Path, data: bytes | str, keep: str | Path | None = None, flush_folder: bool = True) -> None:
    """Write `data` beside `path` as a hidden .part file, flush it to the disk, and only then give it its name.

    A crash or a full disk leaves what was there before. Raises OSError with the path and the reason.
    keep: a second path, in the same folder, which the file that was there before is given: `path` is missing for a moment, but at every
    moment one of the two names holds a whole file, provided that `path` did.
    flush_folder: without it the name may reach the disk later, and a power failure leave what was there before: for files that are written
    again when what was interrupted goes on.
    """
    path = Path(path)
    part = path.with_name(f".{path.name}.part")
    try:
        try:
            with open(part, "wb") as file:
                file.write(data.encode() if isinstance(data, str) else data)
                file.flush()
                os.fsync(file.fileno())
            if keep is not None and path.exists():
                os.replace(path, keep)
            os.replace(part, path)
            if flush_folder:
                _flush_folder(path.parent)
        except BaseException:
            part.unlink(missing_ok=True)
            raise
    except OSError as error:
        raise OSError(f"cannot write {path}: {error.strerror or error}") from error


@contextlib.contextmanager
def alone(folder: Path) -> Iterator[None]:
    """For a block: no other process is in such a block about the same folder. Raises OSError where one is.

    It ends with the process, however that ends. Nothing is held where the system or the file system has no such locks.
    """
    try:
        import fcntl
    except ImportError:                                        # Windows
        yield
        return
    number = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise OSError(f"{folder} is in use: another process is training in it") from None
        except OSError:                                        # a network's file system
            pass
        yield
    finally:
        os.close(number)


def _flush_folder(folder: Path) -> None:
    """A new name is on the disk only when its folder is. Windows opens no folders, and some file systems flush none."""
    with contextlib.suppress(OSError):
        number = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(number)
        finally:
            os.close(number)
