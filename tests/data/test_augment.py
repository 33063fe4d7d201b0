"""Augmentation, against one image and one pixel at a time."""
from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from minicnn import kernels, use_backend
from minicnn.data import Compose, Cutout, Normalize, RandomCrop, RandomHorizontalFlip, RandomRotation, RandomShift
from minicnn.data.augment import bilinear, single
from minicnn.data.pixel_moves import applied
from tests.compare import assert_close64, assert_equal, unchanged
from tests.data.errors import says


def pixel(image, c, h, w, outside=0.0):
    _, H, W = image.shape
    return image[c, h, w] if 0 <= h < H and 0 <= w < W else image.dtype.type(outside)


def each(images, shape, value):
    """Fill an array pixel by pixel: value(n, image, c, h, w)."""
    y = np.empty((*images.shape[:2], *shape), images.dtype)
    for n, c, h, w in np.ndindex(y.shape):
        y[n, c, h, w] = value(n, images[n], c, h, w)
    return y


def slow_crop(images, rng, size, padding, fill):
    N, _, H, W = images.shape
    top = rng.integers(0, H + 2 * padding - size[0], N, endpoint=True) - padding
    left = rng.integers(0, W + 2 * padding - size[1], N, endpoint=True) - padding
    return each(images, size, lambda n, image, c, h, w: pixel(image, c, top[n] + h, left[n] + w, fill))


def slow_flip(images, rng, p):
    W, draw = images.shape[3], rng.random(len(images))
    return each(images, images.shape[2:], lambda n, image, c, h, w: image[c, h, W - 1 - w if draw[n] < p else w])


def slow_rotation(images, rng, degrees):
    (N, _, H, W), number = images.shape, images.dtype.type
    angle = np.deg2rad(rng.uniform(-degrees, degrees, (N, 1, 1)))
    sin, cos = np.sin(angle).astype(number).ravel(), np.cos(angle).astype(number).ravel()
    ch, cw = (H - 1) / 2, (W - 1) / 2

    def value(n, image, c, h, w):
        y, x = number(h - ch), number(w - cw)
        sh, sw = number(ch) + (sin[n] * x + cos[n] * y), number(cw) + (cos[n] * x - sin[n] * y)
        h, w = math.floor(sh), math.floor(sw)
        fh, fw, one = sh - number(h), sw - number(w), number(1)
        upper = (one - fw) * pixel(image, c, h, w) + fw * pixel(image, c, h, w + 1)
        lower = (one - fw) * pixel(image, c, h + 1, w) + fw * pixel(image, c, h + 1, w + 1)
        return (one - fh) * upper + fh * lower

    return each(images, (H, W), value)


def slow_cutout(images, rng, size):
    N, _, H, W = images.shape
    top, left = rng.integers(0, H, (N, 1)).ravel() - size // 2, rng.integers(0, W, (N, 1)).ravel() - size // 2
    return each(images, (H, W), lambda n, image, c, h, w:
                0 if top[n] <= h < top[n] + size and left[n] <= w < left[n] + size else image[c, h, w])


def slow_normalize(images, rng, mean, std):
    number = images.dtype.type
    return each(images, images.shape[2:], lambda n, image, c, h, w: (image[c, h, w] - number(mean[c])) / number(std[c]))


TABLE = [
    (RandomShift(2), lambda x, rng: slow_crop(x, rng, x.shape[2:], 2, 0)),
    (RandomShift(9, fill=0.5), lambda x, rng: slow_crop(x, rng, x.shape[2:], 9, 0.5)),
    (RandomShift(0), lambda x, rng: x),
    (RandomCrop(4), lambda x, rng: slow_crop(x, rng, (4, 4), 0, 0)),
    (RandomCrop((7, 3), padding=3, fill=-1), lambda x, rng: slow_crop(x, rng, (7, 3), 3, -1)),
    (RandomHorizontalFlip(), lambda x, rng: slow_flip(x, rng, 0.5)),
    (RandomHorizontalFlip(0), lambda x, rng: x),
    (RandomHorizontalFlip(1), lambda x, rng: x[..., ::-1]),
    (RandomRotation(15), lambda x, rng: slow_rotation(x, rng, 15)),
    (RandomRotation(180), lambda x, rng: slow_rotation(x, rng, 180)),
    (RandomRotation(0), lambda x, rng: x),
    (Cutout(1), lambda x, rng: slow_cutout(x, rng, 1)),
    (Cutout(4), lambda x, rng: slow_cutout(x, rng, 4)),
    (Cutout(30), lambda x, rng: np.zeros_like(x)),
    (Normalize((0.1, 0.5, 0.25), (1, 0.5, 2)), lambda x, rng: slow_normalize(x, rng, (0.1, 0.5, 0.25), (1, 0.5, 2))),
    (Compose([RandomShift(1), RandomHorizontalFlip()]),
     lambda x, rng: slow_flip(slow_crop(x, rng, x.shape[2:], 1, 0), rng, 0.5)),
    (Compose([]), lambda x, rng: x),
]


