"""What every kernel may need, and what the loop that does its work must reach, on five architectures. tests/kernels/test_cuda_static.py
holds it; a kernel without a row here is an error there, which prints the row.

Blocks are those of a multiprocessor at a time, for `real` = float. A register more than a budget allows may cost a block: between them lie
the steps of occupancy.py. Kernels that move memory have some registers to spare, the convolutions none.
"""
from __future__ import annotations

import math
from dataclasses import dataclass

from minicnn.kernels.cuda_backend import channel, conv2d_blocked, conv2d_direct, conv2d_pipelined, conv2d_tensor_cores, conv2d_tiled
from minicnn.kernels.cuda_backend.avg_pool2d import THREADS as AVG_POOL
from minicnn.kernels.cuda_backend.batch_norm import WARPS as BATCH_NORM_WARPS
from minicnn.kernels.cuda_backend.channel_sum import WARPS as CHANNEL_SUM_WARPS
from minicnn.kernels.cuda_backend.im2col import THREADS as IM2COL
from minicnn.kernels.cuda_backend.layout import STRIDING
from minicnn.kernels.cuda_backend.loss import THREADS as LOSS
from minicnn.kernels.cuda_backend.loss import WARPS as LOSS_WARPS
from minicnn.kernels.cuda_backend.max_pool2d import THREADS as MAX_POOL

ARCHS = (75, 80, 90, 100, 120)   # Turing, Ampere, Hopper, and Blackwell in data centres and at home

Blocks = tuple[int, int, int, int, int]


@dataclass(frozen=True)
class Budget:
    """threads: of a block. registers: of a thread, at most. blocks: at least, on each of ARCHS; 0 where the kernel does not exist.

    Of the hot loop: share of multiply-adds, at least; ahead: multiply-adds between a load from global memory and the store to shared memory
    that waits for it, at least; for_product: instructions for each product on tensor cores, at most (0: none is expected).
    turns: how often the hot loop is gone through for each tile that the loop around it loads, 0 if it loads its tiles itself.
    shared: bytes of dynamic shared memory.
    """
    threads: int
    registers: int
    blocks: Blocks
    share: float = 0
    ahead: int = 0
    for_product: float = 0
    turns: int = 0
    shared: int = 0


BLOCKED, TILED = math.prod(conv2d_blocked.KERNELS.block), math.prod(conv2d_tiled.KERNELS.block)
LANES = 32                       # of a warp

