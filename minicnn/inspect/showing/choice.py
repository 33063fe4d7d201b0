"""Which layer to look at, where nobody says."""
from __future__ import annotations

import math

from minicnn.inspect.recorder import Layer, Recording

CONVOLUTIONS = ("conv2d", "conv2d_relu", "conv_transpose2d")
RELUS = ("relu", "add_relu", "conv2d_relu", "batch_norm_relu")           # what makes negative numbers 0
FOLLOWS = {"batch_norm", "batch_norm_relu", "group_norm", "layer_norm", "add", "add_relu", "relu", "leaky_relu", "elu", "gelu", "silu",
           "hardswish", "sigmoid", "tanh"}                               # what belongs to the convolution before it


def first_feature_maps(what: str, recording: Recording) -> Layer:
    """The first convolution, with the normalisation and activation right after it. Raises ValueError when there is no convolution."""
    for i, layer in enumerate(recording.layers):
        if layer.output.name in CONVOLUTIONS:
            return _followed(recording, i, sum_up=False)
    raise _none(what, recording)


def last_feature_maps(what: str, recording: Recording) -> Layer:
    """The last convolution whose output is larger than 1 x 1, with the normalisation, addition and activation after it: in a residual
    network that is the end of the last block, where both of its branches come together."""
    for i in reversed(range(len(recording.layers))):
        layer = recording.layers[i]
        if layer.output.name in CONVOLUTIONS and len(layer.shape) == 4 and math.prod(layer.shape[2:]) > 1:
            return _followed(recording, i, sum_up=True)
    raise _none(what, recording)


def _followed(recording: Recording, i: int, sum_up: bool) -> Layer:
    """Layer i, or the last of those after it that only normalise, add or activate what it made."""
    last = recording.layers[i]
    for layer in recording.layers[i + 1:]:
        adds = "add" in layer.output.name
        if last.output not in layer.inputs or layer.output.name not in FOLLOWS or layer.shape != last.shape or (adds and not sum_up):
            break
        last = layer
    return last


def _none(what: str, recording: Recording) -> ValueError:
    names = ", ".join(layer.name for layer in recording.layers)
    return ValueError(f"{what}: {type(recording.model).__name__} has no convolution with feature maps: choose a layer; it has: {names}")


def maps_of(what: str, layer: Layer) -> None:
    """Raise ValueError for a layer whose output is no (N, C, H, W)."""
    if len(layer.shape) != 4:
        raise ValueError(f"{what}: the output of {layer.name} has shape {layer.shape}: choose a layer with height and width (N, C, H, W)")
