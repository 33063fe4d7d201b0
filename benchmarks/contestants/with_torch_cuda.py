"""torch on a GPU, which is cuDNN and cuBLAS: eager, contiguous (NCHW) or channels_last (NHWC) memory, and with TF32.

cuDNN may try its algorithms beforehand (benchmark). Factors are float32 as they are, except in the setting "tf32", which may round them
to TF32 as this library does on its own, and is held against minicnn's rung that does so too.
"""
from __future__ import annotations

import functools
import importlib.metadata
from collections.abc import Callable
from typing import Any

from minicnn.benchmarks import gpu
from minicnn.benchmarks.contestants import with_torch
from minicnn.benchmarks.contestants.call import Arrays, Call
from minicnn.benchmarks.contestants.trainer import Trainer
from minicnn.benchmarks.problems import BatchNorm, Network, Pool

DEVICE = "cuda"


def missing(setting: str) -> str | None:
    return with_torch.missing(setting) or _without_cuda()


@functools.cache
def _without_cuda() -> str | None:
    """torch is imported only where there is a GPU: that takes seconds."""
    version = importlib.metadata.version("torch")
    if version.endswith("+cpu"):
        return f"torch {version} was built without CUDA"
    if why := gpu.driver_missing():
        return why
    import torch

    return None if torch.cuda.is_available() else f"torch {version} (CUDA {torch.version.cuda}) finds no GPU that it can use"


def lacks(setting: str, problem: Any, direction: str) -> str | None:
    averages_nhwc = isinstance(problem, Pool) and (problem.kind, direction, _order(setting)) == ("avg", "backward", "channels_last")
    if averages_nhwc and any(problem.window.padding) and _forgets_padding(DEVICE):
        return "this torch's average pooling forgets its padding: the gradient is wrong in NHWC memory on CUDA, and right in NCHW"
    return with_torch.lacks(_order(setting), problem, direction)


@functools.cache
def _forgets_padding(device: str) -> bool:
    """A known fault of torch, found in 2.11: avg_pool2d_backward in NHWC memory takes a pixel's place for its place in the padded image."""
    import torch

    x, dy = torch.zeros(1, 2, 4, 4), torch.arange(1.0, 19.0).reshape(1, 2, 3, 3)
    right = torch.ops.aten.avg_pool2d_backward(dy, x, [2, 2], [2, 2], [1, 1], False, True, None)
    there = [t.to(device).contiguous(memory_format=torch.channels_last) for t in (dy, x)]
    return not torch.equal(torch.ops.aten.avg_pool2d_backward(*there, [2, 2], [2, 2], [1, 1], False, True, None).cpu(), right)


def what(setting: str) -> str:
    """torch, CUDA, cuDNN, the GPU and the setting."""
    import torch

    order = "NCHW" if _order(setting) == "contiguous" else "NHWC"
    factors = "factors rounded to TF32" if setting == "tf32" else "no TF32"
    return (f"torch {torch.__version__.split('+')[0]}, CUDA {torch.version.cuda}, cuDNN {_cudnn(torch.backends.cudnn.version())}, "
            f"{torch.cuda.get_device_name()}, eager, {order} memory, {factors}")


def prepare(setting: str, problem: Any, direction: str, arrays: Arrays) -> Call:
    _choose(setting)
    if isinstance(problem, BatchNorm):
        return _batch_norm(setting, direction, arrays)
    call = with_torch.prepare(_order(setting), problem, direction, arrays, DEVICE)
    return Call(_until_done(call.run), call.outputs, call.algorithm)


def trainer(setting: str, problem: Network) -> Trainer:
    """Its step ends with the loss in the host's memory, or with the next one's begin: who times it asks for the loss."""
    from minicnn.benchmarks.contestants.torch_network import TorchTrainer

    _choose(setting)
    return TorchTrainer(_order(setting), problem, DEVICE)


def forget_peak(setting: str) -> None:
    import torch

    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()


def peak(setting: str) -> int:
    """What torch's memory pool took from the GPU at most."""
    import torch

    return int(torch.cuda.max_memory_reserved())


def _order(setting: str) -> str:
    """with_torch's word for the memory order. TF32 on tensor cores reads NHWC."""
    return "channels_last" if setting == "tf32" else setting


def _choose(setting: str) -> None:
    import torch

    torch.backends.cudnn.benchmark = True
    torch.backends.cudnn.allow_tf32 = setting == "tf32"
    torch.backends.cuda.matmul.allow_tf32 = setting == "tf32"


def _until_done(run: Callable[[], Any]) -> Callable[[], Any]:
    import torch

    def and_wait() -> Any:
        result = run()
        torch.cuda.synchronize()
        return result

    return and_wait


def _batch_norm(setting: str, direction: str, arrays: Arrays) -> Call:
    """As torch's own function calls it: it chooses between cuDNN's kernels and its own."""
    import numpy as np
    import torch

    from minicnn.benchmarks.problems.batch_norm import EPS

    torch.set_grad_enabled(False)
    t, aten = {name: with_torch._tensor(a, _order(setting)).to(DEVICE) for name, a in arrays.items()}, torch.ops.aten

    def forward() -> Any:
        return aten._batch_norm_impl_index(t["x"], t["gamma"], t["beta"], None, None, True, 0.1, EPS, True)

    _, mean, inverse_std, reserve, index = forward()

    def backward() -> Any:
        return aten._batch_norm_impl_index_backward(index, t["x"], t["dy"], t["gamma"], None, None, mean, inverse_std, True, EPS,
                                                    [True, True, True], reserve)

    run, names = (forward, ("y",)) if direction == "forward" else (backward, ("dx", "dgamma", "dbeta"))

    def outputs(results: Any) -> Arrays:
        return {name: np.asarray(a.cpu().numpy(), order="C") for name, a in zip(names, results, strict=False)}

    return Call(_until_done(run), outputs, "cuDNN" if index == 1 else "aten")


def _cudnn(number: int | None) -> str:
    """91002 -> "9.10.2"; before cuDNN 9 8907 -> "8.9.7"."""
    if not number:
        return "missing"
    major, rest = divmod(number, 10_000 if number >= 90_000 else 1_000)
    return f"{major}.{rest // 100}.{rest % 100}"
