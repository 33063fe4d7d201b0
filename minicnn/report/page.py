"""The page of a run, put together: one file, no script, nothing that is loaded from elsewhere."""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from minicnn import __version__
from minicnn.data import ArrayDataset, locate
from minicnn.data.sources import NAMES, SOURCES
from minicnn.files import write_whole
from minicnn.report import about, classes, files, network
from minicnn.report.markup import Content, Html, element, joined, paragraph, section
from minicnn.report.record import Record, read
from minicnn.report.style import CSS
from minicnn.training import images
from minicnn.training.predictor import Predictor

NAME = "report.html"
# Should anything slip through the escaping, a browser that reads this runs no script and loads nothing all the same.
POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
OPTIMIZERS = {"sgd": "momentum"}                               # a recipe's name for one -> that of inspect.summary


@dataclass(frozen=True)
class Written:
    """The file, its size in bytes, and what could not be shown, a sentence each."""
    path: Path
    size: int
    missing: list[str]


def write(run: str | Path, test: ArrayDataset | None = None, data: str | Path | None = None, out: str | Path | None = None) -> Written:
    """Write the page of a run into its folder, as report.html, or as the file `out`.

    test: the test images, where they are in memory; else they are read, from `data` first, but never downloaded. Of a run that did not
    finish, or of which files are missing or damaged, the page shows what there is.

    Raises ValueError when it is no run, OSError when the page cannot be written.
    """
    record = read(run)
    text, missing = page(record, test, data)
    path = Path(out) if out else record.folder / NAME
    data_ = text.encode()
    write_whole(path, data_)
    return Written(path, len(data_), missing)


def page(run: Record, test: ArrayDataset | None = None, data: str | Path | None = None) -> tuple[Html, list[str]]:
    """The page, and what it could not show."""
    missing: list[str] = []
    predictor = _predictor(run, missing)
    if predictor and run.confusion is not None and test is None:
        test = _test_images(run, data, missing)
    found, layers = _summary(run, predictor, missing)
    names = run.classes
    counts = run.confusion
    if counts is not None and len(counts) != len(names):
        names = tuple(map(str, range(len(counts))))
    parts = [
        section("Learning curves", about.curves(run), id_="curves"),
        section("Class by class", _classes(counts, names) if counts is not None else None, id_="classes"),
        section("Worst mistakes", _mistakes(predictor, test, counts is not None, missing), id_="mistakes"),
        section("First layer", network.filters(predictor.model) if predictor else None, id_="filters"),
        section("Layers", layers, id_="layers"),
        section("Speed", about.speed(run, found), id_="speed"),
        section("Recipe", about.recipe(run), id_="recipe"),
        section("Environment", about.environment(run), id_="environment")]
    notes = [paragraph(sentence, class_="warning") for sentence in missing]
    return _document(run, joined(about.ending(run), *notes, *parts), [part for part in parts if part]), missing


def _classes(counts: np.ndarray, names: Sequence[str]) -> Html:
    halves = (classes.confusion(counts, names), classes.per_class(counts, names))
    return element("div", *(element("div", half) for half in halves), class_="columns")


def _predictor(run: Record, missing: list[str]) -> Predictor | None:
    try:
        return Predictor.load(run.folder)
    except (ValueError, OSError, MemoryError) as error:
        missing.append(f"No filters and layers: {error}.")
        return None


def _test_images(run: Record, data: str | Path | None, missing: list[str]) -> ArrayDataset | None:
    """As the run had them; only from this machine."""
    dataset = files.text(run.config, "dataset", 1000)
    try:
        if dataset in SOURCES and locate.find(SOURCES[dataset], data) is None:
            raise ValueError(f"the files of {dataset} are not on this machine; name their folder with --data")
        if dataset not in NAMES and not Path(dataset).is_dir():
            raise ValueError(f"there is no folder {dataset}")
        return images.load(dataset, data, files.count(run.config, "image_size") or 32)[1]
    except (ValueError, OSError, MemoryError) as error:
        missing.append(f"No worst mistakes: {error}.")
        return None


def _mistakes(predictor: Predictor | None, test: ArrayDataset | None, tested: bool, missing: list[str]) -> Html | None:
    """Only where the run has been tested: a run that did not finish leaves the test images alone."""
    if predictor is None or test is None or not tested:
        return None
    trained = predictor.description
    if test.images.shape[1:] != (trained.in_channels, *trained.image_size) or test.classes != trained.classes:
        missing.append("No worst mistakes: the test images have changed since the training: other sizes or classes.")
        return None
    return network.mistakes(predictor, test)


def _summary(run: Record, predictor: Predictor | None, missing: list[str]) -> tuple[network.Summary | None, Html | None]:
    if predictor is None:
        return None, None
    name = files.text(run.config, "optimizer", 20)
    try:
        return network.summary(predictor, files.count(run.config, "batch_size") or 1, OPTIMIZERS.get(name, name))
    except (ValueError, TypeError, MemoryError) as error:
        missing.append(f"No table of layers: {error}.")
        return None, None


def _document(run: Record, content: Html, sections: list[Html]) -> Html:
    title = f"{run.name} · minicnn"
    links: list[Content] = []
    for part in sections:
        anchor = part.split('id="', 1)[1].split('"', 1)[0]
        heading = part.split("<h2>", 1)[1].split("</h2>", 1)[0]
        links.append(element("a", Html(heading), href=f"#{anchor}"))
    started = run.started
    head = element(
        "head", "\n", joined(
            element("meta", charset="utf-8"), element("meta", http_equiv="Content-Security-Policy", content=POLICY),
            element("meta", name="viewport", content="width=device-width, initial-scale=1"),
            element("meta", name="color-scheme", content="light dark"), element("meta", name="generator", content=f"minicnn {__version__}"),
            element("title", title), element("style", Html(CSS))), "\n")
    top = element("header", "\n", joined(
        element("h1", run.name, " ", element("span", run.status, class_=f"status {run.status}")), about.verdict(run), about.tiles(run),
        element("nav", *links, aria_label="Parts of this page")), "\n")
    when = f"A run of {started:%d %B %Y, %H:%M} UTC. " if started else ""
    foot = element("footer", paragraph(f"{when}Written by minicnn {__version__}; write it again with ", element(
        "code", f"minicnn report {run.name}"), "."))
    body = element("body", "\n", joined(top, element("main", "\n", content, "\n"), foot), "\n")
    return Html("<!DOCTYPE html>\n" + element("html", "\n", joined(head, body), "\n", lang="en") + "\n")