BUDGETS: dict[str, dict[str, Budget]] = {
    # The rungs of convolution. Rungs 0 and 2 have their index arithmetic in the loop: that is what the later ones get rid of.
    "conv2d_direct.cu": {
        "conv2d_direct": Budget(conv2d_direct.THREADS, 48, (4, 5, 6, 5, 5), share=0.07),
        "conv2d_direct_grad_input": Budget(conv2d_direct.THREADS, 48, (4, 5, 5, 5, 5), share=0.01),
        "conv2d_direct_grad_weight": Budget(conv2d_direct.THREADS_A_WEIGHT, 32, (8, 16, 16, 16, 12), share=0.01),
    },
    "conv2d_tiled.cu": {
        "conv2d_tiled": Budget(TILED, 40, (4, 6, 6, 6, 6), share=0.13),
        "conv2d_tiled_grad_input": Budget(TILED, 40, (4, 6, 6, 6, 6), share=0.07),
        "conv2d_tiled_grad_weight": Budget(TILED, 48, (4, 6, 6, 6, 5), share=0.10),
    },
    # The loop that multiplies, 8 k a turn; it lies in the loop that loads tiles of 16.
    "conv2d_blocked.cu": {
        "conv2d_blocked": Budget(BLOCKED, 64, (4, 4, 4, 4, 4), share=0.85, turns=2),
        "conv2d_blocked_grad_input": Budget(BLOCKED, 64, (4, 4, 4, 4, 4), share=0.85, turns=2),
        "conv2d_blocked_grad_weight": Budget(BLOCKED, 64, (4, 4, 4, 4, 4), share=0.85, turns=2),
    },
    # One loop that loads the next tile while it multiplies: 512 multiply-adds a turn.
    "conv2d_pipelined.cu": {
        "pack_weights": Budget(math.prod(conv2d_pipelined.PACK_BLOCK), 64, (4, 8, 8, 8, 6)),
        "tabulate": Budget(conv2d_pipelined.THREADS, 32, (4, 8, 8, 8, 6)),
        "conv2d_pipelined": Budget(conv2d_pipelined.THREADS, 128, (2, 2, 2, 2, 2), share=0.82, ahead=192),
        "conv2d_pipelined_grad_weight": Budget(conv2d_pipelined.THREADS, 128, (2, 2, 2, 2, 2), share=0.75, ahead=192),
    },
    # One product is 1,024 multiply-adds. The file is empty below 8.0, which has no TF32.
    "conv2d_tensor_cores.cu": {
        "pack_channels_last": Budget(256, 40, (0, 6, 6, 6, 6)),
        "pack_weights": Budget(conv2d_tensor_cores.TILE, 32, (0, 16, 16, 16, 12)),
        "tabulate": Budget(conv2d_tensor_cores.THREADS, 32, (0, 8, 8, 8, 6)),
        "conv2d_tensor_cores": Budget(conv2d_tensor_cores.THREADS, 128, (0, 2, 2, 2, 2), share=0.27, for_product=3.6,
                                      shared=conv2d_tensor_cores.SHARED),
        "conv2d_tensor_cores_grad_weight": Budget(conv2d_tensor_cores.THREADS, 128, (0, 2, 2, 2, 2), share=0.14, for_product=6.8),
    },
    "sum_parts.cu": {"sum_parts": Budget(256, 48, (4, 6, 6, 6, 5))},
    "im2col.cu": {
        "im2col": Budget(IM2COL, 48, (4, 6, 6, 5, 5)),
        "col2im": Budget(IM2COL, 32, (4, 8, 8, 8, 6)),
    },
    # Everything else moves memory.
    "avg_pool2d.cu": {
        "avg_pool2d": Budget(AVG_POOL, 40, (4, 6, 6, 6, 6)),
        "avg_pool2d_grad": Budget(AVG_POOL, 48, (4, 5, 5, 5, 5)),
    },
    "max_pool2d.cu": {
        "max_pool2d": Budget(MAX_POOL, 48, (4, 6, 6, 6, 5)),
        "max_pool2d_grad": Budget(MAX_POOL, 48, (4, 6, 6, 6, 5)),
    },
    "batch_norm.cu": {
        "part_moments": Budget(channel.THREADS, 64, (4, 4, 4, 4, 4)),
        "merge_moments": Budget(LANES * BATCH_NORM_WARPS, 72, (3, 6, 6, 5, 5)),
        "batch_norm": Budget(STRIDING, 48, (4, 6, 6, 6, 5)),
        "part_gradients": Budget(channel.THREADS, 72, (3, 6, 6, 6, 5)),
        "merge_gradients": Budget(LANES * BATCH_NORM_WARPS, 56, (4, 6, 6, 6, 5)),
        "batch_norm_grad": Budget(STRIDING, 56, (4, 6, 6, 5, 4)),
    },
    "channel_sum.cu": {
        "channel_parts": Budget(channel.THREADS, 48, (4, 6, 6, 6, 5)),
        "column_sums": Budget(LANES * CHANNEL_SUM_WARPS, 40, (4, 6, 6, 6, 6)),
    },
    "elementwise.cu": {
        "relu": Budget(STRIDING, 32, (4, 8, 8, 8, 6)),
        "relu_grad": Budget(STRIDING, 40, (4, 8, 8, 8, 6)),
        "add": Budget(STRIDING, 32, (4, 8, 8, 8, 6)),
    },
    "loss.cu": {
        "softmax_cross_entropy": Budget(LANES * LOSS_WARPS, 48, (8, 12, 12, 12, 10)),
        "softmax_cross_entropy_grad": Budget(LOSS, 24, (4, 8, 8, 8, 6)),
    },
    "optimizer.cu": {
        "sgd_step": Budget(STRIDING, 24, (4, 8, 8, 8, 6)),
        "momentum_step": Budget(STRIDING, 32, (4, 8, 8, 8, 6)),
        "adam_step": Budget(STRIDING, 40, (4, 6, 6, 6, 6)),
    },
}
