"""receptive_field: known networks, the closed formulas of chains, units, text, JSON, pictures, the command, and every mistake."""
from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner, Result

from minicnn import Tensor, models, nn
from minicnn.cli import app
from minicnn.inspect import receptive_field
from minicnn.inspect.receptive_fields import Box
from minicnn.kernels.window import Window2d
from minicnn.nn import functional as F


def minicnn(*args: str | Path) -> Result:
    return CliRunner().invoke(app, ["receptive-field", *(str(arg) for arg in args)], prog_name="minicnn")


@st.composite
def chains(draw: st.DrawFn) -> list[Window2d]:
    """Up to six windows, of any kernel, stride, dilation and padding on four sides, that leave something of an image of 40 x 50."""
    windows, size = [], (40, 50)
    for _ in range(draw(st.integers(1, 6))):
        k, s, d = ([draw(st.integers(1, most)) for _ in "hw"] for most in (5, 3, 3))
        p = [draw(st.integers(0, 4)) for _ in range(4)]
        window = Window2d.of(k, s, p, d)
        if any(n + p[2 * i] + p[2 * i + 1] < e for i, (n, e) in enumerate(zip(size, window.extent, strict=True))):
            break
        windows.append(window)
        size = window.output_size(size)
    return windows


@given(chains())
def test_chains_by_the_closed_formulas(windows: list[Window2d]) -> None:
    """Araujo, Norris and Sim 2019: r = 1 + sum (k - 1) * prod s, jump = prod s, and the edges of unit 0 from the sum of p * prod s."""
    net = nn.Sequential(nn.Identity(), *(nn.Conv2d(1, 1, w.kernel, w.stride, w.padding, w.dilation) for w in windows))
    last = receptive_field(net, (1, 40, 50)).layers[-1]
    for axis in (0, 1):
        size = jump = 1
        padding = 0
        for w in windows:
            size += (w.extent[axis] - 1) * jump
            padding += w.padding[2 * axis] * jump
            jump *= w.stride[axis]
        assert (last.size[axis], last.jump[axis], last.centre[axis]) == (size, jump, (size - 1) / 2 - padding)


def test_vgg16() -> None:
    """The numbers of the literature."""
    layers = {layer.name: layer for layer in receptive_field(models.create("vgg16", 3, 32, 10), (3, 32, 32)).layers}
    assert [layers[f"features.{i}"].size[0] for i in (2, 4, 7, 9, 14, 16, 21, 23, 28, 30)] == [5, 6, 14, 16, 40, 44, 92, 100, 196, 212]
    assert layers["features.30"].jump == (32, 32)
    assert layers["features.30"].centre == (15.5, 15.5)


def test_resnet20() -> None:
    """The long branch decides: 1 + 7*2, 2 + 5*4 and 4 + 5*8 more in the next two groups, whose first convolution has the stride."""
    layers = {layer.name: layer for layer in receptive_field(models.create("resnet20", 3, 32, 10), (3, 32, 32)).layers}
    assert [layers[f"layer{i}.2.add_relu"].size for i in (1, 2, 3)] == [(15, 15), (37, 37), (81, 81)]
    assert layers["layer3.2.add_relu"].jump == (4, 4)
    assert layers["layer2.0.downsample.0"].size == (15, 15)
    assert layers["fc"].size == (32, 32)
    assert layers["fc"].whole
    assert layers["layer3.2.add_relu"].whole                   # unit 0 sees -40 to 40, unit 7 sees -12 to 68
    assert not layers["layer2.2.add_relu"].whole


@pytest.mark.parametrize("depth", [1, 2, 3, 5, 8])
def test_stacks_of_3x3(depth: int) -> None:
    plain = nn.Sequential(*(nn.Conv2d(1, 1, 3, padding=1) for _ in range(depth)))
    assert receptive_field(plain, (1, 16, 16)).layers[-1].size == (1 + 2 * depth,) * 2
    dilated = nn.Sequential(*(nn.Conv2d(1, 1, 3, padding=2**i, dilation=2**i) for i in range(depth)))
    assert receptive_field(dilated, (1, 16, 16)).layers[-1].size == (2 ** (depth + 1) - 1,) * 2
    pooled = nn.Sequential(*(module for _ in range(min(depth, 4)) for module in (nn.Conv2d(1, 1, 3, padding=1), nn.MaxPool2d(2))))
    assert receptive_field(pooled, (1, 16, 16)).layers[-1].size == (3 * 2 ** min(depth, 4) - 2,) * 2


class Decoder(nn.Module):
    """Down by two, up by two, and the input beside it."""

    def __init__(self) -> None:
        super().__init__()
        self.down = nn.Conv2d(1, 2, 4, stride=2, padding=1)
        self.up = nn.ConvTranspose2d(2, 1, 3, stride=2, padding=1, output_padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.up(self.down(x)) + x)


def test_units_that_differ_have_the_size_of_the_largest() -> None:
    """Even rows of the transposed convolution read one row, odd ones two."""
    found = receptive_field(Decoder(), (1, 8, 8), "up", (2, 3))
    assert [(layer.size, layer.jump) for layer in found.layers] == [((4, 4), (2, 2)), ((6, 6), (1, 1)), ((6, 6), (1, 1)), ((6, 6), (1, 1))]
    assert found.unit.box == Box(1, 4, 1, 6)


