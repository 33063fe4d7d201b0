"""`minicnn bench recipes`: trainings are `minicnn train`'s, files keep what is not measured anew, goals and outdated recipes are told."""
from __future__ import annotations

import dataclasses
import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from minicnn.benchmarks import recipes, run
from minicnn.benchmarks.recipe_results import RecipeResults, Record, Training, outdated
from minicnn.benchmarks.reporting import recipes_table
from minicnn.cli import app
from minicnn.document import Bold
from minicnn.training import Recipe, recipe_file
from tests.benchmarks.samples import MACHINE
from tests.data.errors import says

TOML = """[model]
name = "convnet"
layers = [4, "pool", 4]
head = "flatten"

[data]
dataset = "digits"
batch_size = 256

[schedule]
epochs = 2

[training]
seeds = [3, 5]

[goal]
accuracy = 0.2
parameters = 1000
"""


def invoke(*args: object) -> str:
    result = CliRunner().invoke(app, ["bench", "recipes", *map(str, args)], prog_name="minicnn")
    assert result.exit_code == 0, result.output
    return result.stdout


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, RecipeResults, Path]:
    """What is printed, the file read, and the recipe's path."""
    folder = tmp_path_factory.mktemp("recipes")
    (folder / "mine.toml").write_text(TOML)
    text = invoke(folder / "mine.toml", "--backend", "numpy", "--json", folder / "recipes.json")
    return text, RecipeResults.load(folder / "recipes.json"), folder / "mine.toml"