@pytest.mark.parametrize(("transform", "slow"), TABLE, ids=[repr(transform) for transform, _ in TABLE])
@given(st.sampled_from([np.float32, np.float64]), st.integers(1, 3), st.integers(4, 7), st.integers(4, 7), st.integers(0, 99))
def test_equals_the_slow_loop(transform, slow, dtype, N, H, W, seed):
    images = np.random.default_rng(seed).random((N, 3, H, W), dtype)
    images.flags.writeable = False
    expected = slow(images, np.random.default_rng(seed + 1))
    for backend in kernels.CPU_BACKENDS:
        with unchanged(images), use_backend(backend):
            assert_equal(transform(images, np.random.default_rng(seed + 1)), expected)


STEPS = [RandomShift(2, fill=0.25), RandomCrop((5, 4), padding=1, fill=-0.5), RandomHorizontalFlip(), RandomHorizontalFlip(1), Cutout(3),
         Normalize((0.3, 0.5), (0.7, 2)), RandomRotation(30), Compose([RandomHorizontalFlip(), Cutout(2)]), Compose([])]


@pytest.mark.parametrize("backend", kernels.CPU_BACKENDS)
@given(st.lists(st.sampled_from(STEPS), max_size=6), st.sampled_from([np.uint8, np.float32, np.float64]), st.integers(1, 4),
       st.sampled_from([16, 255]), st.integers(0, 99))
def test_together_is_one_after_the_other(backend, steps, dtype, N, max_value, seed):
    """What runs in one pass is, bit for bit, what each transform makes of the last one's result; also from bytes."""
    images = np.random.default_rng(seed).integers(0, max_value + 1, (N, 2, 6, 5)).astype(dtype)
    images.flags.writeable = False
    expected = np.divide(images, np.float32(max_value), dtype=np.float32) if dtype == np.uint8 else images
    rng, together = np.random.default_rng(seed), np.random.default_rng(seed)
    with use_backend("numpy"):
        for transform in steps:
            expected = transform(expected, rng)
    with use_backend(backend), unchanged(images):
        got = applied(single(Compose(steps)), images, together, max_value if dtype == np.uint8 else None)
    assert_equal(got, expected)
    assert rng.integers(1 << 60) == together.integers(1 << 60)
    if dtype != np.uint8:
        assert_equal(Compose(steps)(images, np.random.default_rng(seed)), expected)


def test_the_usual_steps_move_the_pixels_once(monkeypatch):
    calls = []
    move = kernels.get("numpy").move_pixels
    monkeypatch.setattr(kernels.get("numpy"), "move_pixels", lambda *arguments: (calls.append(1), move(*arguments))[1])
    images = np.zeros((2, 1, 6, 6), np.uint8)
    with use_backend("numpy"):
        for steps, passes in (([RandomCrop(6, 2), RandomHorizontalFlip(), Cutout(2), Normalize((0,), (1,))], 1),
                              ([RandomHorizontalFlip(), RandomShift(1), RandomHorizontalFlip(), Cutout(2)], 1),
                              ([Normalize((0,), (1,))], 0), ([RandomShift(1), RandomShift(1)], 2), ([Cutout(1), RandomHorizontalFlip()], 2),
                              ([RandomHorizontalFlip(), RandomRotation(3), Cutout(2)], 2), ([Normalize((0,), (1,)), Cutout(1)], 1)):
            calls.clear()
            applied(single(Compose(steps)), images, np.random.default_rng(0), 255)
            assert len(calls) == passes, steps


def test_a_transform_of_ones_own_is_called():
    """Also one derived from a transform that could be written down."""
    class Loud(RandomShift):
        def __call__(self, images, rng=None):
            return images + 1

    assert_equal(Compose([Loud(3), lambda x, rng: 2 * x])(np.zeros((1, 1, 2, 2), np.float32), None), np.full((1, 1, 2, 2), 2, np.float32))


