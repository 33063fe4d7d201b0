"""Every layer beside torch's: state, forward, every gradient, in training and in eval mode; repr; dtype; initial values; errors."""
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

import minicnn
from minicnn import Tensor, nn
from tests.compare import assert_equal
from tests.nn.beside_torch import compare, twins
from tests.strategies import floats

IMAGES, IMAGE = (3, 4, 7, 6), (4, 7, 6)

# (how to build it, the shape of its input). Sizes differ on the two axes wherever they can.
LAYERS: list[tuple[Callable[[Any], Any], tuple[int, ...]]] = [
    (lambda nn: nn.Conv2d(4, 6, 3), IMAGES),
    (lambda nn: nn.Conv2d(4, 6, (3, 2), stride=(2, 1), padding=(1, 0), dilation=(1, 2), groups=2, bias=False), IMAGES),
    (lambda nn: nn.Conv2d(4, 4, 3, 1, 2, 1, 4), IMAGE),
    (lambda nn: nn.Conv2d(4, 2, (4, 3), padding="same"), IMAGES),
    (lambda nn: nn.Conv2d(4, 2, (4, 3), padding="same", dilation=(2, 1), padding_mode="reflect"), (2, 4, 9, 6)),
    (lambda nn: nn.Conv2d(4, 2, 3, stride=2, padding="valid"), IMAGES),
    (lambda nn: nn.Conv2d(4, 2, 3, stride=2, padding=(2, 1), padding_mode="reflect"), IMAGES),
    (lambda nn: nn.Conv2d(4, 2, 3, padding=(2, 1), padding_mode="replicate"), IMAGE),
    (lambda nn: nn.ConvTranspose2d(4, 6, 3), IMAGES),
    (lambda nn: nn.ConvTranspose2d(4, 6, (3, 2), stride=(2, 3), padding=(1, 0), output_padding=(1, 2), groups=2, dilation=(1, 2)), IMAGES),
    (lambda nn: nn.ConvTranspose2d(4, 2, 3, 2, 1, bias=False), IMAGE),
    (lambda nn: nn.Linear(5, 3), (4, 5)),
    (lambda nn: nn.Linear(5, 3, bias=False), (2, 3, 5)),
    (lambda nn: nn.Linear(5, 3), (5,)),
    (lambda nn: nn.Identity(4, anything="at all"), IMAGES),
    (lambda nn: nn.MaxPool2d(2), IMAGES),
    (lambda nn: nn.MaxPool2d((2, 3), stride=2, padding=(0, 1), ceil_mode=True), IMAGES),
    (lambda nn: nn.MaxPool2d(2, 1, 0, (2, 1), return_indices=True), IMAGE),
    (lambda nn: nn.AvgPool2d(3), IMAGES),
    (lambda nn: nn.AvgPool2d((2, 3), stride=2, padding=(0, 1), ceil_mode=True, count_include_pad=False), IMAGES),
    (lambda nn: nn.AvgPool2d(2, 1, 1, False, True, 3), IMAGE),
    (lambda nn: nn.AdaptiveAvgPool2d((3, 4)), IMAGES),
    (lambda nn: nn.AdaptiveAvgPool2d((None, 1)), IMAGES),
    (lambda nn: nn.AdaptiveAvgPool2d(9), IMAGE),
    (lambda nn: nn.AdaptiveMaxPool2d((3, 4)), IMAGES),
    (lambda nn: nn.AdaptiveMaxPool2d(2, return_indices=True), IMAGE),
    (lambda nn: nn.BatchNorm2d(4), IMAGES),
    (lambda nn: nn.BatchNorm2d(4, eps=0.1, momentum=None), IMAGES),
    (lambda nn: nn.BatchNorm2d(4, momentum=0.7, affine=False), IMAGES),
    (lambda nn: nn.BatchNorm2d(4, track_running_stats=False), IMAGES),
    (lambda nn: nn.BatchNorm2d(4, bias=False), IMAGES),
    (lambda nn: nn.BatchNorm1d(5), (4, 5)),
    (lambda nn: nn.BatchNorm1d(5), (4, 5, 3)),
    (lambda nn: nn.GroupNorm(2, 4), IMAGES),
    (lambda nn: nn.GroupNorm(4, 4, eps=0.1, affine=False), IMAGES),
    (lambda nn: nn.GroupNorm(1, 4, bias=False), (3, 4)),
    (lambda nn: nn.LayerNorm(6), IMAGES),
    (lambda nn: nn.LayerNorm((4, 7, 6), eps=0.1, bias=False), IMAGES),
    (lambda nn: nn.LayerNorm([7, 6], elementwise_affine=False), IMAGE),
    (lambda nn: nn.ReLU(), IMAGES),
    (lambda nn: nn.LeakyReLU(), IMAGES),
    (lambda nn: nn.LeakyReLU(0.3), IMAGE),
    (lambda nn: nn.ELU(), IMAGES),
    (lambda nn: nn.ELU(0.5), IMAGE),
    (lambda nn: nn.GELU(), IMAGES),
    (lambda nn: nn.GELU(approximate="tanh"), IMAGE),
    (lambda nn: nn.SiLU(), IMAGES),
    (lambda nn: nn.Hardswish(), IMAGES),
    (lambda nn: nn.Sigmoid(), IMAGES),
    (lambda nn: nn.Tanh(), IMAGES),
    (lambda nn: nn.Softmax(1), IMAGES),
    (lambda nn: nn.LogSoftmax(dim=-1), IMAGES),
    (lambda nn: nn.Sequential(nn.Linear(6, 6), nn.ReLU(inplace=True)), IMAGES),
    (lambda nn: nn.Flatten(), IMAGES),
    (lambda nn: nn.Flatten(0, 2), IMAGES),
    (lambda nn: nn.Unflatten(1, (2, -1)), IMAGES),
    (lambda nn: nn.Unflatten(-1, (3, 2)), IMAGE),
    (lambda nn: nn.ZeroPad2d(2), IMAGES),
    (lambda nn: nn.ZeroPad2d((1, 2, 0, 3)), IMAGE),
    (lambda nn: nn.Unfold((3, 2), dilation=(1, 2), padding=(1, 0), stride=(2, 1)), IMAGES),
    (lambda nn: nn.Fold((7, 6), (3, 2), padding=(1, 0), stride=(2, 1)), (2, 12, 20)),
    (lambda nn: nn.Upsample(scale_factor=2), IMAGES),
    (lambda nn: nn.Upsample((9, 4)), IMAGES),
    (lambda nn: nn.Upsample(scale_factor=(1.5, 2), mode="bilinear"), IMAGES),
    (lambda nn: nn.Upsample(size=(10, 5), mode="bilinear", align_corners=True), IMAGES),
]
# Layers whose forward is random, or does what another line above shows, for the repr alone
ONLY_REPR: list[Callable[[Any], Any]] = [
    lambda nn: nn.Dropout(), lambda nn: nn.Dropout(0.2, inplace=True), lambda nn: nn.Dropout2d(0.1), lambda nn: nn.ReLU(True),
    lambda nn: nn.SiLU(inplace=True), lambda nn: nn.Hardswish(True), lambda nn: nn.ELU(inplace=True), lambda nn: nn.LeakyReLU(inplace=True),
    lambda nn: nn.BatchNorm2d(3, momentum=None, track_running_stats=False),
    lambda nn: nn.Conv2d(1, 1, 3, padding=1, padding_mode="replicate"),
]
NAMES = [f"{i}-{type(build(nn)).__name__}" for i, (build, _) in enumerate(LAYERS)]


