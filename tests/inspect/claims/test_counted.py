"""The claims that are counted or measured without training: the true numbers, as literals worked out by hand, and the quoted ones."""
from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from minicnn import kernels, models, nn
from minicnn.inspect import connectivity, receptive_field
from minicnn.inspect.claims import CLAIMS, Claims, check_claims
from minicnn.inspect.claims.arithmetic import worked_example
from minicnn.inspect.claims.counting import Linear, parameters, positions, unshared
from minicnn.inspect.claims.registry import numbers
from minicnn.inspect.claims.shifting import digits, shifted

# name, what the article prints, verdict, and the true numbers
COUNTED: list[tuple[str, str, str, dict[str, Any]]] = [
    ("first-layer", "150,528,000 parameters", "right", {"weights": 150_528_000, "parameters": 150_529_000}),
    ("fc-three-layers", "637,441,000 parameters", "wrong", {"parameters": 637_445_096, "weights": 637_435_904, "biases_left_out": [1]}),
    ("fc-memory", "2.5 GB; 10+ GB", "right", {"bytes": 4 * 637_445_096, "bytes_with_adam": 16 * 637_445_096}),
    ("conv-3-64", "1,792 parameters", "right", {"parameters": 1_792, "weights": 1_728}),
    ("conv-64-64", "36,928 parameters", "right", {"parameters": 36_928, "weights": 36_864}),
    ("vgg16-fc1", "102,764,544 parameters", "right", {"parameters": 102_764_544}),
    ("vgg16-totals", "~9.5M; ~123M parameters", "wrong", {"convolutions": 14_714_688, "fully_connected": 123_642_856, "total": 138_357_544,
                                                          "vgg13_convolutions": 9_404_992}),
    ("unshared-224", "1,354,752 parameters", "right", {"weights": 1_354_752, "on_padding": 224 * 224 * 27 - 3 * (3 * 224 - 2)**2,
                                                        "of_64_filters": 86_704_128}),
    ("sharing-28", "28 parameters; 50,000x", "right", {"parameters": 28, "factor": 50_176.0, "factor_one_bias": 48_384.0}),
    ("unshared-8x8", "884,736 parameters; 512x", "wrong", {"weights": 110_592, "factor": 64, "shared": 1_728}),
    ("local-connectivity", "~150,000x fewer connections", "wrong", {"factor": 150_528 / 27, "dense": 150_528, "local": 27}),
    ("combined-savings", "~7,500,000,000x", "wrong", {"factor": 150_528 * 50_176 / 27, "dense": 7_552_892_928, "shared": 27}),
    ("filter-channels", "3", "wrong", {"parameters": {1: 640, 3: 1_792, 13: 7_552}}),
    ("layer-as-dense", "millions; trillions", "right", {"parameters": 36_928, "dense": (64 * 224 * 224)**2}),
    ("field-formula", "3, 5, 11, 21", "right", {"sizes": {1: 3, 2: 5, 5: 11, 10: 21}}),
    ("field-table", "3, 7, 15, 31, 63", "depends", {
        "3x3, stride 1": [3, 5, 7, 9, 11], "3x3, stride 2": [3, 7, 15, 31, 63], "3x3, dilation 1, 2, 4, 8, 16": [3, 7, 15, 31, 63],
        "3x3, each then pooled 2x2": [3, 8, 18, 38, 78]}),
    ("pooling-field", "x2", "half true", {"fields": [1, 3, 4, 8, 10, 18, 22, 38, 46], "strides": [1, 1, 2, 2, 4, 4, 8, 8, 16],
                                          "growth": [1.33, 1.25, 1.22, 1.21]}),
    ("stacked-3x3", "18 weights against 49", "wrong", {
        "one 7x7": {"field": 7, "weights_per_pair": 49, "parameters": 200_768, "macs_per_pixel": 200_704, "nonlinearities": 1},
        "two 3x3": {"field": 5, "weights_per_pair": 18, "parameters": 73_856, "macs_per_pixel": 73_728, "nonlinearities": 2},
        "three 3x3": {"field": 7, "weights_per_pair": 27, "parameters": 110_784, "macs_per_pixel": 110_592, "nonlinearities": 3}}),
    ("output-size", "32x32", "right", {"size": 32}),
    ("no-padding", "222x222", "right", {"size": 222}),
    ("strided-parameters", "kernel² x channels² parameters", "depends", {"weights": 36_864, "parameters": 36_928, "wider": 73_856,
                                                                        "stride_1": 36_928}),
]
MEASURED = ["worked-window", "max-pool-shift", "equivariance"]
TRAINED = ["absolute-position", "plain-or-residual"]


@pytest.fixture(scope="module")
def found() -> Claims:
    return check_claims(trained=False)


