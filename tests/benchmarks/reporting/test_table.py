"""Every figure of a row from round numbers; the same rows on a terminal and in Markdown."""
import io
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from rich.console import Console

from minicnn import document
from minicnn.benchmarks.reporting import memory_table, table, units
from minicnn.benchmarks.reporting.summary import CAPTION, means, summary
from minicnn.benchmarks.results import Case, Results
from minicnn.document import Bold, Column, Table, escape, markdown
from tests.benchmarks import samples
from tests.benchmarks.samples import CONV, GRAD, LARGE, POOL, measured, refused

AROUND = (1e-4, 1.01e-4, 0.99e-4, 1e-4, 1e-4, 1e-4, 1e-4)


def heads(shown: Table) -> list[str]:
    return [column.head for column in shown.columns]


def printed(found: Results, width: int, terminal: bool = True) -> str:
    file = io.StringIO()
    console = Console(file=file, width=width, force_terminal=terminal, color_system=None, highlight=False, markup=False)
    for case in found.cases:
        table.show_case(found, case, console)
    table.show_end(found, console)
    return re.sub(r"\x1b\[\d*m", "", file.getvalue())


def test_a_row_where_arithmetic_is_the_limit() -> None:
    found = samples.results(
        measured(CONV, "minicnn numba", 2e-4, algorithm="tiles", subnormal=3.0), measured(CONV, "torch.compile", 1e-4, turns=AROUND),
        measured(CONV, "torch contiguous", 1e-3, verified="bounded", error=0.123), refused(CONV, "JAX", "y is wrong"))
    shown = table.case_table(found, CONV)
    assert shown.title == "LeNet mb1ic1ih3oc1oh3kh3ph1, forward: 1.00 MMAC, 488 KiB at least"
    assert heads(shown) == ["contestant", "what ran", "checked", "first call", "median", "IQR", "GFLOP/s", "peak", "MiB", "× torch",
                            "verdict"]
    assert shown.rows == [
        ["minicnn numba", "tiles", "exact", "2.00 s", "200 µs", "20%", "10.0", "10%", "3.00", "0.50 (0.49–0.51)", "SLOWER"],
        ["torch.compile", "a way", "exact", "2.00 s", "100 µs", "20%", "20.0", "20%", "3.00", "1", "best"],
        ["torch contiguous", "a way", "≤ 12%", "2.00 s", "1.00 ms", "20%", "2.00", "2%", "3.00", "0.10 (0.099–0.10)", "SLOWER"],
        ["JAX", "no time: y is wrong", "-", "-", "-", "-", "-", "-", "-", "-", ""]]
    assert shown.notes == ["minicnn numba takes 3.00 times as long on subnormal inputs"]


def test_the_memory_of_training_steps_beside_torchs_least() -> None:
    """torch's settings are judged each by its own: one may add the least, and another be the smallest process."""
    step, old, M = Case("lenet:mb1", "step", 100, 10), Case("lenet:mb2", "step", 100, 10), 2**20
    found = samples.results(
        measured(step, "minicnn numba", 1, memory=20 * M, process=90 * M),
        measured(step, "torch contiguous", 1, memory=40 * M, process=300 * M),
        measured(step, "torch.compile", 2, memory=30 * M, process=360 * M), refused(step, "JAX", "y is wrong"),
        measured(old, "minicnn numba", 1), kind="train", cases=(step, old))
    shown = memory_table.table(found, step)
    assert shown is not None
    assert (shown.title, heads(shown)) == ("lenet:mb1, step: memory", ["contestant", "MiB added", "× torch", "whole process", "× torch"])
    assert shown.rows == [["minicnn numba", "20.0", "0.67", "90.0", "0.30"], ["torch contiguous", "40.0", "1.33", "300", "1.00"],
                          ["torch.compile", "30.0", "1.00", "360", "1.20"]]
    assert [isinstance(cell, Bold) for cell in shown.rows[0]] == [False, True, False, True, False]
    assert memory_table.table(found, old) is None
    added, whole, caption = memory_table.summary(found)
    assert isinstance(added, Table)
    assert isinstance(whole, Table)
    assert heads(added) == heads(whole) == ["problem", "minicnn numba", "torch's best"]
    assert added.rows == [["lenet:mb1", "20.0 (0.67)", "30.0 (compile)"]]
    assert whole.rows == [["lenet:mb1", "90.0 (0.30)", "300 (contiguous)"]]
    assert caption == memory_table.CAPTION
    assert memory_table.CAPTION in table.caption(found)
    assert "MiB: what training steps add." in table.caption(found)
    assert "MiB added" in printed(found, 80)
    assert memory_table.summary(samples.results(measured(old, "minicnn numba", 1), kind="train", cases=(old,))) == []


