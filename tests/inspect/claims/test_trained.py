"""The claims that train networks: that the comparison is a fair one, exactly, and the effect, in a few steps."""
from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from minicnn import no_grad, random
from minicnn.inspect.claims import check_claims
from minicnn.inspect.claims import depth as deep
from minicnn.inspect.claims import position as dots
from minicnn.inspect.claims.training import Budget, spread, train
from minicnn.nn import Conv2d, Linear, Module
from minicnn.random import fork_rng
from minicnn.tensor import Tensor


def scores(net: Module, images: np.ndarray) -> np.ndarray:
    with no_grad():
        return np.asarray(net(Tensor(images)).numpy())


@pytest.mark.parametrize("norm", [True, False])
@pytest.mark.parametrize(("n", "layers"), [(1, 8), (3, 20)])
def test_plain_and_residual_differ_in_the_shortcut_alone(n: int, layers: int, norm: bool) -> None:
    nets = []
    for residual in (False, True):
        with fork_rng(5):
            nets.append(deep.Deep(n, residual, norm))
    plain, residual = ({name: p.numpy() for name, p in net.state_dict().items()} for net in nets)
    assert plain.keys() == residual.keys()
    assert all(np.array_equal(plain[name], residual[name]) for name in plain)
    assert sum(isinstance(module, Conv2d | Linear) for module in nets[0].modules()) == layers
    x = deep.digits(True)[0][:4]
    assert not np.array_equal(scores(nets[0], x), scores(nets[1], x))


def test_parameters_of_plain_20_by_hand() -> None:
    """3x3 convolutions 1-8, six 8-8, 8-16, five 16-16, 16-32, five 32-32; two of batch norm (or one bias) a channel; 32 to 10."""
    taps = 9 * (8 + 6 * 64 + 8 * 16 + 5 * 256 + 16 * 32 + 5 * 1024)
    channels = 7 * 8 + 6 * 16 + 6 * 32
    for norm in (True, False):
        assert sum(p.numel() for p in deep.Deep(3, True, norm).parameters()) == taps + channels * (2 if norm else 1) + 330


