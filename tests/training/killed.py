"""Run as a program: trains the tiny recipe in a process of its own for every line it reads, and goes on with it for the next.

    python -m tests.training.killed FOLDER
    stdin, two lines a process: how it is killed; nothing, to wait for its end. stdout: its pid, what it says, and its wait status.

        -           not at all, unless from outside
        FILES n     by its own hand before the n-th time a file is opened, renamed or removed
        HALF n      by its own hand in the middle of the n-th write
        LIMIT n     not at all, but no file may be larger than n bytes, as on a disk that is full (it prints why it ended)
"""
from __future__ import annotations

import builtins
import itertools
import os
import resource
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from minicnn import files
from minicnn.training.stopped import Finished, Stopped
from tests.training.tiny import patch, recipe, train


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def before(n: int, functions: dict[Any, list[str]]) -> None:
    """Die before the n-th call of any of these."""
    calls = itertools.count(1)

    def dying(function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **options: Any) -> Any:
            if next(calls) == n:
                die()
            return function(*args, **options)
        return call

    for module, names in functions.items():
        for name in names:
            setattr(module, name, dying(getattr(module, name, None) or getattr(builtins, name)))


def half_written(n: int) -> None:
    """Die when half of the n-th file is written."""
    calls = itertools.count(1)

    class Half:
        def __init__(self, *args: Any) -> None:
            self.file, self.n = open(*args), next(calls)  # noqa: SIM115  # closed by __exit__

        def write(self, data: bytes) -> None:
            self.file.write(data[:len(data) // 2] if self.n == n else data)
            if self.n == n:
                self.file.flush()
                die()

        def __enter__(self) -> Any:
            return self

        def __exit__(self, *args: object) -> None:
            self.file.close()

        def __getattr__(self, name: str) -> Any:
            return getattr(self.file, name)

    files.open = Half


def child(folder: Path, how: str, n: int) -> None:
    patch()
    print(os.getpid(), flush=True)
    if how == "FILES":
        before(n, {files: ["open"], os: ["replace", "unlink", "remove"]})
    elif how == "HALF":
        half_written(n)
    elif how == "LIMIT":
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (n, n))
    try:
        begun = (folder / "checkpoint.safetensors").exists() or (folder / "checkpoint-previous.safetensors").exists()
        if begun:
            Stopped.find(folder)                               # at every moment there is one that is whole
        else:
            shutil.rmtree(folder, ignore_errors=True)          # killed before there was the first: a run of the same name would be another
        train(folder, None if begun else recipe(epochs=5, ema=0.9), every=0.0)
    except Finished:
        pass
    except OSError as error:
        print(error, flush=True)


def main() -> None:
    folder = Path(sys.argv[1])
    for line in sys.stdin:
        how, n = [*line.split(), "0"][:2]
        pid = os.fork()
        if pid == 0:
            child(folder, how, int(n))
            os._exit(0)
        sys.stdin.readline()                                   # until then a process that is killed is there, if only as a zombie
        _, status = os.waitpid(pid, 0)
        print(f"status {status}", flush=True)


if __name__ == "__main__":
    main()