@pytest.mark.parametrize("training", [True, False], ids=["train", "eval"])
@pytest.mark.parametrize(("build", "shape"), LAYERS, ids=NAMES)
def test_as_torch(build: Callable, shape: tuple[int, ...], training: bool) -> None:
    ours, theirs = twins(build, training)
    for step in range(2):                                      # the second starts from moved running statistics
        compare(ours, theirs, floats(shape, step, np.float64))


# all but the batch norm that always needs the statistics of a batch
@pytest.mark.parametrize(("build", "shape"), [(b, s) for b, s in LAYERS if s == IMAGES and "track_running_stats=False" not in repr(b(nn))])
def test_a_batch_of_nothing(build: Callable, shape: tuple[int, ...]) -> None:
    """N = 0 gives an empty output and gradients of zeros."""
    ours, theirs = twins(build, training=False)
    compare(ours, theirs, np.zeros((0, *shape[1:])))


@pytest.mark.parametrize(("build", "shape"), LAYERS, ids=NAMES)
def test_float32_stays_float32(build: Callable, shape: tuple[int, ...]) -> None:
    layer, x = build(nn), Tensor(floats(shape, 1), requires_grad=True)
    y = layer(x)
    y = y[0] if isinstance(y, tuple) else y
    y.sum().backward()
    found = {t.dtype.name for t in (y, x.grad, *(p.grad for p in layer.parameters()), *layer.buffers())}
    assert found - {"int64"} == {"float32"}


