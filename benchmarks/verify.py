"""Verify, then time: a contestant gets a time only if its outputs are right, to the last bit or within a bound from rounding analysis."""
from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from minicnn.benchmarks.problems import Arrays


class Wrong(Exception):
    """An output is not right; the text says which, and how."""


@dataclass(frozen=True)
class Verified:
    """How right: "exact" (every value equal), or "bounded" with the largest error as a share of its bound."""
    tier: str
    error: float = 0.0


def verify(got: Arrays, answers: Arrays, bounds: Callable[[], Arrays], flushed: float = 0.0) -> Verified:
    """Hold `got` (float32) to `answers` (float64), name by name.

    Exact: got equals the answer rounded to float32. Bounded: |got - answer| <= bound for every value; or, where one number bounds a whole
    array, for the root mean square of the differences. `bounds` is only called when got is not exact. flushed: the inputs were subnormal,
    and products may have been taken for 0: that adds so much to every bound.

    Raises Wrong for a missing or unknown output, another shape or dtype, NaN or infinity where none should be, and too large an error.
    """
    if sorted(got) != sorted(answers):
        raise Wrong(f"gave {', '.join(sorted(got)) or 'nothing'}, expected {', '.join(sorted(answers))}")
    for name, answer in answers.items():
        if got[name].shape != answer.shape:
            raise Wrong(f"{name} has shape {got[name].shape}, expected {answer.shape}")
        if got[name].dtype != np.float32:
            raise Wrong(f"{name} is {got[name].dtype}, expected float32")
    if all(np.array_equal(got[name], answer.astype(np.float32)) for name, answer in answers.items()):
        return Verified("exact")
    allowed = bounds()
    return Verified("bounded", max(_share(name, got[name], answer, allowed[name] + flushed) for name, answer in answers.items()))


def _share(name: str, got: np.ndarray, answer: np.ndarray, bound: np.ndarray) -> float:
    """The largest error divided by its bound. Raises Wrong where it is above 1."""
    with np.errstate(invalid="ignore", over="ignore"):
        error = np.abs(got.astype(np.float64) - answer)
    if np.ndim(bound) == 0 and error.ndim:                     # one bound for the whole array
        norm = float(np.sqrt(np.square(error).mean()))
        if not norm <= bound:
            raise Wrong(f"{name} is wrong: the root mean square of its errors is {norm:.3g}, at most {bound:.3g} is rounding")
        return norm / float(bound) if bound else 0.0
    bound = np.broadcast_to(bound, answer.shape) + np.finfo(np.float32).smallest_subnormal
    wrong = ~(error <= bound)                                  # so that NaN is wrong
    if wrong.any():
        where = tuple(int(i) for i in np.argwhere(wrong)[0])
        raise Wrong(f"{int(wrong.sum())} of {wrong.size} values of {name} are wrong, the first at {where}: {got[where]!s}, expected "
                    f"{answer[where]:.9g}, give or take {bound[where]:.3g}")
    return float((error / bound).max(initial=0.0))
