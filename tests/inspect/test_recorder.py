"""What a recording holds: every operation with its layer and what it read, and the model as it was before."""
import re

import numpy as np
import pytest

import minicnn
from minicnn import models, nn
from minicnn.autograd import grad
from minicnn.inspect.recorder import example_input, record
from minicnn.nn import functional as F
from minicnn.tensor import Tensor
from tests.compare import assert_equal


class Branches(nn.Module):
    """Everything that a recording must get right: a branch, a shared layer, functions, += and a layer that does nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2, 2, 3, padding=1)
        self.norm = nn.BatchNorm2d(2)
        self.drop = nn.Dropout(0.5)
        self.relu = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        y = self.relu(self.norm(self.conv(x)))
        y += x
        y = self.drop(self.conv(y))
        return F.max_pool2d(self.relu(y), 2).flatten(1)


def test_layers_and_what_they_read() -> None:
    found = record(Branches(), example_input((2, 4, 4)))
    read = {layer.name: [getattr(found.layer_of(op), "name", "input") for op in layer.inputs] for layer in found.layers}
    assert read == {
        "conv": ["input"], "norm": ["conv"], "relu": ["norm"], "add": ["relu", "input"], "conv#2": ["add"], "drop": ["conv#2"],
        "relu#2": ["drop"], "max_pool2d": ["relu#2"], "reshape": ["max_pool2d"]}
    assert [layer.kind for layer in found.layers] == [
        "Conv2d", "BatchNorm2d", "ReLU", "add", "Conv2d", "Dropout", "ReLU", "max_pool2d", "reshape"]
    assert found.output.shape == (1, 8)
    assert found.layer("conv").module is found.model.conv
    with pytest.raises(ValueError, match=re.escape("Branches has no layer 'fc'; it has: conv, norm, relu, add, conv#2, drop, relu#2, ")):
        found.layer("fc")


def test_layers_are_not_fused() -> None:
    """The networks of minicnn.models run Conv2d, BatchNorm2d and ReLU as one; here each is seen by itself."""
    names = [op.name for op in record(models.create("digits", 1, 8, 10), example_input((1, 8, 8))).ops]
    assert names[:4] == ["conv2d", "batch_norm", "relu", "conv2d"]


@pytest.mark.parametrize("training", [False, True])
def test_the_model_is_left_as_it_was(training: bool) -> None:
    model, x = Branches().train(), example_input((3, 2, 4, 4))
    before = {name: t.array.copy() for name, t in model.state_dict().items()}
    minicnn.manual_seed(5)
    found = record(model, x, training=training)
    assert [op.name == "dropout" for op in found.layer("drop").ops] == [training]
    assert minicnn.rand(1).item() == minicnn.manual_seed(5).random(1, np.float32)[0]
    assert all(np.array_equal(before[name], t.array) for name, t in model.state_dict().items())
    assert all(module.training and not module._forward_hooks and not module._forward_pre_hooks for module in model.modules())
    dx, dw = grad(found.output.output.sum(), (found.input.output, model.conv.weight))
    assert dx.shape == x.shape
    assert np.any(dw.array)


def test_a_model_of_one_layer_and_inputs() -> None:
    found = record(nn.Linear(3, 2), example_input((5, 3)))
    assert [(layer.name, layer.kind, layer.shape) for layer in found.layers] == [("Linear", "Linear", (5, 2))]
    assert example_input((3, 4, 5)).shape == (1, 3, 4, 5)
    assert example_input((7, 3, 4, 5), dtype=np.float64).dtype == np.float64
    with pytest.raises(ValueError, match=re.escape("input_shape is (1, 0, 8): give (C, H, W), or (N, C, H, W) for a batch")):
        example_input((1, 0, 8))
    with pytest.raises(TypeError, match="expected a Module, got function"):
        record(F.relu, example_input((1, 2, 2)))
    with pytest.raises(ValueError, match=re.escape("Identity.forward must return one Tensor that it computed from its input, got str")):
        record(_Says(), example_input((1, 2, 2)))


class _Says(nn.Identity):
    def forward(self, x: Tensor) -> str:
        return "a picture"


_Says.__name__ = "Identity"


def test_an_input_that_the_first_layer_changes_in_place_is_still_the_input() -> None:
    x = np.float32([[-1, 2]])
    found = record(nn.ReLU(inplace=True), Tensor(x))
    assert_equal(found.input.output.detach(), x)
    assert_equal(found.output.output.detach(), np.float32([[0, 2]]))
    (dx,) = grad(found.output.output, found.input.output, np.float32([[3, 5]]))
    assert dx is not None
    assert_equal(dx, np.float32([[0, 5]]))
