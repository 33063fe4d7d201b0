"""JAX's networks: one optimiser step and one forward pass, each a single jitted function."""
from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
import numpy as np
from jax import numpy as jnp

from minicnn.benchmarks.contestants import jax_operations as op
from minicnn.benchmarks.contestants.call import Arrays, Call, training_call
from minicnn.benchmarks.networks import network
from minicnn.benchmarks.problems import Network
from minicnn.benchmarks.rule import BETA2, Rule
from minicnn.kernels.window import Window2d

State = dict[str, Any]
EPS = 1e-8                                                     # Adam's


class Engine:
    """The operations of networks.py in JAX, over parameters and running statistics named as minicnn names them."""

    def __init__(self, state: State, training: bool, key: Any = None) -> None:
        self.state, self.training, self.key = state, training, key      # key: of dropout's random numbers; None: nothing drops
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

    def dropout(self, x: Any, p: float) -> Any:
        if self.key is None:
            return x
        self.key, key = jax.random.split(self.key)
        return jnp.where(jax.random.bernoulli(key, 1 - p, x.shape), x / (1 - p), 0)


class JaxTrainer:
    """One jitted function a step. Weights, their moments, running statistics and averages are donated to it: it may write over them."""

    def __init__(self, problem: Network) -> None:
        self.network, self.rule, self.steps = network(problem.model), problem.rule, 0
        self.adam = self.rule.beside_muon if self.rule.optimizer == "muon" else self.rule
        initial = {name: a for name, a in problem.initial_state().items() if a.dtype == np.float32}
        self.initial = initial
        self.flattened = self._flattened(initial, np.zeros((1, problem.size, problem.size, problem.channels), np.float32))
        state = {name: self._to_jax(a, name) for name, a in initial.items()}
        self.statistics = {name: a for name, a in state.items() if "running" in name}
        self.weights = {name: a for name, a in state.items() if "running" not in name}
        self.moments = [jax.tree.map(jnp.zeros_like, self.weights) for _ in range(1 if self.rule.optimizer == "sgd" else 2)]
        self.matrices = self.rule.of_muon({name: a.shape for name, a in self.weights.items()})
        self.average = jax.tree.map(jnp.zeros_like, state) if self.rule.ema else {}
        self.seed = jax.random.key(problem.seed) if problem.drops else None
        self.jitted_step = jax.jit(self._step, donate_argnums=(0, 1, 2, 3))
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

    def _loss(self, weights: State, statistics: State, x: Any, labels: Any, key: Any) -> tuple[Any, State]:
        engine = Engine({**weights, **statistics}, True, key)
        return op.cross_entropy(self.network(x, engine), labels, self.rule.label_smoothing), engine.statistics

    def _step(self, weights: State, moments: list[State], statistics: State, average: State, x: Any, labels: Any, numbers: Any,
              t: Any) -> Any:
        """numbers: see `arguments`; t: how many steps there have been, this one included."""
        key = None if self.seed is None else jax.random.fold_in(self.seed, t)
        (loss, statistics), gradients = jax.value_and_grad(self._loss, has_aux=True)(weights, statistics, x, labels, key)
        weights, moments = update(self.rule, weights, gradients, moments, numbers, self.matrices)
        if average:                                            # the first is a copy
            share = jnp.where(t == 1, 1.0, 1 - self.rule.ema)
            average = jax.tree.map(lambda a, new: a + share * (new - a), average, {**weights, **statistics})
        return weights, moments, statistics, average, loss

    def _predict(self, state: State, x: Any) -> Any:
        return self.network(x, Engine(state, training=False))

    def batch(self, x: np.ndarray, labels: np.ndarray) -> Any:
        return op.to_jax(x, "x"), op.to_jax(labels, "labels")

    def step(self, batch: Any, rates: Sequence[float]) -> Any:
        results = self.jitted_step(*self.arguments(batch, rates))
        self.weights, self.moments, self.statistics, self.average, loss = jax.block_until_ready(results)
        self.steps += 1
        return loss

    def arguments(self, batch: Any, rates: Sequence[float]) -> tuple[Any, ...]:
        """Of the jitted step. Numbers are arguments too, so that one program serves all of them; Adam's shares are rounded once, here."""
        t = self.steps + 1
        numbers = np.array([rates[0], rates[-1], 1 - self.adam.momentum**t, 1 - BETA2**t], np.float32)
        return self.weights, self.moments, self.statistics, self.average, *batch, numbers, np.int32(t)

    def gradients(self) -> Arrays:
        """Of the first step, from the first moment, which was 0 before: a share of the gradient with its weight decay."""
        found = {}
        for name, moment in self.moments[0].items():
            share = 1 if self.rule.optimizer == "sgd" else 1 - (self.rule if name in self.matrices else self.adam).momentum
            decay = self.rule.weight_decay if self.rule.optimizer in ("sgd", "adam") else 0
            found[name] = self._to_numpy(moment, name) / np.float32(share) - np.float32(decay) * self.initial[name]
        return found

    def parameters(self) -> Arrays:
        return {name: self._to_numpy(a, name) for name, a in self.weights.items()}

    def predict(self, x: np.ndarray) -> np.ndarray:
        state = self.average if self.average and self.steps else {**self.weights, **self.statistics}
        return np.asarray(self.jitted_predict(state, op.to_jax(x, "x")))


