"""grad_cam(model, x): which parts of the last feature maps speak for a class."""
from __future__ import annotations

from typing import Any

import numpy as np

from minicnn.autograd import grad, no_grad
from minicnn.inspect.recorder import record
from minicnn.inspect.showing.about import About
from minicnn.inspect.showing.choice import last_feature_maps, maps_of
from minicnn.inspect.showing.classes import Target, class_scores, one_hot, probabilities, targets
from minicnn.inspect.showing.heat import Heat, Manner
from minicnn.inspect.showing.inputs import given, host
from minicnn.kernels import devices
from minicnn.nn import Module
from minicnn.nn.functional import interpolate
from minicnn.tensor import Tensor

MANNER = Manner("Grad-CAM", "how much it speaks for the class", overlaid=True, own=True, empty=(
    "the mean gradient of a map, which Grad-CAM takes, says little where the next layer weighs every position by itself, as a linear layer "
    "does; try an earlier layer"))


def grad_cam(model: Module, x: Any, target: Target = None, layer: str | None = None, *, about: About | None = None) -> Heat:
    """Where in the image the feature maps A of a layer speak for a class (Selvaraju et al., "Grad-CAM", 2017):

        alpha[n, k] = mean over h, w of d score[n, target] / d A[n, k, h, w]
        values[n]   = max(sum over k of alpha[n, k] * A[n, k], 0)

    heat: the same, enlarged to the size of the image (bilinear). The mean over positions suits networks that end in global pooling; where a
    linear layer reads the maps position by position the last maps may give nothing, and earlier ones more.

    layer: a name as in a summary; None: the last convolution whose output is larger than 1 x 1, with the normalisation, addition and
    activation right after it. target: a class, one for each image, or None for the one with the highest score.
    x: (N, C, H, W), or (C, H, W) for one image. The model runs in eval mode and is left as it was.

    Raises ValueError for an unknown layer, with all names, for one whose output has no height and width or that the scores do not depend
    on, for a network that gives no (N, classes), and for a class that does not exist.
    """
    x = given("grad_cam", model, x)
    recording = record(model, x)
    scores = class_scores("grad_cam", recording.output.output)
    chosen = targets("grad_cam", scores, target)
    used = recording.layer(layer) if layer is not None else last_feature_maps("grad_cam", recording)
    maps_of("grad_cam", used)
    maps, y = used.output.output, recording.output.output
    dy = Tensor(devices.beside(one_hot(chosen, scores), y.array))
    (da,) = grad(y, maps, dy, allow_unused=True) if y.requires_grad and maps.requires_grad else (None,)
    if da is None:
        raise ValueError(f"grad_cam: the scores do not depend on {used.name}: choose another layer")
    A = host(maps)
    alpha = host(da).mean(axis=(2, 3))
    cam = np.maximum(np.einsum("nk,nkhw->nhw", alpha, A), 0)
    with no_grad():
        heat = host(interpolate(Tensor(cam[:, None]), x.shape[2:], mode="bilinear"))[:, 0]
    return Heat(MANNER, heat, chosen, probabilities(scores), host(x), (about or About()).named(model), cam,
                {"layer": used.name, "maps": f"{A.shape[2]}x{A.shape[3]}"})
