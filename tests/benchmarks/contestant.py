"""A contestant's results held to the right answers: exactly where float32 can be exact, else within a bound from rounding analysis."""
from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np

from minicnn import Tensor, kernels, no_grad
from minicnn.benchmarks.contestants import Arrays
from minicnn.benchmarks.problems import BatchNorm, Conv, CrossEntropy, Linear, Network, Pool
from minicnn.benchmarks.problems.problem import U
from minicnn.benchmarks.rule import Rule, set_rates
from minicnn.benchmarks.verify import verify
from minicnn.kernels.window import Window2d
from minicnn.nn.functional import cross_entropy
from minicnn.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from tests.compare import assert_bounded, assert_equal, unchanged

CONVS = [                                                      # H != W, KH != KW, SH != SW, DH != DW, PH != PW; strides that do not divide
    "mb2ic3ih9iw8oc4kh3kw2", "mb2ic3ih9iw8oc4kh3kw2sh2sw3", "mb2ic3ih9iw8oc4kh3kw2ph1pw2", "mb2ic3ih11iw8oc4kh3kw2dh1dw2",
    "g2mb2ic4ih9iw8oc6kh3kw2sh2sw1ph1pw0dh1dw0", "g4mb3ic4ih7iw6oc8kh3kw2ph1", "mb1ic3ih7iw9oc4kh2kw3sh1sw2ph1pw2", "mb3ic5ih4iw3oc2kh1",
]
POOLS = ["mb2ic3ih9iw8kh3kw2sh2sw1ph1", "mb2ic3ih7iw8kh2sh2", "mb1ic2ih6iw5kh1kw3sh3sw2pw1"]
NETWORKS = [Network("lenet", 3, 1, 28), Network("tinyvgg", 4, 1, 8), Network("resnet8", 4, 3, 8),
            Network("convnet(4,pool,6,6,pool,8)", 6, 2, 9, 7, rule=Rule("adamw", 0.01, 0.85, False, 0.1, 0, 0, 0.2, 0.9))]
RULES = [Network("digits", 4, 1, 8, rule=Rule("adam", 0.01, 0.9, False, 0.05, 0, 0, 0.1, 0.8)),
         Network("convnet(6,pool,4)", 6, 1, 6, rule=Rule("muon", 0.02, 0.8, True, 0.05, 0.01, 0.03, 0.1, 0.8)),
         Network("convnet(4,pool,6,flatten,dropout0.3)", 6, 1, 8, 5, rule=Rule("sgd", 0.05, 0.9, True, 0.01, 0, 0, 0.1, 0.7))]
PROBLEMS: list[Any] = [*map(Conv.parse, CONVS), *(Pool.parse(f"{kind}:{sizes}") for sizes in POOLS for kind in ("max", "avg")),
                       BatchNorm(3, 4, 5, 6), BatchNorm(1, 3, 4, 7), Linear(5, 7, 3), Linear(1, 6, 4),
                       CrossEntropy(6, 9), CrossEntropy(1, 10)]
FOUR_SIDES = Conv(2, 3, 9, 8, 4, Window2d((3, 2), (2, 1), padding=(0, 1, 2, 1)))       # which no problem string can say, nor torch
CASES = [(problem, direction) for problem in (*PROBLEMS, *NETWORKS) for direction in problem.directions]
IDS = [f"{problem.family} {problem} {direction}" for problem, direction in CASES]


def check(module: ModuleType, setting: str, problem: Any, direction: str, arrays: Arrays | None = None) -> None:
    """The first call's outputs, and those of the second, which must not be the first's memory."""
    arrays = arrays or problem.arrays(0)
    answers = problem.answers(direction, arrays)
    with unchanged(*arrays.values()):
        call = module.prepare(setting, problem, direction, arrays)
        first = call.run()
        _compare(call.outputs(first), answers, problem, direction, arrays)
        second = call.run()
        if direction != "step":
            _compare(call.outputs(second), answers, problem, direction, arrays)
            _compare(call.outputs(first), answers, problem, direction, arrays)
    assert call.algorithm


def _compare(got: Arrays, answers: Arrays, problem: Any, direction: str, arrays: Arrays) -> None:
    if isinstance(problem, Network):
        verify(got, answers, lambda: problem.bounds(direction, arrays))
        return
    assert list(got) == list(answers)
    magnitudes = {} if isinstance(problem, Conv | Linear) else problem.magnitudes(direction, arrays)
    for name, answer in answers.items():
        assert got[name].dtype == np.float32
        if magnitudes:
            assert_bounded(got[name], answer, magnitudes[name], problem.roundings(direction), name)
        else:
            assert_equal(got[name], answer, name)


RATES = (0.01, 0.05, 0.002)                                    # of the first group in each step; a second has half of it


def check_training(trainer: Any, problem: Network) -> None:
    """Three steps by the problem's rule, each with rates and a batch of its own: losses, parameters, and logits in eval mode, which come
    from the averages where there are any, with the running statistics.

    They are bounded as Network.bounds does it: by what changes when weights and images are off by gamma_K in every step.
    """
    losses = []
    for seed, lr in enumerate(RATES):
        arrays = problem.arrays(seed)
        losses.append(float(trainer.step(trainer.batch(arrays["x"], arrays["labels"]), (lr, lr / 2)[:len(problem.rule.rates)])))
    test = problem.arrays(len(RATES))["x"]
    got = {**trainer.parameters(), "losses": np.array(losses, np.float32), "logits": trainer.predict(test)}
    K = max(int(np.prod(value.shape[1:])) for value in problem.initial_state().values() if value.ndim > 1)
    expected, *off = (_train(problem, test, error, np.random.default_rng(seed)) for seed, error in enumerate((0.0, K * U, K * U)))
    bounds = {name: np.asarray(max(float(np.sqrt(np.square(run[name] - a).mean())) for run in off)
                             + problem.rule.roundings * U * float(np.abs(a).max()))
              for name, a in expected.items()}
    verify(got, expected, lambda: bounds)


def _train(problem: Network, test: np.ndarray, error: float, random: Any) -> Arrays:
    """The same in float64 with the NumPy backend; weights and images off by a factor between 1 - error and 1 + error."""
    def off(a: np.ndarray) -> np.ndarray:
        return a * (1 + error * random.uniform(-1, 1, a.shape))

    model, losses, rule = problem.build().double(), [], problem.rule
    parameters = dict(model.named_parameters())
    optimizer = rule.build(model)
    average = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(rule.ema), use_buffers=True)
    with kernels.use_backend("numpy"):
        for seed, lr in enumerate(RATES):
            arrays, exact = problem.arrays(seed), {name: p.array.copy() for name, p in parameters.items()}
            for p in parameters.values():
                p.array[...] = off(p.array)
            optimizer.zero_grad()
            loss = cross_entropy(model(Tensor(off(arrays["x"].astype(np.float64)))), Tensor(arrays["labels"]),
                                 label_smoothing=rule.label_smoothing)
            loss.backward()
            for name, p in parameters.items():
                p.array[...] = exact[name]
            set_rates(optimizer, (lr, lr / 2)[:len(rule.rates)])
            optimizer.step()
            average.update_parameters(model)
            losses.append(float(loss.array))
        with no_grad():
            logits = (average.module if rule.ema else model).eval()(Tensor(off(test.astype(np.float64)))).array
    return {**{name: p.array for name, p in parameters.items()}, "losses": np.array(losses), "logits": logits}
