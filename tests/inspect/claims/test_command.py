"""minicnn claims, as people type it, and check_claims' other ways to show what was found."""
from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from typer.testing import CliRunner, Result

from minicnn.cli import app
from minicnn.inspect.claims import CLAIMS, Finding, check_claims


def minicnn(*args: str | Path) -> Result:
    return CliRunner().invoke(app, ["claims", *map(str, args)], prog_name="minicnn")


def ok(*args: str | Path) -> str:
    result = minicnn(*args)
    assert result.exit_code == 0, result.output
    return result.stdout


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Trained claims take two steps."""
    from minicnn.inspect.claims import result

    class Short(result.Budget):
        def __init__(self, seeds: int, steps: int | None, progress: Any) -> None:
            super().__init__(seeds, steps or 2, progress)

    monkeypatch.setattr(result, "Budget", Short)


def test_one_claim() -> None:
    assert ok("unshared-8x8") == """\
wrong      unshared-8x8: 64 filters of 3x3x3 over 8x8 positions, not shared; how many times more
  quoted   884,736 parameters; 512x
  computed 110,592 weights; 64x
           64 filters x 8x8 positions x 27 weights. The factor is the number of positions, whatever
           the number of filters; the quoted numbers are 8 times the true ones.

1 claim: 1 wrong.
"""


def test_quick_leaves_out_the_trained_ones_and_fits_100_columns() -> None:
    text = ok("--quick")
    for each in CLAIMS.values():
        assert (f" {each.name}: " in text) != each.trained
    assert text.endswith("24 claims: 12 right, 7 wrong, 3 half true, 2 depends.\n")
    assert max(map(len, text.splitlines())) <= 110


def test_list() -> None:
    lines = ok("--list").splitlines()
    assert [line.split()[0] for line in lines[1:]] == list(CLAIMS)
    assert [line.split()[0] for line in lines if "(trains networks)" in line] == ["absolute-position", "plain-or-residual"]


def test_json_is_that_of_the_function() -> None:
    found = json.loads(ok("--json", "conv-3-64", "field-table"))
    assert found == json.loads(check_claims(["field-table", "conv-3-64"]).to_json())
    assert found["claims"][0] == {
        "name": "conv-3-64", "claim": "A 3x3 convolution from 3 to 64 channels", "quoted": "1,792 parameters",
        "computed": "1,792 parameters", "verdict": "right", "trained": False,
        "why": "64 filters of 27 weights, and 64 biases, whatever the size of the image.",
        "numbers": {"parameters": 1792, "weights": 1728}}
    assert found["verdicts"] == {"right": 1, "wrong": 0, "half true": 0, "depends": 1}


def test_markdown_has_a_row_for_each() -> None:
    assert ok("--markdown", "conv-3-64", "unshared-8x8") == """\
| claim | quoted | computed | verdict |
| --- | --- | --- | --- |
| A 3x3 convolution from 3 to 64 channels | 1,792 parameters | 1,792 parameters | right |
| 64 filters of 3x3x3 over 8x8 positions, not shared; how many times more | 884,736 parameters; 512x | 110,592 weights; 64x | **wrong** |
"""
    assert ok("--markdown", "--quick") == ok("--markdown", "--quick")


@pytest.mark.usefixtures("short")
def test_trained_claims_and_their_picture(tmp_path: Path) -> None:
    text = ok("plain-or-residual", "absolute-position", "--seeds", "1", "--picture", tmp_path / "trained.png")
    assert text.index("absolute-position: ") < text.index("plain-or-residual: ")
    assert text.endswith(f"drawn in {tmp_path / 'trained.png'}\n")
    with Image.open(tmp_path / "trained.png") as image:
        assert image.size[0] > 1500
    names = [line.split("  ")[0].strip() for line in text.splitlines() if line.startswith(("batch ", "no norm", "plain-", "residual-"))]
    assert names == ["batch norm:", "plain-8", "plain-20", "residual-20", "no norm:", "plain-8", "plain-20", "residual-20"]
    assert "guessing gives ln 10 = 2.30" in text
    assert "2 steps of Adam" in text


@pytest.mark.usefixtures("short")
def test_one_trained_claim_is_a_picture_of_its_own(tmp_path: Path) -> None:
    found = check_claims(["absolute-position"], seeds=1)
    assert len(found.figure().axes) == 1
    assert found.save(tmp_path / "position.svg").read_text().count("circular padding") >= 1


@pytest.mark.parametrize(("args", "message"), [
    (["vgg16-totls"], "there is no claim 'vgg16-totls': did you mean 'vgg16-totals'?"),
    (["zzz"], f"there is no claim 'zzz'; there are: {', '.join(CLAIMS)}"),
    (["--quick", "plain-or-residual"], "nothing is left to check: --quick leaves out those that train networks"),
    (["--quick", "--picture", "x.png"], "--picture draws the claims that train networks, and none of them is to be checked; they are: "
                                        "absolute-position, plain-or-residual"),
    (["plain-or-residual", "--picture", "x.jpg"], "cannot draw x.jpg: the name of a picture must end in .png, .svg, .pdf"),
    (["conv-3-64", "--backend", "cuda-sim"], "claims are checked on the CPU, not on cuda-sim: give --backend numba or numpy"),
    (["plain-or-residual", "--seeds", "0"], "seeds is 0: give a whole number from 1"),
])
def test_mistakes(args: list[str], message: str) -> None:
    result = minicnn(*args)
    assert result.exit_code == 1
    assert result.stderr == f"error: {message}\n"


def test_no_picture_of_counted_claims() -> None:
    message = "there is a picture only of the claims that networks are trained for: plain-or-residual and absolute-position"
    with pytest.raises(ValueError, match=f"^{message}$"):
        check_claims("conv-3-64").figure()


def test_findings_by_name_number_and_as_they_come() -> None:
    seen: list[Finding] = []
    found = check_claims(["no-padding", "output-size"], each=seen.append)
    assert list(found) == seen
    assert [each.name for each in found] == ["output-size", "no-padding"]
    assert found["no-padding"] is found[1]
    assert len(found) == 2
    assert found.count("right") == 2
    with pytest.raises(KeyError, match="'nothing' is not among: output-size, no-padding"):
        found["nothing"]
    assert len(check_claims([])) == 0
    assert str(check_claims([])) == "0 claims."


def test_in_a_notebook_and_printed() -> None:
    found = check_claims(["field-table"])
    assert "<td style=\"text-align:left\"><b>depends</b></td>" in found._repr_html_()
    assert "<td style=\"text-align:left\">3x3, stride 2</td>" in found[0]._repr_html_()
    assert str(found[0]) in str(found)
    assert "five layers of" in str(found)
