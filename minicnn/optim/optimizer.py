"""What all optimisers share: groups of parameters with options of their own, the state of each parameter, saving and loading both."""
from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from minicnn.autograd import enable_grad
from minicnn.kernels import devices
from minicnn.recording import changed
from minicnn.tensor import Tensor

Group = dict[str, Any]


class Optimizer:
    """Base of every optimiser: `zero_grad()`, `loss.backward()`, `step()`, over and over.

    params: Tensors, or dicts such as {"params": [...], "lr": 0.01}, each a group whose options replace the defaults.
    param_groups: a list of {"params": [Tensor, ...], option: value, ...}; a schedule writes group["lr"].
    state: what is remembered of each parameter between steps, such as its velocity.

    A new optimiser defines `update(p, g, state, group)`, which changes the array p in place, and calls `super().__init__`.
    """

    def __init__(self, params: Iterable[Any], defaults: dict[str, Any]) -> None:
        if isinstance(params, Tensor):
            raise TypeError(f"{type(self).__name__}: params is one tensor, expected a list of them: [tensor]")
        self.defaults, self.param_groups = defaults, list[Group]()
        self.state: defaultdict[Tensor, dict[str, Any]] = defaultdict(dict)
        groups = list(params)
        if not groups:
            raise ValueError(f"{type(self).__name__}: there are no parameters to optimise: the list is empty")
        for group in groups if isinstance(groups[0], dict) else [{"params": groups}]:
            self.add_param_group(group)

    def add_param_group(self, group: Group) -> None:
        """Add one more group {"params": [...], option: value}; options left out take the optimiser's defaults."""
        name = type(self).__name__
        params = [group["params"]] if isinstance(group["params"], Tensor) else list(group["params"])
        for p in params:
            if not isinstance(p, Tensor):
                raise TypeError(f"{name}: a parameter is a {type(p).__name__}, expected a Tensor")
            if not p.is_leaf:
                raise ValueError(f"{name}: a parameter of shape {p.shape} is the result of an operation, so no step can change it")
        known = {id(p) for other in self.param_groups for p in other["params"]}
        if len(params) != len({id(p) for p in params}) or known & {id(p) for p in params}:
            raise ValueError(f"{name}: a parameter was given twice, so it would be changed twice a step")
        group = {**self.defaults_of(group), **group, "params": params}
        self.check(group)
        self.param_groups.append(group)

    def defaults_of(self, group: Group) -> dict[str, Any]:
        """What the options that `group` leaves out are."""
        return self.defaults

    def check(self, group: Group) -> None:
        """Raise ValueError when an option of `group` is out of range."""

    def update(self, p: Any, g: Any, state: dict[str, Any], group: Group) -> None:
        """Change the array p, whose gradient is the array g, in place."""
        raise NotImplementedError(f"{type(self).__name__} must define update(p, g, state, group)")

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Change every parameter that has a gradient. closure, if given, computes the loss and gradients first; its result is returned."""
        loss = None
        if closure is not None:
            with enable_grad():
                loss = closure()
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is not None:
                    try:
                        self.update(p.array, -p.grad.array if group.get("maximize") else p.grad.array, self.state[p], group)
                    except TypeError as error:
                        devices.together(f"{type(self).__name__}.step", [p.array, p.grad.array, *self.state[p].values()], error)
                        raise
        changed()
        return loss

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget all gradients, which otherwise add up from one backward() to the next. set_to_none=False fills them with zeros."""
        for group in self.param_groups:
            for p in group["params"]:
                if set_to_none:
                    p.grad = None
                elif p.grad is not None:
                    p.grad.array[...] = 0

    def state_dict(self) -> dict[str, Any]:
        """{"state": {number: {...}}, "param_groups": [{..., "params": [numbers]}]}, as torch: parameters are counted through all groups."""
        numbers = {id(p): i for i, p in enumerate(self._parameters())}
        return {
            "state": {numbers[id(p)]: {key: Tensor(v) if hasattr(v, "dtype") else v for key, v in state.items()}
                      for p, state in self.state.items() if state},
            "param_groups": [{**group, "params": [numbers[id(p)] for p in group["params"]]} for group in self.param_groups],
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over the state of `state_dict()`, ours or torch's. What JSON does to it, texts for numbers and lists for tuples, is undone.

        Make the schedule first, if there is one, for making it sets rates; then load both. Raises ValueError, and changes nothing, when the
        state does not fit.
        """
        name, saved = type(self).__name__, state_dict["param_groups"]
        sizes, expected = [len(g["params"]) for g in saved], [len(g["params"]) for g in self.param_groups]
        if sizes != expected:
            raise ValueError(f"{name}.load_state_dict: the saved groups have {sizes} parameters, this optimiser's have {expected}")
        groups = [_merged(own, new) for own, new in zip(self.param_groups, saved, strict=True)]
        for group in groups:
            self.check(group)
        parameters = dict(zip((i for g in saved for i in g["params"]), self._parameters(), strict=True))
        state: defaultdict[Tensor, dict[str, Any]] = defaultdict(dict)
        for key, values in state_dict["state"].items():
            number = int(key) if str(key).isdecimal() else key
            if number not in parameters:
                raise ValueError(f"{name}.load_state_dict: there is a state for parameter {number}, "
                                 f"but parameters are 0..{len(parameters) - 1}")
            state[parameters[number]] = {what: _restored(name, number, what, v, parameters[number]) for what, v in values.items()}
        self.param_groups, self.state = groups, state

    def _parameters(self) -> list[Tensor]:
        return [p for group in self.param_groups for p in group["params"]]

    def __repr__(self) -> str:
        lines = [f"{type(self).__name__} ("]
        for i, group in enumerate(self.param_groups):
            lines += [f"Parameter Group {i}", *(f"    {key}: {group[key]}" for key in sorted(group) if key != "params")]
        return "\n".join([*lines, ")"])


def at_least(optimizer: Optimizer, group: Group, least: float, *options: str) -> None:
    """Raise ValueError when one of `options` is below `least`, or NaN."""
    for option in options:
        if not least <= group[option] < math.inf:
            raise ValueError(f"{type(optimizer).__name__}: {option} is {group[option]}, expected a finite number of at least {least}")


def _merged(own: Group, saved: Group) -> Group:
    """The saved options, and our own where there are none, for our own parameters."""
    group = {**own, **saved, "params": own["params"]}
    return {key: tuple(value) if isinstance(own.get(key), tuple) else value for key, value in group.items()}


def _restored(name: str, number: int, key: str, value: Any, p: Tensor) -> Any:
    """A value of a saved state: an array of the parameter's shape and dtype, where the parameter is, or a number."""
    if value is None or isinstance(value, int | float):
        return value
    array = value.array if isinstance(value, Tensor) else np.asarray(value.detach() if hasattr(value, "detach") else value)
    if array.ndim == 0 and key == "step":
        return int(array)
    if array.shape != p.shape:
        raise ValueError(f"{name}.load_state_dict: {key} of parameter {number} has shape {array.shape}, the parameter {p.shape}")
    return devices.move(array, devices.device_of(p.array)).astype(p.dtype)
