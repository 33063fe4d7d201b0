"""The training loop beside the same loop written in torch, and how it stops when something is wrong."""
from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from minicnn import Tensor, nn, optim
from minicnn.training import Diverged, Epoch, Observer, evaluate, fit
from tests.compare import TOLERANCE64, assert_close64, assert_equal
from tests.data.errors import says
from tests.strategies import floats


def batches(count: int = 3, N: int = 4) -> list[tuple[Tensor, Tensor]]:
    labels = np.random.default_rng(0).integers(0, 3, (count, N))
    return [(Tensor(floats((N, 5), i, np.float64)), Tensor(labels[i])) for i in range(count)]


def network() -> nn.Linear:
    model = nn.Linear(5, 3).double()
    model.load_state_dict({"weight": floats((3, 5), 7, np.float64), "bias": np.zeros(3)})
    return model


class Notes(Observer):
    def __init__(self) -> None:
        self.batches: list[tuple[Any, ...]] = []
        self.epochs: list[Epoch] = []

    def batch(self, *values: Any) -> None:
        self.batches.append(values)

    def epoch(self, epoch: Epoch) -> None:
        self.epochs.append(epoch)


def test_fit_follows_the_same_loop_in_torch() -> None:
    model, notes = network(), Notes()
    optimizer = optim.SGD(model.parameters(), lr=0.5, momentum=0.9)
    history = fit(model, batches(), batches(2), optimizer, 2, optim.lr_scheduler.ExponentialLR(optimizer, 0.9), observers=[notes])

    peer = torch.nn.Linear(5, 3).double()
    peer.load_state_dict({name: torch.tensor(np.asarray(t)) for name, t in network().state_dict().items()})
    peer_optimizer = torch.optim.SGD(peer.parameters(), lr=0.5, momentum=0.9)
    schedule = torch.optim.lr_scheduler.ExponentialLR(peer_optimizer, 0.9)
    for epoch in range(2):
        total, right = 0.0, 0
        for x, y in batches():
            peer_optimizer.zero_grad()
            logits, labels = peer(torch.tensor(x.array)), torch.tensor(y.array)
            loss = torch.nn.functional.cross_entropy(logits, labels)
            loss.backward()
            peer_optimizer.step()
            schedule.step()
            total, right = total + loss.item() * 4, right + int((logits.argmax(1) == labels).sum())
        losses = [torch.nn.functional.cross_entropy(peer(torch.tensor(x.array)), torch.tensor(y.array)).item() for x, y in batches(2)]
        got = history[epoch]
        assert got.validation is not None
        assert_close64(np.float64([got.loss, got.validation.loss]), np.float64([total / 12, np.mean(losses)]))
        assert (got.number, got.accuracy) == (epoch + 1, right / 12)
        assert got.lr == pytest.approx(0.5 * 0.9 ** (3 * epoch), rel=TOLERANCE64)
    assert_close64(model.weight.detach(), peer.weight.detach())
    assert notes.epochs == history
    assert [(epoch, images) for epoch, images, *_ in notes.batches] == [(1, 4), (1, 8), (1, 12), (2, 4), (2, 8), (2, 12)]
    assert notes.batches[-1][2:] == (history[-1].loss, history[-1].accuracy)


def test_evaluate_counts_and_leaves_the_network_as_it_was() -> None:
    model = nn.Sequential(nn.Dropout(0.9), network())          # in training mode dropout would change nearly everything
    before = {name: np.array(t.array) for name, t in model.state_dict().items()}
    result = evaluate(model, batches())
    expected = np.zeros((3, 3), np.int64)
    for x, y in batches():
        for predicted, label in zip((x.array @ before["1.weight"].T).argmax(axis=1), y.array, strict=True):
            expected[label, predicted] += 1
    assert_equal(result.confusion, expected)
    assert (result.images, result.correct, result.accuracy) == (12, np.trace(expected), np.trace(expected) / 12)
    assert model.training
    assert all(p.grad is None for p in model.parameters())
    model.eval()
    evaluate(model, batches())
    assert not model.training


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_loss_that_is_no_number_stops_training_before_it_changes_a_weight(bad: float) -> None:
    model, data = network(), batches()
    data[1][0].array[0, 0] = bad
    optimizer, weights = optim.SGD(model.parameters(), lr=0.25), []
    observer = Notes()
    observer.batch = lambda *_: weights.append(model.weight.array.copy())
    text = (f"training diverged: the loss is nan in epoch 1, batch 2, at learning rate 0.25; image 0 of the batch holds {bad} itself; "
            "mend the images")
    with says(Diverged, text):
        fit(model, data, data, optimizer, 1, observers=[observer])
    assert_equal(model.weight.detach(), weights[0])
    assert len(weights) == 1


def test_errors() -> None:
    model = network()
    optimizer = optim.SGD(model.parameters())
    with pytest.raises(ValueError, match=r"^fit: epochs is 0, expected at least 1$"):
        fit(model, batches(), batches(), optimizer, 0)
    with pytest.raises(ValueError, match=r"^fit: the training loader gave no batch$"):
        fit(model, [], batches(), optimizer, 1)
    with pytest.raises(ValueError, match=r"^evaluate: the loader gave no batch$"):
        evaluate(model, [])
    model.weight.array[...] = np.nan
    with says(FloatingPointError, "the network's output is NaN: its weights have diverged; train with a smaller learning rate"):
        evaluate(model, batches())
