"""Filters, feature maps, statistics and dead units, with networks made ill."""
from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minicnn
from minicnn import Tensor, models, nn
from minicnn.inspect.recorder import record
from minicnn.inspect.showing import activation_statistics, dead_units, feature_maps, filters
from tests.compare import assert_close64, assert_equal
from tests.inspect.showing.nets import residual
from tests.strategies import floats, seeds


@given(dead=st.sets(st.integers(0, 3)), dead_fc=st.sets(st.integers(0, 9)), images=st.integers(1, 9), batch=st.integers(1, 9), seed=seeds)
def test_units_with_a_bias_of_minus_a_thousand_are_dead(dead: set[int], dead_fc: set[int], images: int, batch: int, seed: int) -> None:
    minicnn.manual_seed(seed)
    model = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 5 * 6, 10), nn.ReLU(), nn.Linear(10, 2))
    model[0].bias.array[:], model[3].bias.array[:] = 10.0, 1000.0
    model[0].bias.array[list(dead)], model[3].bias.array[list(dead_fc)] = -1e3, -1e6
    x = floats((images, 1, 5, 6), seed)
    found = dead_units(model, [(x[i:i + batch], None) for i in range(0, images, batch)])
    assert [(r.layer, r.before, r.dead, r.almost) for r in found.relus] == [("1", "0", sorted(dead), []), ("4", "3", sorted(dead_fc), [])]
    assert found.images == images
    assert found.count == len(dead) + len(dead_fc)
    assert ("never active" in found.verdict) == bool(dead or dead_fc)
    y = record(model, Tensor(x)).layer("1").output.output.array
    assert_close64(found.relus[0].of_values, (y != 0).mean(axis=(0, 2, 3)))
    assert_close64(found.relus[0].of_images, (y != 0).any(axis=(2, 3)).mean(axis=0))


def test_a_unit_for_one_image_of_two_hundred_is_almost_dead() -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(1, 3), nn.ReLU())
    model[1].weight.array[:], model[1].bias.array[:] = [[1.0], [1.0], [0.0]], [0.5, -0.5, 0.0]
    x = np.zeros((200, 1), np.float32)
    x[17] = 1
    (relu,) = dead_units(model, x).relus
    assert_equal(relu.of_images, np.array([1.0, 1 / 200, 0.0]))
    assert (relu.dead, relu.almost) == ([2], [1])
    assert dead_units(model, x).verdict == ("1 of 3 channels of 2 are never active on 200 images: images that leave a unit at 0 teach it "
                                            "nothing; 1 more is for at most 1 % of them.")


def test_one_position_is_enough_to_be_alive() -> None:
    model = nn.Sequential(nn.Conv2d(1, 1, 1), nn.ReLU())
    model[0].weight.array[:], model[0].bias.array[:] = 1.0, -0.5
    x = np.zeros((4, 1, 2, 8), np.float32)
    x[3, 0, 1, 5] = 1
    (relu,) = dead_units(model, x).relus
    assert (relu.dead, relu.of_images.tolist(), relu.of_values.tolist()) == ([], [1 / 4], [1 / 64])


def test_dead_units_of_fused_and_residual_relus() -> None:
    model = models.create("resnet8", 1, 8, 10)
    found = dead_units(model, floats((2, 1, 8, 8), 0))
    assert [r.layer for r in found.relus] == ["relu", "layer1.0.relu", "layer1.0.add_relu", "layer2.0.relu", "layer2.0.add_relu",
                                             "layer3.0.relu", "layer3.0.add_relu"]
    assert found.relus[2].before == "layer1.0.bn2"


@given(seed=seeds, batch=st.integers(1, 5), offset=st.sampled_from([0.0, 1e3]))
def test_statistics_are_those_of_all_values(seed: int, batch: int, offset: float) -> None:
    minicnn.manual_seed(seed)
    model = residual(minicnn).double().eval()
    model.conv1.bias.array[:] = offset
    model.norm.running_mean.array[:] = offset
    x = floats((5, 2, 6, 8), seed, np.float64)
    found = activation_statistics(model, [x[i:i + batch] for i in range(0, 5, batch)])
    recording = record(model, Tensor(x))
    assert [r.name for r in found.layers] == [layer.name for layer in recording.layers]
    for r, layer in zip(found.layers, recording.layers, strict=True):
        y = layer.output.output.array
        axes = (0, *range(2, y.ndim))
        assert_close64(np.float64(r.mean), np.float64(y.mean()))
        assert_close64(np.float64(r.std), np.float64(y.std()))
        assert_close64(r.channel_mean, y.mean(axis=axes))
        assert_close64(r.channel_std, y.std(axis=axes))
        assert_close64(r.channel_zeros, (y == 0).mean(axis=axes))
        assert (r.zeros, r.values, r.shape) == (pytest.approx((y == 0).mean()), y.size, y.shape)
        assert_close64(np.array([r.min, r.max]), np.array([y.min(), y.max()]))
        assert r.counts.sum() == y.size
    assert found.layer("conv1").kind == "Conv2d"


