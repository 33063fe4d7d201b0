"""What is drawn is what was measured, and a picture remembers which results it shows."""
import hashlib
import subprocess
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

from minicnn import figures
from minicnn.benchmarks.reporting import drawing, plots
from minicnn.benchmarks.results import Entrant, Results
from tests.benchmarks import samples
from tests.benchmarks.samples import CONV, GRAD, LARGE, measured, refused

DIGEST = hashlib.sha256(b"results").hexdigest()


def conv() -> Results:
    """minicnn numba is 2 and 8 times as fast as torch's best, JAX half as fast and refuses one case."""
    return samples.results(
        measured(CONV, "minicnn numba", 1e-4), measured(CONV, "torch contiguous", 2e-4), measured(CONV, "torch.compile", 4e-4),
        measured(CONV, "JAX", 4e-4),
        measured(LARGE, "minicnn numba", 1e-3), measured(LARGE, "torch.compile", 8e-3), refused(LARGE, "JAX", "y is wrong"),
        measured(GRAD, "minicnn numba", 3e-4), measured(GRAD, "torch contiguous", 3e-4), cases=(CONV, LARGE, GRAD))


def points(axes: Any) -> dict[str, list[tuple[float, float]]]:
    """{label: points} of what the legend names."""
    found: dict[str, list[tuple[float, float]]] = {}
    for line in axes.lines:
        if not line.get_label().startswith("_"):
            found.setdefault(line.get_label(), []).extend(zip(*(map(float, data) for data in line.get_data()), strict=True))
    return found


def test_the_roofline_has_every_case_at_its_place() -> None:
    forward, grad = plots.roofline(conv()).axes
    assert [axes.get_title() for axes in (forward, grad)] == ["forward", "grad_input"]
    assert {name: pytest.approx(np.array(found)) for name, found in points(forward).items()} == {     # (FLOP per byte, GFLOP/s)
        "minicnn numba": np.array([(4, 20), (16, 128)]), "torch's best": np.array([(4, 10), (16, 16)]), "JAX": np.array([(4, 5)])}
    assert set(points(grad)) == {"minicnn numba", "torch's best"}
    roof = next(line for line in forward.lines if len(line.get_xdata()) == 3)
    (left, slope), (ridge, peak), (_, level) = zip(*roof.get_data(), strict=True)
    assert (ridge, peak, level) == (10, 100, 100)              # 100 GFLOP/s over 10 GB/s
    assert slope == pytest.approx(10 * left)
    assert forward.get_xscale() == forward.get_yscale() == "log"


def test_bars_mark_the_geometric_means() -> None:
    forward, grad = plots.bars(conv()).axes
    assert [label.get_text() for label in forward.get_yticklabels()] == ["LeNet", "ResNet", "all"]
    assert [x for x, _ in points(forward)["minicnn numba"]] == pytest.approx([2, 8, 4])      # sqrt(2 * 8)
    assert [x for x, _ in points(forward)["JAX"]] == pytest.approx([0.5, 0.5])
    assert [x for x, _ in points(grad)["minicnn numba"]] == pytest.approx([1, 1])
    assert "torch's best" not in points(forward)
    assert any(list(line.get_xdata()) == [1, 1] for line in forward.lines)
    assert forward.get_xscale() == "log"


def test_no_panel_cuts_off_what_another_has_not() -> None:
    found = samples.results(*(measured(case, name, time) for case, name, time in (
        (CONV, "minicnn numba", 1e-4), (CONV, "torch contiguous", 1e-4), (GRAD, "minicnn numba", 1e-2), (GRAD, "torch contiguous", 1e-4))),
        cases=(CONV, GRAD))
    for draw in (plots.bars, plots.roofline):
        for axes in draw(found).axes:
            (left, right), (bottom, top) = sorted(axes.get_xlim()), sorted(axes.get_ylim())
            assert all(left < x < right and bottom < y < top for xys in points(axes).values() for x, y in xys)
    assert plots.bars(found).axes[0].get_xlim()[0] < 0.01


