"""The parts of a page: markup, charts, pictures, classes, mistakes, against what is computed another way."""
from __future__ import annotations

import base64
import io
import re
from html import unescape

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from PIL import Image

from minicnn import Tensor, nn, no_grad, random
from minicnn.data import ArrayDataset, load
from minicnn.report import chart, classes, markup, network, pictures
from minicnn.report.chart import Line, line_chart, ticks, whole_ticks
from minicnn.report.markup import Html, element, table
from minicnn.training import Description, Predictor
from tests.compare import assert_equal
from tests.report.run_files import CONFUSION, DIGITS


def pixels(html: str) -> list[np.ndarray]:
    """The pictures in it."""
    return [np.asarray(Image.open(io.BytesIO(base64.b64decode(found)))) for found in re.findall(r"data:image/png;base64,([^\"]+)", html)]


@given(text=st.text())
def test_any_text_is_shown_as_it_is(text: str) -> None:
    shown = markup.literal(text)
    assert not set("<>\"'") & set(shown)
    assert unescape(shown) == markup.ODD.sub("\ufffd", text) or "\r" in text
    shown.encode("utf-8")


def test_only_what_was_made_here_is_markup() -> None:
    assert element("p", "<b>", element("b", "x"), None) == "<p>&lt;b&gt;<b>x</b></p>"
    assert element("i", title='" onclick="x') == '<i title="&quot; onclick=&quot;x"></i>'
    assert element("i", hidden=True, title=None, lang=False) == "<i hidden></i>"
    assert table(["<", "b"], [["&", Html("<i></i>")], ["over"]], caption="'").count("&lt;") == 1


bounded = st.floats(-1e12, 1e12)


@given(low=bounded, high=bounded, most=st.integers(3, 8))
def test_ticks_hold_the_values_and_are_few(low: float, high: float, most: int) -> None:
    low, high = min(low, high), max(low, high)
    found = ticks(low, high, most)
    spare = 1e-6 * max(abs(low), abs(high), 1e-100)
    assert found[0] <= low + spare
    assert found[-1] >= high - spare
    assert 2 <= len(found) <= most + 2
    steps = np.diff(found)
    assert (steps > 0).all()


@given(first=st.integers(1, 10**6), length=st.integers(0, 10**6))
def test_whole_ticks(first: int, length: int) -> None:
    found = whole_ticks(first, first + length)
    assert found[0] == first
    assert found[-1] <= first + length
    assert 1 <= len(found) <= 8
    assert sorted(set(found)) == found


@given(ys=st.lists(st.floats(-1e99, 1e99), min_size=1, max_size=80), zero=st.booleans())
@example(ys=[-1.0], zero=True)
def test_a_chart_stays_inside_its_frame(ys: list[float], zero: bool) -> None:
    html = line_chart("loss", [Line("training", list(enumerate(ys, 1)), "one")], lambda y: f"{y:.3g}", mark=1, zero=zero)
    points = re.findall(r"([-\d.einfa]+),([-\d.einfa]+)", re.findall(r'points="([^"]*)"', html)[0])
    assert len(points) == len(ys)
    for x, y in points:
        assert chart.LEFT <= float(x) <= chart.W - chart.RIGHT
        assert chart.TOP - 0.1 <= float(y) <= chart.H - chart.BOTTOM + 0.1
    heights = [float(y) for _, y in points]
    assert heights[int(np.argmax(ys))] == min(heights), "the largest is not the highest"
    assert html.count("<circle") == (len(ys) if len(ys) <= chart.MOST_DOTS else 0)


def test_a_chart_of_nothing() -> None:
    assert line_chart("loss", [Line("training", [], "one")], str) == ""


def test_pictures_are_what_they_show() -> None:
    """White is 0, blue below, red above; grey images as they are."""
    signed = pictures.signed(np.array([[-1.0, 0, 1], [5, -5, np.nan]]), 1.0)
    assert_equal(signed[:, :, 0], np.array([[33, 247, 178], [178, 33, 247]], np.uint8))
    image = np.arange(17, dtype=np.uint8).reshape(1, 1, 17)[:, :, :16]
    (found,) = pixels(pictures.picture(pictures.image(image, 15), "x"))
    assert_equal(found, (np.arange(16) * 17).astype(np.uint8)[None])
    colour = np.random.default_rng(0).integers(0, 256, (3, 4, 5)).astype(np.uint8)
    (found,) = pixels(pictures.picture(pictures.image(colour, 255), "x"))
    assert_equal(found, colour.transpose(1, 2, 0))
    assert_equal(pictures.heat(np.array([[0.0, 1.0]]))[0], np.array([[68, 1, 84], [253, 231, 37]], np.uint8))
    assert_equal(pictures.coloured(np.zeros((3, 2, 2)), 0.0), np.full((2, 2, 3), 128, np.uint8))


