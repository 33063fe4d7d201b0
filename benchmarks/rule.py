"""How weights change in a step of training: the same arithmetic for all contestants."""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from minicnn.training import Recipe

BETA2 = 0.999                                                  # Adam's


@dataclass(frozen=True)
class Rule:
    """Optimiser, loss and average of a step. Without arguments: what `bench train` measures, SGD with momentum.

    optimizer: sgd, adam, adamw or muon, with the options that Recipe has. momentum: SGD's and Muon's, Adam's beta1. label_smoothing: of the
    cross-entropy. ema: decay of the moving average of weights and running statistics, 0 for none.
    """
    optimizer: str = "sgd"
    lr: float = 0.01
    momentum: float = 0.9
    nesterov: bool = False
    weight_decay: float = 0.0
    adamw_lr: float = 0.0
    adamw_weight_decay: float = 0.0
    label_smoothing: float = 0.0
    ema: float = 0.0

    @classmethod
    def of(cls, recipe: Recipe) -> Rule:
        """A recipe's, at its highest learning rate."""
        own = recipe.optimizer in ("sgd", "muon")
        return cls(recipe.optimizer, recipe.lr, recipe.momentum if own else 0.9, own and recipe.momentum > 0, recipe.weight_decay,
                   recipe.adamw_lr, recipe.adamw_weight_decay, recipe.label_smoothing, recipe.ema)

    @property
    def rates(self) -> tuple[float, ...]:
        """The learning rate of each group of parameters: Muon's and AdamW's, or of all."""
        return (self.lr, self.adamw_lr or self.lr) if self.optimizer == "muon" else (self.lr,)

    def build(self, model: Any) -> Any:
        """minicnn's optimiser for a network of minicnn's."""
        from minicnn import optim

        if self.optimizer == "muon":
            lr, adamw_lr = self.rates
            groups = optim.muon_groups(model, lr, adamw_lr, self.weight_decay, self.adamw_weight_decay)
            return optim.Muon(groups, self.lr, momentum=self.momentum, nesterov=self.nesterov)
        return self.build_from(optim, model.parameters())

    def build_from(self, optim: Any, parameters: Any, **options: Any) -> Any:
        """SGD, Adam or AdamW of minicnn.optim or torch.optim, which name them alike. options: of its own, such as torch's fused."""
        options |= {"lr": self.lr, "weight_decay": self.weight_decay}
        if self.optimizer == "sgd":
            return optim.SGD(parameters, momentum=self.momentum, nesterov=self.nesterov, **options)
        return {"adam": optim.Adam, "adamw": optim.AdamW}[self.optimizer](parameters, betas=(self.momentum, BETA2), **options)

    @property
    def beside_muon(self) -> Rule:
        """AdamW for what is not Muon's."""
        return Rule("adamw", self.rates[-1], weight_decay=self.adamw_weight_decay)

    def of_muon(self, shapes: dict[str, tuple[int, ...]]) -> list[str]:
        """Which of these parameters are Muon's: those with two axes or more, but for the last of them."""
        return [name for name, shape in shapes.items() if len(shape) >= 2][:-1] if self.optimizer == "muon" else []

    @property
    def arrays(self) -> int:
        """How many arrays of each parameter's size a step reads and writes: parameter, optimiser's state, average."""
        return 1 + (1 if self.optimizer in ("sgd", "muon") else 2) + (self.ema > 0)

    @property
    def roundings(self) -> int:
        """On the way from a gradient to a new weight: the last product and sum of SGD; all of Adam's, whose steps are as large as a weight
        that was 0 (four constants, two products for each moment, two quotients, root, eps, quotient, rate, decay, sum)."""
        return 2 if self.optimizer == "sgd" else 16

    def __str__(self) -> str:
        """Such as AdamW, label smoothing 0.1, EMA 0.99."""
        momentum = f"{'Nesterov ' * self.nesterov}momentum {self.momentum:g}"
        name = {"sgd": f"SGD, {momentum}", "adam": "Adam", "adamw": "AdamW", "muon": f"Muon, {momentum}, beside AdamW"}[self.optimizer]
        parts = [f"label smoothing {self.label_smoothing:g}"] if self.label_smoothing else []
        return ", ".join([name, *parts, *([f"EMA {self.ema:g}"] if self.ema else [])])


def set_rates(optimizer: Any, rates: Sequence[float]) -> None:
    """The learning rates of the next step, one a group."""
    for group, lr in zip(optimizer.param_groups, rates, strict=True):
        group["lr"] = lr
