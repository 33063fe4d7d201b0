"""The CUDA rungs on a GPU through the tests that the simulator runs in CI: exact, bounded, adjoint, relu, tiles that hang over.

The other functions of the contract come here by themselves: `every_backend` of tests/kernels/on_device.py has a row for a GPU.
"""
from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given

from minicnn import kernels
from minicnn.kernels import cuda_backend
from minicnn.kernels.window import Window2d
from tests.kernels import test_conv2d as shared
from tests.kernels import test_cuda_conv2d as of_cuda
from tests.kernels.on_device import OnDevice
from tests.strategies import Geometry, conv_geometries

RUNGS = {rung.name: OnDevice(rung.load(), "cuda") for rung in kernels.LADDER if rung.on_cuda}
ALL = {**RUNGS, "the backend": OnDevice(cuda_backend, "cuda")}
every_rung = pytest.mark.parametrize("k", ALL.values(), ids=ALL)


@every_rung
@given(g=conv_geometries())
def test_exact(k: Any, g: Geometry) -> None:
    shared.check_exact(k, g)


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@given(g=conv_geometries())
def test_bounded(name: str, dtype: type, g: Geometry) -> None:
    shared.check_bounded(ALL[name], dtype, g, shared.TF32 if name == "cuda-tensor-cores" and dtype is np.float32 else 0)


@every_rung
@given(g=conv_geometries())
def test_relu_in_the_same_pass(k: Any, g: Geometry) -> None:
    shared.check_relu(k, g)


@every_rung
@given(g=conv_geometries())
def test_adjoint(k: Any, g: Geometry) -> None:
    shared.check_adjoint(k, g)


@every_rung
def test_nan_and_inf_travel(k: Any) -> None:
    shared.test_nan_and_inf_travel(k)


@pytest.mark.parametrize("name", ["cuda-tiled", "cuda-blocked", "cuda-pipelined", "cuda-tensor-cores"])
@pytest.mark.parametrize("more", [-1, 0, 1], ids=["one less", "full", "one more"])
def test_tiles_and_what_hangs_over(name: str, more: int) -> None:
    tile = {"cuda-tiled": 16, "cuda-blocked": 64}.get(name, 128)
    of_cuda.check(RUNGS[name], (1, 16 + more, 1, tile + more), (tile + more, 16 + more, 1, 1), Window2d.of(1))


@every_rung
@pytest.mark.parametrize(("C", "F", "groups"), [(1, 8, 1), (3, 8, 1), (32, 32, 32), (4, 12, 4), (64, 128, 2)], ids=str)
@pytest.mark.parametrize("stride", [1, 2, (2, 3)])
def test_channels_and_strides(k: Any, C: int, F: int, groups: int, stride: Any) -> None:
    of_cuda.check(k, (3, C, 17, 19), (F, C // groups, 3, 3), Window2d.of(3, stride, 1), groups, most=4)
