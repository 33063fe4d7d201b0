"""Memory of M pixels of C numbers as rows of L lanes, and its cut into chunks: what the kernels of batch normalisation share."""
from __future__ import annotations

import functools
from typing import Any

from minicnn.kernels.numba_backend.jit import jit

LANES = 512                                                      # in a row at least, and at most twice that unless C is larger
BLOCK = 1 << 14                                                  # numbers that stay in the level 2 cache: 64 KiB, 128 in float64
CHUNK, CHUNKS = 1 << 13, 32                                      # numbers in a chunk at least, and chunks at most


@functools.lru_cache(1024)
def cut(size: int, C: int) -> tuple[int, int, int]:
    """(L, numbers in a chunk, chunks): chunks of whole pixels, and the last one may be smaller."""
    pixels, L = size // C, C
    while L < LANES:
        L *= 2
    each = -(-pixels // min(CHUNKS, max(1, size // CHUNK)))
    return L, each * C, -(-pixels // each)


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
