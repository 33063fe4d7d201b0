"""Equivariance where it holds exactly, and what borders, pooling and strides make of it."""
from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minicnn
from minicnn import Tensor, kernels, models, nn
from minicnn.inspect.graphs import equivariance, invariance, shift_study, variants
from minicnn.inspect.graphs.moving import compared, shifted, smooth_noise
from minicnn.inspect.receptive_fields import cones
from minicnn.inspect.recorder import record
from minicnn.inspect.rounding import gamma
from minicnn.kernels import reference
from minicnn.kernels.window import Window2d
from tests import compare
from tests.strategies import floats, integers, seeds

BACKENDS = [name for name in kernels.CPU_BACKENDS if not kernels.missing(name)]


@st.composite
def stacks(draw: st.DrawFn) -> nn.Sequential:
    """Convolutions and pools of any stride, padding and dilation, that leave something of 24x26 pixels."""
    layers: list[nn.Module] = []
    for before, after in ((1, 2), (2, 2))[:draw(st.integers(1, 2))]:
        k, s = draw(st.integers(1, 3)), draw(st.integers(1, 2))
        layers.append(nn.Conv2d(before, after, k, s, padding=draw(st.integers(0, 2)), dilation=draw(st.integers(1, 2))))
        layers += draw(st.sampled_from([[], [nn.ReLU()], [nn.MaxPool2d(2)], [nn.MaxPool2d(3, 1, 1)]]))
    return nn.Sequential(*layers)


@given(stacks(), st.integers(-7, 7), st.sampled_from([0, 1]), seeds)
def test_interior_units_follow_exactly(net: nn.Sequential, by: int, axis: int, seed: int) -> None:
    """On whole numbers every sum is exact: interior units must be equal wherever the shift is a whole number of units."""
    for parameter in net.parameters():
        parameter.array[...] = integers(parameter.shape, seed, -3, 3)
    x = integers((2, 1, 24, 26), seed)
    row, = equivariance(net, [by], x=Tensor(x), axis=("height", "width")[axis]).rows
    if row.whole and row.interior_units:
        assert (row.interior, row.exact) == (0, True)


@given(stacks(), st.integers(-7, 7), st.sampled_from([0, 1]))
def test_interior_units_see_neither_border_nor_what_came_in(net: nn.Sequential, by: int, axis: int) -> None:
    """By force: other pixels where the shift brings some in change no interior unit, and no interior unit reaches beyond the image."""
    for parameter in net.parameters():
        parameter.array[...] = integers(parameter.shape, 1, 1, 3)
    x = integers((1, 1, 24, 26), 0, 1, 8)
    recording = record(net, Tensor(x))
    place = compared(cones(recording)[recording.output], recording.output.shape, by, axis, follow=True)
    moved = shifted(x, by, axis)
    other, came = moved.copy(), slice(0, by) if by > 0 else slice(x.shape[2 + axis] + by, None)
    if by:
        other[(..., came, slice(None)) if axis == 0 else (..., came)] += 100
    index = (..., place.there, slice(None)) if axis == 0 else (..., place.there)
    a, b = (net(Tensor(image)).array[index][..., place.interior] for image in (moved, other))
    compare.assert_equal(a, b)
    inner = cones(recording)[recording.output]
    for unit in np.argwhere(place.interior)[:20]:
        at = unit + np.array([place.there.start if a == axis else 0 for a in (0, 1)])
        full = inner.unclipped((int(at[0]), int(at[1])))
        assert full is None or (full.top >= 0 and full.left >= 0 and full.bottom < 24 and full.right < 26)


@given(stacks(), st.integers(1, 20), st.integers(1, 20), st.sampled_from([1, 2]), st.integers(-5, 5))
def test_numba_follows_bit_for_bit(net: nn.Sequential, C: int, F: int, groups: int, by: int) -> None:
    """Any floats: every output adds up its products in one order, wherever it stands."""
    first = nn.Conv2d(C * groups, F * groups, 3, groups=groups)
    model = nn.Sequential(first, nn.Conv2d(F * groups, 1, 1), net)
    with minicnn.use_backend("numba"):
        row, = equivariance(model, [by], (C * groups, 24, 27), images=1).rows
    if row.whole and row.interior_units:
        assert (row.interior, row.exact) == (0, True)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("channels", [1, 3, 16])
