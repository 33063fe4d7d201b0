"""Muon: steps in which every direction of a weight matrix counts alike."""
from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from minicnn import kernels
from minicnn.nn import Module
from minicnn.optim.adam import adam_update, check_adam
from minicnn.optim.lerp import lerp_
from minicnn.optim.optimizer import Group, Optimizer, at_least

COEFFICIENTS = (3.4445, -4.7750, 2.0315)
ADJUSTMENTS = (None, "original", "match_rms_adamw")


class Muon(Optimizer):
    """Momentum, orthogonalised by Newton-Schulz (Jordan et al., 2024, kellerjordan.github.io/posts/muon): torch's, for convolutions too.

        v <- v + (1 - momentum) * (g - v)
        u = g + momentum * (v - g)  if nesterov  else  v
        p <- p - lr * weight_decay * p
        p <- p - lr * scale * orthogonalized(u),   scale = sqrt(max(1, R/C)), or 0.2 * sqrt(max(R, C)) (Liu et al., 2025, arXiv:2502.16982)

    u is a matrix (R, C): a linear layer's as it is, a convolution's (F, C, KH, KW) as (F, C*KH*KW). adjust_lr_fn: None or "original" for
    the first scale; "match_rms_adamw" for the second, with which rates and weight decays that suit AdamW suit Muon.
    ns_coefficients, ns_steps, eps: see `orthogonalized`. torch computes that in bfloat16, this in the parameter's own dtype.

    Biases and scales have no directions: they are AdamW's. Give those in a group {"params": [...], "use_muon": False}, which takes AdamW's
    rule, its options betas and eps with their defaults there, and lr and weight_decay; `muon_groups` makes both groups. One schedule then
    drives all of it: OneCycleLR(optimizer, max_lr=[group["lr"] for group in optimizer.param_groups], ...).

    Raises ValueError for an option out of range, and for a parameter with fewer than two axes.
    """

    def __init__(self, params: Iterable[Any], lr: float = 1e-3, weight_decay: float = 0.1, momentum: float = 0.95, nesterov: bool = True,
                 ns_coefficients: Sequence[float] = COEFFICIENTS, eps: float = 1e-7, ns_steps: int = 5,
                 adjust_lr_fn: str | None = None) -> None:
        super().__init__(params, {"lr": lr, "weight_decay": weight_decay, "momentum": momentum, "nesterov": nesterov,
                                  "ns_coefficients": ns_coefficients, "eps": eps, "ns_steps": ns_steps, "adjust_lr_fn": adjust_lr_fn,
                                  "use_muon": True})

    def defaults_of(self, group: Group) -> dict[str, Any]:
        if group.get("use_muon", True):
            return self.defaults
        return {"lr": self.defaults["lr"], "weight_decay": self.defaults["weight_decay"], "betas": (0.9, 0.999), "eps": 1e-8}

    def check(self, group: Group) -> None:
        if not group["use_muon"]:
            check_adam(self, group)
            return
        at_least(self, group, 0, "lr", "weight_decay", "momentum", "eps")
        if len(group["ns_coefficients"]) != 3:
            raise ValueError(f"Muon: ns_coefficients are {group['ns_coefficients']}, expected three numbers")
        if not isinstance(group["ns_steps"], int) or not 0 <= group["ns_steps"] < 100:
            raise ValueError(f"Muon: ns_steps is {group['ns_steps']}, expected a whole number in 0..99")
        if group["adjust_lr_fn"] not in ADJUSTMENTS:
            raise ValueError(f"Muon: adjust_lr_fn is {group['adjust_lr_fn']!r}, expected None, 'original' or 'match_rms_adamw'")
        for p in group["params"]:
            if p.ndim < 2:
                raise ValueError(f"Muon: a parameter has shape {p.shape}, expected a matrix (R, C) or a convolution's weight "
                                 '(F, C, KH, KW); give biases and scales to AdamW, in a group with "use_muon": False: '
                                 "muon_groups(model) makes both groups")

    def update(self, p: Any, g: Any, state: dict[str, Any], group: Group) -> None:
        if not group["use_muon"]:
            adam_update(p, g, state, group, decoupled=True)
            return
        if not state:
            state["momentum_buffer"] = np.zeros_like(p)
        velocity, fresh = state["momentum_buffer"], 1 - group["momentum"]
        lerp_(velocity, g, fresh)
        ahead = velocity
        if group["nesterov"]:
            ahead = velocity.copy()
            lerp_(ahead, g, fresh)                             # g + momentum * (v - g) is v + (1 - momentum) * (g - v)
        matrix = ahead.reshape(len(p), -1)                     # (F, C, KH, KW) -> (F, C·KH·KW)
        u = orthogonalized(matrix, group["ns_coefficients"], group["ns_steps"], group["eps"]).reshape(p.shape)
        lr = float(group["lr"])
        p *= 1 - lr * group["weight_decay"]
        u *= lr * _scale(group["adjust_lr_fn"], *matrix.shape)
        p -= u

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        saved, own = ([bool(g.get("use_muon", True)) for g in groups] for groups in (state_dict["param_groups"], self.param_groups))
        if len(saved) == len(own) and saved != own:
            raise ValueError(f"Muon.load_state_dict: the saved groups have use_muon {saved}, this optimiser's {own}")
        super().load_state_dict(state_dict)


