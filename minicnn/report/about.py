"""The parts of the page that are words and numbers: the verdict, the speed, the recipe, the environment."""
from __future__ import annotations

import json
from dataclasses import fields
from typing import Any

from minicnn.inspect.summarizing import Summary
from minicnn.inspect.summarizing.units import short, size
from minicnn.report import files
from minicnn.report.chart import Line, line_chart
from minicnn.report.markup import Content, Html, element, joined, paragraph, table
from minicnn.report.numbers import duration, percent, plural, whole
from minicnn.report.record import Record
from minicnn.training.recipe import Recipe
from minicnn.training.recipe_file import write

SOURCE_LINES = 300                                             # of a recipe that is shown


def verdict(run: Record) -> Html:
    """One sentence: what came out, of what."""
    network = f"{run.model or 'a network'} on {run.dataset or 'unknown images'}"
    tested, accuracy = files.count(run.result, "test_images"), run.test_accuracy
    if accuracy is not None and tested:
        right = round(accuracy * tested)
        said = f"{network}: {right:,} of {tested:,} test images are right, {percent(accuracy)}"
    elif run.validation_accuracy is not None:
        said = f"{network}: {percent(run.validation_accuracy)} of the validation images are right; the test images have not been used"
    else:
        said = f"{network}: nothing was tested"
    trained = f", after {plural(len(run.epochs), 'epoch')} in {duration(run.seconds)}" if run.epochs else ""
    return paragraph(f"{said}{trained}.", class_="verdict")


def ending(run: Record) -> Html:
    """What a reader must know of a run that did not finish, and of files that are damaged."""
    done, planned = len(run.epochs), run.planned
    of = f" after {done} of {plural(planned, 'epoch')}" if planned else f" after {plural(done, 'epoch')}"
    said = [] if run.finished else [
        {"interrupted": f"This run was interrupted{of}.", "failed": f"This run failed{of}: {run.error or 'it is not said why'}.",
         "unfinished": f"This run has not finished: it runs still, or was killed{of}."}.get(run.status, f"This run is {run.status}{of}.")]
    goes_on = element("p", "Go on with: ", element("code", run.go_on), class_="warning") if run.go_on else None
    return joined(*(paragraph(line, class_="warning") for line in (*said, *run.problems)), goes_on)


def tiles(run: Record) -> Html:
    """The figures that one looks for first."""
    best = run.best
    chosen = f"epoch {best['epoch']:g}, whose weights are kept" if "validation_accuracy" in best else None
    machine = ", ".join(filter(None, [files.text(run.environment, "cpu", 60), _counted(run.environment, "cores", "core")]))
    images = whole(files.count(run.config, "train_images"))
    shown: list[tuple[str, str, str | None]] = [
        ("test accuracy", percent(run.test_accuracy),
         f"of {whole(files.count(run.result, 'test_images'))} images, used once" if run.test_accuracy is not None else "not tested"),
        ("validation accuracy", percent(run.validation_accuracy), chosen),
        ("parameters", whole(run.parameters), run.model),
        ("training", duration(run.seconds), f"{plural(len(run.epochs), 'epoch')} of {images} images"),
        ("images/s", whole(run.images_per_second), "in training, median of the epochs"),
        ("backend", files.text(run.config, "backend", 20) or "–",
         machine or None)]
    return element("dl", *(element("div", element("dt", head), element("dd", value, element("small", note) if note else None))
                           for head, value, note in shown), class_="figures")


def curves(run: Record) -> Html:
    """Loss, accuracy and learning rate after each epoch."""
    if not run.epochs:
        return Html("")

    def line(key: str, label: str, style: str) -> Line:
        return Line(label, [(epoch["epoch"], epoch[key]) for epoch in run.epochs if key in epoch], style)

    best = run.best["epoch"] if run.validation_accuracy is not None else None
    explained = (f"The dashed line is epoch {best:g}, the best on the validation images: its weights are those that were tested and saved."
                 if best else "No images were held out for validation, so the last weights are those that were saved.")
    smoothed = files.number(run.config, "label_smoothing") or 0
    return joined(
        paragraph(f"Training values are means over an epoch, taken while the network changes, on augmented images where the recipe "
                  f"augments; validation comes after it. {explained}"
                  + (f" The loss holds label smoothing of {smoothed:g}, so it does not fall to 0." if smoothed else "")),
        element("div",
                line_chart("loss", [line("loss", "training", "one"), line("validation_loss", "validation", "two")],
                           lambda y: f"{y:.3g}", best),
                line_chart("accuracy", [line("accuracy", "training", "one"), line("validation_accuracy", "validation", "two")],
                           lambda y: f"{100 * y:.4g}%", best),
                line_chart("learning rate, at the start of the epoch", [line("lr", "", "three")], lambda y: f"{y:.2g}", zero=True),
                class_="charts"))