@pytest.mark.parametrize(("name", "quoted", "verdict", "true"), COUNTED, ids=[row[0] for row in COUNTED])
def test_numbers(found: Claims, name: str, quoted: str, verdict: str, true: dict[str, Any]) -> None:
    finding = found[name]
    assert (finding.claim.quoted, finding.verdict) == (quoted, verdict)
    assert finding.numbers == true


def test_every_claim_is_tested() -> None:
    assert {row[0] for row in COUNTED} | set(MEASURED) == {each.name for each in CLAIMS.values() if not each.trained}
    assert [each.name for each in CLAIMS.values() if each.trained] == TRAINED


def test_what_is_computed_is_in_the_text(found: Claims) -> None:
    texts = {"first-layer": "150,528,000 weights", "fc-three-layers": "637,445,096", "vgg16-totals": "14,714,688; 123,642,856",
             "unshared-8x8": "110,592 weights; 64x", "local-connectivity": "5,575x", "combined-savings": "279,736,775x",
             "worked-window": "-2.4", "output-size": "32x32", "no-padding": "222x222", "stacked-3x3": "two see 5x5, three 7x7"}
    for name, text in texts.items():
        assert text in found[name].answer.computed
    assert "leaves out FC1's 4,096 biases" in found["fc-three-layers"].answer.why
    assert "In all 138,357,544." in found["vgg16-totals"].answer.why
    assert "five layers of 3x3, stride 2 or of 3x3, dilation 1, 2, 4, 8, 16" in found["field-table"].answer.why


@pytest.mark.parametrize(("name", "other", "verdict"), [
    ("first-layer", "150,528,001 parameters", "wrong"), ("conv-3-64", "1,728 parameters", "wrong"), ("conv-64-64", "36,864", "wrong"),
    ("vgg16-fc1", "102,760,448 parameters", "wrong"), ("fc-three-layers", "637,445,096 parameters", "right"),
    ("unshared-224", "1,354,753", "wrong"), ("unshared-8x8", "110,592, 64x", "right"), ("unshared-8x8", "110,592, 63x", "wrong"),
    ("output-size", "31x31", "wrong"), ("no-padding", "224x224", "wrong"), ("field-formula", "3, 7, 15, 31", "wrong"),
    ("field-table", "3, 5, 7, 9, 11", "right"), ("field-table", "3, 6, 9, 12, 15", "wrong"),
])
def test_verdicts_come_from_the_comparison(name: str, other: str, verdict: str) -> None:
    """Another number in the claim's place changes the verdict."""
    assert CLAIMS[name].answer(other).verdict == verdict


@pytest.mark.parametrize(("said", "missing"), [
    ("637,445,096", []), ("637,441,000", [1]), ("637,444,096", [3]), ("637,440,000", [1, 3]), ("637,435,904", [1, 2, 3]),
    ("637,445,095", [])])
def test_which_biases_a_sum_left_out(said: str, missing: list[int]) -> None:
    """4,096, 4,096 and 1,000 of them; of FC1 and FC2, which nothing tells apart, the first is named. The last number is no such sum."""
    assert CLAIMS["fc-three-layers"].answer(said).numbers["biases_left_out"] == missing


def test_the_worked_window() -> None:
    """Each channel gives the same -0.8: its rows fall by 0.2, weighted 1 + 2 + 1."""
    finding = worked_example()
    assert len(finding.terms) == 27
    exact = 3 * 4 * -0.2
    assert abs(finding.kernel - exact) <= finding.bound < 1e-4
    for c in range(3):
        assert math.fsum(term.product for term in finding.terms if term.place["c"] == c) == pytest.approx(-0.8, abs=finding.bound)
    red = [(term.left, term.right) for term in finding.terms if term.place["c"] == 0]
    assert [w for _, w in red] == [1, 0, -1, 2, 0, -2, 1, 0, -1]
    assert np.array_equal(np.array([x for x, _ in red], np.float32), np.float32([0.1, 0.2, 0.3, 0.2, 0.3, 0.4, 0.3, 0.4, 0.5]))
    (answer,) = check_claims("worked-window")
    assert answer.verdict == "right"
    assert answer.claim.quoted == "-2.4 (red: -0.8)"
    assert answer.numbers["kernel"] == finding.kernel


def test_pretended_layers_count_like_real_ones() -> None:
    fake, real = Linear(12, 7), nn.Linear(12, 7)
    assert [(name, p.shape, p.array.nbytes) for name, p in fake.named_parameters()] == \
           [(name, p.shape, p.array.nbytes) for name, p in real.named_parameters()]


def test_vgg16_from_scratch_is_the_models(monkeypatch: pytest.MonkeyPatch, found: Claims) -> None:
    monkeypatch.setattr(nn.Linear, "reset_parameters", lambda self: None)      # memory that is never written costs nothing
    net, counted = models.VGG16(), found["vgg16-totals"].numbers
    assert (parameters(net.features), parameters(net.classifier)) == (counted["convolutions"], counted["fully_connected"])