def test_a_row_where_memory_is_the_limit() -> None:
    found = samples.results(measured(POOL, "minicnn numpy", 2e-4, extra={"copy": 1.8e-4}), measured(POOL, "JAX", 4e-4), cases=(POOL,))
    shown = table.case_table(found, POOL)
    assert heads(shown)[6:8] == ["GB/s", "copy"]
    assert [row[6:8] for row in shown.rows] == [["5.00", "90%"], ["2.50", "25%"]]
    assert [row[-2:] for row in shown.rows] == [["-", ""], ["-", ""]]     # no torch
    assert "GB/s: if every array moved once" in table.caption(found)
    assert "GFLOP/s" not in table.caption(found)


def test_a_peak_that_was_not_measured_is_a_dash() -> None:
    found = samples.results(measured(CONV, "JAX", 1e-4), peak={})
    assert table.case_table(found, CONV).rows[0][7] == "-"
    assert "The peak was not measured." in table.markdown(found)


def test_detail_says_who_is_missing_and_what_columns_mean() -> None:
    found = samples.results(measured(CONV, "minicnn numba", 1e-4), measured(GRAD, "minicnn numba", 1e-4), cases=(CONV, GRAD),
                            missing={"JAX": "the package jax is not installed"})
    shown, meaning, missing = table.detail(found, [GRAD])
    assert isinstance(shown, Table)
    assert "grad_input" in shown.title
    assert "1 MAC = 2 FLOP" in str(meaning)
    assert missing == ["JAX is missing: the package jax is not installed."]


def two_cases() -> Results:
    return samples.results(
        measured(CONV, "minicnn numba", 1e-4), measured(CONV, "torch contiguous", 2e-4), measured(CONV, "torch.compile", 4e-4),
        refused(CONV, "ONNX Runtime", "no such operation"), measured(CONV, "JAX", 2.02e-4),
        measured(LARGE, "minicnn numba", 8e-4), measured(LARGE, "torch contiguous", 4e-4), measured(LARGE, "torch.compile", 1e-4),
        refused(LARGE, "ONNX Runtime", "no such operation"), cases=(CONV, LARGE), missing={"XLA": "not here"})


def test_summary_has_a_row_a_case() -> None:
    shown, caption, missing = summary(two_cases())
    assert isinstance(shown, Table)
    assert (shown.title, caption, missing) == ("forward", CAPTION, ["XLA is missing: not here."])
    assert heads(shown) == ["problem", "minicnn numba", "ONNX Runtime", "JAX", "torch's best"]
    assert shown.rows == [
        ["LeNet"], [CONV.id, "2.00", "-¹", "≈0.99", "200 µs (contiguous)"],
        ["ResNet"], [LARGE.id, "0.12", "-¹", "-²", "100 µs (compile)"],
        ["mean", "0.50", "-", "0.99 (1 of 2)", "1"]]
    bold = [[cell for cell in row if isinstance(cell, Bold)] for row in shown.rows]
    assert bold == [[], ["2.00"], [], ["100 µs (compile)"], ["mean"]]
    assert shown.notes == ["¹ no such operation", "² not measured"]


def test_summary_has_a_table_a_direction() -> None:
    found = samples.results(measured(CONV, "JAX", 1e-4), measured(GRAD, "JAX", 1e-4), cases=(CONV, GRAD))
    assert [block.title for block in summary(found) if isinstance(block, Table)] == ["forward", "grad_input"]


def test_summary_without_torch_gives_times() -> None:
    shown = summary(samples.results(measured(CONV, "minicnn numba", 1e-4), measured(CONV, "JAX", 2e-4)))[0]
    assert isinstance(shown, Table)
    assert heads(shown) == ["problem", "minicnn numba", "JAX"]
    assert shown.rows == [["LeNet"], [CONV.id, "100 µs", "200 µs"]]
    assert isinstance(shown.rows[1][1], Bold)


def test_summary_where_torch_has_no_time() -> None:
    shown = summary(samples.results(refused(CONV, "torch contiguous", "y is wrong"), measured(CONV, "JAX", 2e-4)))[0]
    assert isinstance(shown, Table)
    assert shown.rows == [["LeNet"], [CONV.id, "200 µs", "-¹"]]
    assert shown.notes == ["¹ y is wrong"]


