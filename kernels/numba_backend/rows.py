"""Memory of M pixels of C numbers as rows of L lanes, and its cut into chunks: what the kernels of batch normalisation share."""
from __future__ import annotations

import functools
import math
from typing import Any

from minicnn.kernels.numba_backend.jit import jit
from minicnn.kernels.numba_backend.lanes import BYTES

BLOCK = 1 << 14                                                  # numbers that stay in the level 2 cache: 64 KiB, 128 in float64
SHORT = 32                                                       # rows that one register sums up; then a wider, or another, takes over
CHUNK, CHUNKS = 1 << 13, 32                                      # numbers in a chunk at least, and chunks at most


@functools.lru_cache(1024)
def cut(size: int, C: int, itemsize: int) -> tuple[int, int, int]:
    """(L, numbers in a chunk, chunks): rows of whole vectors, chunks of whole rows; the last of either may be smaller."""
    vector = BYTES // itemsize
    L = C * (vector // math.gcd(vector, C))
    each = -(-size // (L * min(CHUNKS, max(1, size // CHUNK)))) * L
    return L, each, -(-size // each)


@jit()
def spread(values: Any, row: Any) -> None:
    """values (C) to row (C * 2^k): what each lane needs of its channel."""
    n = values.size
    for c in range(n):
        row[c] = values[c]
    while n < row.size:
        done, rest = row[:n], row[n:2 * n]
        for j in range(n):
            rest[j] = done[j]
        n *= 2


@jit()
def add_lanes(total: Any, s: Any) -> None:
    """total[c] += s[c] + s[c + C] + s[c + 2*C] + ..., in halves of halves, and in place: s (C * 2^k) is lost."""
    n = s.size
    while n > total.size:
        n //= 2
        a, b = s[:n], s[n:2 * n]
        for j in range(n):
            a[j] += b[j]
    for c in range(n):
        total[c] += s[c]
