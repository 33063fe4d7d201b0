"""A whole network: one optimiser step ("step") or one forward pass without gradients ("forward")."""
from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np

from minicnn.benchmarks import networks
from minicnn.benchmarks.problems import text
from minicnn.benchmarks.problems.conv import Conv
from minicnn.benchmarks.problems.problem import Arrays, U
from minicnn.benchmarks.rule import Rule
from minicnn.kernels.window import Window2d
from minicnn.training import Recipe, recipe_file

SIZES = {"lenet": (1, 28), "tinyvgg": (1, 28), "digits": (1, 8), "convnet": (1, 28), "resnet8": (3, 32), "resnet20": (3, 32)}
DATASETS = {"digits": (1, 8), "mnist": (1, 28), "fashion-mnist": (1, 28), "cifar-10": (3, 32)}      # channels, height and width
CLASSES = 10
SGD = Rule()


@dataclass(frozen=True)
class Network:
    """model: as networks.py reads it; N images, channels x size x size. The problem string is model:mbN, such as lenet:mb64 or
    "convnet(16,pool,32):mb128", with ic, ih and oc for other channels, sizes and classes than usual; or recipe:NAME.

    A step is zero_grad, forward, cross-entropy, backward, the optimiser and, if the rule has one, the average: all of it, on the same
    batch each time. seed: of the initial weights. drops: whether dropout drops; no two libraries drop alike, so what is checked does not.
    """
    model: str
    N: int
    channels: int
    size: int
    classes: int = CLASSES
    rule: Rule = SGD
    seed: int = 0
    drops: bool = False
    recipe: str = ""

    family: ClassVar[str] = "network"
    bound: ClassVar[str] = "compute"
    directions: ClassVar[tuple[str, ...]] = ("step", "forward")

    @classmethod
    def parse(cls, problem: str) -> Network:
        """Read a problem string. Raises ValueError for an unknown model or recipe, and for images too small for the network."""
        if problem.startswith("recipe:"):
            name = problem.removeprefix("recipe:")
            return cls.of(recipe_file.read(name), name)
        model, _, sizes = problem.rpartition(":")
        if not model or not re.fullmatch(r"([a-z]+\d+)+", sizes):
            raise ValueError(f"problem {problem!r}: expected a model and a batch size, such as lenet:mb64, or recipe:digits; models: "
                             f"{', '.join(SIZES)}")
        channels, size = SIZES[networks.read(model)[0]]
        try:
            found = {"ic": channels, "ih": size, "oc": CLASSES, **text.read(sizes, ["mb"], ["ic", "ih", "oc"])}
        except ValueError as error:
            raise ValueError(str(error).replace(repr(sizes), repr(problem), 1)) from None
        made = cls(model, found["mb"], found["ic"], found["ih"], found["oc"])
        made.build()                                           # raises where the images are too small
        return made

    @classmethod
    def of(cls, recipe: Recipe, name: str) -> Network:
        """The network, batch and rule of a recipe for one of the known datasets."""
        if recipe.dataset not in DATASETS:
            raise ValueError(f"recipe {name}: its dataset is a folder, whose classes a problem string cannot say")
        return cls(networks.write(recipe.model, recipe.options), recipe.batch_size, *DATASETS[recipe.dataset], rule=Rule.of(recipe),
                   recipe=name)

    def __str__(self) -> str:
        if self.recipe:
            return f"recipe:{self.recipe}"
        channels, size = SIZES[networks.read(self.model)[0]]
        unusual = (("ic", self.channels, channels), ("ih", self.size, size), ("oc", self.classes, CLASSES))
        return f"{self.model}:mb{self.N}{''.join(f'{name}{value}' for name, value, usual in unusual if value != usual)}"

    def build(self) -> Any:
        """minicnn's network of this name with the weights that every contestant starts from."""
        from minicnn import models, nn, random

        random.manual_seed(self.seed)
        name, options = networks.read(self.model)
        model = models.create(name, self.channels, self.size, self.classes, **options)
        for module in model.modules() if not self.drops else ():
            if isinstance(module, nn.Dropout):
                module.p = 0.0
        return model

    def initial_state(self) -> Arrays:
        """Those weights and running statistics by name, as minicnn and torch name and lay them out."""
        return {name: value.array for name, value in self.build().state_dict().items()}

    def arrays(self, seed: int) -> Arrays:
        random = np.random.default_rng(seed)
        return {"x": random.standard_normal((self.N, self.channels, self.size, self.size)).astype(np.float32),
                "labels": random.integers(0, self.classes, self.N)}

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
        return {name: np.asarray(max(float(np.sqrt(np.square(run[name] - a).mean())) for run in runs)
                                 + self.rule.roundings * U * float(np.abs(a).max()))
                for name, a in answers.items()}

    def _in_float64(self, direction: str, arrays: Arrays, error: float, random: Any) -> Arrays:
        """The answers, with weights and pixels off by a factor between 1 - error and 1 + error."""
        from minicnn import Tensor, kernels, no_grad
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
            optimizer = self.rule.build(model)
            loss = cross_entropy(model(x), Tensor(arrays["labels"]), label_smoothing=self.rule.label_smoothing)
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
        """The images and the parameters; a step writes the gradient, and reads and writes all that its rule keeps of each parameter."""
        images = 4 * self.N * self.channels * self.size**2
        parameters = 4 * sum(a.size for name, a in self.initial_state().items() if "running" not in name)
        return images + parameters * (1 if direction == "forward" else 1 + 2 * self.rule.arrays)

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
