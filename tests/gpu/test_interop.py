"""One memory of a GPU, three libraries: CuPy, torch and minicnn."""
from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import minicnn
from minicnn import Tensor, interop
from minicnn.inspect.comparing import diff, on
from tests.compare import assert_equal
from tests.strategies import floats


@pytest.fixture
def torch() -> Any:
    found = pytest.importorskip("torch")
    if not found.cuda.is_available():
        pytest.skip("this torch has no CUDA")
    return found


@pytest.mark.parametrize("layout", ["contiguous", "strided", "channels-last"])
def test_minicnn_and_torch_share_the_gpus_memory(torch: Any, layout: str) -> None:
    ours = Tensor(floats((2, 3, 4, 5), 0)).cuda()
    ours = Tensor(ours.array.transpose(0, 3, 1, 2) if layout == "channels-last" else ours.array[..., ::2] if layout == "strided" else
                  ours.array)
    theirs = torch.from_dlpack(ours)
    assert theirs.device == torch.device("cuda:0")
    assert theirs.data_ptr() == ours.array.data.ptr
    theirs[0, 0, 0, 0] = 7
    torch.cuda.synchronize()
    assert ours.array[0, 0, 0, 0] == 7
    back = minicnn.from_dlpack(theirs)
    assert (back.device.type, back.array.data.ptr, back.array.strides) == ("cuda", ours.array.data.ptr, ours.array.strides)
    assert_equal(back.cpu(), theirs.cpu())


def test_cupy_shares_it_too() -> None:
    import cupy

    ours = minicnn.ones(3, device="cuda")
    theirs = cupy.from_dlpack(ours)
    theirs[1] = 5
    assert ours.tolist() == [1, 5, 1]
    assert minicnn.from_dlpack(theirs).array.data.ptr == theirs.data.ptr
    assert minicnn.from_dlpack(theirs, copy=True).array.data.ptr != theirs.data.ptr
    assert_equal(minicnn.from_dlpack(theirs, device="cpu"), np.float32([1, 5, 1]))
    with pytest.raises(BufferError, match="runs backwards"):
        cupy.from_dlpack(Tensor(theirs[::-1]))
    with pytest.raises(TypeError, match=r"^numpy\(\) of a tensor on cuda:0 would be a hidden copy"):
        ours.numpy()
    assert ours.numpy(force=True).tolist() == [1, 5, 1]


def test_networks_and_state_dicts_come_by_way_of_the_host(torch: Any) -> None:
    theirs = torch.nn.Sequential(torch.nn.Conv2d(2, 3, 3), torch.nn.BatchNorm2d(3)).cuda()
    ours = interop.from_torch(theirs.eval()).to("cuda")
    for name, value in interop.from_torch(theirs.state_dict()).items():
        assert_equal(ours.state_dict()[name].cpu(), value, name)
    fresh = torch.nn.Sequential(torch.nn.Conv2d(2, 3, 3), torch.nn.BatchNorm2d(3)).cuda()
    fresh.load_state_dict(interop.to_torch(ours.state_dict()))
    for name, value in theirs.state_dict().items():
        assert_equal(fresh.state_dict()[name].cpu(), value.cpu(), name)
    assert next(interop.to_torch(ours).parameters()).device == torch.device("cpu")


@pytest.mark.parametrize("name", ["plain", "grouped", "upsampling", "odd norms"])
def test_a_network_trained_in_torch_runs_on_the_gpu(torch: Any, name: str) -> None:
    """Each layer within rounding of torch's on the CPU, forward and backward."""
    from tests.interop.test_networks import trained

    theirs, x = trained(name)
    found = diff(on(interop.from_torch(theirs), "cuda"), theirs, x)
    assert found.verdict == "rounding", found