def test_a_training_is_that_of_minicnn_train(trained: tuple[str, RecipeResults, Path], tmp_path: Path) -> None:
    _, results, path = trained
    record = results.records["mine"]
    assert [t.seed for t in record.trainings] == [3, 5]
    done = CliRunner().invoke(app, ["train", "--recipe", str(path), "--seed", "5", "--backend", "numpy", "--out", str(tmp_path), "-q"])
    assert done.exit_code == 0, done.output
    folder = next(tmp_path.iterdir())
    result = json.loads((folder / "result.json").read_text())
    epochs = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    training = record.trainings[1]
    assert training.test_accuracy == result["test_accuracy"]
    assert training.validation_accuracy == max(epoch["validation_accuracy"] for epoch in epochs)
    assert 0 < training.seconds < training.wall
    assert training.images_per_second == pytest.approx(2 * (1297 // 256) * 256 / training.seconds)
    assert (record.parameters, record.backend) == (json.loads((folder / "config.json").read_text())["parameters"], "numpy")
    assert record.compiling > 0
    assert record.machine["cpu"]
    assert recipe_file.parse(record.text, "mine") == recipe_file.read(path)


def test_what_is_printed(trained: tuple[str, RecipeResults, Path]) -> None:
    text, results, _ = trained
    first, second, *_ = text.splitlines()
    assert first.startswith(f"mine, seed 3: test {results.records['mine'].trainings[0].test_accuracy:.2%}, validation ")
    assert second.startswith("mine, seed 5: test ")
    assert "≥ 20 %, < 1,000 parameters" in text
    assert "mine: measured on 2" in text
    assert text.splitlines()[-1].startswith("saved in ")


def test_seeds_that_are_named_and_markdown(trained: tuple[str, RecipeResults, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def train(recipe: Recipe, seed: int, backend: str | None, first: int, *_: object) -> dict[str, object]:
        asked.append((recipe.name, seed, backend, first))
        return {"test_accuracy": 0.5, "validation_accuracy": None, "seconds": 2.0, "wall": 3.0, "images_per_second": 10.0,
                "parameters": 7, "backend": "numba"}

    monkeypatch.setattr(recipes, "train", train)
    text = invoke(trained[2], "--seeds", "3,1", "--markdown")
    assert text.startswith("| recipe | parameters | epochs | accuracy |")
    assert "| mine | 7 | 2 | **50.00%** | 50.00 50.00 | 2.00 s | 10.0 | ≥ 20 %, \\< 1,000 parameters | yes |" in text
    assert asked == [("mine", 3, None, 512), ("mine", 3, None, 0), ("mine", 1, None, 0)]


def test_ctrl_c_keeps_the_trainings_that_are_done(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text(TOML.replace("[3, 5]", str(list(range(99)))))
    path = tmp_path / "recipes.json"
    command = ["bench", "recipes", str(tmp_path / "mine.toml"), "--backend", "numpy", "--json", str(path)]
    process = subprocess.Popen([sys.executable, "-m", "minicnn.cli", *command], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    end = time.monotonic() + 60
    while not path.exists() and time.monotonic() < end:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    text, errors = process.communicate(timeout=60)
    assert (process.returncode, errors.splitlines()[-1]) == (130, "interrupted")
    assert len(RecipeResults.load(path).records["mine"].trainings) >= 1
    assert text.splitlines()[-1] == f"saved in {path}"


def test_a_training_that_fails() -> None:
    with pytest.raises(RuntimeError, match=r"^recipe x, seed 0: Diverged: .*|^recipe x, seed 0: FloatingPointError: "):
        recipes.train(Recipe("x", lr=1e30, optimizer="sgd"), 0, "numpy", 200)
    with pytest.raises(RuntimeError, match=r"^recipe x, seed 0: ValueError: .*unknown backend 'nunpy'"):
        recipes.train(Recipe("x"), 0, "nunpy", 200)


def record(name: str = "a", seeds: tuple[int, ...] = (0, 1), accuracy: float = 0.9, **settings: object) -> Record:
    recipe = dataclasses.replace(Recipe(name), **settings)
    trainings = [Training(seed, accuracy + seed / 100, None, 10.0 + seed, 20.0, 1000.0, "2026-02-03T04:05:06", "0123456789abc+changes")
                 for seed in seeds]
    return Record(name, recipe_file.write(recipe), 500, "numba", dict(MACHINE), 3.0, trainings)


some_seeds = st.lists(st.integers(0, 3), min_size=1, unique=True)


@given(st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from([0.01, 0.02]), some_seeds), max_size=6))
def test_the_latest_settings_of_each_recipe_keep_all_their_seeds(added: list[tuple[str, float, list[int]]]) -> None:
    results, expected = RecipeResults(), {}
    for number, (name, lr, seeds) in enumerate(added):
        results.add(record(name, tuple(sorted(seeds)), number / 100, lr=lr))
        known = expected[name][1] if name in expected and expected[name][0] == lr else {}
        expected[name] = lr, {**known, **dict.fromkeys(seeds, number / 100)}
    found = {name: (r.recipe.lr, {t.seed: t.test_accuracy - t.seed / 100 for t in r.trainings}) for name, r in results.records.items()}
    assert {name: (lr, {seed: pytest.approx(a) for seed, a in seeds.items()}) for name, (lr, seeds) in expected.items()} == found
    assert all([t.seed for t in r.trainings] == sorted(t.seed for t in r.trainings) for r in results.records.values())


def test_another_machine_starts_anew() -> None:
    results = RecipeResults()
    results.add(record(seeds=(0, 1)))
    results.add(dataclasses.replace(record(seeds=(2,)), machine={**MACHINE, "cpu": "another"}))
    assert [t.seed for t in results.records["a"].trainings] == [2]


def test_a_file_reads_back(tmp_path: Path) -> None:
    results = RecipeResults()
    for name in ("a", "b"):
        results.add(record(name))
    path = tmp_path / "recipes.json"
    path.write_text(results.to_json())
    assert RecipeResults.load(path) == results
    derived = json.loads(path.read_text())["records"][0]["derived"]
    assert derived == {"mean_accuracy": 0.905, "lowest": 0.9, "highest": 0.91, "mean_seconds": 10.5, "goals": {}}


@pytest.mark.parametrize(("text", "error"), [
    ("[", "not a JSON file (Expecting value: line 1 column 2 (char 1))"),
    ("[]", "not a result file of this version of minicnn bench recipes"),
    ('{"schema": 1, "kind": "conv"}', "not a result file of this version of minicnn bench recipes"),
    ('{"schema": 1, "kind": "recipes"}', "a damaged result file (KeyError: 'records')"),
    ('{"schema": 1, "kind": "recipes", "records": [{"trainings": [3]}]}', None),
])
def test_files_that_are_no_results(text: str, error: str | None, tmp_path: Path) -> None:
    path = tmp_path / "recipes.json"
    path.write_text(text)
    with pytest.raises(ValueError) as raised:                  # noqa: PT011  (the text is compared below)
        RecipeResults.load(path)
    assert str(raised.value) == f"{path}: {error}" if error else str(raised.value).startswith(f"{path}: a damaged result file (TypeError: ")


@pytest.mark.parametrize(("goals", "words", "met"), [
    ({}, "-", "-"),
    ({"goal_accuracy": 0.905}, "≥ 90.5 %", "yes"),
    ({"goal_accuracy": 0.906, "goal_seconds": 10.5, "goal_parameters": 501}, "≥ 90.6 %, ≤ 10.5 s, < 501 parameters", "not ≥ 90.6 %"),
    ({"goal_seconds": 10.4, "goal_parameters": 500}, "≤ 10.4 s, < 500 parameters", "not ≤ 10.4 s, < 500 parameters"),
])
def test_the_row_of_a_recipe(goals: dict[str, float], words: str, met: str) -> None:
    """Accuracy and seconds are judged by the mean of the seeds."""
    results = RecipeResults({"a": record(**goals)})
    row, = recipes_table.table(results).rows
    assert row == ["a", "500", "10", "90.50%", "90.00 91.00", "10.5 s", "1,000", words, met]
    assert isinstance(row[3], Bold)
    assert recipes_table.blocks(results)[-1] == [
        "a: measured on 2026-02-03 at revision 0123456789 with changes with the numba backend on Intel Core i5-8250U, 4 cores, 8 threads, "
        "AVX2, L1d 32 KiB, L2 1 MiB, Debian 13, CPython 3.11.9."]


def test_the_goal_that_counts_is_that_of_the_recipe_now() -> None:
    made = dataclasses.replace(record(), name="digits")
    assert recipes_table.now(made) == recipe_file.read("digits")
    assert recipes_table.table(RecipeResults({"digits": made})).rows[0][-2:] == ["≥ 99 %", "not ≥ 99 %"]


def test_outdated() -> None:
    digits = recipe_file.read("digits")
    texts = {"digits": recipe_file.write(digits), "elsewhere": recipe_file.write(Recipe(lr=0.5))}
    assert outdated(texts) == outdated({}) == []
    assert outdated({"digits": recipe_file.write(dataclasses.replace(digits, epochs=99))}) == ["digits"]
    assert outdated({"digits": "of an older version = 3"}) == ["digits"]
    another = {"digits": recipe_file.write(dataclasses.replace(digits, goal_accuracy=0.5))}
    assert (outdated(another), outdated(another, with_goal=True)) == ([], ["digits"])


def test_which_recipes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("minicnn.data.locate.find", lambda source, root=None: None)
    assert [recipe.name for recipe in run.recipes([])] == ["digits"], "the images of the others are not here, or they set no goal"
    with says(ValueError, "the images of recipe mnist are not here: `minicnn train --dataset mnist` downloads them"):
        run.recipes(["mnist"])
    with pytest.raises(ValueError, match=r"^unknown recipe 'digit' \(did you mean 'digits'\?\)"):
        run.recipes(["digit"])


def test_seeds() -> None:
    assert run.seeds(None) is None
    assert run.seeds("0, 2,0") == [0, 2]
    for wrong in ("", "a", "-1", "1,,2", "1.5"):
        with says(ValueError, f"seeds are {wrong!r}, expected whole numbers of at least 0, separated by commas, such as 0,1,2"):
            run.seeds(wrong)
