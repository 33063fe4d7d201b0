"""minicnn: a convolutional-network framework written from scratch on NumPy. `import minicnn as torch` runs tutorial code unchanged."""
# ruff: noqa: I001  (names in rows, not one a line)
import importlib
from typing import Any

import numpy as np

from minicnn import kernels
from minicnn.autograd import enable_grad, is_grad_enabled, no_grad, set_grad_enabled
from minicnn.kernels import use_backend
from minicnn.ops import (
    abs, add, all, allclose, amax, amin, any, arange, argmax, argmin, as_tensor, broadcast_to, cat, ceil, chunk, clamp, clone, conv2d, cos,
    div, empty, empty_like, eq, equal, exp, eye, flatten, flip, floor, floor_divide, from_dlpack, from_numpy, full, full_like, ge, gt,
    isfinite, isinf, isnan, le, linspace, log, log_softmax, logsumexp, lt, matmul, max, maximum, mean, min, minimum, mul, ne, neg, ones,
    ones_like, permute, pow, rand, rand_like, randint, randn, randn_like, randperm, relu, remainder, reshape, round, sigmoid, sign, sin,
    softmax, split, sqrt, squeeze, stack, std, sub, sum, tanh, tensor, transpose, unsqueeze, var, where, zeros, zeros_like,
)
from minicnn.device import device
from minicnn.random import manual_seed
from minicnn.tensor import Tensor

__version__ = "0.1.0"
__all__ = [
    "Tensor", "abs", "add", "all", "allclose", "amax", "amin", "any", "arange", "argmax", "argmin", "as_tensor", "bool", "broadcast_to",
    "cat", "ceil", "chunk", "clamp", "clone", "conv2d", "cos", "device", "div", "empty", "empty_like", "enable_grad", "eq", "equal",
    "exp", "eye", "flatten", "flip", "float32", "float64", "floor", "floor_divide", "from_dlpack", "from_numpy", "full", "full_like",
    "ge", "gt", "inf", "inference_mode", "int32", "int64", "is_grad_enabled", "is_tensor", "isfinite", "isinf", "isnan", "kernels",
    "le", "linspace", "log", "log_softmax", "logsumexp", "long", "lt", "manual_seed", "matmul", "max", "maximum", "mean", "min",
    "minimum", "mm", "mul", "nan", "ne", "neg", "no_grad", "ones", "ones_like", "permute", "pi", "pow", "rand", "rand_like", "randint",
    "randn", "randn_like", "randperm", "relu", "remainder", "reshape", "round", "set_grad_enabled", "sigmoid", "sign", "sin", "softmax",
    "split", "sqrt", "squeeze", "stack", "std", "sub", "sum", "tanh", "tensor", "transpose", "uint8", "unsqueeze", "use_backend", "var",
    "where", "zeros", "zeros_like",
]

float32, float64, int32, int64, uint8, bool = (np.dtype(t) for t in ("float32", "float64", "int32", "int64", "uint8", "bool"))
float, double, int, long = float32, float64, int32, int64
inf, nan, pi = np.inf, np.nan, np.pi
mm, inference_mode = matmul, no_grad

_SUBMODULES = {"cuda", "data", "inspect", "interop", "models", "nn", "optim", "training"}     # imported when first used


def is_tensor(x: Any) -> Any:
    """Whether x is a Tensor."""
    return isinstance(x, Tensor)


_NO_PICKLES = ("there is no minicnn.{}: a pickle can run any program when it is read; "
               "use minicnn.interop.save_file(model, path) and model.load_state_dict(minicnn.interop.load_file(path))")


def __getattr__(name: str) -> Any:
    if name in ("save", "load"):
        raise AttributeError(_NO_PICKLES.format(name))
    if name == "compile":                                      # it needs nn, which is imported when first used
        return importlib.import_module("minicnn.trace").compile
    if name in _SUBMODULES:
        return importlib.import_module(f"minicnn.{name}")
    raise AttributeError(f"module 'minicnn' has no attribute {name!r}")
