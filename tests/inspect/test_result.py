"""What every result can do: text, JSON, HTML and pictures of the same content."""
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure

from minicnn import figures
from minicnn.document import Block, Column, Table
from minicnn.inspect.result import Result


class Weather(Result):
    def blocks(self) -> list[Block]:
        return ["Rain <b>later</b>.", Table("Today", [Column("hour", left=True), Column("°C")], [["noon", "7"]])]

    def as_dict(self) -> dict[str, Any]:
        return {"hours": np.arange(2), "wind": np.float32(0.5), "sun": float("nan"), "rain": (np.inf, True, None), 3: np.bool_(False)}


class Drawn(Weather):
    def figure(self) -> Figure:
        figure = figures.new(2, 2, "a line")
        figure.add_subplot().plot([0, 1])
        return figure


def test_text() -> None:
    assert str(Weather()) == repr(Weather()) == "Rain <b>later</b>.\n\nToday\nhour  °C\nnoon   7"


def test_json_is_json() -> None:
    text = Weather().to_json()
    strict = json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
    assert strict == {"hours": [0, 1], "wind": 0.5, "sun": "nan", "rain": ["inf", True, None], "3": False}


def test_html_is_escaped() -> None:
    html = Weather()._repr_html_()
    assert "<p>Rain &lt;b&gt;later&lt;/b&gt;.</p>" in html
    assert '<td style="text-align:right">7</td>' in html


@pytest.mark.parametrize("suffix", figures.FORMATS)
def test_pictures_are_the_same_each_time(tmp_path: Path, suffix: str) -> None:
    first, second = (Drawn().save(tmp_path / f"{name}{suffix}").read_bytes() for name in "ab")
    assert len(first) > 1000
    assert first == second or suffix == ".pdf"                 # a PDF says when it was made


def test_pictures_that_cannot_be(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=re.escape("cannot draw a.jpg: the name of a picture must end in .png, .svg, .pdf")):
        Drawn().save("a.jpg")
    with pytest.raises(ValueError, match="there is no picture of a Weather"):
        Weather().save(tmp_path / "a.png")
    with pytest.raises(OSError, match=re.escape(f"cannot write {tmp_path}/none/a.png: No such file or directory")):
        Drawn().save(tmp_path / "none" / "a.png")
    assert list(tmp_path.iterdir()) == []
