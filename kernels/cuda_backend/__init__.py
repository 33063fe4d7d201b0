"""CUDA kernels, written by hand: CUDA C++ (*.cu), launched on a GPU through CuPy, or in a simulator that needs none.

Beside each .cu file stands a .py file of the same name, with its launch geometry. To read, in this order:

    conv2d_direct.cu, conv2d_tiled.cu, conv2d_blocked.cu      a thread an output; shared memory; registers. matrices.cuh: of what
    conv2d_pipelined.cu, conv2d_tensor_cores.cu               no division in the loop, loads during products; TF32. gather.cuh: how
    launcher.py, cupy_engine.py                               from Python to a kernel, on a GPU
    simulator/machine.py                                      how a GPU executes, in NumPy
    static/report.py                                          what the machine code says about speed

The linear layer is numpy_backend's: its products are cuBLAS's, through CuPy.
"""
from minicnn.kernels.cuda_backend.avg_pool2d import avg_pool2d, avg_pool2d_grad
from minicnn.kernels.cuda_backend.batch_norm import batch_norm, batch_norm_grad, batch_norm_statistics
from minicnn.kernels.cuda_backend.batch_norm_pool import batch_norm_pool, batch_norm_pool_grad
from minicnn.kernels.cuda_backend.channel_sum import channel_sum
from minicnn.kernels.cuda_backend.conv2d import conv2d, conv2d_grad_input, conv2d_grad_weight
from minicnn.kernels.cuda_backend.elementwise import add, relu, relu_grad
from minicnn.kernels.cuda_backend.im2col import col2im, im2col
from minicnn.kernels.cuda_backend.loss import softmax_cross_entropy, softmax_cross_entropy_grad
from minicnn.kernels.cuda_backend.max_pool2d import max_pool2d, max_pool2d_grad
from minicnn.kernels.cuda_backend.optimizer import adam_step, sgd_step
from minicnn.kernels.cuda_backend.prepared import prepare_conv2d, prepare_linear
from minicnn.kernels.numpy_backend.linear import linear, linear_grad_input, linear_grad_weight
from minicnn.kernels.numpy_backend.pixels import move_pixels

__all__ = [
    "adam_step", "add", "avg_pool2d", "avg_pool2d_grad", "batch_norm", "batch_norm_grad", "batch_norm_pool", "batch_norm_pool_grad",
    "batch_norm_statistics", "channel_sum", "col2im", "conv2d", "conv2d_grad_input", "conv2d_grad_weight", "im2col", "linear",
    "linear_grad_input", "linear_grad_weight", "max_pool2d", "max_pool2d_grad", "move_pixels", "prepare_conv2d", "prepare_linear", "relu",
    "relu_grad", "sgd_step", "softmax_cross_entropy", "softmax_cross_entropy_grad",
]
