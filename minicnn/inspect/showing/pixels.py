"""saliency(model, x): how the score of a class changes with each pixel."""
from __future__ import annotations

from typing import Any

import numpy as np

from minicnn.autograd import grad
from minicnn.inspect.recorder import record
from minicnn.inspect.showing.about import About
from minicnn.inspect.showing.classes import Target, class_scores, one_hot, probabilities, targets
from minicnn.inspect.showing.heat import Heat, Manner
from minicnn.inspect.showing.inputs import given, host
from minicnn.kernels import devices
from minicnn.nn import Module
from minicnn.tensor import Tensor

MANNER = Manner("saliency", "|d score / d pixel|", overlaid=False, own=True)


def saliency(model: Module, x: Any, target: Target = None, *, samples: int = 1, noise: float = 0.15, seed: int = 0,
             about: About | None = None) -> Heat:
    """How much the score of a class changes with each pixel (Simonyan, Vedaldi, Zisserman: "Deep Inside Convolutional Networks", 2013):

        heat[n, h, w] = max over c of |d score[n, target] / d x[n, c, h, w]|

    SmoothGrad (Smilkov et al. 2017) for samples > 1: the mean of the gradients at `samples` copies of x with normally distributed noise,
    whose standard deviation is `noise` times (largest - smallest value of the image).

    x: (N, C, H, W), or (C, H, W) for one image. target: a class, one for each image, or None for the one with the highest score.
    values of the result: the gradients, signed (N, C, H, W). The model runs in eval mode and is left as it was.

    Raises ValueError for a network that gives no (N, classes), a class that does not exist, samples below 1 or noise below 0.
    """
    if isinstance(samples, bool) or not isinstance(samples, int | np.integer) or samples < 1:
        raise ValueError(f"saliency: samples is {samples!r}, expected a number from 1")
    if not 0 <= noise < np.inf:
        raise ValueError(f"saliency: noise is {noise!r}, expected a number of at least 0")
    x = given("saliency", model, x)
    pixels = host(x)
    first = record(model, x)
    scores = class_scores("saliency", first.output.output)
    chosen = targets("saliency", scores, target)
    if samples == 1:
        gradients = _gradients(first, chosen)
    else:
        rng = np.random.default_rng(seed)
        spread = noise * (pixels.max(axis=(1, 2, 3), keepdims=True) - pixels.min(axis=(1, 2, 3), keepdims=True))
        total = np.zeros(pixels.shape)
        for _ in range(samples):
            noisy = (pixels + spread * rng.standard_normal(pixels.shape)).astype(pixels.dtype)
            total += _gradients(record(model, Tensor(devices.beside(noisy, x.array))), chosen)
        gradients = (total / samples).astype(pixels.dtype)
    settings = {} if samples == 1 else {"SmoothGrad samples": samples, "noise": noise}
    heat = np.abs(gradients).max(axis=1)
    return Heat(MANNER, heat, chosen, probabilities(scores), pixels, (about or About()).named(model), gradients, settings)


def _gradients(recording: Any, chosen: np.ndarray) -> np.ndarray:
    """d score[n, chosen[n]] / d x[n], of all images at once; 0 where the score does not depend on x."""
    y, x = recording.output.output, recording.input.output
    if not y.requires_grad:
        return np.zeros(x.shape, x.dtype)
    (dx,) = grad(y, x, Tensor(devices.beside(one_hot(chosen, host(y)), y.array)), allow_unused=True)
    return np.zeros(x.shape, x.dtype) if dx is None else host(dx)
