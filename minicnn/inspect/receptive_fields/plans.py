"""Plans of small networks: chains of convolutions and poolings in a few well-known styles, their receptive fields and their costs."""
from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from minicnn import nn
from minicnn.kernels.window import Window2d

Pair = tuple[int, int]
LayerCall = tuple[str, tuple[int, ...], dict[str, Any]]      # name in minicnn.nn, arguments, options
STAGES = 5                       # at most: a field has doubled its stride five times then
CONVS = 4                        # convolutions in a stage of several, at most
DOUBLINGS = 2                    # of the channels, at most


@dataclass(frozen=True)
class Step:
    """One convolution with its ReLU, or one max pooling. padding: on every side, or 'same' for even kernels."""
    kernel: int
    stride: int = 1
    dilation: int = 1
    padding: int | str = 0
    pool: bool = False

    @property
    def window(self) -> Window2d:
        return Window2d.of(self.kernel, self.stride, self.padding, self.dilation)

    @property
    def text(self) -> str:
        if self.pool:
            return f"pool {self.kernel}x{self.kernel}"
        marks = (f"/{self.stride}" if self.stride > 1 else "") + (f" dilation {self.dilation}" if self.dilation > 1 else "")
        return f"{self.kernel}x{self.kernel}{marks}"


@dataclass(frozen=True)
class Plan:
    """style: one of STYLES. steps: in order."""
    style: str
    steps: tuple[Step, ...]

    @functools.cached_property
    def field(self) -> int:
        """1 + sum of d*(k - 1) * the strides before"""
        size = jump = 1
        for step in self.steps:
            size += step.dilation * (step.kernel - 1) * jump
            jump *= step.stride
        return size

    def padded(self) -> Plan:
        """With as much padding as keeps the size, at stride 1, or halves it."""
        return replace(self, steps=tuple(replace(s, padding=_keeping(s)) for s in self.steps))

    def sizes(self, image: Pair) -> list[Pair] | None:
        """(H, W) after each step; None if a window is larger than the map it slides over, so that part of it only ever sees padding."""
        found = [image]
        for step in self.steps:
            window = step.window
            if any(e > n for e, n in zip(window.extent, found[-1], strict=True)):
                return None
            found.append(window.output_size(found[-1]))
        return found[1:]

    def widths(self, channels: int) -> list[int]:
        """The channels after each step: twice as many after each step with a stride."""
        found: list[int] = []
        now = channels
        for step in self.steps:
            if step.stride > 1 and not step.pool:
                now = min(2 * now, channels * 2**DOUBLINGS)
            found.append(now if not step.pool else found[-1] if found else channels)
            if step.pool:
                now = min(2 * now, channels * 2**DOUBLINGS)
        return found

    def cost(self, image: Pair, in_channels: int, channels: int, classes: int | None) -> Pair:
        """Parameters, and multiply-adds of a forward pass of one image."""
        parameters = macs = 0
        C = in_channels
        for step, F, (OH, OW) in zip(self.steps, self.widths(channels), self.sizes(image) or (), strict=True):
            if not step.pool:
                weights = step.kernel**2 * C * F
                parameters, macs, C = parameters + weights + F, macs + weights * OH * OW, F
        head = 0 if classes is None else classes * C
        return parameters + head + (classes or 0), macs + head

    def modules(self, in_channels: int, channels: int, classes: int | None) -> list[LayerCall]:
        """The layers as (name in minicnn.nn, arguments, options)."""
        found: list[LayerCall] = []
        C = in_channels
        for step, F in zip(self.steps, self.widths(channels), strict=True):
            if step.pool:
                found.append(("MaxPool2d", (step.kernel,), {}))
                continue
            options = {name: value for name, value, usual in (("stride", step.stride, 1), ("padding", step.padding, 0),
                                                              ("dilation", step.dilation, 1)) if value != usual}
            found += [("Conv2d", (C, F, step.kernel), options), ("ReLU", (), {})]
            C = F
        if classes is not None:
            found += [("AdaptiveAvgPool2d", (1,), {}), ("Flatten", (), {}), ("Linear", (C, classes), {})]
        return found


