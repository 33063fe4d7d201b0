"""checkup(model, train, test): every check of the training doctor, one after the other."""
from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from minicnn.inspect.health import checks, trials
from minicnn.inspect.health.batches import BATCH, QUIETLY, Build, Data, Loss, Patient, accuracy, collect, outputs, weights
from minicnn.inspect.health.measures import dead_channels, gradients_of
from minicnn.inspect.health.verdict import Checkup, Verdict
from minicnn.nn import Module
from minicnn.nn.functional import cross_entropy
from minicnn.optim import AdamW, Optimizer
from minicnn.recording import enable_grad

IMAGES = 2000


@QUIETLY
def checkup(model: Module, train: Any, test: Any = None, *, trained: Module | None = None, loss_function: Loss = cross_entropy,
            optimizer: Build | Optimizer | None = None, classes: int | None = None, steps: int = 200, batch_size: int = BATCH,
            images: int = IMAGES, evaluate: Callable[[Module], float] | None = None, seed: int = 0,
            progress: Callable[[str], None] | None = None) -> Checkup:
    """Examine a network and how it is trained: loss at step 0, one batch, the size of steps, gradients, dead units, filters that do not
    move, what the features are worth, shuffled labels. Each is "healthy", "watch" or "ill", with the number behind it and what to do.

    model: with its initial weights; it is not changed, all training happens to copies.
    train, test: loaders of (images, labels) batches, or pairs of arrays; at most `images` of each are used. Without test, accuracy is
        measured on the training images, and the notes say so.
    trained: the same network after its training; without it, a copy is trained for `steps` steps.
    optimizer: what is called with parameters and gives an optimiser (lambda p: optim.SGD(p, lr=0.1)), or an optimiser whose settings are
        taken; AdamW with lr 0.001 if None.
    evaluate: your own test, a function from a network to its accuracy in 0..1: then shuffled labels examine that, too.
    progress: told the name of each check before it.

    Raises TypeError for a model that is no Module, ValueError for data without images, labels out of range, and numbers below 1.
    """
    if not isinstance(model, Module):
        raise TypeError(f"checkup: expected a Module, got {type(model).__name__}")
    for name, value in (("steps", steps), ("batch_size", batch_size), ("images", images)):
        if value < 1:
            raise ValueError(f"checkup: {name} is {value}, expected at least 1")
    data, held_out = collect(train, images, "train"), None if test is None else collect(test, images, "test")
    count = _classes(model, data, held_out, classes)
    patient = Patient(model, trained, data, held_out, loss_function, _builder(optimizer), count, steps, batch_size, seed)
    with enable_grad():
        verdicts = list(_examine(patient, evaluate or (lambda m: accuracy(m, held_out or data)), progress or (lambda _: None)))
    notes = [] if held_out or evaluate else ["There is no test set: accuracies are those on training images."]
    if trained is None:
        notes.append(f"The network was trained here, for {steps} steps.")
    return Checkup(type(model).__name__, verdicts, notes)


def _examine(patient: Patient, evaluate: Callable[[Module], float], progress: Callable[[str], None]) -> Iterator[Verdict]:
    progress("inputs")
    yield checks.input_scale(patient.train.x)
    progress("loss at step 0")
    loss, norms = gradients_of(patient.fresh(), patient.batch(), patient.loss_function)
    yield checks.loss_at_start(loss, patient.classes)
    yield checks.first_gradient(norms)
    progress("one batch overfits")
    yield trials.one_batch(patient)
    progress("update / weight")
    yield trials.step_size(patient)
    progress("training all layers")
    full = trials.trained_for(patient, patient.train, patient.steps, patient.seed)
    after = patient.trained or full
    yield checks.filters_moved(checks.movement(weights(patient.initial), weights(after)))
    yield checks.dead_units(dead_channels(after, patient.train.first(256)))
    looked_at = patient.test or patient.train
    yield checks.constant_prediction(outputs(after, looked_at), looked_at.labels, patient.classes)
    progress("features pay")
    yield trials.head_alone(patient, evaluate, evaluate(full))
    progress("shuffled labels")
    yield trials.shuffled_labels(patient, evaluate)


def _classes(model: Module, data: Data, test: Data | None, classes: int | None) -> int:
    scores = outputs(model, data.first(2))
    if scores.ndim != 2:
        raise ValueError(f"checkup: {type(model).__name__} returns {scores.shape}, expected scores (N, classes)")
    found = int(scores.shape[1]) if classes is None else classes
    for name, part in (("train", data), ("test", test)):
        if part is not None and (part.labels.dtype.kind not in "iu" or part.labels.ndim != 1
                                 or not 0 <= part.labels.min() <= part.labels.max() < found):
            raise ValueError(f"checkup: the labels of {name} must be class numbers from 0 to {found - 1}, one for each image")
    return found


def _builder(optimizer: Build | Optimizer | None) -> Build:
    if optimizer is None:
        return lambda parameters: AdamW(parameters, 1e-3)
    if isinstance(optimizer, Optimizer):
        kind = type(optimizer)
        settings = {name: optimizer.param_groups[0][name] for name in optimizer.defaults}
        return lambda parameters: kind(parameters, **settings)
    if not callable(optimizer):
        raise TypeError(f"checkup: optimizer is a {type(optimizer).__name__}: give a function such as lambda p: optim.SGD(p, lr=0.1)")
    return optimizer