def speed(run: Record, summary: Summary | None) -> Html:
    """Images per second, the time of a step, and how many multiply-adds that is."""
    rate = run.images_per_second
    if not rate:
        return Html("")
    batch = files.count(run.config, "batch_size") or 0
    rows: list[list[Content]] = [["images/s, median", whole(rate)]]
    if batch:
        rows.append([f"time of a step of {plural(batch, 'image')}", f"{1000 * batch / rate:,.2f} ms"])
    each = [epoch["seconds"] for epoch in run.epochs if "seconds" in epoch]
    if each:
        rows.append(["time of an epoch", f"{duration(min(each))} to {duration(max(each))}" if len(each) > 1 else duration(each[0])])
    if summary:
        macs = summary.total_macs + summary.total_macs_backward
        rows += [["multiply-adds an image, forward and backward", short(macs)], ["multiply-adds per second", f"{macs * rate / 1e9:,.3g} G"]]
    points = [(epoch["epoch"], epoch["images_per_second"]) for epoch in run.epochs if "images_per_second" in epoch]
    return joined(
        paragraph("Of training steps: augmentation, forward, backward, optimiser. 1 multiply-add = 2 FLOP; the first epoch may have waited "
                  "for kernels to be compiled."),
        element("div", table([], rows, class_="facts"),
                line_chart("images/s", [Line("", points, "one")], lambda y: f"{y:,.0f}", zero=True) if len(points) > 1 else None,
                class_="columns"))


def recipe(run: Record) -> Html:
    """The recipe as TOML, or what is known of the settings."""
    source = run.recipe or _rebuilt(run)
    if not source:
        return Html("")
    lines = source.splitlines()
    shown = "\n".join(lines[:SOURCE_LINES]) + ("\n…" if len(lines) > SOURCE_LINES else "")
    return joined(
        paragraph("To train it again, save this as a file and give it to ", element("code", "minicnn train --recipe FILE.toml"), "; the "
                  "same seed, backend and versions on the same kind of CPU give the same network, bit for bit."),
        element("pre", shown, tabindex="0"))


def _rebuilt(run: Record) -> str:
    known = {f.name for f in fields(Recipe)}
    values: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in run.config.items() if key in known}
    try:
        return write(Recipe(**values)) if values else ""
    except (ValueError, TypeError, AttributeError):            # such as a folder of images that is not there any more
        return json.dumps({key: run.config[key] for key in values}, indent=2)


def environment(run: Record) -> Html:
    """What it was computed on and with."""
    of = run.environment
    versions = of.get("versions", run.config.get("versions"))
    pairs = [
        ("command", files.text(of, "command", 1000)), ("date", files.text(of, "date")), ("CPU", files.text(of, "cpu")),
        ("cores", ", ".join(filter(None, [_counted(of, "cores", "core"), _counted(of, "threads", "hardware thread")]))),
        ("memory", size(files.count(of, "memory") or 0) if files.count(of, "memory") else ""), ("system", files.text(of, "os")),
        ("Python", files.text(of, "python")), ("BLAS", files.text(of, "blas")),
        ("Numba", _counted(of, "numba_threads", "thread")), ("versions", _listed(versions)),
        ("revision", files.text(of, "revision")), ("variables", _listed(of.get("variables"), "="))]
    rows: list[list[Content]] = [[name, element("code", value) if name in ("command", "revision", "variables") else value]
                                 for name, value in pairs if value]
    return table([], rows, left=2, class_="facts") if rows else Html("")


def _counted(values: dict[str, Any], key: str, word: str) -> str:
    n = files.count(values, key)
    return plural(n, word) if n else ""


def _listed(values: Any, between: str = " ") -> str:
    if not isinstance(values, dict):
        return ""
    return ", ".join(f"{name}{between}{value}" for name, value in list(values.items())[:40] if isinstance(value, str | int | float))[:1000]
