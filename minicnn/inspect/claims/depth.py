"""The claim that very deep networks need residual connections, on the embedded digits: the same network with and without them.

Networks as in He et al., "Deep Residual Learning for Image Recognition" (CVPR 2016), section 4.2: 6n + 2 layers, and shortcuts without
parameters (option A), so both have the same parameters, the same initial weights and the same batches.
"""
from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from minicnn import data, nn, no_grad
from minicnn.document import Column, Table
from minicnn.inspect.claims.registry import HALF_TRUE, RIGHT, WRONG, Answer, claim
from minicnn.inspect.claims.training import Batch, Budget, spread, train
from minicnn.nn import functional as F
from minicnn.random import fork_rng
from minicnn.tensor import Tensor

WIDTH, BATCH, STEPS, LAST, RATES = 8, 64, 60, 10, (0.003, 0.01)
VARIANTS = (("plain-8", 1, False), ("plain-20", 3, False), ("residual-20", 3, True))


class Block(nn.Module):
    """y = relu(f(x) + x), or relu(f(x)), with f two 3x3 convolutions, each batch-normed or not."""

    def __init__(self, in_channels: int, out_channels: int, stride: int, residual: bool, norm: bool) -> None:
        super().__init__()
        self.residual, self.stride, self.new = residual, stride, out_channels - in_channels
        self.conv1, self.norm1 = _conv_norm(in_channels, out_channels, stride, norm)
        self.conv2, self.norm2 = _conv_norm(out_channels, out_channels, 1, norm)

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm2(self.conv2(F.relu(self.norm1(self.conv1(x)))))
        if self.residual:
            x = x if self.stride == 1 else x[:, :, ::self.stride, ::self.stride]
            y = y + (F.pad(x, (0, 0, 0, 0, 0, self.new)) if self.new else x)
        return F.relu(y)


class Deep(nn.Module):
    """A convolution, three stages of n blocks with WIDTH, 2*WIDTH and 4*WIDTH channels, the mean over the image, ten scores."""

    def __init__(self, n: int, residual: bool, norm: bool) -> None:
        super().__init__()
        self.stem, self.norm = _conv_norm(1, WIDTH, 1, norm)
        channels = [WIDTH * 2**stage for stage in range(3) for _ in range(n)]
        self.blocks = nn.Sequential(*[Block(c, f, 1 if c == f else 2, residual, norm)
                                      for c, f in zip([WIDTH, *channels], channels, strict=False)])
        self.head = nn.Linear(channels[-1], 10)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.blocks(F.relu(self.norm(self.stem(x)))).mean((2, 3)))


def _conv_norm(in_channels: int, out_channels: int, stride: int, norm: bool) -> tuple[nn.Conv2d, nn.Module]:
    conv = nn.Conv2d(in_channels, out_channels, 3, stride, padding=1, bias=not norm)
    return conv, nn.BatchNorm2d(out_channels) if norm else nn.Identity()


def digits(train_set: bool) -> Batch:
    """The embedded digits, mean 0 and variance 1."""
    both = data.load("digits")
    images, labels = both[0 if train_set else 1].batch(np.arange(len(both[0 if train_set else 1])))
    known = both[0].batch(np.arange(len(both[0])))[0]
    return ((images - known.mean()) / known.std()).astype(np.float32), labels


def batches(steps: int, seed: int) -> Iterator[Batch]:
    images, labels = digits(train_set=True)
    rng = np.random.default_rng(seed)
    for _ in range(steps):
        indices = rng.choice(len(images), BATCH, replace=False)
        yield images[indices], labels[indices]


def accuracy(net: nn.Module) -> float:
    images, labels = digits(train_set=False)
    net.eval()
    with no_grad():
        return float((net(Tensor(images)).numpy().argmax(1) == labels).mean())


def measure(n: int, residual: bool, norm: bool, budget: Budget, name: str) -> dict[str, Any]:
    """Trained at each rate from each seed; what is kept is the rate with the lower loss at the end, the mean over seeds."""
    best: dict[str, Any] = {}
    for rate in RATES:
        losses, right = [], []
        for seed in range(budget.seeds):
            budget.progress(f"{name}, rate {rate}, seed {seed + 1} of {budget.seeds}")
            with fork_rng(seed):
                net = Deep(n, residual, norm)
                losses.append(train(net, batches(budget.steps or STEPS, seed), rate))
            right.append(accuracy(net))
        ends = [float(loss[-LAST:].mean()) for loss in losses]
        if not best or np.mean(ends) < np.mean(best["ends"]):
            best = {"rate": rate, "ends": ends, "accuracies": right, "losses": np.stack(losses), "norm": norm,
                    "parameters": sum(p.numel() for p in net.parameters())}
    return best


@claim("plain-or-residual", "Without residual connections, very deep CNNs fail to train (20 layers)", "fail to train", trained=True)
def plain_or_residual(quoted: str, budget: Budget) -> Answer:
    found = {title: measure(n, residual, norm, budget, title) for norm in (True, False) for name, n, residual in VARIANTS
             for title in [f"{name}, {'batch norm' if norm else 'no norm'}"]}
    rows = []
    for name, each in found.items():
        network, norm = name.split(", ")
        rows += [[f"{norm}:"]] if network == VARIANTS[0][0] else []
        rows.append([network, f"{each['parameters']:,}", f"{each['rate']:g}", spread(each["ends"], "{:.2f}"),
                     spread(each["accuracies"], "{:.0%}")])
    columns = [Column("network", left=True), *map(Column, ("parameters", "best rate", "training loss", "test accuracy"))]
    table = Table("", columns, rows,
                  [f"8x8 digits, {budget.steps or STEPS} steps of Adam on {BATCH} images. {budget.over}",
                   f"best rate: of {' and '.join(map(str, RATES))}, the one with the lower training loss.",
                   f"training loss: mean of the last {LAST} steps; guessing gives ln 10 = {np.log(10):.2f}.",
                   "Plain and residual have the same initial weights and see the same batches."])
    ends = {name: each["ends"] for name, each in found.items()}
    norms = ("batch norm", "no norm")
    behind = all(p > r for norm in norms for p, r in zip(ends[f"plain-20, {norm}"], ends[f"residual-20, {norm}"], strict=True))
    failed = all(np.mean(ends[f"plain-20, {norm}"]) > 0.9 * np.log(10) for norm in norms)
    pairs = "; ".join(f"{np.mean(ends[f'plain-20, {norm}']):.2f} against {np.mean(ends[f'residual-20, {norm}']):.2f} "
                      f"{'with' if norm == norms[0] else 'without'} batch norm" for norm in norms)
    facts = {name: {key: value.mean(0) if key == "losses" else value for key, value in each.items()} for name, each in found.items()}
    return Answer(RIGHT if failed else HALF_TRUE if behind else WRONG, f"loss {pairs}", _why(ends, behind, failed, budget.seeds),
                  facts, (table,), {"losses": found})


def _why(ends: dict[str, list[float]], behind: bool, failed: bool, seeds: int) -> str:
    fate = "stays at guessing, unlike" if failed else "trains, but is behind" if behind else "is not in every seed behind"
    worse = all(np.mean(ends[f"plain-20, {norm}"]) > np.mean(ends[f"plain-8, {norm}"]) for norm in ("batch norm", "no norm"))
    each = f", in each of {seeds} seeds" if seeds > 1 else ""
    degraded = "The plain network of 20 layers is also behind the plain one of 8: more layers made it worse. " if worse else ""
    return (f"At 20 layers the plain network {fate} the residual one of the same parameters"
            f"{f'{each}, with and without batch norm' if behind else ''}. {degraded}".strip())