@pytest.mark.parametrize("build", [b for b, _ in LAYERS] + ONLY_REPR)
def test_repr_is_torchs(build: Callable) -> None:
    assert repr(build(nn)) == repr(build(torch.nn))


@pytest.mark.parametrize("backend", ["numpy", "numba"])
def test_what_torch_has_not(backend: str) -> None:
    """Four sides of padding, and 'same' with a stride: equal to padding first."""
    x = Tensor(floats((2, 3, 7, 8), 0))
    with minicnn.use_backend(backend):
        for mode in ("zeros", "replicate"):
            conv = nn.Conv2d(3, 2, (3, 4), padding=(2, 1, 0, 3), padding_mode=mode)
            padded = nn.functional.pad(x, (0, 3, 2, 1), mode="constant" if mode == "zeros" else mode)
            plain = nn.Conv2d(3, 2, (3, 4))
            plain.load_state_dict(conv.state_dict())
            assert_equal(conv(x), plain(padded), mode)
        for mode in ("zeros", "reflect"):
            assert nn.Conv2d(3, 2, 3, stride=(2, 3), padding="same", padding_mode=mode)(x).shape == (2, 2, 4, 3)
    assert repr(conv) == "Conv2d(3, 2, kernel_size=(3, 4), stride=(1, 1), padding=(2, 1, 0, 3), padding_mode=replicate)"


def test_batch_norm_without_momentum_is_the_mean_of_all_batches() -> None:
    norm = nn.BatchNorm1d(1, momentum=None)
    for batch in ([1.0, 3.0], [5.0, 9.0], [0.0, 6.0]):
        norm(Tensor(np.array(batch, np.float32)[:, None]))
    assert_equal(norm.num_batches_tracked, np.array(3))
    np.testing.assert_array_max_ulp(norm.running_mean.array, np.array([4], np.float32), maxulp=2)
    norm.reset_running_stats()
    assert [b.tolist() for b in norm.buffers()] == [[0.0], [1.0], 0]


@pytest.mark.parametrize(("layer", "shape"), [(nn.Dropout(0.3), (200, 100)), (nn.Dropout2d(0.3), (100, 200, 2, 3))])
def test_dropout(layer: nn.Module, shape: tuple[int, ...]) -> None:
    minicnn.manual_seed(1)
    x = Tensor(np.ones(shape, np.float32), requires_grad=True)
    y = layer(x)
    scale = np.float32(1) / np.float32(0.7)
    np.testing.assert_array_max_ulp(y.array[y.array != 0], np.broadcast_to(scale, (y.array != 0).sum()), maxulp=1)
    if y.ndim == 4:
        assert (y.array == y.array[:, :, :1, :1]).all()          # channels are dropped whole
    n, dropped = 20_000, (y.array.reshape(20_000, -1)[:, 0] == 0).sum()
    assert abs(dropped - 0.3 * n) <= 6 * np.sqrt(0.3 * 0.7 * n)             # six standard deviations of a binomial count
    y.sum().backward()
    assert_equal(x.grad, y.array)                               # the gradient passes where, and as much as, the value did
    assert (layer(x).array != y.array).any()
    assert_equal(layer.eval()(x), x.array)
    layer.train()


