"""A contestant's process as its parent sees it: started with the same number of threads as the others, awake only during its turns."""
from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import queue
import subprocess
import sys
import tempfile
import threading
from typing import Any

import psutil

from minicnn.benchmarks import threads
from minicnn.benchmarks.contestants import Contestant


class Failed(Exception):
    """The contestant cannot go on; the text says why."""


class Process:
    """`ask` wakes the process, hands it a request, waits for the answer and suspends it again.

    While it is suspended its thread pools cannot spin: OpenBLAS's and OpenMP's threads look for work for a while after every call, and
    would take the cores from the contestant whose turn comes next.
    """

    def __init__(self, thread_count: int, cache: str) -> None:
        environment = {"GOMP_SPINCOUNT": "300000",             # OpenMP's own, and torch's: nobody else is awake during a turn
                       **os.environ, **threads.environment(thread_count), "JAX_PLATFORMS": "cpu",
                       "TORCHINDUCTOR_COMPILE_THREADS": "1",   # compile in this process: helpers of its own would not be suspended
                       "TORCHINDUCTOR_CACHE_DIR": cache,       # empty at the start of a run, so that the first call compiles
                       "NUMBA_CACHE_DIR": cache}
        self.log = tempfile.TemporaryFile(mode="w+", errors="replace")       # noqa: SIM115  (closed by stop)
        self.threads = thread_count
        self.ended = ""                                        # why it is no more
        with threads.restrict(thread_count):                   # what is started inherits the cores
            self.popen = subprocess.Popen([sys.executable, "-m", "minicnn.benchmarks.worker"], stdin=subprocess.PIPE,
                                          stdout=subprocess.PIPE, stderr=self.log, text=True, env=environment, start_new_session=True)
        self.control = psutil.Process(self.popen.pid)
        self.lines: queue.Queue[str] = queue.Queue()
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        assert self.popen.stdout is not None
        for line in self.popen.stdout:
            self.lines.put(line)
        self.lines.put("")                                     # the process has ended

    def send(self, **request: Any) -> None:
        """Wake the process and give it work. Raises Failed when it has ended."""
        assert self.popen.stdin is not None
        if self.ended:
            raise Failed(self.ended)
        try:
            self.control.resume()
            self.popen.stdin.write(json.dumps(request) + "\n")
            self.popen.stdin.flush()
        except (OSError, psutil.Error):
            raise self._failed(self._epitaph()) from None

    def receive(self, timeout: float) -> dict[str, Any]:
        """Its answer; then it is suspended. Raises Failed with what it says, when it ends, or after `timeout` seconds."""
        try:
            line = self.lines.get(timeout=timeout)
        except queue.Empty:
            raise self._failed(f"no answer after {timeout:g} s") from None
        if not line:
            raise self._failed(self._epitaph())
        with contextlib.suppress(psutil.Error):
            self.control.suspend()
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise Failed(answer["error"])
        return answer

    def ask(self, timeout: float = 600, **request: Any) -> dict[str, Any]:
        self.send(**request)
        return self.receive(timeout)

    def _failed(self, why: str) -> Failed:
        self.stop(why)
        return Failed(why)

    def start(self, contestant: Contestant, problem: Any, seed: int) -> None:
        """Send the first request: who it is and what to work on."""
        self.send(do="start", contestant=dataclasses.asdict(contestant), family=problem.family, problem=str(problem), seed=seed,
                  count=self.threads)

    def stop(self, why: str = "stopped") -> None:
        if self.ended:
            return
        self.ended = why
        self.popen.kill()                                      # ends a suspended process too
        self.popen.wait()
        for pipe in (self.popen.stdin, self.popen.stdout):
            if pipe:
                with contextlib.suppress(OSError):
                    pipe.close()
        self.log.close()

    def _epitaph(self) -> str:
        try:
            code: int | str = self.popen.wait(timeout=10)
        except subprocess.TimeoutExpired:
            code = "unknown"
        self.log.seek(0)
        said = [line.strip() for line in self.log.read().splitlines() if line.strip()]
        return f"its process ended with status {code}{f': {said[-1][:300]}' if said else ''}"
