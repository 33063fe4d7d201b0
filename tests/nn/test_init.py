"""nn.init: moments within six standard errors, bounds exactly, orthogonality to rounding."""
import math
from collections.abc import Callable

import numpy as np
import pytest
import torch

import minicnn
from minicnn import Tensor, nn
from tests.compare import assert_equal

init = nn.init
SHAPE = (60, 40, 3, 5)                                       # fan_in 600, fan_out 900
N = math.prod(SHAPE)


def filled(fill: Callable, shape: tuple[int, ...] = SHAPE, dtype: type = np.float32) -> np.ndarray:
    minicnn.manual_seed(0)
    tensor = Tensor(np.full(shape, np.nan, dtype))
    assert fill(tensor) is tensor
    assert tensor.dtype == dtype
    return tensor.array.astype(np.float64)


UNIFORM = {
    "uniform": (lambda t: init.uniform_(t, -2, 2), 2),
    "kaiming": (init.kaiming_uniform_, math.sqrt(6 / 600)),
    "kaiming, slope": (lambda t: init.kaiming_uniform_(t, a=math.sqrt(5)), 1 / math.sqrt(600)),
    "kaiming, fan out": (lambda t: init.kaiming_uniform_(t, mode="fan_out", nonlinearity="tanh"), 5 / 3 * math.sqrt(3 / 900)),
    "xavier": (lambda t: init.xavier_uniform_(t, gain=2), 2 * math.sqrt(6 / 1500)),
}
NORMAL = {
    "normal": (lambda t: init.normal_(t, 0, 3), 3),
    "kaiming": (lambda t: init.kaiming_normal_(t, nonlinearity="relu"), math.sqrt(2 / 600)),
    "kaiming, fan out": (lambda t: init.kaiming_normal_(t, 0.5, "fan_out"), math.sqrt(2 / 1.25 / 900)),
    "xavier": (lambda t: init.xavier_normal_(t, 0.5), 0.5 * math.sqrt(2 / 1500)),
}


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("fill", "bound"), UNIFORM.values(), ids=UNIFORM)
def test_uniform(fill: Callable, bound: float, dtype: type) -> None:
    x = filled(fill, dtype=dtype) / bound                      # uniform in ±1: variance 1/3, variance of x² 4/45
    assert np.abs(x).max() <= 1 + np.finfo(np.float32).eps
    assert np.abs(x).max() > 1 - 20 / N                        # P(all below) = e^-20
    assert abs(x.mean()) <= 6 / math.sqrt(3 * N)
    assert abs((x * x).mean() - 1 / 3) <= 6 * math.sqrt(4 / 45 / N)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("fill", "std"), NORMAL.values(), ids=NORMAL)
def test_normal(fill: Callable, std: float, dtype: type) -> None:
    z = filled(fill, dtype=dtype) / std                        # variance 1, variance of z² 2, of z⁴ 96
    assert abs(z.mean()) <= 6 / math.sqrt(N)
    assert abs((z**2).mean() - 1) <= 6 * math.sqrt(2 / N)
    assert abs((z**4).mean() - 3) <= 6 * math.sqrt(96 / N)


def phi(z: float) -> float:
    return math.exp(-z * z / 2) / math.sqrt(2 * math.pi)


def cdf(z: float) -> float:
    return math.erfc(-z / math.sqrt(2)) / 2


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("mean", "std", "a", "b"), [(0, 1, -2, 2), (0.5, 0.02, -2, 2), (1, 2, 0, 1.5), (0, 1, 4, 5), (0, 1, -1000, 1000)])
def test_trunc_normal(mean: float, std: float, a: float, b: float, dtype: type) -> None:
    x = filled(lambda t: init.trunc_normal_(t, mean, std, a, b), dtype=dtype)
    low, high = (a - mean) / std, (b - mean) / std
    mass = cdf(high) - cdf(low)
    expected = (phi(low) - phi(high)) / mass                   # mean and variance of a truncated standard normal
    variance = 1 + (low * phi(low) - high * phi(high)) / mass - expected**2
    z = (x - mean) / std
    assert a <= x.min() <= x.max() <= b
    assert abs(z.mean() - expected) <= 6 * math.sqrt(variance / N)
    assert abs(z.var() - variance) <= 6 * ((z - z.mean()) ** 2).std() / math.sqrt(N)