@given(st.integers(1, 3), st.integers(2, 7), st.integers(2, 7), st.integers(0, 99))
def test_bilinear_is_torchs_grid_sample(N, H, W, seed):
    rng = np.random.default_rng(seed)
    images = rng.random((N, 2, H, W))
    sh, sw = rng.uniform(-3, H + 3, (N, 5, 4)), rng.uniform(-3, W + 3, (N, 5, 4))
    grid = np.stack([2 * sw / (W - 1) - 1, 2 * sh / (H - 1) - 1], axis=-1)     # torch's -1..1, width first
    expected = torch.nn.functional.grid_sample(torch.from_numpy(images), torch.from_numpy(grid), align_corners=True)
    assert_close64(bilinear(images, sh, sw), expected)


class Quarter:
    """A generator whose every angle is 90 degrees."""

    def uniform(self, low, high, size):
        return np.full(size, 90.0)


@pytest.mark.parametrize("size", [4, 5])
def test_a_positive_angle_turns_counter_clockwise(size):
    images = np.random.default_rng(0).random((2, 3, size, size))
    assert_close64(RandomRotation(90)(images, Quarter()), np.rot90(images, axes=(2, 3)))


def test_what_is_drawn():
    """Every shift within the range comes, every flip and no other; each image has its own."""
    x = np.zeros((500, 1, 7, 7), np.float32)
    x[:, 0, 3, 3] = 1
    shifted = RandomShift(2)(x, np.random.default_rng(0))
    assert {tuple(where) for where in np.argwhere(shifted[:, 0])[:, 1:]} == {(h, w) for h in range(1, 6) for w in range(1, 6)}
    x[:, 0, 3, 4] = 2
    flipped = RandomHorizontalFlip(0.25)(x, np.random.default_rng(0))
    assert 80 < (flipped[:, 0, 3, 2] == 2).sum() < 170      # 125 expected; six standard deviations are 58
    assert Cutout(3)(np.ones_like(x), np.random.default_rng(0)).sum(axis=(1, 2, 3)).min() == 49 - 9


def test_repr_says_how_to_make_it_again():
    transform = Compose([RandomCrop(28, padding=4), Normalize((0.5,), (0.25,))])
    assert repr(transform) == "Compose([RandomCrop(size=28, padding=4, fill=0.0), Normalize(mean=(0.5,), std=(0.25,))])"


IMAGES = np.zeros((2, 3, 4, 5), np.float32)
SHAPE = "(2, 3, 4, 5)"


@pytest.mark.parametrize(("make", "message"), [
    (lambda: RandomShift(-1), "RandomShift: pixels is -1, expected at least 0"),
    (lambda: RandomCrop(0), "RandomCrop: size is 0, expected at least 1"),
    (lambda: RandomCrop(3, padding=-1), "RandomCrop: padding is -1, expected at least 0"),
    (lambda: RandomCrop((9, 2), padding=2)(IMAGES, np.random.default_rng(0)),
     "RandomCrop: size (9, 2) does not fit in images of (4, 5) padded to (4 + 2*2, 5 + 2*2) = (8, 9)"),
    (lambda: RandomHorizontalFlip(1.5), "RandomHorizontalFlip: p is 1.5, expected 0..1"),
    (lambda: RandomRotation(-3), "RandomRotation: degrees is -3, expected at least 0"),
    (lambda: Cutout(0), "Cutout: size is 0, expected at least 1"),
    (lambda: Normalize((0.5,), (0.0,)),
     "Normalize: mean (0.5,) and std (0.0,) need one value a channel each, and every std must be positive"),
    (lambda: Normalize((0.5,), (1, 1)),
     "Normalize: mean (0.5,) and std (1, 1) need one value a channel each, and every std must be positive"),
    (lambda: Normalize((0.5,), (1,))(IMAGES), f"Normalize: images have 3 channels (shape {SHAPE}), mean and std have 1"),
    (lambda: RandomShift(1)(IMAGES[0], np.random.default_rng(0)),
     "RandomShift: expected float images (N, C, H, W), got float32 of shape (3, 4, 5)"),
    (lambda: Cutout(1)(IMAGES.astype(np.uint8), np.random.default_rng(0)),
     f"Cutout: expected float images (N, C, H, W), got uint8 of shape {SHAPE}"),
    (lambda: Compose([RandomShift(1)])(IMAGES.astype(np.uint8), np.random.default_rng(0)),
     f"RandomShift: expected float images (N, C, H, W), got uint8 of shape {SHAPE}"),
    (lambda: RandomRotation(1)(IMAGES[0], np.random.default_rng(0)),
     "RandomRotation: expected float images (N, C, H, W), got float32 of shape (3, 4, 5)"),
])
def test_refuses(make, message):
    with says(ValueError, message):
        make()
