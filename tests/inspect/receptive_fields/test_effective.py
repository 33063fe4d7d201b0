"""effective_receptive_field: gradients that can be told by hand, against weights and seeds, and every mistake."""
from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

import minicnn
from minicnn import Tensor, nn
from minicnn.cli import app
from minicnn.inspect import effective_receptive_field
from minicnn.inspect.receptive_fields import Box
from minicnn.nn import init


def stack(depth: int, value: float = 1.0, channels: int = 1) -> nn.Sequential:
    """3x3 convolutions without anything between them, all weights alike, in float64."""
    net = nn.Sequential(*(nn.Conv2d(1 if i == 0 else channels, channels, 3, padding=1, bias=False) for i in range(depth)))
    for p in net.parameters():
        init.constant_(p, value)
    return net


@pytest.mark.parametrize("depth", [1, 2, 4])
def test_the_gradient_of_a_linear_stack_is_a_power_of_its_kernel(depth: int) -> None:
    """The rows' weights are [1 1 1] convolved with itself, which tends to a bell: Luo and others' first theorem. All are small integers."""
    found = effective_receptive_field(stack(depth), (1, 15, 17))
    line = np.ones(1)
    for _ in range(depth):
        line = np.convolve(line, [1, 1, 1])
    line = line**2 / (line**2).sum()
    rows, columns = np.zeros(15), np.zeros(17)
    rows[7 - depth:8 + depth] = columns[8 - depth:9 + depth] = line
    np.testing.assert_array_max_ulp(found.energy, np.outer(rows, columns), maxulp=8)
    assert (found.layer, found.unit, found.box) == (str(depth - 1), (7, 8), Box(7 - depth, 7 + depth, 8 - depth, 8 + depth))
    deviation = np.sqrt((line * np.arange(-depth, depth + 1) ** 2).sum())
    assert found.deviation == pytest.approx((deviation, deviation), rel=1e-12)
    assert found.centre == pytest.approx((7, 8), rel=1e-12)
    assert np.all(np.array(found.core.size) <= 2 * depth + 1)


def test_the_core_holds_95_percent() -> None:
    """Of [1 2 3 2 1]² / 19 = 1, 4, 9, 4, 1 nineteenths, 17/19 = 89 % are too few and 18/19 = 94.7 % are, too."""
    assert effective_receptive_field(stack(2), (1, 9, 9)).core.size == (5, 5)
    assert effective_receptive_field(stack(3), (1, 9, 9)).core.size == (5, 5)     # [1 3 6 7 6 3 1]² / 141: 139/141 = 98.6 %
    assert effective_receptive_field(stack(3), (1, 9, 9)).share == 25 / 49
    assert effective_receptive_field(stack(1), (1, 9, 9)).area == 9


def test_channels_do_not_cancel() -> None:
    """Two channels with opposite weights: their sum has no gradient at all."""
    net = nn.Conv2d(1, 2, 3, padding=1, bias=False)
    net.weight.array[0], net.weight.array[1] = 1, -1
    found = effective_receptive_field(net, (1, 5, 5), seeds=8)
    assert found.area == 9
    assert found.energy[1:4, 1:4] == pytest.approx(1 / 9, rel=1e-6)


def test_weights_stay_or_are_drawn_anew() -> None:
    minicnn.manual_seed(11)
    net = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(), nn.Conv2d(4, 4, 3, padding=1))
    before = [p.array.copy() for p in net.parameters()]
    after = minicnn.rand(1).item()
    kept = effective_receptive_field(net, (1, 8, 8))
    assert all(np.array_equal(b, p.array) for b, p in zip(before, net.parameters(), strict=True))
    assert all(p.grad is None for p in net.parameters())
    minicnn.manual_seed(11)
    nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(), nn.Conv2d(4, 4, 3, padding=1))
    drawn = effective_receptive_field(lambda: nn.Conv2d(1, 4, 3, padding=1), (1, 8, 8), seeds=3)
    assert minicnn.rand(1).item() == after, "the stream of random numbers goes on as if nothing had been drawn"
    again = effective_receptive_field(lambda: nn.Conv2d(1, 4, 3, padding=1), (1, 8, 8), seeds=3)
    assert np.array_equal(drawn.energy, again.energy)
    assert (kept.redrawn, drawn.redrawn) == (False, True)
    assert "weights drawn anew for each" in str(drawn)


def test_it_stays_within_the_theoretical_field() -> None:
    net = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(4, 4, 3, padding=2, dilation=2))
    found = effective_receptive_field(net, (1, 16, 18), unit=(2, 3), seeds=3)
    outside = found.energy.copy()
    outside[found.box.top:found.box.bottom + 1, found.box.left:found.box.right + 1] = 0
    assert not outside.any()
    assert found.energy.sum() == pytest.approx(1, rel=1e-12)


def test_features_after_flatten() -> None:
    net = nn.Sequential(nn.Conv2d(1, 2, 3), nn.Flatten(), nn.Linear(18, 4))
    found = effective_receptive_field(net, (1, 5, 5), "2", (3,))
    assert (found.box, found.unit) == (Box(0, 4, 0, 4), (3,))


def test_json_and_picture(tmp_path: Path) -> None:
    found = effective_receptive_field(stack(3), (1, 9, 9))
    read = json.loads(found.to_json())
    assert (read["core_size"], read["core_share_of_theoretical_area"], np.shape(read["energy"])) == ([5, 5], 25 / 49, (9, 9))
    assert "share of the squared gradient, %" in found.save(tmp_path / "heat.svg").read_text()


class Dead(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x * 0


class Silent(nn.Module):
    """No gradient goes through a step."""

    def forward(self, x: Tensor) -> Tensor:
        return x.round()


class Infinite(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x * float("nan")


@pytest.mark.parametrize(("model", "message"), [
    (Dead(),
     "the gradient of unit (1, 2) of Dead with respect to the input is 0 everywhere: a dead unit, or a step that has no gradient"),
    (Silent(),
     "the gradient of unit (1, 2) of Silent with respect to the input is 0 everywhere: a dead unit, or a step that has no gradient"),
    (Infinite(), "the gradient of unit (1, 2) of Infinite with respect to the input is not finite"),
])
def test_no_gradient(model: nn.Module, message: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        effective_receptive_field(model, (1, 3, 4))


@pytest.mark.parametrize("seeds", [0, -1, 2.5, True])
def test_seeds_are_counted_from_1(seeds: int) -> None:
    with pytest.raises(ValueError, match=f"^seeds is {seeds!r}: give how many random inputs to draw, from 1$"):
        effective_receptive_field(stack(1), (1, 4, 4), seeds=seeds)


def test_the_command(tmp_path: Path) -> None:
    args = ["receptive-field", "digits", "--effective", "--seeds", "2", "--picture", str(tmp_path / "heat.png")]
    result = CliRunner().invoke(app, args, prog_name="minicnn")
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert lines[0].startswith("DigitsNet, effective receptive field of unit (2, 2) of features.")
    assert lines[2].split() == ["theoretical", "field,", "within", "the", "image", "8", "rows", "8", "columns", "64", "pixels"]
    assert (tmp_path / "heat.png").stat().st_size > 10_000