def test_recall_precision_and_f1() -> None:
    """Against their definitions, image by image."""
    counts = np.array([[5, 1, 0], [2, 3, 0], [0, 0, 0]])
    pairs = [(t, p) for t in range(3) for p in range(3) for _ in range(counts[t, p])]
    rows = re.findall(r"<tr><th[^>]*scope=\"row\">(\w+)</th>(.*?)</tr>", classes.per_class(counts, ("a", "b", "none")))
    found = {name: re.findall(r"(?<=>)[\d.]+%|–", row) for name, row in rows}
    for label, name in enumerate("ab"):
        right = sum(t == p == label for t, p in pairs)
        recall, precision = right / sum(t == label for t, _ in pairs), right / sum(p == label for _, p in pairs)
        assert found[name] == [f"{recall:.1%}", f"{precision:.1%}", f"{2 / (1 / recall + 1 / precision):.1%}"]
    assert found["none"] == ["–"] * 3
    assert [name for name, _ in rows] == ["b", "a", "none"], "the hardest does not stand first"


def test_the_confusion_matrix_has_all_counts() -> None:
    html = classes.confusion(CONFUSION, DIGITS)
    cells = re.findall(r"<td[^>]*>([^<]*)</td>", html)
    assert cells == [str(n) if n else "·" for n in CONFUSION.ravel()]
    assert "0 taken for 1: 3" in html


@pytest.fixture(scope="module")
def predictor() -> Predictor:
    about = Description("digits", 1, (8, 8), DIGITS, (0.3,), (0.4,), 0.0)
    random.manual_seed(1)
    return Predictor(about.build().eval(), about)


def test_the_worst_mistakes_are_those_with_the_highest_loss(predictor: Predictor) -> None:
    """All images at once, in float64, by the definition of the softmax."""
    _, test = load("digits")
    x = (test.images / np.float32(16) - np.float32(0.3)) / np.float32(0.4)
    with no_grad():
        logits = predictor.model(Tensor(x.astype(np.float32))).array.astype(np.float64)
    probabilities = np.exp(logits - logits.max(1, keepdims=True))
    probabilities /= probabilities.sum(1, keepdims=True)
    loss = -np.log(probabilities[np.arange(360), test.labels])
    wrong = logits.argmax(1) != test.labels
    found, count, looked = network.worst_mistakes(predictor, test, 10)
    assert (count, looked) == (wrong.sum(), 360)
    assert [mistake.index for mistake in found] == [i for i in np.argsort(-loss) if wrong[i]][:10]
    for mistake in found:
        assert mistake.true == test.labels[mistake.index]
        assert mistake.taken == logits[mistake.index].argmax()
        assert mistake.probability == pytest.approx(probabilities[mistake.index].max(), rel=1e-5)
        assert mistake.loss == pytest.approx(loss[mistake.index], rel=1e-4)
    shown = pixels(network.mistakes(predictor, test))
    assert_equal(shown[0], np.rint(test.images[found[0].index, 0] * np.float32(255 / 16)).astype(np.uint8))


def test_no_mistakes(predictor: Predictor) -> None:
    _, test = load("digits")
    with no_grad():
        labels = predictor.model(Tensor((test.images / np.float32(16) - np.float32(0.3)) / np.float32(0.4))).array.argmax(1)
    assert "None: all 360 test images are right." in network.mistakes(predictor, ArrayDataset(test.images, labels, DIGITS, 16))


def test_many_images_are_looked_through_evenly(predictor: Predictor, monkeypatch: pytest.MonkeyPatch) -> None:
    _, test = load("digits")
    monkeypatch.setattr(network, "MOST_TESTED", 50)
    assert network.worst_mistakes(predictor, test)[2] == 50


def test_filters_of_any_first_layer() -> None:
    weight = np.zeros((2, 1, 1, 3), np.float32)
    weight[0] = [[[-2, 0, 2]]]
    conv = nn.Conv2d(1, 2, (1, 3))
    conv.weight.array[...] = weight
    first, second = pixels(network.filters(nn.Sequential(conv)))
    assert_equal(first, np.array([[[33, 102, 172], [247, 247, 247], [178, 24, 43]]], np.uint8))
    assert (second == 247).all()
    assert len(pixels(network.filters(nn.Sequential(nn.Conv2d(3, 70, 3))))) == 64
    assert len(pixels(network.filters(nn.Sequential(nn.Conv2d(2, 4, 3))))) == 4
    assert "has no filters that make pictures: its weights are 4 weights." in network.filters(nn.Sequential(nn.Linear(4, 2)))
    assert "has no layer with a weight" in network.filters(nn.Sequential(nn.ReLU()))
    broken = nn.Conv2d(1, 2, 3)
    broken.weight.array[...] = np.nan
    assert "18 weights of 0 are not finite" in network.filters(nn.Sequential(broken))


def test_the_summary_is_that_of_inspect(predictor: Predictor) -> None:
    found, html = network.summary(predictor, 64, "adamw")
    assert found.batch == 1
    assert re.findall(r"<tr><th[^>]*scope=\"row\">([^<]+)</th>", html) == [row.name for row in found.layers]
    assert "A training step of 64 images with adamw needs" in html
    assert "A training step" not in network.summary(predictor, 64, "unknown")[1]


def test_the_style_sheet_loads_nothing() -> None:
    from minicnn.report.style import CSS
    assert "</" not in CSS
    assert CSS.count("{") == CSS.count("}")
    assert not re.search(r"url\(|@import|expression", CSS)
