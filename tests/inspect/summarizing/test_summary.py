"""What a summary says: known numbers, rows of branches and shared layers, and text, JSON, HTML and pictures of it; the command."""
from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from minicnn import document, kernels, models, nn
from minicnn.cli import app
from minicnn.inspect.summarizing import summary
from minicnn.nn import functional as F
from minicnn.tensor import Tensor


class Shared(nn.Module):
    """A layer called twice, an addition, a frozen layer, and one that is never called."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2, 2, 3, padding=1)
        self.frozen = nn.Conv2d(2, 4, 1, bias=False)
        self.unused = nn.Linear(3, 3)
        self.frozen.weight.requires_grad = False

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.conv(x))
        return self.frozen(self.conv(y) + x)


def test_a_shared_layers_parameters_count_once_and_its_work_twice() -> None:
    found = summary(Shared(), (5, 2, 6, 7))
    assert [(row.name, row.parameters, row.trainable) for row in found.layers] == [
        ("conv", 38, 38), ("relu", 0, 0), ("conv#2", 0, 0), ("add", 0, 0), ("frozen", 8, 0)]
    assert (found.total_parameters, found.trainable_parameters) == (58, 50)
    assert [row.macs for row in found.layers] == [5 * 42 * 36, 0, 5 * 42 * 36, 0, 5 * 42 * 8]
    assert [row.macs_backward for row in found.layers] == [5 * 42 * 36, 0, 2 * 5 * 42 * 36, 0, 5 * 42 * 8], \
        "the image wants no gradient, frozen weights want none"
    assert [row.saved_bytes for row in found.layers] == [0, 1680, 0, 0, 1680], "conv#2 reads what relu has saved"
    assert found.layers[2].receptive_field == (5, 5)
    assert found.layers[0].output_shape == (5, 2, 6, 7)


@pytest.mark.parametrize(("name", "shape", "classes", "parameters", "macs"), [
    ("lenet", (1, 28, 28), 10, 61_706, 28 * 28 * 6 * 25 + 10 * 10 * 16 * 6 * 25 + 400 * 120 + 120 * 84 + 84 * 10),
    ("resnet20", (3, 32, 32), 10, 272_474, 32**2 * 16 * 9 * (3 + 6 * 16) + 16**2 * 32 * 9 * (16 + 5 * 32) + 8**2 * 64 * 9 * (32 + 5 * 64)
     + 16**2 * 32 * 16 + 8**2 * 64 * 32 + 640),
])
def test_known_networks(name: str, shape: tuple[int, ...], classes: int, parameters: int, macs: int) -> None:
    found = summary(models.create(name, shape[0], shape[1:], classes), shape)
    assert (found.total_parameters, found.total_macs) == (parameters, macs)
    assert name != "resnet20" or found.total_macs == 40_813_184


def test_vgg16_as_the_paper_has_it() -> None:
    """Convolutions of a 7 times smaller image, which are 49 times less, and the linear layers of the same size."""
    found = summary(models.VGG16(), (3, 32, 32), optimizer="none")
    assert (found.total_parameters, found.trainable_parameters) == (138_357_544, 138_357_544)
    plan = [(3, 64, 224), (64, 64, 224), (64, 128, 112), (128, 128, 112), (128, 256, 56), (256, 256, 56), (256, 256, 56), (256, 512, 28),
            (512, 512, 28), (512, 512, 28), (512, 512, 14), (512, 512, 14), (512, 512, 14)]
    convolutions, linear = sum(9 * i * o * n * n for i, o, n in plan), 25088 * 4096 + 4096 * 4096 + 4096 * 1000
    assert convolutions + linear == 15_470_264_320
    assert found.total_macs == convolutions // 49 + linear


def test_receptive_fields_are_those_of_eval_mode() -> None:
    found = summary(models.create("digits", 1, (8, 8), 10), (4, 1, 8, 8))
    assert [row.receptive_field for row in found.layers][:8] == [(3, 3)] * 3 + [(5, 5)] * 3 + [(6, 6), (10, 10)]
    assert [row.jump for row in found.layers][6:8] == [(2, 2), (2, 2)]
    assert found.mode == "training"
    assert next(row for row in found.layers if row.kind == "Dropout").saved_bytes == 4 * 4 * 64 * 16, "its mask"


def test_the_batch_and_what_is_wrong_with_it() -> None:
    model = nn.Linear(4, 2)
    assert summary(model, (6, 4)).layers[0].output_shape == (6, 2)
    assert summary(nn.Conv2d(1, 1, 1), (1, 2, 2), batch=3).total_macs == 12
    for shape, batch, message in [((1, 0, 2), None, "of numbers from 1"), ((2, 1, 2, 2), 3, r"a batch of 2, batch is 3: give one of them$"),
                                  ((1, 2, 2), 0, "^batch is 0: must be a number from 1$")]:
        with pytest.raises(ValueError, match=message):
            summary(nn.Conv2d(1, 1, 1), shape, batch=batch)
    with pytest.raises(TypeError, match=r"^expected a Module, got function$"):
        summary(lambda x: x, (1, 2, 2))
    with pytest.raises(ValueError, match=r"^optimizer is 'rmsprop': must be one of none, sgd, momentum, adam, adamw$"):
        summary(model, (6, 4), optimizer="rmsprop")


def test_other_layers_and_inputs() -> None:
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.GELU(), nn.GroupNorm(1, 2), nn.Upsample(scale_factor=2), nn.Flatten(), nn.Linear(72, 3))
    found = summary(model, (1, 5, 5), batch=4)
    assert found.peak_memory is not None
    assert found.layers[-1].macs == 4 * 72 * 3
    with pytest.raises(ValueError, match=r"^input_shape is \(4,\): give \(C, H, W\) of one image, or the shape of a batch, such as "):
        summary(nn.Linear(4, 2), (4,))


def test_without_parameters_there_is_no_training() -> None:
    found = summary(nn.MaxPool2d(2), (1, 4, 4))
    assert found.peak_memory is None
    assert "The memory of a training step was not predicted: the network has no parameters to train." in str(found)
    assert json.loads(found.to_json())["training_step"]["peak_bytes"] is None


@pytest.mark.parametrize("backend", kernels.CPU_BACKENDS)
def test_json_has_exact_integers_and_text_fits_a_terminal(backend: str) -> None:
    with kernels.use_backend(backend):
        found = summary(models.LeNet(), (1, 28, 28), batch=8, optimizer="adam")
    values = json.loads(found.to_json())
    assert values["total_macs"] == 8 * 416_520
    assert values["backend"] == backend
    assert sum(values["training_step"]["parts"].values()) == values["training_step"]["peak_bytes"]
    assert [row["name"] for row in values["layers"]] == [row.name for row in found.layers]
    lines = str(found).splitlines()
    assert max(map(len, lines)) <= 100
    assert f"Memory of a training step: batch 8, adam, backend {backend}" in lines
    assert lines[2].split() == ["conv1", "Conv2d", "6x28x28", "156", "941", "K", "941", "K"]


def test_hostile_names_are_escaped_in_html_and_drawn(tmp_path: Path) -> None:
    Evil = type("<img src=x onerror=alert(1)>$a$", (nn.Conv2d,), {})
    model = nn.Sequential()
    model.add_module("<script>alert(2)</script>&$_{", Evil(1, 1, 1))
    found = summary(model, (1, 3, 3))
    html = found._repr_html_()
    assert "<script" not in html
    assert "<img" not in html
    assert "&lt;script&gt;alert(2)&lt;/script&gt;&amp;$_{" in html
    assert found.save(tmp_path / "a.png").stat().st_size > 1000


def test_html_of_tables_paragraphs_and_lines() -> None:
    table = document.Table("a < b", [document.Column("x & y", True), document.Column("n")],
                           [["heading <i>"], ["one", "1"], [document.Bold("<b>"), document.Bold("2")]], ["note <u>"])
    assert document.html([table, "say <hr>", ["<li>", "two"]]) == "\n".join([
        "<table>", "<caption>a &lt; b</caption>",
        '<tr><th style="text-align:left">x &amp; y</th><th style="text-align:right">n</th></tr>',
        '<tr><td colspan="2" style="text-align:left"><b>heading &lt;i&gt;</b></td></tr>',
        '<tr><td style="text-align:left">one</td><td style="text-align:right">1</td></tr>',
        '<tr><td style="text-align:left"><b>&lt;b&gt;</b></td><td style="text-align:right"><b>2</b></td></tr>',
        "</table>", "<p>note &lt;u&gt;</p>", "<p>say &lt;hr&gt;</p>", "<ul><li>&lt;li&gt;</li><li>two</li></ul>"])


def test_the_command(tmp_path: Path) -> None:
    def run(*args: str) -> tuple[int, str]:
        result = CliRunner().invoke(app, ["summary", *args], prog_name="minicnn")
        return result.exit_code, result.output

    code, output = run("lenet", "--batch", "2", "--json")
    assert (code, json.loads(output)["total_parameters"]) == (0, 61_706)
    code, output = run("digits", "--classes", "3", "--optimizer", "none", "--backend", "numpy", "--picture", str(tmp_path / "d.svg"))
    assert code == 0
    assert "DigitsNet on 1 x 1 x 8 x 8: what it computes" in output
    assert (tmp_path / "d.svg").exists()
    for args, sentence in [(["digits", "--batch", "0"], "batch is 0: must be a number from 1"),
                           (["digits", "--optimizer", "x"], "optimizer is 'x': must be one of none, sgd, momentum, adam, adamw"),
                           (["digits", "--picture", "d.bmp"], "cannot draw d.bmp: the name of a picture must end in .png, .svg, .pdf")]:
        code, output = run(*args)
        assert (code, output.strip()) == (1, f"error: {sentence}")
