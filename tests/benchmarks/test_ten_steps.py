"""Ten steps of every rule in float64: minicnn's trainer beside torch's, in both memory orders; losses, weights and averages to 1e-10."""
from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from minicnn import kernels
from minicnn.benchmarks.contestants.torch_muon import orthogonalized
from minicnn.benchmarks.contestants.torch_network import TorchTrainer
from minicnn.benchmarks.contestants.with_minicnn import MinicnnTrainer
from minicnn.benchmarks.problems import Network
from minicnn.benchmarks.rule import Rule
from minicnn.optim import muon
from tests.compare import TRAINING64, assert_close64

RULES = {
    "SGD": Rule("sgd", 0.05, 0.9, True, 0.01, label_smoothing=0.1, ema=0.8),
    "plain SGD": Rule("sgd", 0.05, 0.9),
    "Adam": Rule("adam", 0.01, 0.9, False, 0.01, label_smoothing=0.1, ema=0.9),
    "AdamW": Rule("adamw", 0.01, 0.9, False, 0.05, label_smoothing=0.2, ema=0.5),
    "Muon": Rule("muon", 0.02, 0.9, True, 0.05, 0.01, 0.02, 0.1, 0.9),
    "plain Muon": Rule("muon", 0.02, 0.8),
}
NETWORKS = ["convnet(4,pool,6,6,flatten)", "digits"]


def ten_steps(rule: Rule, network: str, setting: str, backend: str) -> None:
    problem = Network(network, 6, 1, 8, 5, rule)
    start = problem.initial_state()
    with kernels.use_backend(backend):
        ours, theirs = MinicnnTrainer(backend, problem, np.float64), TorchTrainer(setting, problem, dtype=np.float64)
        for step in range(10):
            arrays, rates = problem.arrays(step), [rate * (1 - step / 20) for rate in rule.rates]
            x, labels = arrays["x"].astype(np.float64), arrays["labels"]
            losses = [float(trainer.step(trainer.batch(x, labels), rates)) for trainer in (ours, theirs)]
            assert_close64(np.array(losses[0]), np.array(losses[1]), f"loss of step {step}", TRAINING64)
        expected = theirs.parameters()
        for name, value in ours.parameters().items():
            assert_close64(value, expected[name], name, TRAINING64)
            assert np.abs(value - start[name]).max() > 1e-4, f"{name} has hardly changed"
        test = problem.arrays(10)["x"].astype(np.float64)
        assert_close64(ours.predict(test), theirs.predict(test), "logits of the averages", TRAINING64)
        if rule.ema:
            rows = ours.average.module.state_dict()
            for name, value in theirs.average.items():
                assert_close64(rows[name].array, value.numpy(), f"average of {name}", TRAINING64)
                assert np.abs(rows[name].array - ours.model.state_dict()[name].array).max() > 1e-6, "an average is not the last weight"


@pytest.mark.parametrize("setting", ["contiguous", "channels_last"])
@pytest.mark.parametrize("name", RULES)
def test_ten_steps(name: str, setting: str) -> None:
    ten_steps(RULES[name], NETWORKS[0], setting, "numpy")


def test_ten_steps_with_compiled_kernels() -> None:
    ten_steps(RULES["Muon"], NETWORKS[0], "contiguous", "numba")


def test_ten_steps_of_another_network() -> None:
    ten_steps(RULES["AdamW"], NETWORKS[1], "channels_last", "numpy")


@settings(max_examples=10)
@given(st.builds(Rule, st.sampled_from(["sgd", "adam", "adamw", "muon"]), st.floats(1e-3, 0.02), st.floats(0.5, 0.95), st.just(True),
                 st.floats(0, 0.1), st.floats(1e-3, 0.02), st.floats(0, 0.1), st.floats(0, 0.3), st.sampled_from([0.0, 0.5, 0.99])))
def test_ten_steps_of_any_rule(rule: Rule) -> None:
    ten_steps(rule, "convnet(3,pool,4)", "contiguous", "numpy")


@pytest.mark.parametrize("shape", [(3, 7), (7, 3), (4, 4), (1, 5)])
def test_orthogonalized_as_minicnn_does(shape: tuple[int, int]) -> None:
    x = np.random.default_rng(0).standard_normal(shape)
    assert_close64(orthogonalized(torch.from_numpy(x)).numpy(), muon.orthogonalized(x), "orthogonalized", TRAINING64)


def test_what_a_rule_is_called() -> None:
    assert [str(rule) for rule in RULES.values()] == [
        "SGD, Nesterov momentum 0.9, label smoothing 0.1, EMA 0.8", "SGD, momentum 0.9", "Adam, label smoothing 0.1, EMA 0.9",
        "AdamW, label smoothing 0.2, EMA 0.5", "Muon, Nesterov momentum 0.9, beside AdamW, label smoothing 0.1, EMA 0.9",
        "Muon, momentum 0.8, beside AdamW"]


def test_a_recipe_that_has_muon_in_its_groups() -> None:
    """AdamW's rate beside Muon's, and the matrices that are Muon's: all but the last."""
    rule: Any = RULES["Muon"]
    assert rule.rates == (0.02, 0.01)
    assert RULES["plain Muon"].rates == (0.02, 0.02)
    assert rule.of_muon({"a": (3, 1, 3, 3), "b": (3,), "c": (4, 3), "d": (5, 4)}) == ["a", "c"]
