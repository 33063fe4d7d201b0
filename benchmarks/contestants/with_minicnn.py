"""minicnn's own contestants: each backend, and each rung of the ladder (convolution only).

Those on a GPU are given arrays that are there already; a call ends when the GPU is done.
"""
from __future__ import annotations

import importlib.metadata
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any

import numpy as np

from minicnn import kernels
from minicnn.benchmarks.contestants.call import Arrays, Call, training_call
from minicnn.benchmarks.contestants.trainer import Trainer
from minicnn.benchmarks.problems import BatchNorm, Conv, CrossEntropy, Linear, Network, Pool
from minicnn.kernels import devices

KERNELS = {                      # what each family calls in the backend
    "conv": ("conv2d", "conv2d_grad_input", "conv2d_grad_weight"),
    "pool": ("max_pool2d", "max_pool2d_grad", "avg_pool2d", "avg_pool2d_grad"),
    "batch-norm": ("batch_norm_statistics", "batch_norm", "batch_norm_grad"),
    "linear": ("linear", "linear_grad_input", "linear_grad_weight"),
    "cross-entropy": ("softmax_cross_entropy", "softmax_cross_entropy_grad"),
    "network": kernels.CONTRACT,
}
LOOPS_LIMIT = 2_000_000          # multiply-adds


def missing(setting: str) -> str | None:
    rung = _rung(setting)
    return rung.missing() if rung else kernels.missing(setting)


def lacks(setting: str, problem: Any, direction: str) -> str | None:
    """A rung only convolves, and nested loops must finish. A backend without kernels of its own would be NumPy's row once more."""
    if setting.startswith("rung "):
        if not isinstance(problem, Conv):
            return "a rung of the ladder is a way to convolve"
        if setting == "rung loops" and problem.macs(direction) > LOOPS_LIMIT:
            return f"nested loops are not waited for: {problem.macs(direction):,} multiply-adds, at some two million a second"
        return None
    if setting != "numpy":
        module, numpy = kernels.get(setting), kernels.get("numpy")
        if all(getattr(module, name) is getattr(numpy, name) for name in KERNELS[problem.family]):
            return f"the {setting} backend has no kernels of its own for this yet: it runs the numpy backend's"
    return None


def what(setting: str) -> str:
    module = _module(setting).__name__                         # loaded: not memory that a call takes
    libraries = ["numpy", "numba"] if module.startswith("minicnn.kernels.numba_backend") else ["numpy"]
    versions = [f"{name} {importlib.metadata.version(name)}" for name in ("minicnn", *libraries)]
    return ", ".join(versions + list(devices.details("cuda") if _device(setting) == "cuda" else ()))


def prepare(setting: str, problem: Any, direction: str, arrays: Arrays) -> Call:
    module = _module(setting)
    device = _device(setting)
    if isinstance(problem, Network):
        return _network(setting, problem, direction, arrays)
    if device == "cpu":
        kernels.use_backend("numpy" if setting.startswith("rung ") else setting)     # what minicnn.ops will use
    if setting == "numba":                                     # images in the order in which this backend's layers hand them on
        arrays = {name: _channels_last(a) if a.ndim == 4 and name != "w" else a for name, a in arrays.items()}
    arrays = {name: devices.move(a, device) for name, a in arrays.items()}
    algorithm = _algorithm(_chosen(module, problem, direction, arrays) if setting == "cuda" else module, problem)
    run, names = FAMILIES[type(problem)](module, problem, direction, arrays)

    def outputs(result: Any) -> Arrays:
        return {name: devices.host(a) for name, a in zip(names, result if isinstance(result, tuple) else (result,), strict=False)}

    return Call(_until_done(run, device), outputs, algorithm)


def forget_peak(setting: str) -> None:
    """Of the GPU's memory: what is not in use is given back."""
    if _device(setting) == "cuda":
        import cupy

        cupy.get_default_memory_pool().free_all_blocks()


def peak(setting: str) -> int | None:
    """What CuPy's memory pool took from the GPU, and keeps."""
    if _device(setting) == "cpu":
        return None
    import cupy

    return int(cupy.get_default_memory_pool().total_bytes())


def _device(setting: str) -> str:
    rung = _rung(setting)
    return "cuda" if setting == "cuda" or (rung and rung.on_cuda) else "cpu"


def _until_done(run: Callable[[], Any], device: str) -> Callable[[], Any]:
    """A GPU has only been told what to do when a call returns: the clock must not stop before it has done it."""
    if device == "cpu":
        return run

    def and_wait() -> Any:
        result = run()
        devices.synchronize(device)
        return result

    return and_wait


