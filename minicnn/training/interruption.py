"""Ctrl-C and the system's request to end, heard between two batches, where a training can be saved whole."""
from __future__ import annotations

import signal
import threading
from types import FrameType, TracebackType
from typing import Any, Self


class Interrupted(KeyboardInterrupt):
    """A training was stopped; the text says where it stands and how to go on. status: the exit status that a command ends with."""
    status = 130


class Stop:
    """`with Stop() as stop:` notes SIGINT (Ctrl-C) and SIGTERM instead of ending what runs; `stop.asked` is the signal's number, or 0.

    The second signal ends it at once, with KeyboardInterrupt: nobody has to wait for a batch that does not end. Signals that are ignored
    stay so, as under nohup. Outside the main thread, which alone hears signals, it does nothing.
    """

    def __init__(self) -> None:
        self.asked = 0
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                before = signal.getsignal(number)
                if before not in (signal.SIG_IGN, None):
                    self._before[number] = signal.signal(number, self._hear)
        return self

    def _hear(self, number: int, frame: FrameType | None) -> None:
        if self.asked:
            raise KeyboardInterrupt
        self.asked = number

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for number, before in self._before.items():
            signal.signal(number, before)
