"""torch: eager with contiguous (NCHW) memory, eager with channels_last (NHWC) memory, and torch.compile on channels_last memory.

Its single operations are called as autograd calls them (torch.ops.aten.*_backward), without autograd's bookkeeping: torch at its fastest.
"""
from __future__ import annotations

import importlib.util
from collections.abc import Callable
from typing import Any

import numpy as np

from minicnn.benchmarks.contestants.call import Arrays, Call
from minicnn.benchmarks.contestants.trainer import Trainer
from minicnn.benchmarks.problems import BatchNorm, Conv, CrossEntropy, Linear, Network, Pool


def missing(setting: str) -> str | None:
    if not importlib.util.find_spec("torch"):
        return "the package torch is not installed: pip install 'minicnn[peers]'"
    return None


def lacks(setting: str, problem: Any, direction: str) -> str | None:
    if setting == "channels_last" and isinstance(problem, Linear | CrossEntropy):
        return "no image, so no memory order to choose"
    return None


def what(setting: str) -> str:
    import torch

    how = {"contiguous": "eager, NCHW memory", "channels_last": "eager, NHWC memory", "compile": "torch.compile, NHWC memory"}[setting]
    return f"torch {torch.__version__.split('+')[0]}, {how}"


def prepare(setting: str, problem: Any, direction: str, arrays: Arrays, device: str = "cpu") -> Call:
    import torch

    torch.set_grad_enabled(False)
    if isinstance(problem, Network):
        from minicnn.benchmarks.contestants.torch_network import network_call

        return network_call(setting, problem, direction, arrays, device)
    tensors = {name: _tensor(a, setting).to(device) for name, a in arrays.items()}
    function, names, algorithm = FAMILIES[type(problem)](problem, direction, tensors)
    if setting == "compile":
        function = torch.compile(function, dynamic=False)
        algorithm = f"inductor: {algorithm}"

    def outputs(result: Any) -> Arrays:
        results = result if isinstance(result, tuple | list) else (result,)
        return {name: np.asarray(t.cpu().numpy(), order="C") for name, t in zip(names, results, strict=False)}

    return Call(lambda: function(**tensors), outputs, algorithm)


def trainer(setting: str, problem: Network) -> Trainer:
    from minicnn.benchmarks.contestants.torch_network import TorchTrainer

    return TorchTrainer(setting, problem)


def _tensor(a: np.ndarray, setting: str) -> Any:
    import torch

    tensor = torch.from_numpy(a)
    return tensor.contiguous(memory_format=torch.channels_last) if a.ndim == 4 and setting != "contiguous" else tensor


Prepared = tuple[Callable[..., Any], tuple[str, ...], str]


def _conv(p: Conv, direction: str, t: dict[str, Any]) -> Prepared:
    import torch

    (top, bottom, left, right), stride, dilation = p.window.padding, p.window.stride, p.window.dilation
    assert (top, left) == (bottom, right)                      # problem strings have no others
    mask = [direction == "grad_input", direction == "grad_weight", False]
    backend = torch._C._select_conv_backend(t["x"], t["w"], None, stride, (top, left), dilation, False, (0, 0), p.groups)

    def forward(x: Any, w: Any, dy: Any) -> Any:
        return torch.conv2d(x, w, None, stride, (top, left), dilation, p.groups)

    def backward(x: Any, w: Any, dy: Any) -> Any:
        results = torch.ops.aten.convolution_backward(dy, x, w, None, stride, (top, left), dilation, False, (0, 0), p.groups, mask)
        return results[0] if mask[0] else results[1]

    name = {"forward": "y", "grad_input": "dx", "grad_weight": "dw"}[direction]
    return forward if direction == "forward" else backward, (name,), {"Mkldnn": "oneDNN", "Cudnn": "cuDNN"}.get(backend.name, backend.name)


def _pool(p: Pool, direction: str, t: dict[str, Any]) -> Prepared:
    import torch

    aten = torch.ops.aten
    kernel, stride, padding = p.window.kernel, p.window.stride, p.window.padding[::2]
    if p.kind == "avg":
        if direction == "forward":
            return lambda x, dy: aten.avg_pool2d(x, kernel, stride, padding), ("y",), "aten"
        return lambda x, dy: aten.avg_pool2d_backward(dy, x, kernel, stride, padding, False, True, None), ("dx",), "aten"
    if direction == "forward":
        return lambda x, dy: aten.max_pool2d_with_indices(x, kernel, stride, padding), ("y",), "aten"
    t["indices"] = aten.max_pool2d_with_indices(t["x"], kernel, stride, padding)[1]

    def backward(x: Any, dy: Any, indices: Any) -> Any:
        return aten.max_pool2d_with_indices_backward(dy, x, kernel, stride, padding, (1, 1), False, indices)

    return backward, ("dx",), "aten"


def _batch_norm(p: BatchNorm, direction: str, t: dict[str, Any]) -> Prepared:
    import torch

    from minicnn.benchmarks.problems.batch_norm import EPS

    aten = torch.ops.aten
    if direction == "forward":
        return lambda x, dy, gamma, beta: aten.native_batch_norm(x, gamma, beta, None, None, True, 0.1, EPS), ("y",), "aten"
    t["mean"], t["inverse_std"] = aten.native_batch_norm(t["x"], t["gamma"], t["beta"], None, None, True, 0.1, EPS)[1:]

    def backward(x: Any, dy: Any, gamma: Any, beta: Any, mean: Any, inverse_std: Any) -> Any:
        return aten.native_batch_norm_backward(dy, x, gamma, None, None, mean, inverse_std, True, EPS, [True, True, True])

    return backward, ("dx", "dgamma", "dbeta"), "aten"


def _linear(p: Linear, direction: str, t: dict[str, Any]) -> Prepared:
    import torch

    if direction == "forward":
        return lambda x, w, dy: torch.nn.functional.linear(x, w), ("y",), "BLAS"
    if direction == "grad_input":
        return lambda x, w, dy: torch.mm(dy, w), ("dx",), "BLAS"
    return lambda x, w, dy: torch.mm(dy.t(), x), ("dw",), "BLAS"


def _cross_entropy(p: CrossEntropy, direction: str, t: dict[str, Any]) -> Prepared:
    import torch

    aten = torch.ops.aten
    if direction == "forward":
        return lambda x, labels: torch.nn.functional.cross_entropy(x, labels), ("loss",), "aten"
    t["log_p"] = torch.log_softmax(t["x"], 1)
    _, t["total"] = aten.nll_loss_forward(t["log_p"], t["labels"], None, 1, -100)
    t["one"] = torch.ones((), device=t["x"].device)

    def backward(x: Any, labels: Any, log_p: Any, total: Any, one: Any) -> Any:
        d = aten.nll_loss_backward(one, log_p, labels, None, 1, -100, total)
        return aten._log_softmax_backward_data(d, log_p, 1, torch.float32)

    return backward, ("dx",), "aten"


FAMILIES: dict[type, Callable[..., Prepared]] = {
    Conv: _conv, Pool: _pool, BatchNorm: _batch_norm, Linear: _linear, CrossEntropy: _cross_entropy,
}