def test_a_convolution_follows_within_the_bound(backend: str, channels: int) -> None:
    """Both sides of a difference are within the bound of rounding analysis, so it is within twice that, and so are norms."""
    conv = nn.Conv2d(channels, 8, 3, padding=1)
    x = smooth_noise((2, channels, 20, 23))
    weight, bias = abs(conv.weight.array.astype(np.float64)), abs(conv.bias.array.astype(np.float64))
    magnitude = reference.conv2d(abs(x.astype(np.float64)), weight, bias, Window2d.of(3, padding=1), 1)
    with minicnn.use_backend(backend):
        found = equivariance(conv, 5, x=Tensor(x))
        y = conv(Tensor(x)).array.astype(np.float64)
    for row in found.rows:
        assert (row.units, row.whole) == (row.shift, True)
        inside = np.s_[..., 1:-1, 1:22 - row.shift]            # before the shift
        bound = 2 * gamma(9 * channels + 1, np.float32) * np.linalg.norm(magnitude[inside]) / np.linalg.norm(y[inside])
        assert row.interior is not None
        assert row.interior <= bound
        assert (row.border or 0) > 0 if row.shift else row.border == 0


def test_pooling_and_strides_follow_whole_units_only() -> None:
    found = shift_study(5, (1, 32, 32))
    assert list(found.equivariance) == ["stride 1", "max pool", "average pool", "stride 2"]
    for name, result in found.equivariance.items():
        whole = [row.shift for row in result.rows if row.whole]
        assert whole == ([0, 1, 2, 3, 4, 5] if name == "stride 1" else [0, 4])
        for row in result.rows:
            assert row.interior is not None
            assert (row.interior == 0) if row.whole else (row.interior > 0.05)
    one = {name: result.row(1).all or 0 for name, result in found.invariance.items()}
    assert one["max pool"] < one["stride 1"]
    assert one["global mean"] < one["max pool"] / 4
    text = str(found)
    assert "0.190 ~" in str(shift_study(1))
    assert "1         0" in text


def test_variants_share_their_weights_and_leave_the_random_numbers_alone() -> None:
    minicnn.manual_seed(5)
    expected = minicnn.rand(3)
    minicnn.manual_seed(5)
    nets = variants(2, 4)
    compare.assert_equal(minicnn.rand(3).array, expected.array)
    first = [p.array for p in nets["stride 1"].parameters()]
    for net in nets.values():
        for got, wanted in zip((p.array for p in net.parameters()), first, strict=True):
            compare.assert_equal(got, wanted)


def test_errors_are_what_they_say() -> None:
    """One pixel to the right by hand."""
    conv = nn.Conv2d(1, 1, (1, 3), padding=(0, 1), bias=False)
    conv.weight.array[...] = [[[[1, 2, 4]]]]
    x = np.array([[[[1, 0, 0, 3, 0, 5]]]], np.float32)
    y, moved = (conv(Tensor(image)).array[0, 0, 0].astype(np.float64) for image in (x, shifted(x, 1, 1)))
    assert y.tolist() == [2, 1, 12, 6, 23, 10]
    assert moved.tolist() == [6, 3, 1, 12, 6, 3]
    row = equivariance(conv, [1], x=Tensor(x)).row(1)
    # there 1..5 against here 0..4; interior: there 2..4 less those that see the border before, here 0
    difference = moved[1:] - y[:-1]
    assert row.all == pytest.approx(np.linalg.norm(difference) / np.linalg.norm(y[:-1]), rel=1e-12)
    assert (row.interior, row.interior_units) == (0, 3 / 5)
    same = invariance(conv, [1], x=Tensor(x)).row(1)
    assert same.all == pytest.approx(np.linalg.norm(moved - y) / np.linalg.norm(y), rel=1e-12)