def test_a_unit_at_a_border() -> None:
    net = nn.Sequential(nn.Conv2d(1, 1, 3, padding=1), nn.Conv2d(1, 1, 3, padding=1))
    found = receptive_field(net, (1, 6, 7), "1", (0, 3))
    assert (found.unit.box, found.unit.full) == (Box(0, 2, 1, 5), Box(-2, 2, 1, 5))
    assert found.unit.padding == pytest.approx(0.4, rel=1e-15)
    assert found.unit.text() == ("Unit (0, 3) of 1 sees rows 0 to 2 and columns 1 to 5 of the image: 3 x 5 = 15 pixels. With padding its "
                                 "field is 5 x 5, rows -2 to 2 and columns 1 to 5; 40.0 % of it lies in the padding.")
    assert found.growth == {"0": Box(0, 1, 2, 4), "1": Box(0, 2, 1, 5)}


def test_text_json_and_html() -> None:
    found = receptive_field(models.create("lenet", 1, 28, 10), (1, 28, 28))
    lines = str(found).splitlines()
    assert lines[0] == "LeNet, receptive fields on an image of 28 x 28"
    assert lines[5].split() == ["conv2", "Conv2d", "16", "x", "10", "x", "10", "14", "2", "4.5"]
    assert lines[9].split() == ["fc1", "Linear", "120", "28,", "all", "-", "13.5"]
    read = json.loads(found.to_json())
    assert read["layers"][3] == {"name": "conv2", "kind": "Conv2d", "shape": [1, 16, 10, 10], "size": [14, 14], "stride": [2, 2],
                                 "centre": [4.5, 4.5], "whole_image": False, "note": ""}
    assert read["unit"]["box"] == {"top": 6, "bottom": 21, "left": 6, "right": 21}
    assert "<table>" in found._repr_html_()
    assert found.layer("conv2") is found.layers[3]
    with pytest.raises(ValueError, match=re.escape("there is no layer 'conv3'; there are: conv1, relu, max_pool2d, conv2, ")):
        found.layer("conv3")


@pytest.mark.parametrize(("layer", "unit"), [(None, None), ("conv2", (0, 9)), ("fc1", (3,)), ("fc1", None), ("reshape", (399,))])
def test_pictures(tmp_path: Path, layer: str | None, unit: tuple[int, ...] | None) -> None:
    found = receptive_field(models.create("lenet", 1, 28, 10), (1, 28, 28), layer, unit)
    assert found.save(tmp_path / "field.svg").read_text().count("column of the image") == 1


@pytest.mark.parametrize(("unit", "message"), [
    ((10, 0), "conv2 has no unit (10, 0): its output is 16 x 10 x 10; give (row, column), up to (9, 9)"),
    ((0, -1), "conv2 has no unit (0, -1): its output is 16 x 10 x 10; give (row, column), up to (9, 9)"),
    ((1, 1, 1, 1, 1), "conv2 has no unit (1, 1, 1, 1, 1): its output is 16 x 10 x 10; give (row, column), up to (9, 9)"),
    ((), "conv2 has no unit (): its output is 16 x 10 x 10; give (row, column), up to (9, 9)"),
    ((1.5, 2), "unit is (1.5, 2): give whole numbers, such as (3, 4) for row 3 and column 4"),
])
def test_units_that_do_not_exist(unit: tuple[int, ...], message: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        receptive_field(models.create("lenet", 1, 28, 10), (1, 28, 28), "conv2", unit)


def test_the_command(tmp_path: Path) -> None:
    result = minicnn("lenet", "--layer", "conv2", "--unit", "0,3", "--picture", tmp_path / "field.png")
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert lines[-2:] == ["Unit (0, 3) of conv2 sees rows 0 to 11 and columns 4 to 17 of the image: 12 x 14 = 168 pixels. With padding its "
                          "field is 14 x 14, rows -2 to 11 and columns 4 to 17; 14.3 % of it lies in the padding.",
                          f"drawn in {tmp_path / 'field.png'}"]
    assert (tmp_path / "field.png").stat().st_size > 10_000
    assert json.loads(minicnn("digits", "--input", "8x6x3", "--json").stdout)["image"] == [8, 6]


@pytest.mark.parametrize(("args", "message"), [
    (("lenet", "--unit", "3;4"), "unit is '3;4': give row,column, counted from 0, such as 3,4"),
    (("lenet", "--layer", "conv9"), "LeNet has no layer 'conv9'; it has: conv1, relu, max_pool2d, conv2, relu#2, "
                                    "max_pool2d#2, reshape, fc1, relu#3, fc2, relu#4, fc3"),
    (("lenet", "--picture", "x.gif"), "cannot draw x.gif: the name of a picture must end in .png, .svg, .pdf"),
])
def test_mistakes_in_the_command(args: tuple[str, ...], message: str) -> None:
    result = minicnn(*args)
    assert (result.exit_code, result.stderr) == (1, f"error: {message}\n")
