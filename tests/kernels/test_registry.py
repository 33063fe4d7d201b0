"""The registry: every backend fulfils the contract with the same arguments, the user's choice counts, and errors say what there is."""
import inspect
import re

import numpy as np
import pytest

import minicnn
from minicnn import kernels

USABLE = [name for name in kernels.CPU_BACKENDS if not kernels.missing(name)]
LISTING = "available: numba, numpy, cuda-sim; not cuda: there is no GPU"


@pytest.fixture(autouse=True)
def _only_simulated(monkeypatch: pytest.MonkeyPatch) -> None:
    """No GPU, but all that the simulator needs, whatever this machine has."""
    monkeypatch.setitem(kernels._BACKENDS, "cuda", ("cuda_backend", lambda: "there is no GPU"))
    monkeypatch.setitem(kernels._BACKENDS, "cuda-sim", ("cuda_backend", lambda: None))


@pytest.mark.parametrize("name", [*USABLE, "cuda-sim"])
def test_a_backend_has_the_functions_of_the_contract_with_the_same_arguments(name: str) -> None:
    for function in kernels.CONTRACT:
        expected = inspect.signature(getattr(kernels.get("numpy"), function))
        assert list(inspect.signature(getattr(kernels.get(name), function)).parameters) == list(expected.parameters), function


def test_the_reference_fulfils_the_whole_contract() -> None:
    reference = kernels.LADDER[0].load()
    for function in kernels.CONTRACT:
        assert list(inspect.signature(getattr(reference, function)).parameters) == list(
            inspect.signature(getattr(kernels.get("numpy"), function)).parameters), function


def test_every_rung_of_the_ladder_has_a_label_and_the_three_functions() -> None:
    assert [rung.name for rung in kernels.LADDER][:6] == ["loops", "shift-and-add", "im2col", "compiled", "parallel", "simd"]
    assert len({rung.label for rung in kernels.LADDER}) == len(kernels.LADDER)
    for rung in kernels.LADDER:
        assert rung.label.endswith("."), rung.label
        for function in ("conv2d", "conv2d_grad_input", "conv2d_grad_weight"):
            assert callable(getattr(rung.load(), function))


def test_the_default_is_numba_and_the_environment_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernels, "_chosen", None)
    monkeypatch.delenv("MINICNN_BACKEND", raising=False)
    assert kernels.backend() == "numba"
    monkeypatch.setenv("MINICNN_BACKEND", "numpy")
    assert kernels.backend() == "numpy"
    assert kernels.of(np.zeros(1)) is kernels.get("numpy")
    monkeypatch.setenv("MINICNN_BACKEND", "numppy")
    with pytest.raises(ValueError, match=f"^unknown backend 'numppy'; {re.escape(LISTING)}$"):
        kernels.of(np.zeros(1))


def test_use_backend_is_a_function_and_a_context_manager(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernels, "_chosen", None)
    minicnn.use_backend("numba")
    with minicnn.use_backend("numpy"):
        assert kernels.backend() == "numpy"
        with minicnn.use_backend("numba"):
            assert kernels.backend() == "numba"
        assert kernels.backend() == "numpy"
    assert kernels.backend() == "numba"
    with pytest.raises(KeyError), minicnn.use_backend("numpy"):
        raise KeyError
    assert kernels.backend() == "numba"


def test_an_unknown_or_missing_backend_is_refused_and_the_choice_stays() -> None:
    before = kernels.backend()
    with pytest.raises(ValueError, match=f"^unknown backend 'tpu'; {re.escape(LISTING)}$"):
        minicnn.use_backend("tpu")
    with pytest.raises(ValueError, match=f"^backend 'cuda' is not available; {re.escape(LISTING)}$"):
        minicnn.use_backend("cuda")
    assert kernels.backend() == before


def test_a_device_is_no_cpu_backend(monkeypatch: pytest.MonkeyPatch) -> None:
    """It would be silently without effect: tensors have to be moved to it."""
    before = kernels.backend()
    text = ("{}: 'cuda-sim' is a device, and this chooses what computes on the CPU (numba, numpy); computing there is asked for with "
            "model.to('cuda-sim') and x.to('cuda-sim'), or with minicnn train --backend cuda-sim")
    with pytest.raises(ValueError, match=f"^{re.escape(text.format('use_backend'))}$"):
        minicnn.use_backend("cuda-sim")
    assert kernels.backend() == before
    monkeypatch.setattr(kernels, "_chosen", None)
    monkeypatch.setenv("MINICNN_BACKEND", "cuda-sim")
    with pytest.raises(ValueError, match=f"^{re.escape(text.format('MINICNN_BACKEND'))}$"):
        minicnn.zeros(2).relu()


def test_without_numba_the_default_is_numpy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernels, "_chosen", None)
    monkeypatch.delenv("MINICNN_BACKEND", raising=False)
    monkeypatch.setattr(kernels, "_numba_missing", lambda: "the package numba is not installed: pip install numba")
    assert kernels.backend() == "numpy"


def test_an_array_of_another_library_is_refused() -> None:
    with pytest.raises(TypeError, match=r"^no backend for an array of type builtins\.list: expected numpy\.ndarray or cupy\.ndarray$"):
        kernels.of([1, 2])


def test_computing_with_a_backend_of_any_kind() -> None:
    """A device's own kernels work on its arrays; what is on the CPU beside them needs a CPU backend."""
    before = kernels.backend()
    with kernels.computing_with("numpy") as device:
        assert (device, kernels.backend()) == ("cpu", "numpy")
    with kernels.computing_with(None) as device:
        assert (device, kernels.backend()) == ("cpu", before)
    assert kernels.backend() == before
    with pytest.raises(ValueError, match=r"^unknown backend 'tpu'"), kernels.computing_with("tpu"):
        pass