def test_saturation_overflow_and_layers_that_say_nothing() -> None:
    model = nn.Sequential(nn.Linear(1, 4, bias=False), nn.Sigmoid(), nn.Linear(4, 2), nn.Tanh())
    model[0].weight.array[:] = [[10.0], [-10.0], [0.0], [1.0]]
    model[2].weight.array[:], model[2].bias.array[:] = 0, [0, 9]
    found = activation_statistics(model, np.ones((2, 1), np.float32))
    assert [r.saturated for r in found.layers] == [None, 0.5, None, 0.5]
    assert found.verdict.endswith(" 50% of 1 is saturated.")
    model[2].bias.array[:] = 3
    assert activation_statistics(model, np.ones((2, 1), np.float32)).verdict == (
        "2 gives the same value everywhere, and so do 1 more layers: nothing passes through.")
    model[0].weight.array[:] = 1e38
    found = activation_statistics(model, np.full((2, 1), 100, np.float32))
    assert found.layer("0").not_finite == 8
    assert found.verdict == "8 values of 0 are not finite: it is the first layer where numbers overflow."
    assert found.figure() is not None


def test_filters_that_are_empty_or_alike() -> None:
    model = models.create("digits", 1, 8, 10)
    weight = model.get_submodule("features.3").weight.array
    weight[4], weight[7] = 1e-6, -2 * weight[5]
    found = filters(model, "features.3")
    assert found.empty == [4]
    assert [(i, j, round(c, 6)) for i, j, c in found.alike] == [(5, 7, -1.0)]
    assert found.verdict == ("features.3: 1 of 32 filters are next to 0 (norm below 1 % of the median): 4; 1 pair of filters do nearly the "
                             "same (|cosine| at least 0.98), such as 5 and 7 (-1.000).")
    assert_close64(found.norms, np.linalg.norm(weight.reshape(32, -1).astype(np.float64), axis=1))
    weight[0, 0, 0, 0] = np.nan
    assert filters(model, "features.3").verdict == "1 weights of features.3 are not finite: the network is broken."


@pytest.mark.parametrize(("layer", "shape"), [(nn.Conv2d(3, 5, 3), (5, 3, 3, 3)), (nn.ConvTranspose2d(2, 6, (2, 3)), (2, 6, 2, 3)),
                                              (nn.Linear(7, 2), (2, 7)), (nn.Conv2d(4, 4, 1, groups=4), (4, 1, 1, 1)),
                                              (nn.Conv2d(20, 40, 3), (40, 20, 3, 3)), (nn.Conv2d(1, 80, 3), (80, 1, 3, 3))])
def test_filters_of_every_layer(layer: nn.Module, shape: tuple[int, ...]) -> None:
    found = filters(nn.Sequential(layer))
    assert found.layer == "0"
    assert found.weight.shape == shape
    assert str(shape[0]) in found.figure().get_suptitle()


def test_filters_are_a_copy() -> None:
    model = models.LeNet()
    filters(model).weight[:] = 0
    assert model.conv1.weight.array.any()


def test_feature_maps_are_the_layers_output() -> None:
    model, x = models.LeNet().eval(), floats((2, 1, 28, 28), 0)
    found = feature_maps(model, Tensor(x))
    assert found.layer == "relu"
    expected = np.maximum(model.conv1(Tensor(x)).detach().numpy(), 0)
    assert_equal(found.maps, expected)
    assert found.strongest(6) == [0, 1, 2, 3, 4, 5]
    assert found.strongest(1) == [int(np.abs(expected).mean(axis=(0, 2, 3)).argmax())]
    model.conv1.bias.array[2] = -1e3
    one = feature_maps(model, Tensor(x[0]))
    assert one.maps.shape == (1, 6, 28, 28)
    assert one.verdict.endswith("; 1 of 6 channels are 0 everywhere.")
