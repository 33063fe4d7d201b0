"""Who can take part: minicnn's backends and rungs, and the peers. One registry; a contestant that is not in it does not exist.

A contestant's module is imported by the process that prints the tables too, so it imports its library only when it is asked to work.
It has four functions:

    missing(setting) -> str | None                               why it cannot take part here
    lacks(setting, problem, direction) -> str | None             why it has no answer to this problem
    what(setting) -> str                                         library, version and setting, once its library can be imported
    prepare(setting, problem, direction, arrays) -> Call         a call that computes it, in the contestant's best memory layout

One that trains also has trainer(setting, problem) -> Trainer; one whose threads only it can count has pools() -> {name: threads}; one
on a GPU has forget_peak(setting), and peak(setting) -> bytes that it held there at most since (None for a setting on the CPU).
"""
from __future__ import annotations

import importlib
from dataclasses import dataclass
from types import ModuleType

from minicnn import kernels
from minicnn.benchmarks.contestants.call import Arrays, Call
from minicnn.benchmarks.results import CPU, GPU, TF32

__all__ = ["BACKENDS", "CPU", "GPU", "PEERS", "RUNGS", "TF32", "TF32_PEERS", "YARDSTICK", "Arrays", "Call", "Contestant", "check_backend"]


@dataclass(frozen=True)
class Contestant:
    """name: in tables, and in --contestants; module: in this folder, or the whole name of one elsewhere; setting: the module's own word
    for one of its ways; league: those whose times say something about each other."""
    name: str
    module: str
    setting: str
    peer: bool = True
    league: str = CPU

    def load(self) -> ModuleType:
        return importlib.import_module(self.module if "." in self.module else f"minicnn.benchmarks.contestants.{self.module}")

    def missing(self) -> str | None:
        found: str | None = self.load().missing(self.setting)
        return found


def _league(rung: kernels.Rung) -> str:
    return CPU if not rung.on_cuda else TF32 if rung.name == "cuda-tensor-cores" else GPU


BACKENDS = (*(Contestant(f"minicnn {name}", "with_minicnn", name, peer=False) for name in kernels.CPU_BACKENDS),
            Contestant("minicnn cuda", "with_minicnn", "cuda", peer=False, league=GPU))
RUNGS = tuple(Contestant(rung.name, "with_minicnn", f"rung {rung.name}", peer=False, league=_league(rung)) for rung in kernels.LADDER)
PEERS = (
    Contestant("torch contiguous", "with_torch", "contiguous"),
    Contestant("torch channels_last", "with_torch", "channels_last"),
    Contestant("torch.compile", "with_torch", "compile"),
    Contestant("JAX", "with_jax", "jit"),
    Contestant("ONNX Runtime", "with_onnx", "cpu"),
    Contestant("torch CUDA contiguous", "with_torch_cuda", "contiguous", league=GPU),
    Contestant("torch CUDA channels_last", "with_torch_cuda", "channels_last", league=GPU),
)
TF32_PEERS = (Contestant("torch CUDA TF32", "with_torch_cuda", "tf32", league=TF32),)       # beside the rung that rounds too

YARDSTICK = Contestant("copy", "with_copy", "", peer=False)      # not a contestant: what copying the same bytes takes


def check_backend(name: str) -> None:
    """Raise ValueError, with a list of the backends, unless `name` is one that can be timed here."""
    kernels.get(name)
    if all(contestant.setting != name for contestant in BACKENDS):
        raise ValueError(f"backend {name!r} is not timed: a simulated device has no speed of its own")
