"""A folder of files that are whole or not there, for machine code: what lies in it is trusted as much as the program itself.

Every file begins with the SHA-256 of the rest and appears under its name only when it is complete, so that any number of processes may
read and write at once. A folder that others could write to is not used. Nothing here is an error: what cannot be read is not there, and
what cannot be written is not kept.
"""
from __future__ import annotations

import contextlib
import functools
import hashlib
import os
import tempfile
import time
from pathlib import Path

from minicnn.kernels.user_cache import cache_folder

DAY = 86_400.0
UNUSED = 30 * DAY      # a file of another version that nobody has read for so long is deleted
SUFFIX, PARTIAL = ".kernel", ".partial"
CHECKSUM = hashlib.sha256().digest_size


class Store:
    """The files of one folder. problem: why what is written is not kept there, None as long as it is."""

    def __init__(self, folder: Path | None) -> None:
        self.folder, self.problem = folder, None if folder else "there is no home folder to keep them in"
        self._tidied = False
        if folder:
            try:
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
                self._refuse(_unsafe(folder))
            except OSError as error:
                self._refuse(f"{_short(folder)}: {error.strerror}")

    def _refuse(self, problem: str | None) -> None:
        if problem:
            self.folder, self.problem = None, problem

    def __str__(self) -> str:
        return f"not kept: {self.problem}" if self.problem or not self.folder else f"kept in {_short(self.folder)}"

    def read(self, name: str) -> bytes | None:
        """None when there is no such file, or it is damaged."""
        if not self.folder:
            return None
        path = self.folder / (name + SUFFIX)
        try:
            content = path.read_bytes()
            if path.stat().st_mtime < time.time() - DAY:
                with contextlib.suppress(OSError):             # the folder may be for reading only
                    os.utime(path)
        except OSError:
            return None
        payload = content[CHECKSUM:]
        return payload if hashlib.sha256(payload).digest() == content[:CHECKSUM] else None

    def write(self, name: str, payload: bytes) -> None:
        """Keep it, unless the folder has a problem. The first file that is written has old ones deleted."""
        if self.problem or not self.folder:
            return
        path, partial = self.folder / (name + SUFFIX), None
        try:
            handle, partial = tempfile.mkstemp(PARTIAL, dir=self.folder)
            with open(handle, "wb") as file:
                file.write(hashlib.sha256(payload).digest())
                file.write(payload)
            os.replace(partial, path)
        except OSError as error:
            if not path.exists():                              # Windows does not replace a file that another process reads
                self.problem = f"{_short(self.folder)}: {error.strerror}"
        finally:
            if partial:
                with contextlib.suppress(OSError):             # gone, when all went well
                    os.unlink(partial)
        if not self._tidied:
            self._tidied = True
            self._tidy(name.partition("-")[0])

    def _tidy(self, version: str) -> None:
        """Delete what nobody has read for long, other than the files called `version`-..., and what a process that was killed has left."""
        assert self.folder
        with contextlib.suppress(OSError):                     # another process may delete them too
            for entry in os.scandir(self.folder):
                unused = time.time() - entry.stat().st_mtime
                old = entry.name.endswith(SUFFIX) and not entry.name.startswith(version + "-") and unused > UNUSED
                if old or (entry.name.endswith(PARTIAL) and unused > DAY):
                    os.unlink(entry)


def _unsafe(folder: Path) -> str | None:
    """Why code in this folder must not be run: somebody else could have put it there."""
    if not hasattr(os, "geteuid"):                             # Windows: a user's folders are the user's
        return None
    about = folder.stat()
    if about.st_uid not in (os.geteuid(), 0):                  # the system's own account can change any program anyway
        return f"{_short(folder)} belongs to another user"
    if about.st_mode & 0o022:
        return f"others may write to {_short(folder)} (chmod go-w would do)"
    return None


def _short(path: Path) -> str:
    """~/.cache rather than /home/ada/.cache."""
    with contextlib.suppress(RuntimeError, ValueError):
        home = Path.home()
        return str("~" / path.relative_to(home)) if home.name else str(path)
    return str(path)


@functools.cache
def kernels() -> Store:
    """Of this process: $NUMBA_CACHE_DIR/minicnn, for whoever says where all of Numba's code goes; else `kernels` in minicnn's cache."""
    if numbas := os.environ.get("NUMBA_CACHE_DIR"):
        return Store(Path(os.path.expanduser(numbas)).absolute() / "minicnn")
    folder = cache_folder()
    return Store(folder.absolute() / "kernels" if folder else None)
