"""What a contestant hands to the clock."""
from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from minicnn.benchmarks.problems import Arrays

__all__ = ["Arrays", "Call", "training_call"]


@dataclass(frozen=True)
class Call:
    """Something to time. run() does all of the work and returns when it is done; outputs(what run returned) gives named arrays in
    minicnn's layout (NCHW, OIHW) to compare; algorithm says what really runs."""
    run: Callable[[], Any]
    outputs: Callable[[Any], Arrays]
    algorithm: str


def training_call(trainer: Any, arrays: Arrays, algorithm: str) -> Call:
    """One whole optimiser step on the same batch each time. The outputs are those of the first step: its loss, its gradients, and the
    parameters after it."""
    batch, rates = trainer.batch(arrays["x"], arrays["labels"]), trainer.rule.rates

    def outputs(loss: Any) -> Arrays:
        gradients = {f"grad {name}": g for name, g in trainer.gradients().items()}
        return {"loss": np.asarray(float(loss), np.float32), **gradients, **trainer.parameters()}

    return Call(lambda: trainer.step(batch, rates), outputs, algorithm)
