"""Numba kernels: compiled, multi-threaded, channels-last.

Convolutions and matrix products are made of register tiles, where Numba compiles and knows the CPU's vector registers; else of loops.
im2col and col2im, which no kernel here needs, are numpy_backend's.
"""
from minicnn.kernels.numba_backend.activation import relu, relu_grad
from minicnn.kernels.numba_backend.arithmetic import add
from minicnn.kernels.numba_backend.avg_pool2d import avg_pool2d, avg_pool2d_grad
from minicnn.kernels.numba_backend.batch_norm import batch_norm, batch_norm_grad, batch_norm_statistics
from minicnn.kernels.numba_backend.batch_norm_pool import batch_norm_pool, batch_norm_pool_grad
from minicnn.kernels.numba_backend.channel_sum import channel_sum
from minicnn.kernels.numba_backend.details import details
from minicnn.kernels.numba_backend.loss import softmax_cross_entropy, softmax_cross_entropy_grad
from minicnn.kernels.numba_backend.max_pool2d import max_pool2d, max_pool2d_grad
from minicnn.kernels.numba_backend.optimizer import adam_step, sgd_step
from minicnn.kernels.numba_backend.pixels import move_pixels
from minicnn.kernels.numba_backend.simd import usable
from minicnn.kernels.numpy_backend import col2im, im2col

if usable():
    from minicnn.kernels.numba_backend.conv2d import conv2d, conv2d_grad_input, conv2d_grad_weight, prepare_conv2d
    from minicnn.kernels.numba_backend.conv2d import conv2d_algorithm as conv2d_algorithm
    from minicnn.kernels.numba_backend.linear import linear, linear_grad_input, linear_grad_weight, prepare_linear
else:
    from minicnn.kernels.numba_backend.parallel_loops import conv2d, conv2d_grad_input, conv2d_grad_weight
    from minicnn.kernels.numpy_backend import linear, linear_grad_input, linear_grad_weight, prepare_conv2d, prepare_linear

__all__ = [
    "adam_step", "add", "avg_pool2d", "avg_pool2d_grad", "batch_norm", "batch_norm_grad", "batch_norm_pool", "batch_norm_pool_grad",
    "batch_norm_statistics", "channel_sum", "col2im", "conv2d", "conv2d_grad_input", "conv2d_grad_weight", "details", "im2col", "linear",
    "linear_grad_input", "linear_grad_weight", "max_pool2d", "max_pool2d_grad", "move_pixels", "prepare_conv2d", "prepare_linear", "relu",
    "relu_grad", "sgd_step", "softmax_cross_entropy", "softmax_cross_entropy_grad",
]