def test_means_have_a_row_a_contestant() -> None:
    found = two_cases()
    assert means(found).rows == [
        ["minicnn numba", "0.50", "1 / 0 / 1 / 0"], ["torch contiguous", "0.50", "0 / 1 / 1 / 0"],
        ["torch.compile", "0.71", "0 / 1 / 1 / 0"], ["JAX", "0.99 (1 of 2)", "0 / 1 / 0 / 0"]]
    assert heads(means(found)) == ["× torch's best, mean", "forward", "faster / same / slower / unclear"]


def test_the_ladder() -> None:
    predicted = {"macs": 500_000, "bytes_moved": 2048, "workspace": 0}
    found = samples.results(
        refused(CONV, "torch channels_last", "no such order"), measured(CONV, "torch contiguous", 1e-4, memory=2**21),
        measured(CONV, "loops", 1.0, algorithm="Nested loops: the definition", extra=predicted),
        measured(CONV, "im2col", 1e-3, algorithm="im2col", extra=predicted), refused(CONV, "tiles", "y is wrong"),
        measured(CONV, "more tiles", 5e-5), kind="ladder")
    for i, entrant in enumerate(found.entrants):
        found.entrants[i] = type(entrant)(entrant.name, peer=entrant.name.startswith("torch"))
    shown = table.case_table(found, CONV)
    assert heads(shown)[2:] == ["MAC", "moved", "workspace", "time", "GFLOP/s", "peak", "memory", "× above", "× torch"]
    assert shown.rows == [
        ["loops", "Nested loops", "500 k", "2.00 KiB", "0 B", "1.00 s", "0.00200", "0.002%", "3.00 MiB", "", "0.00010"],
        ["im2col", "im2col", "500 k", "2.00 KiB", "0 B", "1.00 ms", "2.00", "2%", "3.00 MiB", "1,000", "0.10"],
        ["tiles", "no time: y is wrong", "1.00 M", "-", "-", "-", "-", "-", "-", "-", "-"],
        ["more tiles", "a way", "1.00 M", "-", "-", "50.0 µs", "40.0", "40%", "3.00 MiB", "", "2.00"],
        ["torch channels_last", "no time: no such order", "1.00 M", "-", "-", "-", "-", "-", "-", "-", "-"],
        ["torch contiguous", "a way", "1.00 M", "-", "-", "100 µs", "20.0", "20%", "2.00 MiB", "", "1.00"]]


def test_seconds_to_an_accuracy() -> None:
    case = Case("recipe:digits", "train", 1, 1, "digits")

    def reached(times: int) -> dict[str, object]:
        return {"target": 0.985, "reached": times > 1, "times_reached": times, "epochs": 4, "accuracy": 0.985 if times > 1 else 0.9,
                "images_per_second": 1234.5}

    found = samples.results(
        measured(case, "minicnn numba", 5.0, turns=(5.0, 4.0, 6.0), algorithm="Adam", extra=reached(3)),
        measured(case, "torch contiguous", 4.0, turns=(4.0, 4.0, 4.0), algorithm="Adam", extra=reached(1)),
        measured(case, "torch.compile", 10.0, turns=(10.0, 9.0, 11.0), algorithm="Adam", extra=reached(2)),
        refused(case, "JAX", "the loss is nan"), kind="accuracy", cases=(case,))
    shown = table.case_table(found, case)
    assert shown.title == "recipe:digits, train to 98.5 %"
    assert shown.rows == [
        ["minicnn numba", "3 of 3", "4", "98.50%", "2.00 s", "5.00 s", "1,230", "2.00"],
        ["torch contiguous", "1 of 3", "4", "90.00%", "2.00 s", "4.00 s", "1,230", "-"],
        ["torch.compile", "2 of 3", "4", "98.50%", "2.00 s", "10.0 s", "1,230", "1.00"],
        ["JAX", "-", "-", "-", "-", "-", "-", "-"]]
    assert isinstance(shown.rows[0][5], Bold)
    assert shown.notes == ["JAX: no time: the loss is nan", "steps: Adam"]