@pytest.mark.parametrize(("H", "W", "stride", "padding"), [(8, 8, 1, 1), (7, 5, 2, 0), (6, 9, 2, 1)])
def test_unshared_weights_are_the_graphs_edges(H: int, W: int, stride: int, padding: int) -> None:
    """An edge for every weight, except those that would meet padding only."""
    conv = nn.Conv2d(2, 3, 3, stride=stride, padding=padding)
    edges = connectivity(conv, (2, H, W)).layers[0].edges
    taps = sum(0 <= oh * stride - padding + kh < H and 0 <= ow * stride - padding + kw < W
               for oh in range((H + 2 * padding - 3) // stride + 1) for ow in range((W + 2 * padding - 3) // stride + 1)
               for kh in range(3) for kw in range(3))
    assert edges == 3 * 2 * taps
    assert unshared(conv, (H, W)) == 3 * 2 * 9 * positions(conv, (H, W)) == edges + 3 * 2 * (9 * positions(conv, (H, W)) - taps)


def test_the_strided_network_of_the_table_by_hand() -> None:
    """size' = size + 2 * stride, and the stride doubles: 2^(L+1) - 1."""
    net = nn.Sequential(*[nn.Conv2d(1, 1, 3, stride=2, padding=1) for _ in range(5)])
    assert [layer.size for layer in receptive_field(net, (1, 64, 64)).layers] == [(2**(L + 1) - 1,) * 2 for L in range(1, 6)]


def test_max_pooling_of_dots_and_digits(found: Claims) -> None:
    """Of two one-pixel steps along an axis one stays in a window of two; of four, three in a window of four."""
    finding = found["max-pool-shift"]
    dots = {name: each["dots_unchanged"] for name, each in finding.numbers.items()}
    assert dots == {"no pooling": 0, "max 2x2": 0.5, "mean 2x2": 0.5, "max 4x4": 0.75, "max, whole image": 1}
    changes = {name: each["digits_change"] for name, each in finding.numbers.items()}
    assert changes["max, whole image"] == 0 < changes["max 4x4"] < changes["max 2x2"] < changes["no pooling"]
    assert finding.verdict == "half true"


def test_max_pooling_by_hand(found: Claims) -> None:
    """The same changes with reshape and max instead of a layer."""
    def pooled(x: np.ndarray) -> np.ndarray:
        N, C, H, W = x.shape
        return x.reshape(N, C, H // 2, 2, W // 2, 2).max((3, 5))

    x = digits().astype(np.float64)
    change = [np.linalg.norm(pooled(np.roll(x, step, (2, 3))) - pooled(x)) / np.linalg.norm(pooled(x))
              for step in ((0, 1), (0, -1), (1, 0), (-1, 0))]
    assert found["max-pool-shift"].numbers["max 2x2"]["digits_change"] == pytest.approx(np.mean(change), rel=1e-12)


def test_digits_are_not_shifted_out_of_their_frame() -> None:
    x = digits()
    assert x.shape[1:] == (1, 12, 12)
    for step in ((0, 1), (0, -1), (1, 0), (-1, 0)):
        moved = shifted(x, step)
        rows, columns = (np.arange(1, 11) + s for s in step)
        assert np.array_equal(moved[:, :, rows[:, None], columns], x[:, :, 1:11, 1:11])
        assert moved.sum() == x.sum()


def test_equivariance(found: Claims) -> None:
    """Whole numbers: where the two should be equal they are, in every value."""
    numbers_ = found["equivariance"].numbers
    assert numbers_["circular"] == numbers_["zeros_inside"] == numbers_["stride_2_shift_2"] == 1
    assert 100 / 144 <= numbers_["zeros_everywhere"] < 0.85
    assert numbers_["stride_2_shift_1"] < 0.1


@pytest.mark.parametrize("backend", [name for name in kernels.CPU_BACKENDS if not kernels.missing(name)])
def test_every_backend_agrees(backend: str, found: Claims) -> None:
    with kernels.use_backend(backend):
        other = check_claims(trained=False)
    for mine, theirs in zip(found, other, strict=True):
        assert (theirs.verdict, theirs.answer.computed) == (mine.verdict, mine.answer.computed)


def test_parameters_counts_weights_and_biases() -> None:
    assert parameters(nn.Sequential(nn.Conv2d(2, 3, (1, 5)), nn.BatchNorm2d(3), nn.Linear(4, 5))) == 2 * 3 * 5 + 3 + 6 + 25


def test_quoted_numbers_are_read() -> None:
    assert numbers("~7,500,000,000x") == [7_500_000_000]
    assert numbers("884,736 parameters; 512x") == [884_736, 512]
    assert numbers("3, 7, 15") == [3, 7, 15]
