"""Numba kernels. Where there is nothing faster yet, this backend is numpy_backend's function by name: today, everywhere."""
from minicnn.kernels.numpy_backend import (
    adam_step,
    avg_pool2d,
    avg_pool2d_grad,
    batch_norm,
    batch_norm_grad,
    batch_norm_statistics,
    col2im,
    conv2d,
    conv2d_grad_input,
    conv2d_grad_weight,
    im2col,
    max_pool2d,
    max_pool2d_grad,
    relu,
    relu_grad,
    sgd_step,
    softmax_cross_entropy,
    softmax_cross_entropy_grad,
)

__all__ = [
    "adam_step", "avg_pool2d", "avg_pool2d_grad", "batch_norm", "batch_norm_grad", "batch_norm_statistics", "col2im", "conv2d",
    "conv2d_grad_input", "conv2d_grad_weight", "im2col", "max_pool2d", "max_pool2d_grad", "relu", "relu_grad", "sgd_step",
    "softmax_cross_entropy", "softmax_cross_entropy_grad",
]
