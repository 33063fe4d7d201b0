"""Where the first number came up that is not finite: by its layer, in the forward and in the backward pass; and what is kept."""
from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from minicnn import Tensor, kernels, nn, optim, random
from minicnn.data import ArrayDataset, DataLoader
from minicnn.nn.functional import cross_entropy
from minicnn.training import Diverged, Experiment, divergence, fit, load_checkpoint, snapshot
from minicnn.training.progress import Quiet
from tests.training.tiny import BATCHES, recipe, small, train

__all__ = ["small"]                                            # a fixture


class Odd(nn.Module):
    """A module that calls functions itself, one of which gives NaN or an infinite slope at 0."""

    def __init__(self, how: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.first, self.how = nn.Linear(4, 4), how

    def forward(self, x: Tensor) -> Tensor:
        return self.how(self.first(x))


def network(middle: nn.Module | None = None) -> nn.Sequential:
    random.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 4), nn.Dropout(0.5), middle or nn.ReLU(), nn.Linear(4, 3))


def message(model: nn.Module, images: Any = None, loss: Any = cross_entropy) -> str:
    """What fit says of the third batch, which is that of the test."""
    x = np.linspace(-1, 1, 24, dtype=np.float32).reshape(6, 4)
    labels = np.array([0, 1, 2, 0, 1, 2])
    batches = [(Tensor(x if images is None else images), Tensor(labels))]
    with kernels.use_backend("numpy"), pytest.raises(Diverged) as caught:
        fit(model, batches, None, optim.SGD(model.parameters(), lr=0.5), 1, loss_function=loss)
    return str(caught.value)


WHERE = "in epoch 1, batch 1, at learning rate 0.5"
END = "; try a smaller learning rate"


def test_a_layer_that_overflows() -> None:
    model = network()
    model[0].weight.array[...] = 1e25
    model[3].weight.array[...] = 1e25
    text = message(model)
    assert re.fullmatch(re.escape(f"training diverged: the loss is nan {WHERE}; Inf first appeared in the output of 3 (Linear), "
                                  "whose inputs were finite, up to ") + r"\d(\.\d)?e\+25" + END, text), text


def test_a_function_in_a_larger_module() -> None:
    text = message(network(Odd(lambda x: (x - x) / (x - x))))
    assert text.startswith(f"training diverged: the loss is nan {WHERE}; NaN first appeared in the output of 2.div, whose inputs were "
                           "finite, up to 0"), text


def test_a_gradient_that_is_not_finite_though_the_loss_is() -> None:
    """The root of 0 is 0, its slope infinite."""
    text = message(network(Odd(lambda x: (x * 0).sqrt())))
    assert re.fullmatch(re.escape("training diverged: the loss is ") + r"[\d.]+" + re.escape(
        f", but its gradient is not finite, {WHERE}; Inf first appeared in the gradient of the output of 2.mul{END}"), text), text


def test_a_weight_whose_gradient_overflows() -> None:
    """Its output's gradient is finite, but times an input of 1e30 it is not."""
    model = nn.Sequential(nn.Linear(4, 3))
    for p in model.parameters():
        p.array[...] = 0
    text = message(model, np.full((6, 4), 3e38, np.float32), lambda logits, labels: cross_entropy(logits, labels) * 1e10)
    assert text.endswith(f", but its gradient is not finite, {WHERE}; Inf first appeared in the gradient of 0.weight{END}"), text


def test_a_loss_that_is_not_finite_by_itself() -> None:
    text = message(network(), loss=lambda logits, labels: cross_entropy(logits, labels) / (labels.float() * 0).sum())
    assert f"the loss is inf {WHERE}; Inf first appeared in the loss itself; the network's outputs were finite, up to " in text


def test_images_and_weights_that_are_not_finite_already() -> None:
    bad = np.zeros((6, 4), np.float32)
    bad[4, 1] = -np.inf
    assert message(network(), bad) == f"training diverged: the loss is nan {WHERE}; image 4 of the batch holds -inf itself; mend the images"
    model = network()
    model[3].bias.array[1] = np.nan
    assert message(model) == f"training diverged: the loss is nan {WHERE}; 3.bias holds nan already, since an earlier step{END}"