def test_the_ladder_measures_from_the_slowest_rung() -> None:
    found = samples.results(measured(CONV, "torch contiguous", 2e-4), measured(CONV, "loops", 1.0), measured(CONV, "im2col", 1e-3),
                            refused(CONV, "tiles", "y is wrong"), kind="ladder")
    found.entrants = [Entrant(e.name, peer=e.name.startswith("torch")) for e in found.entrants]
    (axes,) = plots.ladder(found).axes
    assert [label.get_text() for label in axes.get_yticklabels()] == ["loops", "im2col", "tiles", "torch contiguous"]
    assert [bar.get_x() + bar.get_width() for bar in axes.patches] == pytest.approx([1, 1000, 5000])
    assert [text.get_text() for text in axes.texts] == ["1.00 s, 0.002% of the peak", "1.00 ms, 2% of the peak", "no time: y is wrong",
                                                        "200 µs, 10% of the peak"]


@pytest.mark.parametrize("draw", [plots.bars, plots.roofline])
def test_titles_say_what_and_where(draw: Any) -> None:
    figure = draw(conv())
    assert figure.get_suptitle().startswith("Convolution, 2 threads of Intel Core i5-8250U: ")
    assert figure.legends[0].get_texts()[0].get_text() == "minicnn numba"


def test_which_pictures_a_kind_has() -> None:
    assert plots.drawings(conv()) == ["bars", "roofline"]
    alone = samples.results(measured(CONV, "minicnn numba", 1e-4))
    assert plots.drawings(alone) == ["roofline"]               # nothing to be held against
    alone.peak = {}
    assert plots.drawings(alone) == []
    for kind, names in (("train", ["bars"]), ("accuracy", []), ("ladder", ["rungs"])):
        found = conv()
        found.kind = kind
        assert plots.drawings(found) == names


def test_nobody_shares_a_colour_or_a_marker() -> None:
    names = ["torch contiguous", "b", "minicnn numba", "a", "JAX", "c"]
    found = drawing.styles(samples.results(*(measured(CONV, name, 1e-4) for name in names)))
    assert list(found) == ["minicnn numba", "torch's best", "JAX", "b", "a", "c"]
    for key in ("color", "marker"):
        assert len({style[key] for style in found.values()}) == len(names)
    assert drawing.styles(conv())["JAX"] == found["JAX"]       # the same in every picture


def test_a_png_carries_the_digest_in_a_text_chunk(tmp_path: Path) -> None:
    path = tmp_path / "picture.png"
    drawing.save(plots.bars(conv()), path, DIGEST)
    with Image.open(path) as image:
        assert image.text["Source"] == f"minicnn results sha256:{DIGEST}"
        assert image.width == drawing.WIDTH * figures.DPI
    assert drawing.digest_of(path) == DIGEST


def test_an_svg_carries_the_digest_in_its_metadata(tmp_path: Path) -> None:
    first, second = tmp_path / "a.svg", tmp_path / "b.svg"
    for path in (first, second):
        drawing.save(plots.bars(conv()), path, DIGEST)
    source = ElementTree.parse(first).find(".//{http://purl.org/dc/elements/1.1/}source")
    assert source is not None
    assert f"minicnn results sha256:{DIGEST}" in "".join(source.itertext())
    assert drawing.digest_of(first) == DIGEST
    assert first.read_bytes() == second.read_bytes()           # no date, no random names


def test_a_picture_without_digest_has_none(tmp_path: Path) -> None:
    path = tmp_path / "picture.png"
    assert drawing.digest_of(path) is None
    drawing.save(plots.bars(conv()), path)
    assert drawing.digest_of(path) is None


def test_matplotlib_is_imported_only_to_draw_and_pyplot_never() -> None:
    code = ("import sys; from minicnn.benchmarks.reporting import plots; from tests.benchmarks.reporting.test_plots import conv\n"
            "before = 'matplotlib' in sys.modules; plots.bars(conv()); print(before, 'matplotlib.pyplot' in sys.modules)")
    root = Path(__file__).parents[3]
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=root).stdout == "False False\n"
