"""Checks that train: each on a copy of the network, for a few steps."""
from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import replace
from itertools import repeat

import numpy as np

from minicnn.inspect.health.batches import Data, Patient, layers_with_weights, train, weights
from minicnn.inspect.health.checks import update_ratio
from minicnn.inspect.health.measures import relative_changes
from minicnn.inspect.health.verdict import HEALTHY, ILL, WATCH, Verdict
from minicnn.nn import Module

Evaluate = Callable[[Module], float]
UPDATES = 20                     # steps whose size is measured
RUINOUS = 3.0                    # times the weight's size, in one step
REPEATS = 3                      # networks trained on shuffled labels


def one_batch(patient: Patient) -> Verdict:
    """A network with nothing to generalise must be able to learn one batch by heart, without dropout."""
    check, model = "one batch overfits", patient.fresh()
    for module in model.modules():
        if type(module).__name__.startswith("Dropout"):
            module.eval()
    losses = train(model, patient.optimizer(model.parameters()), repeat(patient.batch()), patient.steps, patient.loss_function, 0.02)
    first, last = losses[0], min(losses[-10:])
    number = f"loss {first:.3g} to {last:.2g} in {len(losses) - 1} steps"
    if not math.isfinite(losses[-1]):
        return Verdict(check, ILL, number, losses[-1], "training diverges on a single batch: use a smaller learning rate")
    if last < 0.1:
        return Verdict(check, HEALTHY, number, last, f"it learns {len(patient.batch())} images by heart: gradients and labels are right")
    if last < 0.5 * first:
        return Verdict(check, WATCH, number, last, "it learns a single batch, but slowly: try a higher learning rate or a larger network")
    return Verdict(check, ILL, number, last, "it cannot even learn one batch by heart: look for a detached layer, labels of "
                   "other images, a second softmax before the loss, or a learning rate that is far too high or low")


def step_size(patient: Patient) -> Verdict:
    """The size of a step beside the weight's, over the first steps."""
    model = patient.fresh()
    optimizer = patient.optimizer(model.parameters())
    batches = iter(patient.train.batches(patient.batch_size, np.random.default_rng(patient.seed)))
    ratios: dict[str, list[float]] = {}
    for _ in range(UPDATES):
        before = weights(model)
        train(model, optimizer, [next(batches)], 1, patient.loss_function)
        for name, ratio in relative_changes(before, weights(model)).items():
            ratios.setdefault(name, []).append(ratio)
    return update_ratio({name: typical(found) for name, found in ratios.items()})


def typical(ratios: list[float]) -> float:
    """The median; but one step of several times the weight's size is enough to ruin it, even if nothing moves afterwards."""
    largest = max(ratios)
    return largest if not largest <= RUINOUS else float(np.median(ratios))


def trained_for(patient: Patient, data: Data, steps: int, seed: int, head_only: bool = False) -> Module:
    """A copy of the network, trained on `data`; head_only: the last layer alone, on the random filters of the others."""
    model = patient.fresh()
    parameters: Iterable[object] = model.parameters()
    if head_only:
        _, head = layers_with_weights(model)[-1]
        model.requires_grad_(False)
        head.requires_grad_(True)
        parameters = head.parameters()
    train(model, patient.optimizer(parameters), data.batches(patient.batch_size, np.random.default_rng(seed)), steps, patient.loss_function)
    return model


def head_alone(patient: Patient, evaluate: Evaluate, full: float) -> Verdict:
    """What training the features is worth: the whole network against its last layer alone, as many steps each."""
    check, layers = "features pay", layers_with_weights(patient.initial)
    if len(layers) < 2:
        return Verdict(check, HEALTHY, "one layer", full, "the network is a head alone, there are no features to train")
    head = evaluate(trained_for(patient, patient.train, patient.steps, patient.seed, head_only=True))
    number = f"accuracy {full:.1%}, head alone {head:.1%}"
    noise = 2 * math.sqrt(max(full * (1 - full), head * (1 - head), 1e-4) / max(1, len(patient.test or patient.train)))
    if full > head + noise:
        return Verdict(check, HEALTHY, number, full - head, f"training the features, not only {layers[-1][0] or 'the last layer'}, pays")
    if full < head - noise:
        return Verdict(check, ILL, number, full - head, "training all layers is worse than training the last one on random features: the "
                       "learning rate is too high for them, or their gradient is wrong")
    return Verdict(check, WATCH, number, full - head, "random features do as well as trained ones: the task is easy, or the features do "
                   "not learn; a smaller network may do")


def shuffled_labels(patient: Patient, evaluate: Evaluate) -> Verdict:
    """Trained on shuffled labels, a network knows nothing, and an honest test finds that out.

    A network may by chance give each class some one name, so its accuracy varies as if there were one image a class: the limit is three
    such standard errors above the most frequent class.
    """
    check, rng, found = "shuffled labels", np.random.default_rng(patient.seed), []
    for i in range(REPEATS):
        shuffled = replace(patient.train, labels=rng.permutation(patient.train.labels))
        found.append(evaluate(trained_for(patient, shuffled, max(1, patient.steps // 2), patient.seed + i)))
    measured, of = float(np.mean(found)), patient.test or patient.train
    chance = float(np.bincount(of.labels).max() / len(of))
    by_chance = chance + 3 * math.sqrt(chance * (1 - chance) / (patient.classes * REPEATS))
    limit = min(by_chance, (1 + chance) / 2)
    number = f"accuracy {measured:.1%}, chance {chance:.1%}"
    if measured <= limit:
        return Verdict(check, HEALTHY, number, measured, "trained on shuffled labels, it knows nothing: the test does not leak")
    if by_chance >= 1:                                         # of two or three classes
        return Verdict(check, WATCH, number, measured, "trained on shuffled labels, it passes the test; with so few classes that may be "
                       "chance: try another seed")
    return Verdict(check, ILL, number, measured, "trained on shuffled labels, it still passes the test: the test's labels come from the "
                   "network, or the initial weights already know the answers")
