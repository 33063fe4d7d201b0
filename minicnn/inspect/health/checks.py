"""Checks of a network's state: each takes numbers that were measured, and gives a verdict with what to do."""
from __future__ import annotations

import math
from typing import Any

import numpy as np

from minicnn.inspect.health.verdict import HEALTHY, ILL, WATCH, Verdict


def loss_at_start(loss: float, classes: int) -> Verdict:
    """A network that knows nothing gives each of C classes 1/C: its cross-entropy is ln C (Karpathy, "A recipe for training neural
    networks", 2019)."""
    expected = math.log(classes)
    number = f"{loss:.3g}, ln {classes} = {expected:.3g}"
    if not math.isfinite(loss):
        return Verdict("loss at step 0", ILL, number, loss, "the loss is no number before training began: look for NaN in the images, "
                       "and for a division by 0 or an overflow in the network")
    ratio = loss / expected
    if 0.5 <= ratio <= 1.5:
        return Verdict("loss at step 0", HEALTHY, number, loss, "about that of a guess among the classes, as it should be")
    if ratio < 0.5:
        return Verdict("loss at step 0", ILL, number, loss, "the network knows the answers before it is trained: are the weights already "
                       "trained, or are the labels in the images?")
    return Verdict("loss at step 0", WATCH if ratio <= 3 else ILL, number, loss,
                   "the network is sure of wrong answers: the last layer's initial weights or bias are too large, or the images are not "
                   "normalised")


def input_scale(x: np.ndarray) -> Verdict:
    """Initial weights are made for inputs of mean 0 and standard deviation 1."""
    mean, std = float(x.mean()), float(x.std())
    number = f"mean {mean:.3g}, std {std:.3g}"
    if not math.isfinite(mean + std):
        return Verdict("inputs", ILL, number, std, "there are NaN or infinite pixels")
    if std == 0:
        return Verdict("inputs", ILL, number, std, "all pixels are the same: nothing can be learnt from them")
    if abs(mean) <= 1 and 0.25 <= std <= 4:
        return Verdict("inputs", HEALTHY, number, std, "near mean 0 and standard deviation 1")
    ill = abs(mean) > 20 or std > 20 or std < 0.01
    return Verdict("inputs", ILL if ill else WATCH, number, std,
                   "initial weights are made for mean 0 and standard deviation 1: subtract the mean, divide by the deviation (Normalize)")


def first_gradient(norms: dict[str, float]) -> Verdict:
    """The gradient's size in the first layer beside the median of all layers': norm of dw over norm of w, so that sizes do not matter."""
    check = "gradient at first layer"
    if not norms:
        return Verdict(check, ILL, "no gradient", 0.0, "no weight gets a gradient: is the output detached, or are all weights frozen?")
    first, others = next(iter(norms.values())), float(np.median(list(norms.values())))
    ratio = first / others if others else math.nan if not first else math.inf
    name = next(iter(norms))
    number = f"{ratio:.2g} of the median layer's"
    if not math.isfinite(first) or not math.isfinite(others):
        return Verdict(check, ILL, number, ratio, "the gradient is no number: use a smaller learning rate, or look for a division by 0")
    if first == 0:
        return Verdict(check, ILL, number, 0.0, f"no gradient reaches {name}: a frozen or dead layer, or a detach(), stands in its way")
    if ratio < 1e-3:
        return Verdict(check, ILL, number, ratio, f"the gradient vanishes on its way to {name}, so that it learns next to nothing: "
                       "use ReLU, batch norm, or residual connections")
    if ratio > 1e3:
        return Verdict(check, ILL, number, ratio, f"the gradient explodes on its way to {name}: use smaller initial weights or batch norm")
    if not 0.03 <= ratio <= 30:
        return Verdict(check, WATCH, number, ratio, f"{name} gets far {'less' if ratio < 1 else 'more'} gradient than the others")
    return Verdict(check, HEALTHY, number, ratio, f"{name} learns as fast as the others")


def dead_units(dead: dict[str, tuple[int, int]]) -> Verdict:
    """Channels or units that are 0 for every image, after ReLU: (dead, all) of each layer."""
    check = "dead units"
    if not dead:
        return Verdict(check, HEALTHY, "no ReLU", 0.0, "the network has no ReLU, so no unit can die")
    lost, total = (sum(pair[i] for pair in dead.values()) for i in (0, 1))
    worst = max(dead, key=lambda name: dead[name][0] / max(1, dead[name][1]))
    share, layer_share = lost / max(1, total), dead[worst][0] / max(1, dead[worst][1])
    number = f"{lost} of {total} ({share:.0%})"
    if layer_share <= 0.1:
        return Verdict(check, HEALTHY, number, share, "nearly every unit responds to some image")
    most = f"{dead[worst][0]} of {dead[worst][1]} in {worst} are 0 for every image"
    verdict = WATCH if layer_share <= 0.5 else ILL
    return Verdict(check, verdict, number, share, f"{most} and learn nothing: use a smaller learning rate, batch norm or leaky ReLU; "
                   "look for large negative biases")


