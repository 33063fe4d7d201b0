"""torch's networks: one optimiser step and one forward pass, eager or compiled."""
from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch.nn import functional as F

from minicnn.benchmarks.contestants.call import Arrays, Call, training_call
from minicnn.benchmarks.contestants.torch_muon import TorchMuon
from minicnn.benchmarks.networks import network
from minicnn.benchmarks.problems import Network
from minicnn.benchmarks.rule import set_rates


class Engine:
    """The operations of networks.py in torch, over a dict of parameters and running statistics named as minicnn names them."""

    def __init__(self, state: dict[str, Any], training: bool, drops: bool = False) -> None:
        self.state, self.training, self.drops = state, training, drops and training
        self.relu, self.max_pool = F.relu, F.max_pool2d

    def conv(self, x: Any, name: str, stride: int = 1, padding: int = 0) -> Any:
        return F.conv2d(x, self.state[f"{name}.weight"], self.state.get(f"{name}.bias"), stride, padding)

    def norm(self, x: Any, name: str) -> Any:
        mean, var, weight, bias = (self.state[f"{name}.{part}"] for part in ("running_mean", "running_var", "weight", "bias"))
        return F.batch_norm(x, mean, var, weight, bias, self.training)

    def linear(self, x: Any, name: str) -> Any:
        return F.linear(x, self.state[f"{name}.weight"], self.state[f"{name}.bias"])

    def flatten(self, x: Any) -> Any:
        return x.flatten(1)

    def mean(self, x: Any) -> Any:
        return x.mean(dim=(2, 3))

    def dropout(self, x: Any, p: float) -> Any:
        return F.dropout(x, p) if self.drops else x


class TorchTrainer:
    """torch's own optimisers, fused, which is the fastest way for them here, and its average, in one call for all tensors.

    With setting "compile", loss and gradients go through torch.compile.
    """

    def __init__(self, setting: str, problem: Network, device: str = "cpu", dtype: Any = np.float32) -> None:
        self.setting, self.network, self.device, self.rule = setting, network(problem.model), device, problem.rule
        torch.manual_seed(problem.seed)                        # for dropout
        arrays = {name: np.array(a, dtype if a.dtype.kind == "f" else a.dtype) for name, a in problem.initial_state().items()}
        self.state = {name: self._in_order(torch.from_numpy(a)) for name, a in arrays.items()}
        self.names = [name for name, t in self.state.items() if t.is_floating_point() and "running" not in name]
        for name in self.names:
            self.state[name].requires_grad_()
        self.average: dict[str, Any] = {}
        self.move_average = torch.optim.swa_utils.get_ema_multi_avg_fn(self.rule.ema)
        self.engine = Engine(self.state, training=True, drops=problem.drops)
        self.loss = self._loss
        if setting == "compile":
            from torch import _dynamo

            _dynamo.reset()                                    # after eight networks it would fall back to eager, without a word
            self.loss = torch.compile(self._loss, dynamic=False)
        self.optimizer = self._optimizer()

    def _optimizer(self) -> Any:
        parameters = {name: self.state[name] for name in self.names}
        if self.rule.optimizer != "muon":
            return self.rule.build_from(torch.optim, list(parameters.values()), fused=True)
        matrices = [parameters.pop(name) for name in self.rule.of_muon({name: tuple(p.shape) for name, p in parameters.items()})]
        return TorchMuon(self.rule, matrices, list(parameters.values()))

    def _in_order(self, t: torch.Tensor) -> torch.Tensor:
        t = t.to(self.device)
        return t.contiguous(memory_format=torch.channels_last) if t.ndim == 4 and self.setting != "contiguous" else t

    def _loss(self, x: Any, labels: Any) -> Any:
        return F.cross_entropy(self.network(x, self.engine), labels, label_smoothing=self.rule.label_smoothing)

    def batch(self, x: np.ndarray, labels: np.ndarray) -> Any:
        return self._in_order(torch.from_numpy(x)), torch.from_numpy(labels).to(self.device)

    def step(self, batch: Any, rates: Sequence[float]) -> Any:
        set_rates(self.optimizer, rates)
        with torch.enable_grad():
            self.optimizer.zero_grad()
            loss = self.loss(*batch)
            loss.backward()
            self.optimizer.step()
        if self.rule.ema:
            self._update_average()
        return loss.detach()

    def _update_average(self) -> None:
        """As torch.optim.swa_utils.AveragedModel with use_buffers: the first time a copy, then its function for many tensors at once."""
        current = {name: t.detach() for name, t in self.state.items() if t.is_floating_point()}
        if self.average:
            with torch.no_grad():
                self.move_average([self.average[name] for name in current], list(current.values()), None)
        else:
            self.average = {name: t.clone() for name, t in current.items()}

    def gradients(self) -> Arrays:
        gradients: dict[str, Any] = {name: self.state[name].grad for name in self.names}
        return {name: np.ascontiguousarray(g.cpu().numpy()) for name, g in gradients.items()}

    def parameters(self) -> Arrays:
        return {name: np.ascontiguousarray(self.state[name].detach().cpu().numpy()) for name in self.names}

    def predict(self, x: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            logits = self.network(self._in_order(torch.from_numpy(x)), Engine(self.average or self.state, training=False))
        return np.asarray(logits.cpu().numpy())


def network_call(setting: str, problem: Network, direction: str, arrays: Arrays, device: str = "cpu") -> Call:
    """A step, or a forward pass in eval mode under inference_mode (compiled: no_grad, which torch.compile prefers)."""
    trainer = TorchTrainer(setting, problem, device)
    algorithm = "inductor" if setting == "compile" else "eager"
    if direction == "step":
        return training_call(trainer, arrays, algorithm)
    x, _ = trainer.batch(arrays["x"], arrays["labels"])
    state = {name: t.detach() for name, t in trainer.state.items()}

    def forward(x: Any) -> Any:
        return trainer.network(x, Engine(state, training=False))

    if setting == "compile":
        compiled = torch.compile(forward, dynamic=False)
        return Call(lambda: compiled(x), lambda logits: {"logits": logits.numpy()}, algorithm)

    def run() -> Any:
        with torch.inference_mode():
            return forward(x)

    return Call(run, lambda logits: {"logits": logits.cpu().numpy()}, algorithm)
