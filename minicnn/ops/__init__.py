"""The operations: one file a family, each a forward, a backward and the line that records the pair."""
# ruff: noqa: I001, RUF022  (sorted by topic: from arithmetic to layers)
import sys

from minicnn import tensor as _tensor
from minicnn.ops.arithmetic import add, div, floor_divide, mul, neg, pow, remainder, sub
from minicnn.ops.matmul import matmul
from minicnn.ops.elementwise import abs, cos, exp, log, sigmoid, sin, sqrt, tanh
from minicnn.ops.steps import ceil, floor, round, sign
from minicnn.ops.selection import clamp, maximum, minimum, where
from minicnn.ops.cast import cast, clone
from minicnn.ops.move import move
from minicnn.ops.comparison import all, allclose, any, compare, eq, equal, ge, gt, isfinite, isinf, isnan, le, lt, ne
from minicnn.ops.reduce import logsumexp, mean, std, sum, var
from minicnn.ops.extremes import amax, amin, argmax, argmin, max, min
from minicnn.ops.shape import broadcast_to, expand, flatten, flip, permute, reshape, squeeze, transpose, unsqueeze
from minicnn.ops.indexing import assign, getitem, plain_index, setitem
from minicnn.ops.joining import cat, chunk, split, stack
from minicnn.ops.creation import (
    arange, as_tensor, empty, empty_like, eye, full, full_like, linspace, ones, ones_like, tensor, zeros, zeros_like,
)
from minicnn.ops.exchange import dlpack_device, from_dlpack, from_numpy, to_array, to_dlpack, to_numpy
from minicnn.ops.random import rand, rand_like, randint, randn, randn_like, randperm
from minicnn.ops.conv2d import conv2d, conv2d_relu
from minicnn.ops.linear import linear
from minicnn.ops.relu import add_relu, relu
from minicnn.ops.activation import elu, gelu, hardswish, leaky_relu, logsigmoid, silu
from minicnn.ops.max_pool2d import max_pool2d
from minicnn.ops.avg_pool2d import avg_pool2d
from minicnn.ops.batch_norm import batch_norm, batch_norm_pool, batch_norm_relu
from minicnn.ops.dropout import dropout, dropout2d
from minicnn.ops.softmax import log_softmax, softmax
from minicnn.ops.cross_entropy import cross_entropy
from minicnn.ops.losses import binary_cross_entropy_with_logits, l1_loss, mse_loss, nll_loss, smooth_l1_loss
from minicnn.ops.group_norm import group_norm, layer_norm
from minicnn.ops.adaptive_pool2d import adaptive_avg_pool2d, adaptive_max_pool2d
from minicnn.ops.pad import pad
from minicnn.ops.conv_transpose2d import conv_transpose2d
from minicnn.ops.interpolate import interpolate
from minicnn.ops.unfold import fold, unfold

__all__ = [
    "add", "div", "floor_divide", "mul", "neg", "pow", "remainder", "sub", "matmul", "abs", "cos", "exp", "log", "sigmoid", "sin", "sqrt",
    "tanh", "ceil", "floor", "round", "sign", "clamp", "maximum", "minimum", "where", "cast", "clone", "move", "all", "allclose",
    "any", "compare", "eq", "equal", "ge", "gt", "isfinite", "isinf", "isnan", "le", "lt", "ne", "logsumexp", "mean", "std",
    "sum", "var", "amax", "amin", "argmax", "argmin", "max", "min", "broadcast_to", "expand", "flatten", "flip", "permute",
    "reshape", "squeeze", "transpose", "unsqueeze", "assign", "getitem", "plain_index", "setitem", "cat", "chunk", "split",
    "stack", "arange", "as_tensor", "empty", "empty_like", "eye", "full", "full_like",
    "linspace", "ones", "ones_like", "tensor", "zeros", "zeros_like", "rand", "rand_like", "randint", "randn", "randn_like",
    "randperm", "dlpack_device", "from_dlpack", "from_numpy", "to_array", "to_dlpack", "to_numpy",
    "conv2d", "conv2d_relu", "linear", "relu", "add_relu", "elu", "gelu", "hardswish", "leaky_relu", "logsigmoid", "silu",
    "max_pool2d", "avg_pool2d", "batch_norm", "batch_norm_relu", "batch_norm_pool", "dropout", "dropout2d", "log_softmax", "softmax",
    "cross_entropy", "binary_cross_entropy_with_logits",
    "l1_loss", "mse_loss", "nll_loss", "smooth_l1_loss", "group_norm", "layer_norm", "adaptive_avg_pool2d",
    "adaptive_max_pool2d", "pad", "conv_transpose2d", "interpolate", "fold", "unfold",
]

_tensor.ops = sys.modules[__name__]
