"""What changed between two runs, and what merely looks like it."""
import io
import re
from dataclasses import replace
from typing import Any

import pytest
from rich.console import Console

from minicnn.benchmarks.reporting import comparison
from minicnn.benchmarks.reporting.comparison import compare_runs, warnings
from minicnn.benchmarks.results import Measurement, Results
from tests.benchmarks import samples
from tests.benchmarks.samples import CONV, GRAD, LARGE, MACHINE, measured, refused

NOISE = (1.0, 1.01, 0.99, 1.02, 0.98, 1.0, 1.0)


def timed(contestant: str, time: float, case: Any = CONV, **other: Any) -> Measurement:
    """Seven rounds with a little noise."""
    return measured(case, contestant, time, turns=[time * n for n in other.pop("noise", NOISE)], **other)


def run(*measurements: Measurement, **other: Any) -> Results:
    return samples.results(*measurements, **other)


def verdicts(a: Results, b: Results) -> dict[str, tuple[str, str]]:
    return {change.contestant: (change.basis, change.verdict) for change in compare_runs(a, b)}


def printed(a: Results, b: Results) -> str:
    file = io.StringIO()
    comparison.show(a, b, Console(file=file, highlight=False, markup=False))
    return file.getvalue()


def test_the_same_run_twice_has_no_changes() -> None:
    a = run(timed("minicnn numba", 1e-4), timed("torch contiguous", 2e-4), timed("JAX", 3e-4))
    assert {verdict for _, verdict in verdicts(a, a).values()} == {"SAME"}
    assert [change.ratio for change in compare_runs(a, a)] == [1, 1, 1]
    assert "Nothing changed beyond the noise." in printed(a, a)


def test_a_slower_machine_is_no_change_but_a_faster_kernel_is() -> None:
    """In B everything takes twice as long, but minicnn numba only 1.6 times: it became 1.25 times as fast."""
    a = run(timed("minicnn numba", 1.0e-4), timed("minicnn numpy", 5e-4), timed("torch contiguous", 2e-4))
    b = run(timed("minicnn numba", 1.6e-4), timed("minicnn numpy", 10e-4), timed("torch contiguous", 4e-4))
    assert verdicts(a, b) == {"minicnn numba": ("torch", "FASTER"), "minicnn numpy": ("torch", "SAME"),
                              "torch contiguous": ("time", "SLOWER")}
    numba, _, torch = compare_runs(a, b)
    assert (numba.before, numba.after, numba.ratio) == pytest.approx((2, 2.5, 1.25))
    assert torch.ratio == pytest.approx(0.5)
    assert verdicts(b, a)["minicnn numba"] == ("torch", "SLOWER")


def test_a_slow_minute_cancels_turn_by_turn() -> None:
    """The noise is thirty percent, the same for neighbours in time."""
    noise = (1.0, 1.3, 1.1, 1.2, 1.0, 1.3, 1.15)
    a = run(timed("minicnn numba", 1e-4, noise=noise), timed("torch contiguous", 2e-4, noise=noise))
    b = run(timed("minicnn numba", 0.9e-4), timed("torch contiguous", 2e-4))
    assert verdicts(a, b)["minicnn numba"] == ("torch", "FASTER")


def test_without_torch_absolute_times_count() -> None:
    a, b = run(timed("minicnn numba", 1e-4)), run(timed("minicnn numba", 2e-4), timed("torch contiguous", 2e-4))
    assert verdicts(a, b) == {"minicnn numba": ("time", "SLOWER")}
    assert "absolute times" in printed(a, b)


def test_a_new_setting_of_torch_makes_nobody_slower() -> None:
    """torch.compile, twice as fast, ran in B only: speeds stay relative to the setting that both runs have."""
    a = run(timed("minicnn numba", 1e-4), timed("torch contiguous", 2e-4))
    b = run(timed("minicnn numba", 1e-4), timed("torch contiguous", 2e-4), timed("torch.compile", 1e-4))
    assert verdicts(a, b)["minicnn numba"] == ("torch", "SAME")


@pytest.mark.parametrize(("noise", "verdict"), [
    (NOISE, "FASTER"),
    ([1.0, 1.4, 0.7, 1.3, 0.8, 1.0, 1.0], "UNCLEAR"),          # the intervals overlap
    ([1.0, 1.0, 1.0, 1.0], "UNCLEAR"),                         # four rounds can show nothing
])
def test_a_change_must_stand_out_of_the_noise(noise: list[float], verdict: str) -> None:
    a, b = run(timed("minicnn numba", 1e-4, noise=noise)), run(timed("minicnn numba", 0.8e-4))
    assert verdicts(a, b) == {"minicnn numba": ("time", verdict)}


