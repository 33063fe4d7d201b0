"""JAX's networks: one optimiser step and one forward pass, each a single jitted function."""
from __future__ import annotations

from typing import Any

import jax
import numpy as np
from jax import numpy as jnp

from minicnn.benchmarks.contestants import jax_operations as op
from minicnn.benchmarks.contestants.call import Arrays, Call, training_call
from minicnn.benchmarks.networks import NETWORKS
from minicnn.benchmarks.problems import Network
from minicnn.benchmarks.problems.network import LR, MOMENTUM
from minicnn.kernels.window import Window2d

State = dict[str, Any]


class Engine:
    """The operations of networks.py in JAX, over parameters and running statistics named as minicnn names them."""

    def __init__(self, state: State, training: bool) -> None:
        self.state, self.training = state, training
        self.statistics: State = {}                             # in training: the running ones after this batch
        self.image: tuple[int, ...] = ()                        # (H, W, C) of what has just been flattened
        self.flattened: dict[str, tuple[int, ...]] = {}         # the same, by the linear layer that it goes to

    def conv(self, x: Any, name: str, stride: int = 1, padding: int = 0) -> Any:
        w = self.state[f"{name}.weight"]                        # (KH, KW, C, F)
        y = op.conv(x, w, Window2d.of(w.shape[:2], stride, padding))
        return y + self.state[f"{name}.bias"] if f"{name}.bias" in self.state else y

    def norm(self, x: Any, name: str) -> Any:
        gamma, beta, mean, var = (self.state[f"{name}.{part}"] for part in ("weight", "bias", "running_mean", "running_var"))
        if self.training:
            M, (batch_mean, batch_var) = x.size // x.shape[-1], op.moments(x)
            self.statistics[f"{name}.running_mean"] = 0.9 * mean + 0.1 * batch_mean
            self.statistics[f"{name}.running_var"] = 0.9 * var + 0.1 * batch_var * (M / (M - 1))      # of the unbiased variance, as torch's
            mean, var = batch_mean, batch_var
        return op.normalize(x, mean, var, gamma, beta)

    def linear(self, x: Any, name: str) -> Any:
        if self.image:
            self.flattened[name], self.image = self.image, ()
        return op.linear(x, self.state[f"{name}.weight"]) + self.state[f"{name}.bias"]

    def relu(self, x: Any) -> Any:
        return jax.nn.relu(x)                                   # its gradient at 0 is 0; that of jnp.maximum is 1/2

    def max_pool(self, x: Any, size: int) -> Any:
        return op.max_pool(x, Window2d.of(size, size))

    def flatten(self, x: Any) -> Any:
        self.image = x.shape[1:]
        return x.reshape(len(x), -1)

    def mean(self, x: Any) -> Any:
        return x.mean(axis=(1, 2))


class JaxTrainer:
    """SGD with momentum. Weights, velocity and running statistics are donated to the step, which may write over them."""

    def __init__(self, problem: Network) -> None:
        self.network = NETWORKS[problem.model]
        initial = {name: a for name, a in problem.initial_state().items() if a.dtype == np.float32}
        self.flattened = self._flattened(initial, np.zeros((1, problem.size, problem.size, problem.channels), np.float32))
        state = {name: self._to_jax(a, name) for name, a in initial.items()}
        self.statistics = {name: a for name, a in state.items() if "running" in name}
        self.weights = {name: a for name, a in state.items() if "running" not in name}
        self.velocity = {name: jnp.zeros_like(a) for name, a in self.weights.items()}
        self.jitted_step = jax.jit(self._step, donate_argnums=(0, 1, 2))
        self.jitted_predict = jax.jit(self._predict)

    def _flattened(self, initial: Arrays, x: np.ndarray) -> dict[str, tuple[int, ...]]:
        """Which linear layers get a flattened image, and its (H, W, C): seen by tracing the network."""
        engine = Engine({}, training=False)

        def trace(state: State, x: Any) -> Any:
            engine.state = state
            return self.network(x, engine)

        jax.eval_shape(trace, {name: op.to_jax(a, name) for name, a in initial.items()}, x)
        return engine.flattened

    def _to_jax(self, a: np.ndarray, name: str) -> Any:
        """The columns of a layer that gets a flattened image: (C, H, W) -> (H, W, C), in which order flattening NHWC is free."""
        H, W, C = self.flattened.get(name.removesuffix(".weight"), (0, 0, 0))
        if H and a.ndim == 2:
            a = a.reshape(-1, C, H, W).transpose(0, 2, 3, 1).reshape(a.shape)
        return jnp.array(op.to_jax(a, name))                    # a copy: what is donated must be JAX's own

    def _to_numpy(self, a: Any, name: str) -> np.ndarray:
        """The way back."""
        H, W, C = self.flattened.get(name.removesuffix(".weight"), (0, 0, 0))
        if H and a.ndim == 2:
            a = a.reshape(-1, H, W, C).transpose(0, 3, 1, 2).reshape(a.shape)
        return op.to_numpy(a, name)

    def _loss(self, weights: State, statistics: State, x: Any, labels: Any) -> tuple[Any, State]:
        engine = Engine({**weights, **statistics}, training=True)
        return op.cross_entropy(self.network(x, engine), labels), engine.statistics

    def _step(self, weights: State, velocity: State, statistics: State, x: Any, labels: Any, lr: Any) -> tuple[State, State, State, Any]:
        (loss, statistics), gradients = jax.value_and_grad(self._loss, has_aux=True)(weights, statistics, x, labels)
        velocity = jax.tree.map(lambda v, g: MOMENTUM * v + g, velocity, gradients)
        return jax.tree.map(lambda w, v: w - lr * v, weights, velocity), velocity, statistics, loss

    def _predict(self, weights: State, statistics: State, x: Any) -> Any:
        return self.network(x, Engine({**weights, **statistics}, training=False))

    def batch(self, x: np.ndarray, labels: np.ndarray) -> Any:
        return op.to_jax(x, "x"), op.to_jax(labels, "labels")

    def step(self, batch: Any, lr: float) -> Any:
        results = self.jitted_step(self.weights, self.velocity, self.statistics, *batch, np.float32(lr))
        self.weights, self.velocity, self.statistics, loss = jax.block_until_ready(results)
        return loss

    def gradients(self) -> Arrays:
        """The velocity, which after the first step is the gradient, as it was 0 before."""
        return {name: self._to_numpy(a, name) for name, a in self.velocity.items()}

    def parameters(self) -> Arrays:
        return {name: self._to_numpy(a, name) for name, a in self.weights.items()}

    def predict(self, x: np.ndarray) -> np.ndarray:
        return np.asarray(self.jitted_predict(self.weights, self.statistics, op.to_jax(x, "x")))


def network_call(problem: Network, direction: str, arrays: Arrays) -> Call:
    trainer = JaxTrainer(problem)
    x, labels = trainer.batch(arrays["x"], arrays["labels"])
    if direction == "step":
        algorithm = op.algorithm(trainer.jitted_step, trainer.weights, trainer.velocity, trainer.statistics, x, labels, np.float32(LR))
        return training_call(trainer, arrays, algorithm)
    arguments = trainer.weights, trainer.statistics, x
    return Call(lambda: jax.block_until_ready(trainer.jitted_predict(*arguments)), lambda logits: {"logits": np.array(logits)},
                op.algorithm(trainer.jitted_predict, *arguments))
