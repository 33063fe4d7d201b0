"""What the network shows of itself: its worst mistakes, the filters of its first layer, its layers."""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from minicnn import inspect
from minicnn.autograd import no_grad
from minicnn.data import ArrayDataset, Normalize
from minicnn.inspect.summarizing import Summary, units
from minicnn.inspect.summarizing.memory.step import training_memory
from minicnn.nn import Module
from minicnn.nn.functional import log_softmax
from minicnn.report import pictures
from minicnn.report.markup import Content, Html, element, joined, paragraph, table
from minicnn.tensor import Tensor
from minicnn.training.metrics import short
from minicnn.training.plots import spread
from minicnn.training.predictor import Predictor

MOST_TESTED = 10_000               # images that are looked through for mistakes
MOST_MISTAKES, MOST_FILTERS = 24, 64
BATCH = 256


@dataclass(frozen=True)
class Mistake:
    """index: of the test image. loss: -log of the probability of its true class. probability: of the class it was taken for."""
    index: int
    true: int
    taken: int
    probability: float
    loss: float


@no_grad()
def worst_mistakes(predictor: Predictor, test: ArrayDataset, most: int = MOST_MISTAKES) -> tuple[list[Mistake], int, int]:
    """Test images that the network gets wrong, those with the highest loss first; of how many mistakes, among how many images.

    More than 10,000 images are not all looked through, but so many, evenly spread.
    """
    about, model = predictor.description, predictor.model
    normalize = Normalize(about.mean, about.std)
    picked = spread(test.labels, MOST_TESTED)
    found: list[Mistake] = []
    for part in np.array_split(picked, max(1, -(-len(picked) // BATCH))):
        pixels = test.images[part].astype(np.float32) / np.float32(test.max_value)
        logs = log_softmax(model.eval()(Tensor(normalize(pixels))), 1).array
        labels, taken = test.labels[part], logs.argmax(axis=1)
        for i in np.flatnonzero(taken != labels):
            t, p = int(labels[i]), int(taken[i])
            found.append(Mistake(int(part[i]), t, p, float(np.exp(logs[i, p])), float(-logs[i, t])))
    found.sort(key=lambda mistake: (-mistake.loss, mistake.index))
    return found[:most], len(found), len(picked)


def mistakes(predictor: Predictor, test: ArrayDataset) -> Html:
    """The worst of them as pictures."""
    worst, count, looked = worst_mistakes(predictor, test)
    if not worst:
        return paragraph(f"None: all {looked:,} test images are right.")
    tiles = []
    for found in worst:
        true, taken = (short(test.classes[label]) for label in (found.true, found.taken))
        alt = f"Test image {found.index}: {true}, taken for {taken}"
        tiles.append(element("figure", pictures.picture(pictures.image(test.images[found.index], test.max_value), alt), element(
            "figcaption", element("b", true), element("br"), "taken for ", element("b", taken), f" {found.probability:.1%}",
            title=f"test image {found.index}, loss {found.loss:.2f}")))
    these = f"the {len(worst)} it was most mistaken about" if count > len(worst) else "all of them"
    return joined(
        paragraph(f"{count:,} of {looked:,} test images are wrong; these are {these}: those whose true class (first line) it held "
                  "least likely. Some of them may be labelled wrongly."),
        element("div", *tiles, class_="tiles mistakes"))


def filters(model: Module) -> Html:
    """The first convolution's weights as pictures, or a first linear layer's where they belong to the pixels of an image."""
    try:
        found = inspect.filters(model)
    except ValueError as error:
        return paragraph(str(error))
    weight = found.weight
    if weight.ndim != 4 or weight.shape[2] * weight.shape[3] < 2:
        return paragraph(f"{found.layer} ({found.kind}) has no filters that make pictures: its weights are {found.size()}.")
    shown = weight[:MOST_FILTERS]
    most = float(np.abs(shown[np.isfinite(shown)]).max(initial=0))
    colours = shown.shape[1] == 3
    tiles = []
    for i, w in enumerate(shown):
        pixels = pictures.coloured(w, most) if colours else pictures.signed(w.mean(axis=0), most)
        alt = f"Filter {i}: weights from {w.min():.2f} to {w.max():.2f}"
        tiles.append(element("figure", pictures.picture(pixels, alt, title=alt), element("figcaption", str(i))))
    key = (f"Grey is 0, full red, green or blue ±{most:.2g}." if colours else f"White is 0, red {most:.2g}, blue −{most:.2g}." + (
        f" Each picture is the mean over {shown.shape[1]} channels." if shown.shape[1] > 1 else ""))
    left_out = f" The first {len(shown)} of {len(weight)}." if len(weight) > len(shown) else ""
    return joined(paragraph(f"{found.layer}: {found.kind}, {len(weight)} filters of {found.size()}. {key}{left_out}"),
                  element("div", *tiles, class_="tiles filters"), paragraph(found.verdict, class_="soft"))


def summary(predictor: Predictor, batch: int, optimizer: str) -> tuple[Summary, Html]:
    """What the layers compute, have and see, for one image; and the memory of a training step with `batch` of them."""
    about = predictor.description
    shape = (about.in_channels, *about.image_size)
    found = inspect.summary(predictor.model, shape, batch=1, optimizer="none")
    return found, joined(
        paragraph(f"{found.model} on one image of {' x '.join(map(str, shape))}. 1 MAC = one multiply-add = 2 FLOP, those with padding "
                  "included; backward: the gradients of weights and of inputs, but not of the image. Receptive field: the pixels of the "
                  "image, on a side, that one unit sees."),
        _layers(found), _memory(predictor.model, shape, batch, optimizer))


def _layers(found: Summary) -> Html:
    rows: list[list[Content]] = [
        [row.name, row.kind, units.shape(row.output_shape), units.short(row.parameters), units.short(row.macs),
         units.short(row.macs_backward), units.both(row.receptive_field)] for row in found.layers]
    totals = map(units.short, (found.total_parameters, found.total_macs, found.total_macs_backward))
    rows.append([element("b", "total"), "", "", *(element("b", total) for total in totals), ""])
    return table(["layer", "kind", "output", "parameters", "MACs forward", "MACs backward", "receptive field"], rows, left=3)


def _memory(model: Module, shape: Sequence[int], batch: int, optimizer: str) -> Html | None:
    """What a step takes at its peak, in a sentence."""
    try:
        memory = training_memory(model, tuple(shape), batch, optimizer)        # predicted from a few images, whatever the batch
    except (ValueError, TypeError, MemoryError):               # such as an optimiser whose state is not known there
        return None
    parts = sorted((part for part in memory.parts.items() if part[1] >= memory.peak / 100), key=lambda part: -part[1])
    held = ", ".join(f"{name} {units.size(nbytes)}" for name, nbytes in parts)
    return paragraph(f"A training step of {batch} images with {optimizer} needs {units.size(memory.peak)} at its peak, as predicted from "
                     f"shapes: {held}.")