def test_the_batch_is_run_again_with_the_same_random_numbers() -> None:
    """Dropout decides which of two branches overflows: the one that did is named."""
    class Branches(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.drop, self.left, self.right = nn.Dropout(0.5), nn.Linear(1, 2), nn.Linear(1, 2)

        def forward(self, x: Tensor) -> Tensor:
            y = self.drop(x)
            return self.left(y[:, :1] * 1e30) + self.right(y[:, 1:] * 1e30)

    named = set()
    for seed in range(12):
        model = Branches()
        random.manual_seed(seed)
        keep = nn.functional.dropout(Tensor(np.ones((1, 2), np.float32)), 0.5).array[0] > 0
        if keep.sum() != 1:
            continue
        random.manual_seed(seed)
        model.left.weight.array[...] = model.right.weight.array[...] = 1e30
        images = Tensor(np.ones((1, 2), np.float32))
        with kernels.use_backend("numpy"), pytest.raises(Diverged) as caught:
            fit(model, [(images, Tensor(np.array([0])))], None, optim.SGD(model.parameters(), lr=0.5), 1)
        name = "left" if keep[0] else "right"
        assert f"Inf first appeared in the output of {name} (Linear)" in str(caught.value)
        named.add(name)
    assert named == {"left", "right"}


def test_finite_gradients_may_have_an_infinite_square() -> None:
    layer = nn.Linear(2, 2)
    assert divergence.finite_gradients(layer)                  # there are none
    layer.weight.grad = Tensor(np.full((2, 2), 3e38, np.float32))
    with np.errstate(over="ignore"):                           # as in fit
        assert divergence.finite_gradients(layer)
        layer.weight.grad.array[1, 1] = np.nan
        assert not divergence.finite_gradients(layer)


class Spoiler(Quiet):
    """Sets a weight to something, after some batch."""

    def __init__(self, batch: int, value: float) -> None:
        self.left, self.value, self.model = batch, value, None

    def before_step(self, model: nn.Module, *_: Any) -> None:
        self.model = model

    def batch(self, *_: Any) -> None:
        self.left -= 1
        if not self.left:
            self.model.features[4].weight.array[0, 0] = self.value


@pytest.mark.parametrize("ema", [0.0, 0.9])
@pytest.mark.parametrize(("batch", "value", "every", "said"), [
    (BATCHES + 2, 3e38, 1e9, "the loss is nan in epoch 2, batch 3, at learning rate 0.00"),
    (BATCHES + 2, np.nan, 0.0, "features.4.weight holds nan after epoch 2, batch 2"),
    (2 * BATCHES, np.inf, 1e9, "features.4.weight holds inf after epoch 2"),
], ids=["in the next batch", "at the next checkpoint", "at the end of the epoch"])
def test_the_last_good_weights_are_kept(tmp_path: Path, small: None, batch: int, value: float, every: float, said: str, ema: float) -> None:
    folder = tmp_path / "run"
    with pytest.raises(FloatingPointError) as caught:
        train(folder, recipe(ema=ema), Spoiler(batch, value), every=every)
    text = str(caught.value)
    assert text.startswith(f"training diverged: {said}"), text
    assert text.endswith(f"; the weights of epoch 1 are kept in {folder}/last.safetensors; try a smaller learning rate"), text
    assert json.loads((folder / "result.json").read_text()) | {"seconds": 0} == {
        "status": "failed", "epochs": 1, "error": text, "best_epoch": 1, "seconds": 0}
    once = tmp_path / "one epoch"
    with pytest.raises(FloatingPointError):
        train(once, recipe(ema=ema), Spoiler(BATCHES + 1, np.nan), every=1e9)
    for name in ("last.safetensors", "best.safetensors"):
        assert (folder / name).read_bytes() == (once / name).read_bytes()
        assert all(np.isfinite(t.array).all() for t in load_checkpoint(folder / name)[0].state_dict().values())
    for name in (snapshot.CURRENT, snapshot.PREVIOUS):
        if (folder / name).exists():
            assert all(np.isfinite(array).all() for array in snapshot.read(folder / name).arrays.values())


def test_a_network_of_a_recipe_with_a_rate_that_is_too_high(tmp_path: Path) -> None:
    """As people meet it: the layer is one of the network's."""
    from minicnn.training import recipe_for

    with kernels.use_backend("numpy"), pytest.raises(Diverged) as caught:
        Experiment.prepare(recipe_for("digits", epochs=2, lr=1e30)).run(tmp_path, lambda epochs, images: Quiet())
    assert re.fullmatch(r"training diverged: the loss is (nan|inf) in epoch 1, batch \d+, at learning rate [\de.+]+; "
                        r"(NaN|Inf) first appeared in the output of (features|classifier)\.\d+ \((Conv2d|BatchNorm2d|Linear)\), "
                        r"whose inputs were finite, up to [\de.+]+; try a smaller learning rate", str(caught.value))


def test_a_device_is_not_waited_for() -> None:
    """There gradients are not looked at; the weight that they spoiled is named in the next batch."""
    model = network(Odd(lambda x: (x * 0).sqrt())).to("cuda-sim")
    data = ArrayDataset(np.full((12, 4, 1, 1), 9, np.uint8), np.arange(12) % 3, tuple("abc"))
    whole = nn.Sequential(nn.Flatten(), *model)
    with pytest.raises(Diverged, match=r"the loss is nan in epoch 1, batch 2, .*; 1\.weight holds nan already, since an earlier step; try"):
        fit(whole, DataLoader(data, 6), None, optim.SGD(whole.parameters(), lr=0.5), 1)




def test_a_validation_that_gives_nan(tmp_path: Path, small: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """As weights may that are finite and overflow on images they were not trained on; here they are made to."""
    from minicnn.training import loop

    evaluate, calls = loop.evaluate, iter(range(9))

    def overflowing(model: nn.Module, *rest: Any) -> Any:
        if next(calls) == 1:
            model.classifier[3].weight.array[...] = np.nan
        return evaluate(model, *rest)

    monkeypatch.setattr(loop, "evaluate", overflowing)
    with pytest.raises(FloatingPointError, match=r"^the network's output is NaN: its weights have diverged; train with a smaller learning "
                                                 rf"rate; the weights of epoch 1 are kept in {tmp_path}/run/last\.safetensors$"):
        train(tmp_path / "run", recipe())
