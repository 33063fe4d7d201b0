"""README's generated sections: made from the results, never touching anything else, and known to be stale when they are."""
import dataclasses
import re
from pathlib import Path
from typing import Any

import pytest

from minicnn.benchmarks.recipe_results import RecipeResults, Record, Training
from minicnn.benchmarks.reporting import report
from minicnn.benchmarks.results import Case, Results
from minicnn.training import recipe_file
from tests.benchmarks import samples
from tests.benchmarks.samples import CONV, MACHINE, POOL, measured

README = """# Title, with | and trailing blanks\x20\x20

<!-- bench:machine -->
<!-- /bench:machine -->

Prose about `<!-- bench:conv -->`, which is no marker.

<!-- bench:conv -->
what was here
before
<!-- /bench:conv -->
last line, without a newline"""


def conv(time: float = 1e-4) -> Results:
    return samples.results(measured(CONV, "minicnn numba", time), measured(CONV, "torch contiguous", 2e-4))


class Folder:
    """A README, results and plots in a temporary folder."""

    def __init__(self, path: Path) -> None:
        self.readme, self.results, self.plots = path / "README.md", path / "results", path / "docs" / "bench"
        self.results.mkdir()
        self.write(README)
        self.save("conv", conv())

    def write(self, text: str) -> None:
        self.readme.write_bytes(text.encode())

    def read(self) -> str:
        return self.readme.read_bytes().decode()

    def save(self, name: str, results: Results) -> None:
        (self.results / f"{name}.json").write_text(results.to_json(), encoding="utf-8")

    def update(self, check: bool = False) -> list[str]:
        return [line.replace(str(self.readme.parent), "DIR") for line in report.update(self.readme, self.results, self.plots, check)]


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path)


ALL = ["section bench:machine of DIR/README.md", "section bench:conv of DIR/README.md", "plot DIR/docs/bench/conv-bars.png",
       "plot DIR/docs/bench/conv-roofline.png"]


def test_sections_and_plots_are_made_once(folder: Folder) -> None:
    assert folder.update(check=True) == ALL
    assert folder.read() == README                             # check writes nothing
    assert not folder.plots.exists()
    assert folder.update() == ALL
    assert folder.update() == folder.update(check=True) == []
    text = folder.read()
    assert "what was here" not in text
    assert "| minicnn numba | 2.00 | 1 / 0 / 0 / 0 |" in text
    assert f"| {CONV.id} | **2.00** | 200 µs (contiguous) |" in text
    links = re.findall(r"!\[.*]\((.*)\)", text)
    assert links == ["docs/bench/conv-bars.png", "docs/bench/conv-roofline.png"]
    assert all((folder.readme.parent / link).exists() for link in links)


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_nothing_outside_the_markers_changes(folder: Folder, newline: str) -> None:
    folder.write(README.replace("\n", newline))
    folder.update()
    text = folder.read()
    assert re.sub(r"(<!-- bench:(\S+) -->\r?\n).*?(<!-- /bench:\2 -->)", r"\1\3", text, flags=re.DOTALL) == re.sub(
        r"what was here\s+before\s+", "", README).replace("\n", newline)
    assert text.count("\n") == text.count(newline)
    assert folder.update(check=True) == []


def test_new_results_make_section_and_plots_stale(folder: Folder) -> None:
    folder.update()
    folder.save("conv", conv(time=0.5e-4))
    assert folder.update(check=True) == ALL[1:]                # the machine is the same
    assert folder.update() == ALL[1:]
    assert "| minicnn numba | 4.00 |" in folder.read()


def test_an_edited_section_and_a_lost_plot_are_stale(folder: Folder) -> None:
    folder.update()
    good = folder.read()
    folder.write(good.replace("2.00", "3.00"))
    (folder.plots / "conv-bars.png").unlink()
    (folder.plots / "conv-roofline.png").write_bytes(b"no picture")
    assert folder.update(check=True) == ALL[1:]
    folder.update()
    assert folder.read() == good


def test_a_plot_that_is_not_stale_is_left_as_it_is(folder: Folder) -> None:
    """matplotlib's versions draw differently: what shows the right results must not be drawn again."""
    folder.update()
    path = folder.plots / "conv-bars.png"
    path.write_bytes(path.read_bytes() + b"drawn by another version")
    assert folder.update() == []
    assert path.read_bytes().endswith(b"drawn by another version")


def test_line_ends_of_a_result_file_do_not_matter(folder: Folder) -> None:
    folder.update()
    path = folder.results / "conv.json"
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    assert folder.update(check=True) == []


def fails(folder: Folder, error: str, text: str | None = None) -> None:
    """The error is told in full, with the folder called DIR, and nothing was written."""
    if text is not None:
        folder.write(text)
    before = folder.read()
    with pytest.raises(ValueError, match=f"^{re.escape(error.replace('DIR', str(folder.readme.parent)))}$"):
        folder.update()
    assert folder.read() == before
    assert not folder.plots.exists()


