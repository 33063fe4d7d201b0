"""How far rounding can move results of `winograd` from the exact ones: gamma_K times the sum of the sizes of all that is added up.

    y: |A'| (|G||g||G'| * |B'||d||B|) |A| and so on: the formula of `winograd` with absolute values everywhere. A transformation rounds
    twice a dimension, B's once, and each output is a sum over C products: K = C + 10, and the bias. (Higham, 2002, section 3.1.)

Slow, in float64: for tests, and for those who judge a difference.
"""
from __future__ import annotations

import numpy as np

from minicnn.kernels.numba_backend.winograd import CHUNKS
from minicnn.kernels.window import Window2d

B = np.array([[1, 0, -1, 0], [0, 1, 1, 0], [0, -1, 1, 0], [0, 1, 0, -1]], np.float64)            # B'
G = np.array([[1, 0, 0], [0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0, 0, 1]])
A = np.array([[1, 1, 1, 0], [0, 1, -1, -1]], np.float64)                                         # A'

Bound = tuple[int, np.ndarray]                                 # K, and the sizes, of the shape of what is bounded


def output(x: np.ndarray, w: np.ndarray, b: np.ndarray | None, window: Window2d) -> Bound:
    """Of conv2d. x (N, C, H, W), w (F, C, 3, 3)."""
    sizes = _correlated(x, w, window.output_size(x.shape[2:]), window.padding[::2])
    return x.shape[1] + 11, sizes if b is None else sizes + abs(b)[:, None, None]


def grad_input(dy: np.ndarray, w: np.ndarray, input_shape: tuple[int, ...], window: Window2d) -> Bound:
    """dx is dy correlated with the kernel turned around, channels and filters exchanged."""
    top, _, left, _ = window.padding
    return dy.shape[1] + 10, _correlated(dy, w[..., ::-1, ::-1].swapaxes(0, 1), input_shape[2:], (2 - top, 2 - left))


def grad_weight(dy: np.ndarray, x: np.ndarray, window: Window2d) -> Bound:
    """dw is a sum over all tiles, in chunks."""
    V = _both(abs(B), _tiles(abs(x), dy.shape[2:], window.padding[::2], 4))
    D = _both(abs(A.T), _tiles(abs(dy), dy.shape[2:], (0, 0), 2))
    sizes = _both(abs(G.T), np.einsum("ncijab,nfijab->fcab", V, D))
    return V[:, 0, ..., 0, 0].size + CHUNKS + 8, sizes


def _correlated(x: np.ndarray, w: np.ndarray, size: tuple[int, ...], before: tuple[int, ...]) -> np.ndarray:
    V, U = _both(abs(B), _tiles(abs(x), size, before, 4)), _both(abs(G), abs(w))
    outputs = _both(abs(A), np.einsum("ncijab,fcab->nfijab", V, U, optimize=True))              # (N, F, TH, TW, 2, 2)
    N, F, TH, TW = outputs.shape[:4]
    return outputs.transpose(0, 1, 2, 4, 3, 5).reshape(N, F, 2 * TH, 2 * TW)[:, :, :size[0], :size[1]]


def _tiles(x: np.ndarray, size: tuple[int, ...], before: tuple[int, ...], side: int) -> np.ndarray:
    """(N, C, TH, TW, side, side): what the 2 x 2 outputs of each tile see, 0 outside of x."""
    TH, TW = (-(-n // 2) for n in size)
    padded = np.zeros((*x.shape[:2], 2 * TH + 4 + x.shape[2], 2 * TW + 4 + x.shape[3]))
    padded[:, :, before[0]:before[0] + x.shape[2], before[1]:before[1] + x.shape[3]] = x
    return np.stack([np.stack([padded[:, :, 2 * i:2 * i + side, 2 * j:2 * j + side] for j in range(TW)], 2) for i in range(TH)], 2)


def _both(matrix: np.ndarray, t: np.ndarray) -> np.ndarray:
    """matrix t matrix', for the last two axes of t."""
    result: np.ndarray = matrix @ t @ matrix.T
    return result