def orthogonalized(x: Any, coefficients: Sequence[float] = COEFFICIENTS, steps: int = 5, eps: float = 1e-7) -> Any:
    """Nearly the closest matrix with orthogonal rows (or columns, if there are fewer): where x = U S Vᵀ, nearly U Vᵀ.

        x <- x / max(|x|, eps);    x <- a x + (b G + c G²) x,  G = x xᵀ,   `steps` times

    |x| is the root of the sum of squares. Each step sends every singular value s to a s + b s³ + c s⁵ and keeps U and V. With the usual
    coefficients five steps bring all but tiny ones into about 0.7..1.2, which is near enough to 1. Shapes: (R, C) -> (R, C), a new array.
    """
    a, b, c = map(float, coefficients)
    tall = x.shape[0] > x.shape[1]
    y = x.T.copy() if tall else x                              # the shorter side's products are the smaller ones
    y = y / np.maximum(np.sqrt(np.square(y).sum()), eps)
    k = kernels.of(x)
    for _ in range(steps):
        gram = k.linear(y, y, None)
        factor = c * k.linear(gram, gram, None)                # a Gram matrix is its own transpose
        factor += b * gram
        following = k.linear_grad_input(factor, y)
        y *= a
        y += following
    return y.T.copy() if tall else y


def _scale(adjust_lr_fn: str | None, R: int, C: int) -> float:
    return 0.2 * math.sqrt(max(R, C)) if adjust_lr_fn == "match_rms_adamw" else math.sqrt(max(1.0, R / C))


def muon_groups(model: Module, lr: float = 0.02, adamw_lr: float = 1e-3, weight_decay: float | None = None,
                adamw_weight_decay: float | None = None, last: bool = False) -> list[Group]:
    """The parameters of `model` as groups for Muon: weights with two axes or more, and all the rest, which AdamW's rule is for.

    last: whether the last such weight, which usually makes the classes' scores, is Muon's too; it does better with AdamW (Jordan et al.).
    A weight decay of None is the optimiser's. A group that would be empty is left out.

    >>> from minicnn import nn
    >>> net = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(4, 10))
    >>> optimizer = Muon(muon_groups(net, lr=0.02, adamw_lr=0.002), weight_decay=0.01)
    >>> [(group["lr"], group["use_muon"], [p.shape for p in group["params"]]) for group in optimizer.param_groups]
    [(0.02, True, [(4, 1, 3, 3)]), (0.002, False, [(4,), (4,), (4,), (10, 4), (10,)])]
    """
    parameters = list(model.parameters())
    wide = [p for p in parameters if p.ndim >= 2]
    chosen = {id(p) for p in (wide if last else wide[:-1])}
    groups: list[Group] = []
    for use_muon, rate, decay in ((True, lr, weight_decay), (False, adamw_lr, adamw_weight_decay)):
        members = [p for p in parameters if (id(p) in chosen) == use_muon]
        options = {} if decay is None else {"weight_decay": decay}
        groups += [{"params": members, "lr": rate, "use_muon": use_muon, **options}] if members else []
    return groups