def update_ratio(ratios: dict[str, float]) -> Verdict:
    """How much one step changes a weight: norm of the change over norm of the weight, the median of the layers; about 0.001 is usual."""
    check = "update / weight"
    if not ratios:
        return Verdict(check, ILL, "no step", 0.0, "no weight was updated")
    ratio = float(np.median(list(ratios.values())))
    number = f"{ratio:.1e} a step"
    if not math.isfinite(ratio) or ratio > 0.3:
        return Verdict(check, ILL, number, ratio, "each step overthrows the weights: the learning rate is far too high")
    if ratio < 1e-6:
        return Verdict(check, ILL, number, ratio, "the steps do next to nothing: the learning rate is far too low, or they are frozen")
    if ratio > 0.06:
        return Verdict(check, WATCH, number, ratio, "large steps (0.001 is usual): try a lower learning rate")
    if ratio < 3e-5:
        return Verdict(check, WATCH, number, ratio, "small steps (0.001 is usual): try a higher learning rate")
    return Verdict(check, HEALTHY, number, ratio, "steps that neither do nothing nor overthrow the weights")


def movement(before: dict[str, Any], after: dict[str, Any]) -> dict[str, np.ndarray]:
    """How far each filter moved: the norm of its change over the norm of its initial weights. One number for each output of a layer."""
    moved = {}
    for name, w in before.items():
        rows, change = (a.reshape(len(w), -1).astype(np.float64) for a in (w, after[name] - w))
        size, distance = np.linalg.norm(rows, axis=1), np.linalg.norm(change, axis=1)
        moved[name] = np.where(distance == 0, 0.0, distance / np.where(size == 0, 1.0, size))
    return moved


STILL = 1e-3          # of its initial size


def filters_moved(moved: dict[str, np.ndarray]) -> Verdict:
    """Filters that training left where they were."""
    check = "filters moved"
    if not moved:
        return Verdict(check, WATCH, "no filters", 0.0, "the network has no weight with a row for each output")
    still = {name: int((m < STILL).sum()) for name, m in moved.items()}
    total, lost = sum(len(m) for m in moved.values()), sum(still.values())
    median = float(np.median(np.concatenate(list(moved.values()))))
    number = f"{median:.0%} (median), {lost} of {total} did not" if math.isfinite(median) else f"{median}"
    if not math.isfinite(median):
        return Verdict(check, ILL, number, median, "weights are no numbers: training diverged")
    worst = max(still, key=lambda name: still[name] / len(moved[name]))
    share = still[worst] / len(moved[worst])
    if share > 0.5:
        return Verdict(check, ILL, number, median, f"{still[worst]} of {len(moved[worst])} filters of {worst} are where they began: "
                       "frozen, not given to the optimiser, without gradient, or the learning rate is too low")
    if share > 0.1:
        return Verdict(check, WATCH, number, median,
                       f"{still[worst]} of {len(moved[worst])} filters of {worst} are where they began: dead?")
    return Verdict(check, HEALTHY, number, median, "training changed the filters")


def constant_prediction(scores: np.ndarray, labels: np.ndarray, classes: int) -> Verdict:
    """A network that says the same of every image."""
    check = "predictions vary"
    if not np.isfinite(scores).all():
        return Verdict(check, ILL, "NaN", math.nan, "the network's output is no number: training diverged")
    counts = np.bincount(scores.argmax(axis=1), minlength=classes)
    share, usual = counts.max() / counts.sum(), np.bincount(labels, minlength=classes).max() / len(labels)
    number = f"{np.count_nonzero(counts)} of {len(np.unique(labels))} classes, most frequent {share:.0%}"
    if len(np.unique(labels)) > 1 and share > 0.99:
        return Verdict(check, ILL, number, float(share), "every image gets the same class: too high a learning rate, dead units, or "
                       "classes of very unequal size")
    if share > min(0.95, 2 * usual + 0.2):
        return Verdict(check, WATCH, number, float(share), "one class is predicted far more often than it occurs")
    return Verdict(check, HEALTHY, number, float(share), "about as often as they occur")