@pytest.mark.parametrize(("build", "fan_in"), [
    (lambda: nn.Linear(40, 300), 40),
    (lambda: nn.Conv2d(8, 120, (3, 5), groups=2), 4 * 15),
    (lambda: nn.ConvTranspose2d(20, 96, (3, 5), groups=2), 48 * 15),
])
def test_initial_values(build: Callable[[], Any], fan_in: int) -> None:
    """Uniform in ±1/√fan_in: nothing beyond, and a standard deviation of bound/√3 within six standard errors."""
    minicnn.manual_seed(3)
    layer = build()
    bound = 1 / np.sqrt(fan_in)
    for values in (layer.weight.array.astype(np.float64), layer.bias.array.astype(np.float64)):
        n = values.size
        assert np.abs(values).max() <= bound * (1 + 1e-6)
        assert np.abs(values).max() > bound * (1 - 20 / n)     # P(all of n below) = (1 - 20/n)^n = e^-20
        assert abs(values.mean()) <= 6 * bound / np.sqrt(3 * n)
        assert abs(values.var() - bound**2 / 3) <= 6 * bound**2 * np.sqrt(4 / 45 / n)    # var(u²) = 1/5 - 1/9 = 4/45 for u in ±1
    first = layer.weight.clone()
    layer.reset_parameters()
    assert (layer.weight.array != first.array).any()
    minicnn.manual_seed(3)
    assert_equal(build().weight, first)


X = Tensor(np.zeros((2, 4, 5, 6), np.float32))
ERRORS = {
    "channels": (lambda: nn.Conv2d(0, 4, 3), "Conv2d: in_channels is 0: must be an int of at least 1"),
    "float channels": (lambda: nn.Conv2d(3, 4.0, 3), "Conv2d: out_channels is 4.0: must be an int of at least 1"),
    "groups": (lambda: nn.Conv2d(4, 6, 3, groups=4), "Conv2d: groups = 4 must divide out_channels = 6, but 6 = 1*4 + 2"),
    "kernel": (lambda: nn.Conv2d(4, 6, 0), "Conv2d: kernel_size is 0: must be at least 1"),
    "padding": (lambda: nn.Conv2d(4, 6, 3, padding="full"), "Conv2d: padding is 'full'; as text it can only be 'valid' or 'same'"),
    "three sides": (lambda: nn.Conv2d(4, 6, 3, padding=(1, 2, 3)), "Conv2d: padding is (1, 2, 3): give one int, two (height, width), "
                    "four (top, bottom, left, right), 'valid' or 'same'"),
    "padding mode": (lambda: nn.Conv2d(4, 6, 3, padding_mode="circular"),
                     "Conv2d: padding_mode is 'circular': must be one of 'zeros', 'reflect', 'replicate'"),
    "transposed padding mode": (lambda: nn.ConvTranspose2d(4, 6, 3, padding_mode="reflect"),
                                "ConvTranspose2d: padding_mode is 'reflect': must be one of 'zeros'"),
    "conv input": (lambda: nn.Conv2d(3, 6, 3)(X), "conv2d: x has 4 channels (shape (2, 4, 5, 6)), w expects 3 (shape (6, 3, 3, 3))"),
    "features": (lambda: nn.Linear(2, -1), "Linear: out_features is -1: must be an int of at least 1"),
    "batch norm rank": (lambda: nn.BatchNorm2d(5)(X[0]), "BatchNorm2d: x must be (N, C, H, W), got 3 axes (shape (4, 5, 6))"),
    "batch norm 1d rank": (lambda: nn.BatchNorm1d(4)(X), "BatchNorm1d: x must be (N, C) or (N, C, L), got 4 axes (shape (2, 4, 5, 6))"),
    "batch norm channels": (lambda: nn.BatchNorm2d(3)(X), "BatchNorm2d: x has 4 channels (shape (2, 4, 5, 6)), num_features is 3"),
    "group norm": (lambda: nn.GroupNorm(3, 4), "GroupNorm: num_groups = 3 must divide num_channels = 4, but 4 = 1*3 + 1"),
    "layer norm": (lambda: nn.LayerNorm((4, 0)), "LayerNorm: normalized_shape[1] is 0: must be an int of at least 1"),
    "dropout": (lambda: nn.Dropout2d(1.5), "Dropout2d: p is 1.5: a probability is between 0 and 1"),
    "zero pad": (lambda: nn.ZeroPad2d((1, 2)), "ZeroPad2d: padding is (1, 2): give one int, or four (left, right, top, bottom)"),
    "upsample": (lambda: nn.Upsample(), "Upsample: give either size or scale_factor, got size=None and scale_factor=None"),
}


@pytest.mark.parametrize(("action", "message"), ERRORS.values(), ids=ERRORS)
def test_errors(action: Callable[[], Any], message: str) -> None:
    with pytest.raises(ValueError) as error:  # noqa: PT011  (the whole text is compared)
        action()
    assert str(error.value) == message
