"""design: every network it proposes is checked by building it and looking, over random wishes; and what is impossible is said."""
from __future__ import annotations

import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner, Result

import minicnn
from minicnn import nn
from minicnn.cli import app
from minicnn.inspect import design, receptive_field
from minicnn.inspect.receptive_fields import Candidate
from minicnn.inspect.receptive_fields.plans import STYLES


def run(*args: str) -> Result:
    return CliRunner().invoke(app, ["design", *args], prog_name="minicnn")


def test_64x64_grey_images_and_a_field_of_32x32() -> None:
    found = design(64, 32, channels=4)
    exact = [each for each in found if each.field == (32, 32)]
    assert {each.style for each in exact} == {"3x3 and max pooling", "5x5 and max pooling", "3x3 and stride 2", "large kernels"}
    assert {each.style: each.field for each in found if each not in exact} == {"3x3 only": (33, 33), "dilated 3x3": (33, 33)}
    assert list(found) == sorted(found, key=lambda each: (each.field != (32, 32), each.parameters, each.macs))
    assert [step for each in found for step in each.steps if each.style == "3x3 only"] == ["3x3"] * 16


def found_or_said(message: str, *wishes: Any) -> list[Candidate]:
    """The networks, or none where design says why."""
    try:
        return list(design(*wishes))
    except ValueError as error:
        if not re.match(message, str(error)):
            raise
        return []


@given(st.integers(1, 40), st.sampled_from([(24, 24), (20, 31)]), st.integers(1, 3), st.sampled_from([None, 3]), st.integers(2, 12))
def test_each_network_is_what_it_is_said_to_be(target: int, image: tuple[int, int], in_channels: int, classes: int | None,
                                               max_layers: int) -> None:
    for each in found_or_said(rf"no network of at most {max_layers} layers sees {target}x{target} of a ", image, target, None, None,
                              in_channels, 2, classes, max_layers):
        assert each.style in STYLES
        assert len(each.steps) <= max_layers
        assert each.field[0] == each.field[1] >= target
        network = each.build()
        layers = receptive_field(network, (in_channels, *image)).layers
        last = [layer for layer in layers if layer.kind in ("Conv2d", "MaxPool2d")][-1]
        assert (last.size, last.jump, last.shape[1:]) == (each.field, (each.stride, each.stride), each.output)
        assert sum(p.numel() for p in network.parameters()) == each.parameters
        assert network(minicnn.rand(1, in_channels, *image)).shape == ((1, classes) if classes else (1, *each.output))


@given(st.integers(5, 40), st.sampled_from([1, 4, 8, 16, 32]), st.integers(60, 3000))
def test_outputs_and_budgets_are_kept(target: int, output: int, budget: int) -> None:
    for each in found_or_said("no network .* (has at most|outputs that are possible|the largest field)", 32, target, output, budget, 1, 8):
        assert each.output[1:] == (output, output)
        assert each.parameters <= budget


def test_multiply_adds() -> None:
    """3x3 over 8x8 from 1 to 2 channels, pooled, 3x3 over 4x4 from 2 to 4: 64*9*2 + 16*9*8 = 2,304."""
    (first, *_) = [each for each in design(8, 8, channels=2, max_layers=3) if each.steps == ("3x3", "pool 2x2", "3x3")]
    assert (first.macs, first.parameters) == (2304, 9 * 2 + 2 + 9 * 8 + 4)


def test_the_code_is_the_network() -> None:
    for each in design(16, 12, channels=3, classes=5):
        copy = eval(each.code, {"nn": nn})                     # what the user would paste
        assert repr(copy) == repr(each.build())


def test_the_same_every_time() -> None:
    assert design(24, 17, channels=2).to_json() == design(24, 17, channels=2).to_json()


def test_unpadded_where_only_that_gives_the_output() -> None:
    """A unit that sees all of the image, and is the only one."""
    found = design(13, 13, 1, channels=2)
    assert {each.field for each in found if each.style == "3x3 only"} == {(13, 13)}
    assert "padding" not in next(each for each in found if each.style == "3x3 only").code


@pytest.mark.parametrize(("wishes", "message"), [
    ({"max_layers": 3, "target_rf": 99},
     "no network of at most 3 layers sees 99x99 of a 16x16 image; the largest field that is possible is "),
    ({"target_rf": 2000}, "no network of at most 20 layers sees 2000x2000 of a 16x16 image; the largest field that is possible is "),
    ({"target_rf": 9, "output_size": (7, 9)}, "no network of at most 20 layers sees 9x9 of a 16x16 image and has an output of 7x9; "
                                              "outputs that are possible: 8x8, "),
    ({"target_rf": 9, "max_parameters": 3},
     "no network that sees 9x9 has at most 3 parameters: the smallest found, one channel wide, has "),
    ({"target_rf": (3, 5)}, "target_rf is (3, 5): a square field can be designed, give one number"),
    ({"target_rf": 0}, "target_rf is 0: must be at least 1"),
    ({"target_rf": 3, "channels": 0}, "channels is 0: give a whole number from 1"),
    ({"target_rf": 3, "classes": 2.5}, "classes is 2.5: give a whole number from 1"),
])
def test_what_is_impossible(wishes: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(message)}"):
        design(16, **wishes)


def test_the_command() -> None:
    result = run("--input", "16x16x3", "--rf", "12", "--channels", "3", "--classes", "10")
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert lines[0] == "Networks that see 12x12 of a 16x16x3 image"
    assert lines[2].startswith("1 ")
    assert "Network 1, as code:" in lines
    assert lines[-1] == ")"
    code = run("--input", "16x16x3", "--rf", "12", "--channels", "3", "--classes", "10", "--code", "1").stdout
    assert code.splitlines() == lines[lines.index("Network 1, as code:") + 2:]
    budget = ("--output", "8x8", "--max-parameters", "500", "--json")
    read = json.loads(run("--input", "16x16", "--rf", "12", "--channels", "3", *budget).stdout)
    assert all(each["output"][1:] == [8, 8] and each["parameters"] <= 500 for each in read["networks"])


@pytest.mark.parametrize(("args", "message"), [
    (("--input", "16", "--rf", "3"), "input is '16': give height x width x channels, such as 28x28x1 or 224x224x3"),
    (("--input", "16x16", "--rf", "3", "--output", "8"), "output is '8': give height x width, such as 8x8"),
    (("--input", "16x16", "--rf", "3", "--channels", "1", "--code", "99"), "there is no network 99: "),
])
def test_mistakes_in_the_command(args: tuple[str, ...], message: str) -> None:
    result = run(*args)
    assert result.exit_code == 1
    assert result.stderr.startswith(f"error: {message}")
