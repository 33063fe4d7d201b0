"""What torch's and minicnn's layers of the same name have in common: the one table both directions of a conversion read.

Layers here have torch's names, arguments, attributes and defaults, so that a row says all: each option is an argument of the constructor in
both libraries, and an attribute of the same name. Where a layer does not keep an argument as it was given, DERIVED says how to tell it.
"""
from __future__ import annotations

from collections.abc import Callable
from typing import Any

OPTIONS: dict[str, tuple[str, ...]] = {name: tuple(options.split()) for name, options in {
    "AdaptiveAvgPool2d": "output_size",
    "AdaptiveMaxPool2d": "output_size return_indices",
    "AvgPool2d": "kernel_size stride padding ceil_mode count_include_pad divisor_override",
    "BCEWithLogitsLoss": "reduction",
    "BatchNorm1d": "num_features eps momentum affine track_running_stats bias",
    "BatchNorm2d": "num_features eps momentum affine track_running_stats bias",
    "Conv2d": "in_channels out_channels kernel_size stride padding dilation groups bias padding_mode",
    "ConvTranspose2d": "in_channels out_channels kernel_size stride padding output_padding groups bias dilation padding_mode",
    "CrossEntropyLoss": "ignore_index reduction label_smoothing",
    "Dropout": "p inplace",
    "Dropout2d": "p inplace",
    "ELU": "alpha inplace",
    "Flatten": "start_dim end_dim",
    "Fold": "output_size kernel_size dilation padding stride",
    "GELU": "approximate",
    "GroupNorm": "num_groups num_channels eps affine bias",
    "Hardswish": "inplace",
    "Identity": "",
    "L1Loss": "reduction",
    "LayerNorm": "normalized_shape eps elementwise_affine bias",
    "LeakyReLU": "negative_slope inplace",
    "Linear": "in_features out_features bias",
    "LogSoftmax": "dim",
    "MSELoss": "reduction",
    "MaxPool2d": "kernel_size stride padding dilation return_indices ceil_mode",
    "NLLLoss": "ignore_index reduction",
    "ReLU": "inplace",
    "SiLU": "inplace",
    "Sigmoid": "",
    "SmoothL1Loss": "reduction beta",
    "Softmax": "dim",
    "Tanh": "",
    "Unflatten": "dim unflattened_size",
    "Unfold": "kernel_size dilation padding stride",
    "Upsample": "size scale_factor mode align_corners recompute_scale_factor",
    "ZeroPad2d": "padding",
}.items()}
CONTAINERS = ("Sequential", "ModuleList", "ModuleDict")
ALIASES = {"UpsamplingNearest2d": "Upsample", "UpsamplingBilinear2d": "Upsample"}      # torch's other names for layers that are here


def _padding(layer: Any) -> Any:
    """Four sides, which only minicnn has, as torch's pair where opposite sides are equal."""
    padding = layer.padding
    if isinstance(padding, tuple) and len(padding) == 4:
        top, bottom, left, right = padding
        if (top, left) != (bottom, right):
            raise ValueError(f"its padding (top, bottom, left, right) = {padding} is not the same on both sides: put a ZeroPad2d before it")
        return top, left
    return padding


DERIVED: dict[tuple[str, str], Callable[[Any], Any]] = {
    **{(name, "bias"): lambda layer: layer.bias is not None for name, options in OPTIONS.items() if "bias" in options},
    ("Conv2d", "padding"): _padding,
}


def options_of(layer: Any, name: str) -> dict[str, Any]:
    """The arguments that build such a layer in either library. Raises ValueError for what only one of the two can do."""
    found = {option: DERIVED.get((name, option), lambda layer, option=option: getattr(layer, option))(layer) for option in OPTIONS[name]}
    if found.get("bias"):                                      # the default everywhere; not every torch has it as an argument of batch norm
        del found["bias"]
    if name in ("Softmax", "LogSoftmax") and found["dim"] is None:
        raise ValueError("without dim it guesses the axis: give it one")
    if name == "Upsample" and found["mode"] not in ("nearest", "bilinear"):
        raise ValueError(f"its mode is {found['mode']!r}: minicnn has 'nearest' and 'bilinear'")
    return found
