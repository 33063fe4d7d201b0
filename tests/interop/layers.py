"""Hypothesis strategies: every layer of minicnn.nn with random options, valid in both libraries, and the shapes of what it takes."""
from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from hypothesis import strategies as st

from tests.strategies import conv_geometries, pool_geometries

sizes = st.integers(1, 4)
images = st.tuples(st.integers(2, 3), st.integers(1, 4), sizes, sizes)
anything = st.lists(st.integers(2, 4), min_size=1, max_size=4).map(tuple)


@dataclass
class Case:
    """getattr(nn, name)(**options) and the shape of its input. values: what torch calls arguments that are tensors, by their shapes."""
    name: str
    options: dict[str, Any]
    shape: tuple[int, ...]
    values: dict[str, tuple[int, ...]] = field(default_factory=dict)

    def build(self, nn: Any, tensor: Callable[[tuple[int, ...]], Any] = lambda shape: None) -> Any:
        return getattr(nn, self.name)(**self.options, **{name: tensor(shape) for name, shape in self.values.items()})


@st.composite
def conv(draw: st.DrawFn) -> tuple[dict[str, Any], tuple[int, ...]]:
    g = draw(conv_geometries(symmetric=True))
    padding: Any = (g.window.padding[0], g.window.padding[2])
    stride, mode = g.window.stride, "zeros"
    if draw(st.booleans()):
        mode = draw(st.sampled_from(["replicate", *(["reflect"] if padding[0] < g.size[0] and padding[1] < g.size[1] else [])]))
    elif padding == (0, 0):
        padding = "valid"
    elif draw(st.booleans()):
        padding, stride = "same", (1, 1)
    return {"in_channels": g.C, "out_channels": g.F, "kernel_size": g.window.kernel, "stride": stride, "padding": padding,
            "dilation": g.window.dilation, "groups": g.groups, "bias": draw(st.booleans()), "padding_mode": mode}, g.x_shape