def test_three_percent_is_no_change_however_sure() -> None:
    a, b = run(timed("minicnn numba", 1.02e-4, noise=[1.0] * 7)), run(timed("minicnn numba", 1e-4, noise=[1.0] * 7))
    assert verdicts(a, b) == {"minicnn numba": ("time", "SAME")}


def test_the_tables_say_what_changed_the_most_first() -> None:
    torch = [timed("torch contiguous", 2e-4, case) for case in (CONV, GRAD, LARGE)]
    a = run(*torch, *(timed("minicnn numba", 1e-4, case) for case in (CONV, GRAD, LARGE)), cases=(CONV, GRAD, LARGE))
    b = run(*torch, timed("minicnn numba", 1.25e-4, CONV), timed("minicnn numba", 0.5e-4, GRAD), timed("minicnn numba", 1e-4, LARGE),
            cases=(CONV, GRAD, LARGE))
    totals, changed, caption = comparison.report(a, b)
    assert totals.title == "From A to B, 3 cases"
    assert totals.rows == [["torch contiguous", "absolute times", "1.00", "0", "0", "3", "0"],
                           ["minicnn numba", "relative to torch", "1.17", "1", "1", "1", "0"]]
    assert changed.rows == [[GRAD.id, "grad_input", "minicnn numba", "2.00", "4.00", "2.00", "FASTER"],
                            [CONV.id, "forward", "minicnn numba", "2.00", "1.60", "0.80", "SLOWER"]]
    assert caption == comparison.CAPTION


def test_what_only_one_run_has_is_listed() -> None:
    a = run(timed("minicnn numba", 1e-4), timed("minicnn numba", 1e-4, GRAD), timed("JAX", 1e-4), timed("minicnn numpy", 1e-4),
            cases=(CONV, GRAD))
    b = run(timed("minicnn numba", 1e-4), timed("minicnn numba", 1e-4, LARGE), refused(CONV, "JAX", "y is wrong"), cases=(CONV, LARGE))
    assert comparison.report(a, b)[-1] == [
        f"JAX has times only in A (y is wrong): {CONV.id} forward.",
        f"minicnn numpy has times only in A (took no part there): {CONV.id} forward.",
        f"Only in A: {GRAD.id} grad_input.", f"Only in B: {LARGE.id} forward."]


def test_runs_with_nothing_in_common_say_so() -> None:
    a, b = run(timed("minicnn numba", 1e-4)), run(timed("minicnn numba", 1e-4, LARGE), cases=(LARGE,))
    assert compare_runs(a, b) == []
    assert comparison.report(a, b) == ["The two runs have no case in common.",
                                       [f"Only in A: {CONV.id} forward.", f"Only in B: {LARGE.id} forward."]]


def test_kinds_must_be_the_same() -> None:
    text = "the first file holds results of conv, the second of pool: only runs of the same kind compare"
    with pytest.raises(ValueError, match=f"^{re.escape(text)}$"):
        compare_runs(run(), run(kind="pool"))


def test_runs_of_the_same_setting_give_no_warnings() -> None:
    a, b = run(timed("minicnn numba", 1e-4)), run(timed("minicnn numba", 1e-4))
    b.machine |= {"date": "2030-01-01", "load_average": 9.0, "revision": "another"}
    assert warnings(a, b) == []


def test_warnings_name_what_differs() -> None:
    a = run(timed("minicnn numba", 1e-4), timed("minicnn numpy", 1e-4), timed("JAX", 1e-4))
    libraries = {"minicnn": "0.2.0", "numpy": "2.4.6", "torch": "2.14.0", "jax": "0.10.2"}      # only in B, or ours: no warning
    b = run(*a.measurements, settings={"threads": 1}, machine={**MACHINE, "cpu": "AMD EPYC", "isa": ["avx2"], "libraries": libraries})
    b.suite = "conv-2"
    b.entrants = [replace(e, blas="") if e.name == "JAX" else replace(e, blas="openblas 0.3.31 Zen", threads={"pool": 1})
                  for e in b.entrants]
    assert warnings(a, b) == [
        "The suite differs: conv-1 in A, conv-2 in B.",
        "The number of threads differs: 2 in A, 1 in B.",
        f"The CPU differs: {MACHINE['cpu']} in A, AMD EPYC in B.",
        "The instruction set differs: avx2 fma in A, avx2 in B.",
        "The version of torch differs: 2.13.0 in A, 2.14.0 in B.",
        "The BLAS kernel of minicnn numba, minicnn numpy differs: openblas 0.3.31 Haswell in A, openblas 0.3.31 Zen in B.",
        "The number of threads read back of minicnn numba, minicnn numpy differs: pool 2 in A, pool 1 in B."]
    assert comparison.report(a, b)[0] == warnings(a, b)
