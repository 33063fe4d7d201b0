"""The problems: one file a kind, each with its problem string, its inputs, the right answers and what it takes at least."""
from __future__ import annotations

from typing import Any

from minicnn.benchmarks.problems.batch_norm import BatchNorm
from minicnn.benchmarks.problems.conv import Conv
from minicnn.benchmarks.problems.cross_entropy import CrossEntropy
from minicnn.benchmarks.problems.linear import Linear
from minicnn.benchmarks.problems.network import Network
from minicnn.benchmarks.problems.pool import Pool
from minicnn.benchmarks.problems.problem import Arrays, Problem

__all__ = ["FAMILIES", "Arrays", "BatchNorm", "Conv", "CrossEntropy", "Linear", "Network", "Pool", "Problem"]

FAMILIES: dict[str, Any] = {kind.family: kind for kind in (Conv, Pool, BatchNorm, Linear, CrossEntropy, Network)}
