"""All that a training is made of, as arrays and JSON, and back: what goes on from there gives the same bits as if it had never stopped."""
from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from minicnn.kernels import devices
from minicnn.nn import Module
from minicnn.optim import Optimizer
from minicnn.optim.scheduler import LRScheduler
from minicnn.optim.swa_utils import AveragedModel
from minicnn.random import get_rng_state, set_rng_state
from minicnn.training import divergence
from minicnn.training.history import Epoch, Evaluation, Position
from minicnn.training.snapshot import Snapshot

EPOCH = [f.name for f in fields(Epoch) if f.name not in ("number", "validation")]
POSITION = [f.name for f in fields(Position) if f.name != "history"]


@dataclass
class TrainingState:
    """A training between two batches: everything that the next one depends on, but for the images.

    The batches are drawn anew from the loader's seed, the epoch and the batch's number, so of them only the position is kept.
    """
    model: Module
    optimizer: Optimizer
    scheduler: LRScheduler
    average: AveragedModel | None
    position: Position

    @property
    def result(self) -> Module:
        """The network that is measured and saved: the average of the weights where there is one."""
        return self.average.module if self.average else self.model

    def snapshot(self) -> Snapshot:
        """A copy of it, on the CPU. Raises Diverged when a weight is not finite: such a state is not worth going on from."""
        divergence.check_weights(f"after epoch {self.position.epoch}, batch {self.position.batch}", self.model, self.average)
        optimizer = self.optimizer.state_dict()
        arrays = _arrays("model", self.model.state_dict())
        if self.average:
            arrays |= _arrays("average", self.average.state_dict())
        numbers: dict[str, dict[str, Any]] = {}
        for i, state in optimizer["state"].items():
            arrays |= _arrays(f"optimizer/{i}", {key: v for key, v in state.items() if hasattr(v, "array")})
            numbers[str(i)] = {key: v for key, v in state.items() if not hasattr(v, "array")}
        history = self.position.history
        if any(e.validation for e in history):
            arrays["confusion"] = np.stack([e.validation.confusion for e in history if e.validation])
        return Snapshot(arrays, {
            "optimizer": {"state": numbers, "param_groups": optimizer["param_groups"]},
            "scheduler": self.scheduler.state_dict(),
            "random": get_rng_state(),
            "position": {name: getattr(self.position, name) for name in POSITION},
            "history": [{name: getattr(e, name) for name in EPOCH} | ({"validation_loss": e.validation.loss} if e.validation else {})
                        for e in history],
        })

    def restore(self, saved: Snapshot) -> None:
        """Become what was saved. Raises ValueError when it does not fit, and then this is of no more use."""
        values, arrays = saved.values, saved.arrays
        try:
            self.model.load_state_dict(_named(arrays, "model"))
            if self.average:
                self.average.load_state_dict(_named(arrays, "average"))
            self.optimizer.load_state_dict(self._optimizer_state(values["optimizer"], arrays))
            self.scheduler.load_state_dict(_like(self.scheduler.state_dict(), values["scheduler"], "scheduler"))
            position = _like({name: getattr(Position(), name) for name in POSITION}, values["position"], "position")
            self._check(position, len(values["history"]))
            for name, value in position.items():
                setattr(self.position, name, value)
            self.position.history[:] = _history(values["history"], arrays.get("confusion"))
            set_rng_state(values["random"])
            best, own = _named(arrays, "best"), self.result.state_dict()
            if best and {name: a.shape for name, a in best.items()} != {name: t.shape for name, t in own.items()}:
                raise ValueError("the best weights are those of another network")
        except (RuntimeError, TypeError, KeyError, IndexError, AttributeError, OverflowError) as error:
            raise ValueError(" ".join(f"{type(error).__name__}: {error}".split())[:500]) from error

    def _optimizer_state(self, values: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> dict[str, Any]:
        """What the optimiser's load_state_dict takes, once it is what this optimiser would have made itself."""
        own = self.optimizer.state_dict()
        groups = _like(own["param_groups"], values["param_groups"], "optimizer")
        state: dict[int, dict[str, Any]] = {}
        for group, mine, saved in zip(self.optimizer.param_groups, own["param_groups"], groups, strict=True):
            saved["params"] = mine["params"]
            for i, p in zip(mine["params"], group["params"], strict=True):
                held = values["state"].get(str(i), {}) | _named(arrays, f"optimizer/{i}")
                if held:
                    state[i] = _like(_example(self.optimizer, p, group), held, f"optimizer/{i}")
                    if any(isinstance(v, int) and v < 1 for v in state[i].values()):
                        raise ValueError(f"optimizer/{i} counts its steps from {held}")
        return {"state": state, "param_groups": groups}

    def _check(self, position: Mapping[str, Any], epochs: int) -> None:
        """The numbers of a position, against each other."""
        batch, images, correct = (position[name] for name in ("batch", "images", "correct"))
        if position["epoch"] != epochs + 1 or not 0 <= correct <= images or (batch == 0) != (images == 0) or batch < 0 \
                or min(position["loss"], position["seconds"], position["elapsed"]) < 0:
            raise ValueError(f"the position does not hold together: {dict(position)}, after {epochs} epochs")


def _arrays(prefix: str, tensors: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """Copies in row-major order: safetensors reads memory from front to back, whatever the strides say."""
    return {f"{prefix}/{name}": np.array(devices.host(tensor.array), order="C") for name, tensor in tensors.items()}


def _named(arrays: Mapping[str, np.ndarray], prefix: str) -> dict[str, np.ndarray]:
    return {name.removeprefix(f"{prefix}/"): array for name, array in arrays.items() if name.startswith(f"{prefix}/")}


def _example(optimizer: Optimizer, p: Any, group: Mapping[str, Any]) -> dict[str, Any]:
    """What the optimiser remembers of a parameter after a step, its values aside."""
    state: dict[str, Any] = {}
    optimizer.update(np.zeros_like(p.array), np.zeros_like(p.array), state, dict(group))
    return state


def _history(saved: Iterable[Mapping[str, Any]], confusion: np.ndarray | None) -> list[Epoch]:
    counts = iter(list(confusion) if confusion is not None else [])
    found = []
    for number, values in enumerate(saved, 1):
        numbers = _like(dict.fromkeys(EPOCH, 0.0), {name: values[name] for name in EPOCH}, f"epoch {number}")
        validation = None
        if "validation_loss" in values:
            counted: Any = next(counts, np.zeros(0))
            square = counted.ndim == 2 and counted.shape[0] == counted.shape[1]
            if not square or counted.dtype.kind not in "iu" or counted.min() < 0 or not counted.any():
                raise ValueError(f"epoch {number} has no confusion matrix")
            validation = Evaluation(_like(0.0, values["validation_loss"], f"epoch {number}"), counted)
        found.append(Epoch(number, **numbers, validation=validation))
    return found


def _like(own: Any, saved: Any, where: str) -> Any:
    """The saved value, where it has the form of one's own: the same keys, lists as long, numbers for numbers, arrays of the same shape.

    JSON knows no tuples: where there was one, there is one again. A number may have taken the place of None.
    """
    if isinstance(own, dict):
        if not isinstance(saved, dict) or own.keys() != saved.keys():
            raise ValueError(f"{where} holds {_short(sorted(saved) if isinstance(saved, dict) else saved)}, expected {_short(sorted(own))}")
        return {key: _like(value, saved[key], f"{where}.{key}") for key, value in own.items()}
    if isinstance(own, list | tuple):
        if not isinstance(saved, list | tuple) or len(saved) != len(own):
            raise ValueError(f"{where} is {_short(saved)}, expected {len(own)} values")
        return type(own)(_like(a, b, where) for a, b in zip(own, saved, strict=True))
    if hasattr(own, "shape"):
        if getattr(saved, "shape", None) != own.shape or saved.dtype != own.dtype:
            raise ValueError(f"{where} is {_short(saved)}, expected {own.dtype} {own.shape}")
        return saved
    whole = isinstance(saved, int) and not isinstance(saved, bool) and abs(saved) < 2**63
    number = whole or (isinstance(saved, float) and math.isfinite(saved))
    if isinstance(own, bool | str):
        good = type(saved) is type(own) and (isinstance(own, bool) or saved == own)
    else:
        good = (whole if isinstance(own, int) else number) or (saved is None and own is None) or (own is None and number)
    if not good:
        raise ValueError(f"{where} is {_short(saved)}, expected the like of {own!r}")
    return float(saved) if isinstance(own, float) else saved


def _short(value: Any) -> str:
    if hasattr(value, "shape"):
        return f"{value.dtype} {value.shape}"
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."