@st.composite
def conv_transpose(draw: st.DrawFn) -> tuple[dict[str, Any], tuple[int, ...]]:
    pair = st.tuples(st.integers(1, 3), st.integers(1, 3))
    kernel, stride, dilation, groups = draw(pair), draw(pair), draw(pair), draw(st.integers(1, 2))
    padding = tuple(draw(st.integers(0, d * (k - 1) // 2)) for d, k in zip(dilation, kernel, strict=True))
    more = tuple(draw(st.integers(0, max(s, d) - 1)) for s, d in zip(stride, dilation, strict=True))
    C = groups * draw(st.integers(1, 2))
    return {"in_channels": C, "out_channels": groups * draw(st.integers(1, 2)), "kernel_size": kernel, "stride": stride, "padding": padding,
            "output_padding": more, "groups": groups, "bias": draw(st.booleans()), "dilation": dilation}, (2, C, draw(sizes), draw(sizes))


@st.composite
def pool(draw: st.DrawFn, average: bool) -> tuple[dict[str, Any], tuple[int, ...]]:
    g = draw(pool_geometries(dilation=1, torch_padding=True))
    options: dict[str, Any] = {"kernel_size": g.window.kernel, "stride": draw(st.sampled_from([g.window.stride, None])),
                               "padding": (g.window.padding[0], g.window.padding[2]), "ceil_mode": g.window.ceil_mode}
    if average:
        options |= {"count_include_pad": draw(st.booleans()), "divisor_override": draw(st.sampled_from([None, 1, 3]))}
    else:
        options |= {"return_indices": draw(st.booleans())}
        if options["padding"] == (0, 0) and min(g.size) > 4:
            options["dilation"] = draw(st.integers(1, 2))
    least = tuple(max(n, k) for n, k in zip(g.size, g.window.kernel, strict=True))     # whatever the stride
    return options, (g.N, g.C, *least)


@st.composite
def norm(draw: st.DrawFn, *shapes: str) -> tuple[dict[str, Any], tuple[int, ...]]:
    C = draw(sizes)
    shape = {"NC": (3, C), "NCL": (2, C, 3), "NCHW": (2, C, 3, 2)}[draw(st.sampled_from(shapes))]
    return {"num_features": C, "eps": draw(st.sampled_from([1e-5, 0.1])), "momentum": draw(st.sampled_from([0.1, 0.7, None])),
            "affine": draw(st.booleans()), "track_running_stats": draw(st.booleans()), "bias": draw(st.booleans())}, shape


@st.composite
def group_norm(draw: st.DrawFn) -> tuple[dict[str, Any], tuple[int, ...]]:
    groups, C = draw(st.integers(1, 3)), draw(st.integers(1, 2))
    return {"num_groups": groups, "num_channels": groups * C, "eps": draw(st.sampled_from([1e-5, 0.1])), "affine": draw(st.booleans()),
            "bias": draw(st.booleans())}, (2, groups * C, 3, 2)


@st.composite
def layer_norm(draw: st.DrawFn) -> tuple[dict[str, Any], tuple[int, ...]]:
    shape = draw(anything)
    axes = draw(st.integers(1, len(shape)))
    over: Any = shape[-1] if axes == 1 and draw(st.booleans()) else shape[-axes:]
    return {"normalized_shape": over, "eps": draw(st.sampled_from([1e-5, 0.1])),
            "elementwise_affine": draw(st.booleans()), "bias": draw(st.booleans())}, shape


@st.composite
def linear(draw: st.DrawFn) -> tuple[dict[str, Any], tuple[int, ...]]:
    shape = draw(anything)
    return {"in_features": shape[-1], "out_features": draw(sizes), "bias": draw(st.booleans())}, shape


@st.composite
def windows(draw: st.DrawFn, fold: bool) -> tuple[dict[str, Any], tuple[int, ...]]:
    g = draw(conv_geometries(symmetric=True))
    options: dict[str, Any] = {"kernel_size": g.window.kernel, "dilation": g.window.dilation,
                               "padding": (g.window.padding[0], g.window.padding[2]), "stride": g.window.stride}
    if not fold:
        return options, g.x_shape
    KH, KW = g.window.kernel
    OH, OW = g.y_shape[2:]
    return {"output_size": g.size} | options, (g.N, g.C * KH * KW, OH * OW)


@st.composite
def axes(draw: st.DrawFn, *names: str) -> tuple[dict[str, Any], tuple[int, ...]]:
    shape = draw(anything)
    dims = sorted(draw(st.tuples(*(st.integers(0, len(shape) - 1) for _ in names))))
    return dict(zip(names, (d - draw(st.sampled_from([0, len(shape)])) for d in dims), strict=True)), shape


@st.composite
def unflatten(draw: st.DrawFn) -> tuple[dict[str, Any], tuple[int, ...]]:
    a, b = draw(sizes), draw(sizes)
    return {"dim": draw(st.sampled_from([1, -1])), "unflattened_size": draw(st.sampled_from([(a, b), (-1, b), (a, -1)]))}, (2, a * b)


def fixed(shapes: st.SearchStrategy[tuple[int, ...]] = anything, **options: Any) -> st.SearchStrategy[Any]:
    return st.tuples(st.fixed_dictionaries({name: st.sampled_from(choices) for name, choices in options.items()}), shapes)


OUTPUTS = (1, 3, (2, 4), (None, 2))
UPSAMPLES = ({"scale_factor": 2}, {"size": (5, 3)}, {"size": 4, "mode": "bilinear"},
             {"scale_factor": (1.5, 2.0), "mode": "bilinear", "align_corners": True, "recompute_scale_factor": True})
INPLACE, REDUCTION = (False, True), ("mean", "sum", "none")

LAYERS: dict[str, st.SearchStrategy[Any]] = {
    "AdaptiveAvgPool2d": fixed(images, output_size=OUTPUTS),
    "AdaptiveMaxPool2d": fixed(images, output_size=OUTPUTS, return_indices=(False, True)),
    "AvgPool2d": pool(average=True),
    "BatchNorm1d": norm("NC", "NCL"),
    "BatchNorm2d": norm("NCHW"),
    "Conv2d": conv(),
    "ConvTranspose2d": conv_transpose(),
    "Dropout": fixed(p=(0.0, 0.3, 1.0), inplace=INPLACE),
    "Dropout2d": fixed(images, p=(0.0, 0.3, 1.0), inplace=INPLACE),
    "ELU": fixed(alpha=(1.0, 0.3), inplace=INPLACE),
    "Flatten": axes("start_dim", "end_dim"),
    "Fold": windows(fold=True),
    "GELU": fixed(approximate=("none", "tanh")),
    "GroupNorm": group_norm(),
    "Hardswish": fixed(inplace=INPLACE),
    "Identity": fixed(),
    "LayerNorm": layer_norm(),
    "LeakyReLU": fixed(negative_slope=(0.01, 0.5), inplace=INPLACE),
    "Linear": linear(),
    "LogSoftmax": axes("dim"),
    "MaxPool2d": pool(average=False),
    "ReLU": fixed(inplace=INPLACE),
    "SiLU": fixed(inplace=INPLACE),
    "Sigmoid": fixed(),
    "Softmax": axes("dim"),
    "Tanh": fixed(),
    "Unflatten": unflatten(),
    "Unfold": windows(fold=False),
    "Upsample": st.tuples(st.sampled_from(UPSAMPLES), images),
    "ZeroPad2d": fixed(images, padding=(2, (1, 2, 0, 3))),
}
LOSSES: dict[str, st.SearchStrategy[Any]] = {
    "BCEWithLogitsLoss": fixed(reduction=REDUCTION),
    "CrossEntropyLoss": fixed(st.tuples(sizes, sizes), ignore_index=(-100, 0), reduction=REDUCTION, label_smoothing=(0.0, 0.2)),
    "L1Loss": fixed(reduction=REDUCTION),
    "MSELoss": fixed(reduction=REDUCTION),
    "NLLLoss": fixed(st.tuples(sizes, sizes), ignore_index=(-100, 0), reduction=REDUCTION),
    "SmoothL1Loss": fixed(reduction=REDUCTION, beta=(1.0, 0.3)),
}
WEIGHTS = {"BCEWithLogitsLoss": ("weight", "pos_weight"), "CrossEntropyLoss": ("weight",), "NLLLoss": ("weight",)}


@st.composite
def cases(draw: st.DrawFn, name: str) -> Case:
    options, shape = draw({**LAYERS, **LOSSES}[name])
    values = {weight: shape[-1:] for weight in WEIGHTS.get(name, ()) if draw(st.booleans())}
    return Case(name, options, shape, values)