def update(rule: Rule, weights: State, gradients: State, moments: list[State], numbers: Any, matrices: Sequence[str] = ()) -> Any:
    """The weights and moments after a step.

    numbers: learning rate, AdamW's beside Muon, 1 - beta1^t and 1 - beta2^t at step t. matrices: the parameters that are Muon's.
    """
    lr, adam_lr, m_share, v_share = numbers
    adam, new, firsts, seconds = rule.beside_muon if rule.optimizer == "muon" else rule, {}, {}, {}
    for name, w in weights.items():
        g = gradients[name] + rule.weight_decay * w if rule.optimizer in ("sgd", "adam") else gradients[name]
        if rule.optimizer == "sgd":
            v = firsts[name] = rule.momentum * moments[0][name] + g
            new[name] = w - lr * (g + rule.momentum * v if rule.nesterov else v)
        elif name in matrices:
            v = firsts[name] = moments[0][name] + (1 - rule.momentum) * (g - moments[0][name])
            seconds[name] = moments[1][name]
            new[name] = w * (1 - lr * rule.weight_decay) - lr * _orthogonalized(g + rule.momentum * (v - g) if rule.nesterov else v)
        else:
            m = firsts[name] = adam.momentum * moments[0][name] + (1 - adam.momentum) * g
            v = seconds[name] = BETA2 * moments[1][name] + (1 - BETA2) * g**2
            keep = 1 - adam_lr * adam.weight_decay if adam.optimizer == "adamw" else 1
            new[name] = keep * w - adam_lr * (m / m_share) / (jnp.sqrt(v / v_share) + EPS)
    return new, [firsts, seconds][:len(moments)]


def _orthogonalized(w: Any) -> Any:
    """Muon's step for (KH, KW, C, F) or (F, C): see minicnn.optim.muon. The order of a matrix's columns does not matter to it."""
    x = w.reshape(-1, w.shape[-1]).T if w.ndim == 4 else w
    R, C = x.shape
    y = x.T if R > C else x
    y = y / jnp.maximum(jnp.sqrt(jnp.square(y).sum()), 1e-7)
    for _ in range(5):
        gram = y @ y.T
        y = 3.4445 * y + (-4.7750 * gram + 2.0315 * gram @ gram) @ y
    y = (y.T if R > C else y) * max(1.0, R / C) ** 0.5
    return y.T.reshape(w.shape) if w.ndim == 4 else y


def network_call(problem: Network, direction: str, arrays: Arrays) -> Call:
    trainer = JaxTrainer(problem)
    batch = trainer.batch(arrays["x"], arrays["labels"])
    if direction == "step":
        return training_call(trainer, arrays, op.algorithm(trainer.jitted_step, *trainer.arguments(batch, trainer.rule.rates)))
    arguments = {**trainer.weights, **trainer.statistics}, batch[0]
    return Call(lambda: jax.block_until_ready(trainer.jitted_predict(*arguments)), lambda logits: {"logits": np.array(logits)},
                op.algorithm(trainer.jitted_predict, *arguments))
