"""Class by class: the confusion matrix, what is found of each class, and how often its name is right."""
from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from minicnn.report import pictures
from minicnn.report.markup import Content, Html, element, joined, paragraph, table
from minicnn.training import metrics

MOST_NAMED = 20                    # classes of a matrix with counts; one of more is a picture
MOST_ROWS = 40
NAME = 28                          # characters


def confusion(counts: np.ndarray, classes: Sequence[str]) -> Html:
    """The matrix as a coloured table with counts, or as a picture where the classes are many, and its largest mistakes in words."""
    said = metrics.worst(counts, classes, 5)
    return joined(
        paragraph("A row for each true class, a column for what the network took its images for: the diagonal is right."),
        _table(counts, classes) if len(classes) <= MOST_NAMED else _picture(counts),
        paragraph("Most often confused: ", ", ".join(said), ".") if said else paragraph("No image was confused with another class."))


def _table(counts: np.ndarray, classes: Sequence[str]) -> Html:
    shares = counts / np.maximum(1, counts.sum(axis=1, keepdims=True))
    names = [metrics.short(name, NAME) for name in classes]
    head = element("tr", element("th", "true \\ taken for", class_="corner", scope="col"),
                   *(element("th", element("span", name), scope="col") for name in names))
    rows = [element("tr", element("th", name, scope="row"), *(_cell(counts[t, p], float(shares[t, p]), t == p) for p in range(len(names))))
            for t, name in enumerate(names)]
    inside = element("table", element("thead", head), element("tbody", *rows), class_="matrix")
    return element("div", inside, class_="wide", tabindex="0", role="region", aria_label="confusion matrix")


def _cell(count: int, share: float, right: bool) -> Html:
    if not count:
        return element("td", "·", class_="none")
    # mistakes are few, so their colours are stronger: 20 % of a row is as dark as they get
    strength = 0.12 + 0.85 * share if right else min(0.9, 0.12 + 4 * share)
    colour = f"background: rgba(var(--{'hit' if right else 'miss'}), {strength:.2f})"
    return element("td", str(count), style=colour, class_="full" if strength > 0.6 else None, title=f"{share:.1%} of its class")


def _picture(counts: np.ndarray) -> Html:
    shares = counts / np.maximum(1, counts.sum(axis=1, keepdims=True))
    K = len(counts)
    right = np.trace(counts) / max(1, counts.sum())
    alt = f"The confusion matrix of {K} classes as a picture: the diagonal holds {right:.1%} of all images."
    return joined(pictures.picture(pictures.heat(np.sqrt(shares)), alt, class_="heat"),
                  paragraph(f"{K} classes, from dark (none) to bright (all); the counts are in confusion_matrix.csv.", class_="soft"))


def per_class(counts: np.ndarray, classes: Sequence[str]) -> Html:
    """Recall, precision and their harmonic mean for each class, the lowest recall first."""
    K = len(classes)
    rows: list[list[Content]] = []
    with np.errstate(invalid="ignore", divide="ignore"):
        right = np.diag(counts)
        recall, precision = right / counts.sum(axis=1), right / counts.sum(axis=0)
        both = 2 * right / (counts.sum(axis=1) + counts.sum(axis=0))
    order = np.argsort(np.nan_to_num(recall, nan=2), kind="stable")
    for i in order[:MOST_ROWS]:
        rows.append([metrics.short(classes[i], NAME), f"{counts[i].sum():,}", _share(recall[i], bar=True), _share(precision[i]),
                     _share(both[i])])
    left_out = paragraph(f"The {MOST_ROWS} of {K} classes with the lowest recall.", class_="soft") if K > MOST_ROWS else None
    return joined(
        paragraph("Recall: the share of its images that were found. Precision: how often the network was right when it named this class. "
                  "F1: their harmonic mean. The hardest class stands first."),
        table(["class", "images", "recall", "precision", "F1"], rows), left_out)


def _share(value: float, bar: bool = False) -> Html:
    if not np.isfinite(value):
        return element("span", "–")
    drawn = element("span", element("i", style=f"width: {100 * value:.1f}%"), class_="bar") if bar else None
    return element("span", f"{value:.1%}", drawn)