def test_classes_that_change() -> None:
    class Where(nn.Module):
        """The brightest column is the class."""

        def forward(self, x: Tensor) -> Tensor:
            return x.sum((1, 2))

    x = np.zeros((3, 1, 2, 4), np.float32)
    x[0, ..., 0], x[1, ..., 1], x[2, ..., 3] = 1, 1, 1         # the last: more of the same comes in at the left, nothing at the right
    found = invariance(Where(), 1, x=Tensor(x))
    assert [row.changed for row in found.rows] == [0, 2 / 3]    # the first stays: its border pixel is repeated
    assert "class changes" in str(found)
    assert "66.7 %" in str(found)


def test_smooth_noise_is_smooth() -> None:
    x = smooth_noise((2, 3, 32, 32))
    assert x.dtype == np.float32
    assert x.shape == (2, 3, 32, 32)
    assert abs(float(x.mean())) < 1e-5
    assert abs(float(x.std()) - 1) < 1e-3
    neighbours = np.corrcoef(x[..., 1:].reshape(-1), x[..., :-1].reshape(-1))[0, 1]
    assert neighbours > 0.9
    compare.assert_equal(smooth_noise((1, 1, 1, 1)), np.zeros((1, 1, 1, 1), np.float32))


def test_pictures_and_json(tmp_path: Path) -> None:
    found = equivariance(models.create("lenet", 1, 28, 10), 2, (1, 28, 28), layer="conv2", images=2)
    assert found.save(tmp_path / "shift.png").stat().st_size > 5000
    assert shift_study(1, (1, 24, 24)).save(tmp_path / "study.svg").stat().st_size > 5000
    values = json.loads(found.to_json())
    assert (values["jump"], values["layer"], [row["whole"] for row in values["shifts"]]) == (2, "conv2", [True, False, True])
    assert "A unit is 2 pixels from the next" in str(found)


def test_what_is_refused() -> None:
    conv, flat = nn.Conv2d(1, 1, 3), nn.Sequential(nn.Flatten(), nn.Linear(64, 2))
    x = Tensor(floats((1, 1, 8, 8), 0))
    for call, sentence in (
        (lambda: equivariance(conv, 2), "give either input_shape, such as (1, 28, 28), or images x of your own"),
        (lambda: equivariance(conv, 2, (1, 8, 8), x), "give either input_shape, such as (1, 28, 28), or images x of your own"),
        (lambda: equivariance(conv, 8, (1, 8, 8)),
         "shift is 8: give a number from 0, or several; images of width 8 can be moved by at most 7"),
        (lambda: equivariance(conv, -1, (1, 8, 8)), "shift is -1: give a number from 0"),
        (lambda: equivariance(conv, 1, (8, 8)), "input_shape is (8, 8) and images 4: give (C, H, W), and a count, of numbers from 1"),
        (lambda: equivariance(conv, 1, (1, 8, 8), axis="depth"), "axis is 'depth': expected width or height"),
        (lambda: equivariance(conv, 1, x=Tensor(np.full((1, 1, 8, 8), np.nan, np.float32))),
         "x has values that are infinite or no numbers: nothing can be compared with them"),
        (lambda: equivariance(conv, 1, x=Tensor(np.zeros((8, 8), np.float32))), "x must be images (N, C, H, W), got shape (8, 8)"),
        (lambda: equivariance(flat, 1, (1, 8, 8)), "1 has an output of shape (2,), whose units lie in no rows and columns: nothing can "
                                                   "move in it; name a layer before, or measure invariance"),
        (lambda: invariance(conv, 1, (1, 8, 8), layer="x"), "Conv2d has no layer 'x'; it has: Conv2d"),
        (lambda: invariance(conv, 1, (1, 8, 8)).row(3), "no shift by 3 was measured, but: 0, 1"),
    ):
        with pytest.raises(ValueError, match=re.escape(sentence)):
            call()
    with pytest.raises(TypeError, match="expected the images x as a Tensor, got ndarray"):
        equivariance(conv, 1, x=np.zeros((1, 1, 8, 8)))