def _channels_last(a: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(a.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)


def _module(setting: str) -> ModuleType:
    rung = _rung(setting)
    return rung.load() if rung else kernels.get(setting)


def _rung(setting: str) -> kernels.Rung | None:
    return next((rung for rung in kernels.LADDER if setting == f"rung {rung.name}"), None)


def _chosen(module: ModuleType, problem: Any, direction: str, arrays: dict[str, Any]) -> ModuleType:
    """The CUDA backend chooses a rung by the size of a convolution."""
    if not isinstance(problem, Conv):
        return module
    from minicnn.kernels.cuda_backend.conv2d import chosen

    return chosen(direction, arrays["x"], problem.x_shape, problem.w_shape, problem.window, problem.groups)


def _algorithm(module: ModuleType, problem: Any) -> str:
    """What a convolution's kernel calls itself; else the module."""
    if isinstance(problem, Conv) and hasattr(module, "conv2d_algorithm"):          # numba_backend: it depends on the shape
        chosen: str = module.conv2d_algorithm(problem.x_shape, problem.w_shape, problem.window, problem.groups, 4)
        return chosen
    return kernels.label(module).split(":")[0] if isinstance(problem, Conv) else module.__name__.removeprefix("minicnn.kernels.")


Prepared = tuple[Callable[[], Any], tuple[str, ...]]


def _conv(k: ModuleType, p: Conv, direction: str, a: Arrays) -> Prepared:
    x, w, dy = a["x"], a["w"], a["dy"]
    if direction == "forward":
        return lambda: k.conv2d(x, w, None, p.window, p.groups), ("y",)
    if direction == "grad_input":
        return lambda: k.conv2d_grad_input(dy, w, p.x_shape, p.window, p.groups), ("dx",)
    return lambda: k.conv2d_grad_weight(dy, x, p.w_shape, p.window, p.groups), ("dw",)


def _pool(k: ModuleType, p: Pool, direction: str, a: Arrays) -> Prepared:
    x, dy = a["x"], a["dy"]
    if p.kind == "avg":
        if direction == "forward":
            return lambda: k.avg_pool2d(x, p.window), ("y",)
        return lambda: k.avg_pool2d_grad(dy, p.x_shape, p.window), ("dx",)
    if direction == "forward":
        return lambda: k.max_pool2d(x, p.window), ("y",)
    argmax = k.max_pool2d(x, p.window)[1]
    return lambda: k.max_pool2d_grad(dy, argmax, p.x_shape, p.window), ("dx",)


def _batch_norm(k: ModuleType, p: BatchNorm, direction: str, a: Arrays) -> Prepared:
    from minicnn.ops.batch_norm import batch_norm_backward, batch_norm_forward

    if direction == "forward":
        return lambda: batch_norm_forward(a["x"], a["gamma"], a["beta"])[0][0], ("y",)
    cache = batch_norm_forward(a["x"], a["gamma"], a["beta"])[1]
    return lambda: batch_norm_backward(a["dy"], cache), ("dx", "dgamma", "dbeta")


def _linear(k: ModuleType, p: Linear, direction: str, a: Arrays) -> Prepared:
    x, w, dy = a["x"], a["w"], a["dy"]
    if direction == "forward":
        return lambda: k.linear(x, w, None), ("y",)
    if direction == "grad_input":
        return lambda: k.linear_grad_input(dy, w), ("dx",)
    return lambda: k.linear_grad_weight(dy, x), ("dw",)


def _cross_entropy(k: ModuleType, p: CrossEntropy, direction: str, a: Arrays) -> Prepared:
    if direction == "forward":
        return lambda: k.softmax_cross_entropy(a["x"], a["labels"])[0].mean(), ("loss",)
    losses, probabilities = k.softmax_cross_entropy(a["x"], a["labels"])
    each = np.full_like(losses, 1 / p.N)
    return lambda: k.softmax_cross_entropy_grad(each, probabilities, a["labels"]), ("dx",)


FAMILIES: dict[type, Callable[..., Prepared]] = {
    Conv: _conv, Pool: _pool, BatchNorm: _batch_norm, Linear: _linear, CrossEntropy: _cross_entropy,
}


def _network(setting: str, problem: Network, direction: str, arrays: Arrays) -> Call:
    trainer = MinicnnTrainer(setting, problem)
    algorithm = f"{setting} backend"
    if direction == "step":
        return training_call(trainer, arrays, algorithm)
    from minicnn import compile, no_grad

    model, (x, _) = compile(trainer.model.eval()), trainer.batch(arrays["x"], arrays["labels"])

    def forward() -> Any:
        with no_grad():
            return model(x).array

    return Call(_until_done(forward, trainer.device), lambda logits: {"logits": devices.host(logits)}, algorithm)


def trainer(setting: str, problem: Network) -> Trainer:
    return MinicnnTrainer(setting, problem)


class MinicnnTrainer:
    """minicnn.models, minicnn.optim and its average of the weights."""

    def __init__(self, setting: str, problem: Network, dtype: Any = np.float32) -> None:
        self.device, self.rule = _device(setting), problem.rule
        if self.device == "cpu":
            kernels.use_backend(setting)
        self.model = problem.build().to(self.device)
        if dtype == np.float64:
            self.model.double()
        self.optimizer = self.rule.build(self.model)
        self.average: Any = None

    def batch(self, x: np.ndarray, labels: np.ndarray) -> Any:
        from minicnn import Tensor

        return Tensor(x).to(self.device), Tensor(labels).to(self.device)

    def step(self, batch: Any, rates: Sequence[float]) -> Any:
        from minicnn.benchmarks.rule import set_rates
        from minicnn.nn.functional import cross_entropy

        x, labels = batch
        set_rates(self.optimizer, rates)
        self.optimizer.zero_grad()
        loss = cross_entropy(self.model(x), labels, label_smoothing=self.rule.label_smoothing)
        loss.backward()
        self.optimizer.step()
        if self.rule.ema:
            self._update_average()
        devices.synchronize(self.device)
        return loss

    def _update_average(self) -> None:
        from minicnn.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

        if self.average is None:
            self.average = AveragedModel(self.model, multi_avg_fn=get_ema_multi_avg_fn(self.rule.ema), use_buffers=True)
        self.average.update_parameters(self.model)

    def gradients(self) -> Arrays:
        return {name: devices.host(p.grad.array) for name, p in self.model.named_parameters()}

    def parameters(self) -> Arrays:
        return {name: devices.host(p.array) for name, p in self.model.named_parameters()}

    def predict(self, x: np.ndarray) -> np.ndarray:
        from minicnn import Tensor, no_grad

        model = self.model if self.average is None else self.average.module
        model.eval()
        with no_grad():
            logits = model(Tensor(x).to(self.device)).array
        model.train()
        return devices.host(logits)
