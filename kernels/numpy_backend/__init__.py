"""NumPy kernels: whole-array operations over kernel offsets, and BLAS. The contract is in `minicnn.kernels`."""
from minicnn.kernels.numpy_backend.activation import relu, relu_grad
from minicnn.kernels.numpy_backend.arithmetic import add
from minicnn.kernels.numpy_backend.batch_norm import batch_norm, batch_norm_grad, batch_norm_statistics
from minicnn.kernels.numpy_backend.batch_norm_pool import batch_norm_pool, batch_norm_pool_grad
from minicnn.kernels.numpy_backend.conv2d import conv2d, conv2d_grad_input, conv2d_grad_weight
from minicnn.kernels.numpy_backend.im2col import col2im, im2col
from minicnn.kernels.numpy_backend.linear import channel_sum, linear, linear_grad_input, linear_grad_weight
from minicnn.kernels.numpy_backend.loss import softmax_cross_entropy, softmax_cross_entropy_grad
from minicnn.kernels.numpy_backend.optimizer import adam_step, sgd_step
from minicnn.kernels.numpy_backend.pixels import move_pixels
from minicnn.kernels.numpy_backend.pool2d import avg_pool2d, avg_pool2d_grad, max_pool2d, max_pool2d_grad
from minicnn.kernels.numpy_backend.prepared import prepare_conv2d, prepare_linear

__all__ = [
    "adam_step", "add", "avg_pool2d", "avg_pool2d_grad", "batch_norm", "batch_norm_grad", "batch_norm_pool", "batch_norm_pool_grad",
    "batch_norm_statistics", "channel_sum", "col2im", "conv2d", "conv2d_grad_input", "conv2d_grad_weight", "im2col", "linear",
    "linear_grad_input", "linear_grad_weight", "max_pool2d", "max_pool2d_grad", "move_pixels", "prepare_conv2d", "prepare_linear", "relu",
    "relu_grad", "sgd_step", "softmax_cross_entropy", "softmax_cross_entropy_grad",
]