@pytest.mark.parametrize(("text", "error"), [
    ("# nothing here\n", "DIR/README.md: no markers, such as a line <!-- bench:conv --> and after it a line <!-- /bench:conv -->"),
    ("a\n<!-- bench:konv -->\n<!-- /bench:konv -->\n",
     "DIR/README.md, line 2: unknown marker bench:konv; there are: conv, pool, batch-norm, linear, cross-entropy, train, infer, "
     "accuracy, ladder, ladder-large, recipes, machine"),
    ("a\n\n<!-- bench:conv -->\nb\n", "DIR/README.md, line 3: <!-- bench:conv --> is not closed by <!-- /bench:conv -->"),
    ("<!-- bench:conv -->\n<!-- bench:machine -->\n<!-- /bench:machine -->\n<!-- /bench:conv -->\n",
     "DIR/README.md, line 1: <!-- bench:conv --> is not closed by <!-- /bench:conv -->"),
    ("<!-- bench:conv -->\n<!-- /bench:pool -->\n", "DIR/README.md, line 1: <!-- bench:conv --> is not closed by <!-- /bench:conv -->"),
    ("a\n<!-- /bench:conv -->\n", "DIR/README.md, line 2: <!-- /bench:conv --> closes nothing"),
    ("<!-- bench:conv -->\n<!-- /bench:conv -->\n\n<!-- bench:pool -->\n<!-- /bench:pool -->\n",
     "DIR/README.md, line 4: bench:pool needs results that are not there: DIR/results/pool.json; "
     "`minicnn bench all DIR/results` makes them"),
])
def test_wrong_markers(folder: Folder, text: str, error: str) -> None:
    fails(folder, error, text)


def test_results_under_a_wrong_name(folder: Folder) -> None:
    folder.save("conv", samples.results(kind="pool"))
    fails(folder, "DIR/results/conv.json holds results of pool, expected conv")


def test_damaged_results(folder: Folder) -> None:
    (folder.results / "conv.json").write_text("[]")
    fails(folder, "DIR/results/conv.json: not a result file of this version of minicnn bench (schema 'list', expected 1)")


def test_a_readme_in_which_only_the_machine_is_marked(folder: Folder) -> None:
    folder.write("<!-- bench:machine -->\n<!-- /bench:machine -->\n")
    assert folder.update() == ALL[:1]                          # no plots: no section shows them
    assert folder.read() == (
        "<!-- bench:machine -->\n\n"
        "Measured on 2026-02-03 at revision 0123456789 on Intel Core i5-8250U, 4 cores, 8 threads, AVX2, L1d 32 KiB, L2 1 MiB, Debian 13, "
        "CPython 3.11.9, 2 threads for each contestant; NumPy's BLAS: openblas 0.3.31 Haswell; minicnn 0.1.0, numpy 2.4.6, torch 2.13.0. "
        "Peak measured in the same run: 90.0 GFLOP/s (matrix product), 100 GFLOP/s (multiply-adds in registers), "
        "10.0 GB/s (copying memory, read and written).\n\n<!-- /bench:machine -->\n")
    (folder.results / "conv.json").unlink()
    with pytest.raises(ValueError, match=re.escape("line 1: bench:machine needs results that are not there: ")):
        folder.update()


def test_machines_that_differ_have_a_line_each(folder: Folder) -> None:
    slow = samples.results(measured(POOL, "minicnn numba", 1e-4), kind="pool", cases=(POOL,), machine={**MACHINE, "cpu": "AMD EPYC"})
    faster = samples.results(measured(CONV, "minicnn numba", 1e-4), kind="linear", peak={"matmul": 95e9, "fma": 100e9, "copy": 10e9},
                             machine={**MACHINE, "date": "2026-03-01", "revision": "abcdef0123456789+changes"})
    for name, results in (("pool", slow), ("linear", faster)):
        folder.save(name, results)
    folder.write("<!-- bench:machine -->\n<!-- /bench:machine -->\n")
    folder.update()
    first, second = (line for line in folder.read().splitlines() if line.startswith("- "))
    assert first.startswith("- conv, linear: Measured on 2026-02-03–2026-03-01 at revision 0123456789, abcdef0123 with changes on Intel")
    assert "90.0–95.0 GFLOP/s (matrix product), 100 GFLOP/s" in first
    assert second.startswith("- pool: Measured on 2026-02-03 at revision 0123456789 on AMD EPYC, 4 cores")


def test_long_tables_are_folded(folder: Folder) -> None:
    cases = tuple(Case(f"mb{N}", "forward", 10**6, 10**6, "LeNet") for N in range(1, 20))
    folder.save("conv", samples.results(*(measured(case, name, 1e-4) for case in cases for name in ("minicnn numba", "torch.compile")),
                                        cases=cases, notes=["a busy machine"]))
    folder.update()
    text = folder.read()
    assert "<details><summary>forward, case by case</summary>\n\n| problem |" in text
    assert "| mean | ≈" not in text
    assert "| **mean** | 1.00 | 1 |\n\n</details>\n" in text
    assert "- Note: a busy machine\n" in text
    assert "Suite conv-1: 19 problems, float32, 2 threads, 7 rounds." in text


