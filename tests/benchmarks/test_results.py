"""A result file holds all that was measured, and a damaged one says what is wrong with it."""
import json
import re
from pathlib import Path
from typing import Any

import pytest

from minicnn.benchmarks.results import Results
from tests.benchmarks import samples
from tests.benchmarks.samples import CONV, POOL, measured, refused


def full() -> Results:
    return samples.results(
        measured(CONV, "minicnn numba", 1e-4, error=0.25, verified="bounded", subnormal=3.0, extra={"workspace": 12}),
        measured(CONV, "torch contiguous", 2e-4, turns=(2e-4, 2.1e-4, 1.9e-4, 2e-4, 2e-4, 2e-4, 2e-4)),
        refused(CONV, "JAX", "3 values of y are wrong: ≠ | \"quoted\""),
        missing={"ONNX Runtime": "not installed"}, notes=["a busy machine"])


def saved(folder: Path, text: str | bytes) -> Path:
    path = folder / "conv.json"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def test_what_is_saved_comes_back(tmp_path: Path) -> None:
    assert Results.load(saved(tmp_path, full().to_json())) == full()


def test_the_file_says_what_follows_from_the_times() -> None:
    numba, torch, jax = (m["derived"] for m in json.loads(full().to_json())["measurements"])
    assert numba["gflops"] == pytest.approx(20)                # 2 * 1e6 MAC in 1e-4 s
    assert numba["gbytes"] == pytest.approx(5)
    assert numba["share_of_peak"] == pytest.approx(0.2)
    assert numba["times_as_fast_as_torch"] == {"value": 2.0, "low": 1.9, "high": pytest.approx(2.1), "verdict": "FASTER"}
    assert "times_as_fast_as_torch" not in torch
    assert jax == {}


def damaged(**change: Any) -> str:
    return json.dumps({**json.loads(full().to_json()), **change})


@pytest.mark.parametrize(("text", "error"), [
    ("no JSON", "not a JSON file (Expecting value: line 1 column 1 (char 0))"),
    (b"\xff", "not a JSON file ('utf-8' codec can't decode byte 0xff in position 0: invalid start byte)"),
    ("[]", "not a result file of this version of minicnn bench (schema 'list', expected 1)"),
    ("{}", "not a result file of this version of minicnn bench (schema None, expected 1)"),
    (damaged(schema=2), "not a result file of this version of minicnn bench (schema 2, expected 1)"),
    ('{"schema": 1}', "a damaged result file (KeyError: 'measurements')"),
    (damaged(measurements=[{}]), "a damaged result file (KeyError: 'turns')"),
    (damaged(measurements=["m"]), "a damaged result file (AttributeError: 'str' object has no attribute 'pop')"),
    (damaged(cases=None), "a damaged result file (TypeError: 'NoneType' object is not iterable)"),
    (damaged(entrants=[{"name": "a", "colour": "red"}]),
     "a damaged result file (TypeError: Entrant.__init__() got an unexpected keyword argument 'colour')"),
    (damaged(extra=1), "a damaged result file (TypeError: Results.__init__() got an unexpected keyword argument 'extra')"),
])
def test_a_damaged_file_says_what_is_wrong(text: str | bytes, error: str, tmp_path: Path) -> None:
    path = saved(tmp_path, text)
    with pytest.raises(ValueError, match=f"^{re.escape(f'{path}: {error}')}$"):
        Results.load(path)


def test_torchs_best_setting_is_the_fastest_that_has_times() -> None:
    found = samples.results(measured(CONV, "minicnn numba", 1e-6), measured(CONV, "torch contiguous", 3e-4),
                            measured(CONV, "torch.compile", 2e-4), refused(CONV, "torch channels_last", "no image"))
    best = found.best_torch(CONV)
    assert best is not None
    assert best.contestant == "torch.compile"
    standings = {m.contestant: ratio and ratio.value for m, ratio in found.standings(CONV)}
    assert standings == {"minicnn numba": pytest.approx(200), "torch contiguous": pytest.approx(2 / 3), "torch.compile": None,
                         "torch channels_last": None}


def test_without_torch_there_is_nothing_to_be_held_against() -> None:
    found = samples.results(measured(CONV, "minicnn numba", 1e-6))
    assert found.best_torch(CONV) is None
    assert found.standings(CONV) == [(found.measurements[0], None)]


def test_speed_and_share_of_what_limits() -> None:
    compute, near, far = measured(CONV, "a", 1e-4), measured(POOL, "b", 2e-4, extra={"copy": 1e-4}), measured(POOL, "c", 2e-4)
    found = samples.results(compute, near, far, cases=(CONV, POOL))
    assert found.speed(CONV, compute) == pytest.approx(20e9)   # FLOP/s
    assert found.share(CONV, compute) == pytest.approx(0.2)    # of the larger peak, 100 GFLOP/s
    assert found.speed(POOL, near) == pytest.approx(5e9)       # bytes/s
    assert found.share(POOL, near) == pytest.approx(0.5)       # of the copy of the same bytes
    assert found.share(POOL, far) == pytest.approx(0.5)        # of 10 GB/s
    found.peak = {}
    assert found.share(CONV, compute) is None
    assert found.share(POOL, far) is None