@pytest.mark.parametrize("shape", [(7, 7), (4, 9), (9, 4), (6, 2, 3, 2), (1, 5)])
def test_orthogonal(shape: tuple[int, ...]) -> None:
    m = filled(lambda t: init.orthogonal_(t, gain=3), shape, np.float64).reshape(shape[0], -1) / 3
    small = m @ m.T if m.shape[0] <= m.shape[1] else m.T @ m
    n = max(m.shape)
    # Householder QR: ||QᵀQ - I|| <= c·n·n·u in the Frobenius norm (Higham 2002, theorem 19.4), c a small constant
    assert np.linalg.norm(small - np.eye(len(small))) <= 10 * n * n * 2.0**-53


def test_orthogonal_is_uniform() -> None:
    """The signs of R's diagonal are taken out: the mean of Q over many draws is zero, which plain QR's is not."""
    minicnn.manual_seed(0)
    corner = np.array([init.orthogonal_(Tensor(np.zeros((3, 3)))).array[0, 0] for _ in range(600)])
    assert abs(corner.mean()) <= 6 / math.sqrt(3 * 600)      # an entry of a random rotation of 3 axes has variance 1/3


def test_constants() -> None:
    assert_equal(init.constant_(Tensor([0.0, 0.0]), 2.5), np.array([2.5, 2.5], np.float32))
    assert_equal(init.zeros_(init.ones_(Tensor([5.0]))), np.array([0], np.float32))
    assert_equal(init.ones_(Tensor([5.0])), np.array([1], np.float32))


def test_parameters_keep_requiring_their_gradient() -> None:
    weight = nn.Parameter(np.zeros((2, 2), np.float32))
    array = weight.array
    for fill in (init.uniform_, init.normal_, init.orthogonal_, init.kaiming_normal_, init.trunc_normal_, init.zeros_):
        fill(weight)
    assert weight.requires_grad
    assert weight.is_leaf
    assert weight.array is array


@pytest.mark.parametrize(("name", "parameter"), [
    ("linear", None), ("conv2d", None), ("sigmoid", None), ("tanh", None), ("relu", None), ("selu", None), ("leaky_relu", None),
    ("leaky_relu", 0.2)])
def test_gains(name: str, parameter: float | None) -> None:
    assert init.calculate_gain(name, parameter) == torch.nn.init.calculate_gain(name, parameter)


ERRORS = {
    "fans": (lambda: init.kaiming_uniform_(Tensor([1.0])),
             "fan in and fan out need a weight of at least two axes (out, in, ...), got shape (1,)"),
    "mode": (lambda: init.kaiming_normal_(Tensor([[1.0]]), mode="fan"), "kaiming: mode is 'fan': must be one of 'fan_in', 'fan_out'"),
    "gain": (lambda: init.calculate_gain("mish"), "calculate_gain: nonlinearity is 'mish': must be one of 'linear', 'conv1d', 'conv2d', "
             "'conv3d', 'sigmoid', 'tanh', 'relu', 'selu', 'leaky_relu'"),
    "orthogonal": (lambda: init.orthogonal_(Tensor([1.0])), "orthogonal_: needs at least two axes, got shape (1,)"),
    "truncated": (lambda: init.trunc_normal_(Tensor([1.0]), a=2, b=1),
                  "trunc_normal_: needs a < b and std > 0, got a = 2, b = 1, std = 1.0"),
}


@pytest.mark.parametrize(("action", "message"), ERRORS.values(), ids=ERRORS)
def test_errors(action: Callable, message: str) -> None:
    with pytest.raises(ValueError) as error:  # noqa: PT011  (the whole text is compared)
        action()
    assert str(error.value) == message
