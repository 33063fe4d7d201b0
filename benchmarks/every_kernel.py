"""Launch every CUDA kernel once or a few times, in float32 and float64, on small odd sizes: for compute-sanitizer to watch.

    compute-sanitizer --tool memcheck python -m minicnn.benchmarks.every_kernel

Results are not looked at: the tests do that. Raises RuntimeError when a kernel of a .cu file was not launched.
"""
from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from minicnn import kernels
from minicnn.kernels import cuda_backend as k
from minicnn.kernels import devices
from minicnn.kernels.cuda_backend import implicit_gemm, launcher, source
from minicnn.kernels.cuda_backend.launcher import Kernel
from minicnn.kernels.window import Window2d

DTYPES = (np.float32, np.float64)


def run(device: str, dtypes: tuple[type, ...] = DTYPES) -> list[Kernel]:
    """The kernels that were launched on `device`, each once in the list."""
    with _noting() as launched:
        for dtype in dtypes:
            _convolutions(device, dtype)
            _others(device, dtype)
    devices.synchronize(device)
    return list(dict.fromkeys(launched))


def every() -> list[Kernel]:
    """All there are in the .cu files."""
    return [Kernel(path.name, name) for path in sorted(source.FOLDER.glob("*.cu")) for name in source.signatures(path.name)]


@contextmanager
def _noting() -> Iterator[list[Kernel]]:
    """A list to which every kernel that is launched is added."""
    launched: list[Kernel] = []
    engine_of = launcher.engine_of

    class Noting:
        def __init__(self, engine: launcher.Engine) -> None:
            self.engine = engine

        def launch(self, kernel: Kernel, *rest: Any) -> None:
            launched.append(kernel)
            self.engine.launch(kernel, *rest)

    launcher.engine_of = lambda array: Noting(engine_of(array))  # type: ignore[assignment, return-value]  # launch asks no more of it
    try:
        yield launched
    finally:
        launcher.engine_of = engine_of


def _convolutions(device: str, dtype: type) -> None:
    """Every rung, forward and both gradients, with groups, strides, dilation and padding of four sizes."""
    random = np.random.default_rng(0)
    window, groups = Window2d.of((3, 2), (2, 1), (1, 0, 2, 1), (1, 2)), 2
    shapes = (2, 6, 9, 7), (10, 3, 3, 2), (10,), (2, 10, *window.output_size((9, 7)))
    x, w, b, dy = (devices.move(random.standard_normal(shape).astype(dtype), device) for shape in shapes)
    for rung in kernels.LADDER:
        if rung.on_cuda:
            way = rung.load()
            way.conv2d(x, w, b, window, groups, True)
            way.conv2d(x, w, None, window, groups)
            way.conv2d_grad_input(dy, w, x.shape, window, groups)
            way.conv2d_grad_weight(dy, x, w.shape, window, groups)
    implicit_gemm.sum_parts(devices.move(np.ones((3, 5, 7), dtype), device))


def _others(device: str, dtype: type) -> None:
    def there(*shape: int) -> Any:
        return devices.move(random.standard_normal(shape).astype(dtype), device)

    random, pool = np.random.default_rng(0), Window2d.of((3, 2), (2, 2), (1, 0, 1, 1))
    x, dy, labels = there(3, 5, 9, 7), there(3, 5, 9, 7), devices.move(np.array([0, 4, 2]), device)
    k.col2im(k.im2col(x, pool), (9, 7), pool)
    y, argmax = k.max_pool2d(x, pool)
    k.max_pool2d_grad(y, argmax, x.shape, pool)
    k.avg_pool2d_grad(k.avg_pool2d(x, pool), x.shape, pool)
    gamma, beta, (mean, var) = there(5), there(5), k.batch_norm_statistics(x)
    k.batch_norm(x, gamma, beta, mean, var, 1e-5)
    k.batch_norm_grad(dy, x, gamma, mean, var, 1e-5, True)
    k.channel_sum(x)
    k.channel_sum(there(37, 5))
    k.relu_grad(dy, k.relu(x))
    k.add(x, dy, True)
    losses, p = k.softmax_cross_entropy(there(3, 5), labels)
    k.softmax_cross_entropy_grad(losses, p, labels)
    p, g, m, v = (there(37) for _ in range(4))
    k.sgd_step(p, g, None, 0.1, 0.0, 0.0, 0.1, False)
    k.sgd_step(p, g, m, 0.1, 0.9, 0.0, 0.1, True)
    k.adam_step(p, g, m, abs(v), 1, 0.1, 0.9, 0.999, 1e-8, 0.1, True)


def main() -> None:
    device = sys.argv[1] if len(sys.argv) > 1 else "cuda"
    kernels.get(device)                                        # ValueError that says what is missing
    if device == "cuda":
        import cupy

        cupy.cuda.set_allocator(None)                          # an array's end is an allocation's end: in a pool another array follows
    launched = run(device)
    forgotten = [str(kernel) for kernel in every() if kernel not in launched]
    print(f"{len(launched)} kernels launched on {device}, in {' and '.join(t.__name__ for t in DTYPES)}")
    if forgotten:
        raise RuntimeError(f"not launched: {', '.join(forgotten)}; add them to {__name__}")


if __name__ == "__main__":
    main()