@pytest.mark.parametrize(("channels", "stride"), [((4, 4), 1), ((4, 8), 2)])
def test_a_block_whose_convolutions_are_zero(channels: tuple[int, int], stride: int) -> None:
    """The residual one passes its input on, every second pixel of it, with zeros for new channels; the plain one passes nothing."""
    x = np.random.default_rng(0).standard_normal((2, channels[0], 6, 6)).astype(np.float32)
    expected = np.zeros((2, channels[1], 6 // stride, 6 // stride), np.float32)
    expected[:, :channels[0]] = np.maximum(x[:, :, ::stride, ::stride], 0)
    for residual in (True, False):
        block = deep.Block(*channels, stride, residual, norm=False)
        for p in block.parameters():
            p.array[...] = 0
        assert np.array_equal(scores(block, x), expected if residual else np.zeros_like(expected))


def test_digits_are_standardised_by_the_training_set() -> None:
    images, labels = deep.digits(True)
    assert (images.shape, images.dtype, labels.shape) == ((1437, 1, 8, 8), np.float32, (1437,))
    assert abs(float(images.mean(dtype=np.float64))) < 1e-4
    assert abs(float(images.std(dtype=np.float64)) - 1) < 1e-4
    assert deep.digits(False)[0].shape == (360, 1, 8, 8)


def test_both_see_the_same_batches_and_another_seed_others() -> None:
    first, same, other = ([labels.tolist() for _, labels in deep.batches(3, seed)] for seed in (1, 1, 2))
    assert first == same != other


def test_twenty_plain_layers_are_behind_after_30_steps() -> None:
    """At one seed; the loss of the plain one is about three times that of the residual one."""
    budget = Budget(seeds=1, steps=30)
    (plain,), (residual,) = (deep.measure(3, residual, True, budget, "")["ends"] for residual in (False, True))
    assert residual < 0.7 * plain


def test_the_better_rate_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    def losses(net: Any, batches: Any, lr: float) -> np.ndarray:
        return np.full(20, {0.003: 2.0, 0.01: 1.0}[lr])

    monkeypatch.setattr(deep, "train", losses)
    best = deep.measure(1, False, False, Budget(seeds=2), "")
    assert (best["rate"], best["ends"], best["losses"].shape) == (0.01, [1.0, 1.0], (2, 20))


@pytest.mark.parametrize(("plain", "residual", "verdict", "why"), [
    (2.3, 0.1, "right", "stays at guessing, unlike the residual one"), (0.5, 0.1, "half true", "trains, but is behind the residual one"),
    (0.1, 0.5, "wrong", "is not in every seed behind the residual one")])
def test_the_verdict_follows_the_losses(monkeypatch: pytest.MonkeyPatch, plain: float, residual: float, verdict: str, why: str) -> None:
    def measured(n: int, is_residual: bool, norm: bool, budget: Budget, name: str) -> dict[str, Any]:
        loss = residual if is_residual else plain if n == 3 else 0.05
        assert (budget.seeds, "batch norm" in name) == (2, norm)
        return {"rate": 0.01, "ends": [loss] * 2, "accuracies": [0.5] * 2, "losses": np.full((2, 20), loss), "norm": norm, "parameters": 1}

    monkeypatch.setattr(deep, "measure", measured)
    (finding,) = check_claims("plain-or-residual", seeds=2)
    assert finding.verdict == verdict
    assert why in finding.answer.why
    assert "also behind the plain one of 8" in finding.answer.why
    assert f"loss {plain:.2f} against {residual:.2f} with batch norm" in finding.answer.computed
    assert json.loads(finding.to_json())["numbers"]["plain-20, no norm"]["losses"] == [plain] * 20


def blind(kind: str, task: dots.Task, seed: int) -> bool:
    """Whether the scores are the same wherever the dot is. Parameters are small whole numbers, so all sums are exact: equal means equal."""
    rng = np.random.default_rng(seed)
    net = dots.Net(kind)
    for p in net.parameters():
        p.array[...] = rng.integers(-2, 3, p.shape)
    found = scores(net, task.all()[0])
    return bool((found == found[0]).all())


@pytest.mark.parametrize("kind", dots.KINDS)
@pytest.mark.parametrize("task", [dots.NEAR, dots.FAR], ids=["near", "far"])
def test_who_can_know_where_the_dot_is(kind: str, task: dots.Task) -> None:
    """Nobody, unless a border is within reach or a channel tells the row."""
    cannot = kind == "circular" or (task is dots.FAR and kind != "coordinates")
    assert [blind(kind, task, seed) for seed in range(5)] == [cannot] * 5


@pytest.mark.parametrize("kind", ["valid", "zeros"])
def test_one_pixel_nearer_the_border_gives_it_away(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where blindness begins; seen in the sum over the image, for the maximum is seldom at the one place."""
    monkeypatch.setattr(dots.F, "adaptive_max_pool2d", lambda x, size: x.sum((2, 3), keepdim=True))
    first = 2 * dots.LAYERS - (kind == "zeros")
    tasks = [dots.Task("", dots.FAR.size, margin) for margin in (first, first - 1)]
    assert [blind(kind, task, seed) for task in tasks for seed in range(3)] == [True] * 3 + [False] * 3


def test_half_of_all_dots_are_in_the_lower_half() -> None:
    for task in (dots.NEAR, dots.FAR):
        images, labels = task.all()
        assert labels.mean() == 0.5
        assert len(images) == (task.size - 2 * task.margin)**2
        assert (images.sum((1, 2, 3)) == dots.DOT).all()
        assert ((images == dots.DOT).sum((1, 2, 3)) == 1).all()
        assert np.array_equal(images.max(3)[:, 0].argmax(1) >= task.size // 2, labels)


def test_position_is_found_out_where_it_can_be() -> None:
    told: list[str] = []
    (finding,) = check_claims("absolute-position", seeds=1, steps=60, progress=told.append)
    assert len(told) == 8
    assert told[0] == "anywhere, 10x10, circular padding, seed 1 of 1"
    near, far = (finding.numbers["accuracies"][task.name] for task in (dots.NEAR, dots.FAR))
    assert near["circular"] == far["circular"] == far["valid"] == far["zeros"] == [0.5]
    assert min(near["valid"][0], near["coordinates"][0], far["coordinates"][0]) > 0.9
    assert near["zeros"][0] > 0.75
    assert finding.verdict == "half true"


def test_training_lowers_the_loss_and_leaves_the_random_stream_alone() -> None:
    random.manual_seed(11)
    expected = random.generator().random(3)
    random.manual_seed(11)
    with fork_rng(4):
        net = dots.Net("coordinates")
        losses = train(net, dots.NEAR.batches(40, 0), 0.01)
    assert losses.shape == (40,)
    assert losses[-5:].mean() < 0.5 * losses[:5].mean()
    assert np.array_equal(random.generator().random(3), expected)
    with fork_rng(4):
        again = dots.Net("coordinates")
        assert np.array_equal(train(again, dots.NEAR.batches(40, 0), 0.01), losses)


@pytest.mark.parametrize(("budget", "message"), [
    ({"seeds": 0}, "seeds is 0: give a whole number from 1"), ({"seeds": True}, "seeds is True: give a whole number from 1"),
    ({"seeds": None}, "seeds is None: give a whole number from 1"), ({"steps": 0}, "steps is 0: give a whole number from 1"),
    ({"steps": 1.5}, "steps is 1.5: give a whole number from 1")])
def test_bad_budgets(budget: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=f"^{message}$"):
        check_claims("plain-or-residual", **budget)


def test_spread() -> None:
    assert spread([0.5, 1.0, 0.75], "{:.0%}") == "75% (50% to 100%)"
    assert spread([0.5, 0.5], "{:.2f}") == "0.50"
    assert Budget(1).over == "One seed."
    assert Budget(3).over == "Mean of 3 seeds and their range."