@pytest.mark.parametrize(("name", "kind"), [("ladder-large", "ladder"), ("accuracy", "accuracy")])
def test_other_kinds(folder: Folder, name: str, kind: str) -> None:
    extra = {"target": 0.9, "reached": True, "times_reached": 7, "epochs": 1, "accuracy": 0.95, "images_per_second": 100.0}
    settings = {"threads": 2, "recipes": {}}
    folder.save(name, samples.results(measured(CONV, "minicnn numba", 1e-4, extra=extra), kind=kind, settings=settings))
    folder.write(f"<!-- bench:{name} -->\n<!-- /bench:{name} -->\n")
    plots = ["plot DIR/docs/bench/ladder-large-rungs.png"] if kind == "ladder" else []
    assert folder.update() == [f"section bench:{name} of DIR/README.md", *plots]
    assert "| minicnn numba |" in folder.read()


def test_accuracies_of_an_older_version(folder: Folder) -> None:
    folder.save("accuracy", samples.results(measured(CONV, "minicnn numba", 1e-4), kind="accuracy"))
    path = folder.results / "accuracy.json"
    fails(folder, f"{path} was not measured by recipes: `minicnn bench accuracy --json {path}` measures it again",
          "<!-- bench:accuracy -->\n<!-- /bench:accuracy -->\n")


def recipe_record(**settings: Any) -> Record:
    text = recipe_file.write(dataclasses.replace(recipe_file.read("digits"), **settings))
    training = Training(0, 0.99, 0.985, 3.0, 5.0, 4000.0, "2026-02-03T04:05:06")
    return Record("digits", text, 53_000, "numba", samples.MACHINE, 2.0, [training])


def test_recipes(folder: Folder) -> None:
    (folder.results / "recipes.json").write_text(RecipeResults({"digits": recipe_record()}).to_json())
    folder.write("<!-- bench:recipes -->\n<!-- /bench:recipes -->\n<!-- bench:conv -->\n<!-- /bench:conv -->\n<!-- bench:machine -->\n"
                 "<!-- /bench:machine -->\n")
    assert folder.update(check=True)[0] == "section bench:recipes of DIR/README.md"
    folder.update()
    assert folder.update(check=True) == []
    epochs = recipe_file.read("digits").epochs
    assert f"| digits | 53,000 | {epochs} | **99.00%** | 99.00 | 3.00 s | 4,000 | ≥ 99 % | yes |\n" in folder.read()
    assert "- digits: measured on 2026-02-03 with the numba backend on Intel Core i5-8250U, 4 cores, 8 threads, AVX2" in folder.read()


def test_the_machine_alone_with_recipes_there(folder: Folder) -> None:
    """Each recipe has a machine of its own: the machine's section is about the others."""
    (folder.results / "recipes.json").write_text(RecipeResults({"digits": recipe_record()}).to_json())
    folder.write("<!-- bench:machine -->\n<!-- /bench:machine -->\n")
    folder.update()
    assert "recipes" not in folder.read()


@pytest.mark.parametrize(("settings", "accuracy", "recipes"), [
    ({}, False, False), ({"lr": 0.5}, True, True), ({"seeds": (7,)}, False, False), ({"goal_seconds": 3.0}, False, False),
    ({"goal_accuracy": 0.5}, True, False)])
def test_results_of_a_recipe_that_has_changed_are_outdated(folder: Folder, settings: dict[str, Any], accuracy: bool, recipes: bool) -> None:
    record = recipe_record(**settings)
    (folder.results / "recipes.json").write_text(RecipeResults({"digits": record}).to_json())
    extra = {"target": 0.9, "reached": True, "times_reached": 7, "epochs": 1, "accuracy": 0.95, "images_per_second": 100.0}
    folder.save("accuracy", samples.results(measured(CONV, "minicnn numba", 1e-4, extra=extra), kind="accuracy",
                                            settings={"threads": 1, "recipes": {"digits": record.text, "gone": "nonsense"}}))
    folder.write("".join(f"<!-- bench:{name} -->\n<!-- /bench:{name} -->\n" for name in ("accuracy", "recipes")))
    expected = [f"recipe digits was measured with other settings than it has now: `minicnn bench {command} --json "
                f"{folder.results / command.split()[0]}.json` measures it again"
                for command, old in (("accuracy", accuracy), ("recipes digits", recipes)) if old]
    assert report.outdated(folder.readme, folder.results) == expected
    folder.write("<!-- bench:conv -->\n<!-- /bench:conv -->\n")
    assert report.outdated(folder.readme, folder.results) == [], "README does not show them"