@pytest.mark.parametrize("kind", ["few", "many"])
def test_a_terminal_of_100_columns_is_wide_enough(kind: str) -> None:
    cases = [Case(f"g64mb{N}ic64ih28oc64oh14kh3sh2ph1", "forward", 10**9, 10**6, "convnet-benchmarks")
             for N in range(1, 15 if kind == "many" else 3)]
    names = ("minicnn numpy", "minicnn numba", "torch contiguous", "torch channels_last", "torch.compile", "JAX", "ONNX Runtime")
    found = samples.results(*(measured(case, name, 1.234e-2, algorithm=f"a rather long name of what {name} ran", first_call=0.123,
                                       turns=[1.234e-2 * (1 + i / 50) for i in range(7)]) for case in cases for name in names),
                            cases=tuple(cases), notes=["a note"], missing={"someone": "a reason"})
    lines = printed(found, 100).splitlines()
    assert max(map(len, lines)) <= 100
    assert not any("…" in line for line in lines)
    row = r"torch channels_last +exact +123 ms +12.3 ms +20% +162 +162% +3.00 +1.00 \(1.00–1.00\) +SAME *"
    assert any(re.fullmatch(row, line) for line in lines)
    assert "  torch.compile: a rather long name of what torch.compile ran" in lines
    assert sum("g64mb1ic64ih28oc64oh14kh3sh2ph1" in line for line in lines) == (2 if kind == "many" else 1)    # in the summary too
    assert "Note: a note" in lines
    assert "someone is missing: a reason." in lines


def test_a_file_has_no_edge_to_wrap_at() -> None:
    found = samples.results(measured(CONV, "minicnn numba", 1e-4, algorithm="word " * 40))
    assert ("word " * 40).strip() in printed(found, 40, terminal=False)


def test_what_all_rows_say_stands_below_once() -> None:
    columns = [Column("name", left=True), Column("what it is", left=True, aside=True), Column("a number")]
    wide = Table("", columns, [["a", "same", "1"], ["b", "same", "2"]])
    assert document.fitted(wide, 100) == (wide, [])
    narrow, below = document.fitted(wide, 20)
    assert [column.head for column in narrow.columns] == ["name", "a\nnumber"]
    assert narrow.rows == [["a", "1"], ["b", "2"]]
    assert below == ["what it is: same"]


NASTY = "3 | of * `y` <b> are_wrong_ [x](y) ~~z~~ \\ __init__\nand so on"


def test_markdown_shows_special_characters_as_they_are() -> None:
    assert escape(NASTY) == r"3 \| of \* \`y\` \<b> are_wrong\_ \[x\](y) \~\~z\~\~ \\ \_\_init\_\_ and so on"
    assert escape("torch channels_last, grad_input: 12%") == "torch channels_last, grad_input: 12%"


def test_a_markdown_table_keeps_its_columns() -> None:
    shown = Table("a | b", [Column("x", left=True), Column("y|z")], [["one"], [NASTY, Bold("1")]], ["see | here"])
    text = markdown([shown, NASTY, [NASTY, "b"]])
    assert text == (
        "**a \\| b**\n\n| x | y\\|z |\n| --- | ---: |\n| **one** |  |\n" + f"| {escape(NASTY)} | **1** |\n\nsee \\| here\n\n"
        + f"{escape(NASTY)}\n\n- {escape(NASTY)}\n- b\n")
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert {len(re.findall(r"(?<!\\)\|", row)) for row in rows} == {3}


@given(st.text("ab1 _*`~|\\<>[]()&;#!-\n", min_size=1, max_size=12).filter(str.strip))
def test_a_markdown_reader_sees_the_cell_as_it_was(text: str) -> None:
    """Read back with the parser that rich brings."""
    reader = MarkdownIt("commonmark").enable(["table", "strikethrough"])
    tokens = reader.parse(markdown([Table("", [Column("x"), Column("y")], [[text, "end"]])]))
    cells = [token.children or [] for token in tokens if token.type == "inline"][2:]
    assert ["".join(child.content for child in cell) for cell in cells] == [" ".join(text.split()), "end"]
    assert {child.type for child in cells[0]} <= {"text", "text_special"}


def test_a_refusal_cannot_break_the_markdown() -> None:
    text = table.markdown(samples.results(refused(CONV, "JAX", NASTY), measured(CONV, "minicnn numba", 1e-4)))
    assert f"| JAX | no time: {escape(NASTY)} | - |" in text


@pytest.mark.parametrize(("time", "text"), [
    (0, "0 µs"), (9.996e-5, "100 µs"), (9.994e-4, "999 µs"), (9.996e-4, "1.00 ms"), (0.9996, "1.00 s"), (59.94, "59.9 s"),
    (12345, "12,300 s"), (1.5e-8, "0.0150 µs")])
def test_times_have_three_digits_and_a_unit(time: float, text: str) -> None:
    assert units.seconds(time) == text


@given(st.floats(1e-9, 1e9))
def test_three_digits_are_the_nearest(value: float) -> None:
    text = units.three(value)
    assert float(text.replace(",", "")) == pytest.approx(value, rel=0.00501)
    assert "e" not in text


@given(st.floats(1e-6, 1e6))
def test_short_numbers_are_near(value: float) -> None:
    assert float(units.short(value).replace(",", "")) == pytest.approx(value, rel=0.0501)
