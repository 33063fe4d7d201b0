"""A whole network: one optimiser step ("step") or one forward pass without gradients ("forward")."""
from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np

from minicnn.benchmarks.problems.conv import Conv
from minicnn.benchmarks.problems.problem import Arrays, U
from minicnn.kernels.window import Window2d

SIZES = {"lenet": (1, 28), "tinyvgg": (1, 28), "resnet8": (3, 32)}      # channels, height and width
CLASSES = 10
LR, MOMENTUM = 0.01, 0.9


@dataclass(frozen=True)
class Network:
    """model: lenet, tinyvgg or resnet8; N images. The problem string is model:mbN, such as lenet:mb64.

    A step is zero_grad, forward, cross-entropy, backward, and SGD with momentum: all of it, on the same batch each time.
    """
    model: str
    N: int
    channels: int
    size: int

    family: ClassVar[str] = "network"
    bound: ClassVar[str] = "compute"
    directions: ClassVar[tuple[str, ...]] = ("step", "forward")

    @classmethod
    def parse(cls, problem: str) -> Network:
        """Read a problem string. Raises ValueError for an unknown model."""
        match = re.fullmatch(r"([a-z0-9]+):mb(\d+)", problem)
        if not match or match[1] not in SIZES or int(match[2]) < 1:
            raise ValueError(f"problem {problem!r}: expected a model and a batch size, such as lenet:mb64; models: {', '.join(SIZES)}")
        return cls(match[1], int(match[2]), *SIZES[match[1]])

    def __str__(self) -> str:
        return f"{self.model}:mb{self.N}"

    def build(self) -> Any:
        """minicnn's network of this name with the weights that every contestant starts from."""
        from minicnn import models, random

        random.manual_seed(0)
        return models.create(self.model, self.channels, self.size, CLASSES)

    def initial_state(self) -> Arrays:
        """Those weights and running statistics by name, as minicnn and torch name and lay them out."""
        return {name: value.array for name, value in self.build().state_dict().items()}

    def arrays(self, seed: int) -> Arrays:
        random = np.random.default_rng(seed)
        return {"x": random.standard_normal((self.N, self.channels, self.size, self.size)).astype(np.float32),
                "labels": random.integers(0, CLASSES, self.N)}

    def answers(self, direction: str, arrays: Arrays) -> Arrays:
        """The same in float64 with the NumPy backend, which the tests hold to torch's float64 over ten steps, to 1e-10.

        "forward": logits in eval mode. "step": the loss, and of each parameter its gradient "grad NAME" and its value "NAME" afterwards.
        """
        return self._in_float64(direction, arrays, 0.0, None)

    def bounds(self, direction: str, arrays: Arrays) -> Arrays:
        """One number an array: how much it changes when weights and images change by as much as rounding may amount to.

        A sum of K rounded products is the exact sum of products that are each off by gamma_K at most (Higham, 2002, section 3.1), so what
        float32 computes is what exact arithmetic would with slightly other weights. The network is run twice in float64 with every weight
        and pixel off by a random part of gamma_K, K the terms of its longest sum. This covers what no formula over magnitudes does: a
        value that lands on the other side of a ReLU, or another winner in a max pool, which moves a gradient by a jump.
        """
        K = max(int(np.prod(value.shape[1:])) for value in self.initial_state().values() if value.ndim > 1)
        answers, gamma = self.answers(direction, arrays), K * U / (1 - K * U)
        runs = [self._in_float64(direction, arrays, gamma, np.random.default_rng(seed)) for seed in (1, 2)]
        return {name: np.asarray(max(float(np.sqrt(np.square(run[name] - a).mean())) for run in runs) + 2 * U * float(np.abs(a).max()))
                for name, a in answers.items()}

    def _in_float64(self, direction: str, arrays: Arrays, error: float, random: Any) -> Arrays:
        """The answers, with weights and pixels off by a factor between 1 - error and 1 + error."""
        from minicnn import Tensor, kernels, no_grad, optim
        from minicnn.nn.functional import cross_entropy

        def off(a: np.ndarray) -> np.ndarray:
            return a.astype(np.float64) * (1 + error * random.uniform(-1, 1, a.shape)) if error else a.astype(np.float64)

        model = self.build().double()
        parameters = dict(model.named_parameters())
        exact = {name: p.array.copy() for name, p in parameters.items()}
        for p in parameters.values():
            p.array[...] = off(p.array)
        x = Tensor(off(arrays["x"]))
        with kernels.use_backend("numpy"):
            if direction == "forward":
                with no_grad():
                    return {"logits": model.eval()(x).array}
            optimizer = optim.SGD(model.parameters(), lr=LR, momentum=MOMENTUM)
            loss = cross_entropy(model(x), Tensor(arrays["labels"]))
            loss.backward()
            for name, p in parameters.items():
                p.array[...] = exact[name]                     # the step itself begins at the weights as they are
            optimizer.step()
        return {"loss": loss.array, **{f"grad {name}": p.grad.array for name, p in parameters.items()},
                **{name: p.array for name, p in parameters.items()}}

    def macs(self, direction: str) -> int:
        """Of convolutions and linear layers; a step takes each of them three times (the first, which has no input gradient, twice)."""
        first, rest = self._layer_macs[0], sum(self._layer_macs[1:])
        return first + rest if direction == "forward" else 2 * first + 3 * rest

    def bytes(self, direction: str) -> int:
        """The images and the parameters; a step also reads and writes the velocity, writes the gradient and the parameters."""
        images = 4 * self.N * self.channels * self.size**2
        parameters = 4 * sum(a.size for name, a in self.initial_state().items() if "running" not in name)
        return images + parameters * (1 if direction == "forward" else 5)

    @cached_property
    def _layer_macs(self) -> list[int]:
        """Multiply-adds of every layer with weights, in order, counted by watching one image pass."""
        from minicnn import Tensor, nn, no_grad

        counts: list[int] = []

        def count(module: Any, inputs: Any, output: Any) -> None:
            if isinstance(module, nn.Linear):
                counts.append(self.N * module.weight.numel())
            else:
                _, C, H, W = inputs[0].shape
                window = Window2d.of(module.weight.shape[2:], module.stride, module.padding, module.dilation)
                counts.append(Conv(self.N, C, H, W, len(module.weight), window, module.groups).macs("forward"))

        model = self.build().eval()
        for module in model.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                module.register_forward_hook(count)
        with no_grad():
            model(Tensor(np.zeros((1, self.channels, self.size, self.size), np.float32)))
        return counts
