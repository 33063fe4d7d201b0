"""A small writer of ONNX graphs, and the operations of networks.py with it."""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from minicnn.benchmarks.problems import Arrays
from minicnn.benchmarks.problems.batch_norm import EPS

OPSET, IR_VERSION = 17, 8            # of 2022: every ONNX Runtime since 1.12 reads them


class Graph:
    """One float32 input, x; nodes and constants in the order in which they are added; one output."""

    def __init__(self, input_shape: Sequence[int]) -> None:
        self.x = Value(self, "x")
        self.input = helper.make_tensor_value_info("x", TensorProto.FLOAT, input_shape)
        self.nodes: list[Any] = []
        self.constants: list[Any] = []

    def add(self, operation: str, *inputs: Value, **attributes: Any) -> Value:
        """A node's output."""
        value = Value(self, f"{operation}_{len(self.nodes)}")
        self.nodes.append(helper.make_node(operation, [i.name for i in inputs], [value.name], **attributes))
        return value

    def constant(self, name: str, array: np.ndarray) -> Value:
        self.constants.append(numpy_helper.from_array(array, name))
        return Value(self, name)

    def model(self, output: Value) -> bytes:
        """The graph as ONNX Runtime reads it. The output's shape is left to be inferred."""
        y = helper.make_tensor_value_info(output.name, TensorProto.FLOAT, None)
        graph = helper.make_graph(self.nodes, "problem", [self.input], [y], self.constants)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)
        return bytes(model.SerializeToString())


@dataclass(frozen=True)
class Value:
    """An array in a graph, known by its name. Two are added with +."""
    graph: Graph
    name: str

    def __add__(self, other: Value) -> Value:
        return self.graph.add("Add", self, other)


class Engine:
    """The operations of networks.py as nodes of a graph, in eval mode."""

    def __init__(self, graph: Graph, state: Arrays) -> None:
        self.graph, self.state = graph, state

    def _constants(self, name: str, *parts: str) -> list[Value]:
        """name.weight and so on; a part that the network does not have (a bias) is left out."""
        names = [f"{name}.{part}" for part in parts]
        return [self.graph.constant(full, self.state[full]) for full in names if full in self.state]

    def conv(self, x: Value, name: str, stride: int = 1, padding: int = 0) -> Value:
        return self.graph.add("Conv", x, *self._constants(name, "weight", "bias"), strides=(stride, stride), pads=(padding,) * 4)

    def norm(self, x: Value, name: str) -> Value:
        return self.graph.add("BatchNormalization", x, *self._constants(name, "weight", "bias", "running_mean", "running_var"), epsilon=EPS)

    def linear(self, x: Value, name: str) -> Value:
        return self.graph.add("Gemm", x, *self._constants(name, "weight", "bias"), transB=1)

    def relu(self, x: Value) -> Value:
        return self.graph.add("Relu", x)

    def max_pool(self, x: Value, size: int) -> Value:
        return self.graph.add("MaxPool", x, kernel_shape=(size, size), strides=(size, size))

    def flatten(self, x: Value) -> Value:
        return self.graph.add("Flatten", x)

    def mean(self, x: Value) -> Value:
        """(N, C, H, W) -> (N, C)"""
        return self.flatten(self.graph.add("GlobalAveragePool", x))

    def dropout(self, x: Value, p: float) -> Value:
        return x