def build(modules: Sequence[LayerCall]) -> nn.Sequential:
    return nn.Sequential(*(getattr(nn, name)(*args, **options) for name, args, options in modules))


def code(modules: Sequence[LayerCall]) -> str:
    """The same as Python."""
    lines: list[str] = []
    for name, args, options in modules:
        said = ", ".join([*map(str, args), *(f"{key}={value!r}" for key, value in options.items())])
        if name == "ReLU" and lines:
            lines[-1] += " nn.ReLU(),"
        else:
            lines.append(f"    nn.{name}({said}),")
    return "\n".join(["nn.Sequential(", *lines, ")"])


def _keeping(step: Step) -> int | str:
    """The padding that keeps an image's size, or halves it."""
    if step.pool:
        return 0
    return "same" if step.stride == 1 and step.kernel % 2 == 0 else step.dilation * (step.kernel - 1) // 2


POOL = Step(2, 2, pool=True)
STYLES = ("1x1 only", "3x3 only", "3x3 and max pooling", "3x3 and stride 2", "dilated 3x3", "large kernels", "5x5 and max pooling")


def plans(target: int, most: int) -> Iterator[Plan]:
    """All plans of at most `most` steps, without padding, whose field is at least the target, and few that are much larger."""
    if target == 1:
        yield Plan("1x1 only", (Step(1),) * min(2, most))
    yield from _stacks("3x3 only", (3,), target, most)
    for kernels in ((5, 3), (7, 3), (9, 3), (11, 3), *((even, odd, 3) for even in (2, 4, 6, 8) for odd in (5, 7))):
        yield from _stacks("large kernels", kernels, target, most)
    yield from _dilated(target, most)
    for style, kernel, reducers in (("3x3 and max pooling", 3, (POOL,)), ("5x5 and max pooling", 5, (POOL,)),
                                    ("3x3 and stride 2", 3, (Step(3, 2), Step(2, 2), Step(4, 2)))):
        for reducer in reducers:
            yield from _staged(style, Step(kernel), reducer, target, most)


def _stacks(style: str, kernels: Sequence[int], target: int, most: int) -> Iterator[Plan]:
    """As many of the first kernel as fit (of an even one, a single one), then of the next; the last makes up the rest."""
    steps: list[Step] = []
    left = target - 1
    for kernel in kernels[:-1]:
        count = min(left // (kernel - 1), 1 if kernel % 2 == 0 else most)
        steps += [Step(kernel)] * count
        left -= count * (kernel - 1)
    last = max(-(-left // (kernels[-1] - 1)), 0)
    if 0 < len(steps) + last <= most and (len(kernels) == 1 or steps):
        yield Plan(style, (*steps, *[Step(kernels[-1])] * last))


def _dilated(target: int, most: int) -> Iterator[Plan]:
    """Dilations 1, 2, 4, ... as far as they go, and the powers of two that make up the rest."""
    total = -(-(target - 1) // 2)
    dilations, d = [], 1
    while total >= d and total:
        dilations.append(d)
        total, d = total - d, 2 * d
    dilations += [1 << bit for bit in range(total.bit_length()) if total >> bit & 1]
    if 1 < len(dilations) <= most and max(dilations) > 1:
        yield Plan("dilated 3x3", tuple(Step(3, dilation=d) for d in sorted(dilations)))


def _staged(style: str, conv: Step, reducer: Step, target: int, most: int) -> Iterator[Plan]:
    """Stages of 1 to 4 convolutions with a step that halves the image between them; the last stage may have none."""
    def grow(steps: tuple[Step, ...], size: int, jump: int, stage: int) -> Iterator[Plan]:
        for count in range(CONVS + 1):
            now = size + count * (conv.kernel - 1) * jump
            if len(steps) + count > most:
                return
            done = (*steps, *[conv] * count)
            if stage and now >= target:
                yield Plan(style, done)
            if count and stage < STAGES and (now < target or count == 1):
                yield from grow((*done, reducer), now + (reducer.kernel - 1) * jump, jump * reducer.stride, stage + 1)
            if count and now >= target:
                return
    return grow((), 1, 1, 0)
