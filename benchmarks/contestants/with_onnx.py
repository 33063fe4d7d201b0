"""ONNX Runtime on its CPU provider, inference only: every graph optimisation, weights as initializers, which it packs beforehand.

An output is a fresh array each time: `run`, which was measured to be as fast as run_with_iobinding with a fresh output.
"""
from __future__ import annotations

import importlib.util
import os
from typing import Any

import numpy as np

from minicnn.benchmarks.contestants.call import Arrays, Call
from minicnn.benchmarks.problems import BatchNorm, Conv, CrossEntropy, Linear, Network, Pool

_last_session: Any = None
_last_model: bytes = b""


def missing(setting: str) -> str | None:
    absent = [name for name in ("onnx", "onnxruntime") if not importlib.util.find_spec(name)]
    if absent:
        packages, verb = ("package", "is") if len(absent) == 1 else ("packages", "are")
        return f"the {packages} {' and '.join(absent)} {verb} not installed: pip install 'minicnn[peers]'"
    return None


def lacks(setting: str, problem: Any, direction: str) -> str | None:
    if isinstance(problem, CrossEntropy):
        return "no such operation in inference"
    if direction != "forward" or isinstance(problem, BatchNorm):        # the problem is batch norm in training
        return "inference only"
    return None


def what(setting: str) -> str:
    import onnx
    import onnxruntime

    return f"ONNX Runtime {onnxruntime.__version__}, onnx {onnx.__version__}, CPU provider"


def prepare(setting: str, problem: Any, direction: str, arrays: Arrays) -> Call:
    from minicnn.benchmarks.contestants.onnx_graph import Graph

    graph = Graph(arrays["x"].shape)
    if isinstance(problem, Conv):
        y = graph.add("Conv", graph.x, graph.constant("w", arrays["w"]), group=problem.groups, dilations=problem.window.dilation,
                      **_geometry(problem.window))
    elif isinstance(problem, Pool):
        extra = {"count_include_pad": 1} if problem.kind == "avg" else {}
        y = graph.add("AveragePool" if extra else "MaxPool", graph.x, **_geometry(problem.window), **extra)
    elif isinstance(problem, Linear):
        y = graph.add("Gemm", graph.x, graph.constant("w", arrays["w"]), transB=1)
    else:
        y = _network(problem, graph)
    session = _session(graph.model(y))
    feed, name = {"x": arrays["x"]}, "logits" if isinstance(problem, Network) else "y"
    return Call(lambda: session.run(None, feed)[0], lambda y: {name: y}, "CPU provider")


def pools() -> dict[str, int]:
    """The threads of the last session's pool, by its own word."""
    return {"onnxruntime": int(_last_session.get_session_options().intra_op_num_threads)} if _last_session else {}


def _geometry(window: Any) -> dict[str, Any]:
    """A window as attributes."""
    top, bottom, left, right = window.padding
    return {"kernel_shape": window.kernel, "strides": window.stride, "pads": (top, left, bottom, right)}


def _network(problem: Network, graph: Any) -> Any:
    """The logits."""
    from minicnn.benchmarks.contestants.onnx_graph import Engine
    from minicnn.benchmarks.networks import network

    state = {name: a for name, a in problem.initial_state().items() if a.dtype == np.float32}
    return network(problem.model)(graph.x, Engine(graph, state))


def _session(model: bytes) -> Any:
    """One node at a time, each with OMP_NUM_THREADS threads, which is what the benchmarks set for everybody.

    The same model again is the same session: the waiting threads of a second one would take the cores from it.
    """
    global _last_session, _last_model
    import onnxruntime

    if _last_session and model == _last_model:
        return _last_session
    onnxruntime.set_default_logger_severity(3)                 # errors only
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = int(os.environ.get("OMP_NUM_THREADS", "0"))      # 0: its own choice
    options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    _last_session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    _last_model = model
    return _last_session
