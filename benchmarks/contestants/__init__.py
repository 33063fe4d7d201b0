"""Who can take part: minicnn's backends and rungs, and the peers. One registry; a contestant that is not in it does not exist.

A contestant's module is imported by the process that prints the tables too, so it imports its library only when it is asked to work.
It has four functions:

    missing(setting) -> str | None                               why it cannot take part here
    lacks(setting, problem, direction) -> str | None             why it has no answer to this problem
    what(setting) -> str                                         library, version and setting, once its library can be imported
    prepare(setting, problem, direction, arrays) -> Call         a call that computes it, in the contestant's best memory layout

One that trains also has trainer(setting, problem) -> Trainer; one whose threads only it can count has pools() -> {name: threads}.
"""
from __future__ import annotations

import importlib
from dataclasses import dataclass
from types import ModuleType

from minicnn import kernels
from minicnn.benchmarks.contestants.call import Arrays, Call

__all__ = ["BACKENDS", "PEERS", "RUNGS", "YARDSTICK", "Arrays", "Call", "Contestant", "check_backend"]


@dataclass(frozen=True)
class Contestant:
    """name: in tables, and in --contestants; module: in this folder, or the whole name of one elsewhere; setting: the module's own word
    for one of its ways."""
    name: str
    module: str
    setting: str
    peer: bool = True

    def load(self) -> ModuleType:
        return importlib.import_module(self.module if "." in self.module else f"minicnn.benchmarks.contestants.{self.module}")

    def missing(self) -> str | None:
        found: str | None = self.load().missing(self.setting)
        return found


BACKENDS = tuple(Contestant(f"minicnn {name}", "with_minicnn", name, peer=False) for name in (*kernels.CPU_BACKENDS, "cuda"))
RUNGS = tuple(Contestant(rung.name, "with_minicnn", f"rung {rung.name}", peer=False) for rung in kernels.LADDER)
PEERS = (
    Contestant("torch contiguous", "with_torch", "contiguous"),
    Contestant("torch channels_last", "with_torch", "channels_last"),
    Contestant("torch.compile", "with_torch", "compile"),
    Contestant("JAX", "with_jax", "jit"),
    Contestant("ONNX Runtime", "with_onnx", "cpu"),
)

YARDSTICK = Contestant("copy", "with_copy", "", peer=False)      # not a contestant: what copying the same bytes takes


def check_backend(name: str) -> None:
    """Raise ValueError, with a list of the backends, unless `name` is one that can be timed here."""
    kernels.get(name)
    if all(contestant.setting != name for contestant in BACKENDS):
        raise ValueError(f"backend {name!r} is not timed: a simulated device has no speed of its own")
