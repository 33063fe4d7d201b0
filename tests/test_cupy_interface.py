"""What the framework asks of an array module, against what CuPy has: without CuPy by the simulator's list, and with it, that list too.

No GPU is needed: CuPy can be imported, and asked for its signatures, without one.
"""
from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from minicnn.kernels.cuda_backend.simulator import interface

ROOT = Path(__file__).parent.parent
SOURCES = [path for folder in ("minicnn/ops", "minicnn/nn", "minicnn/optim", "kernels/numpy_backend", "kernels/cuda_backend")
           for path in (ROOT / folder).glob("*.py")] + [ROOT / "kernels/window.py"]

# Called on shapes, dtypes, numbers and the host's arrays only, so that CuPy is not asked.
OF_THE_HOST = {"array", "broadcast_shapes", "can_cast", "diag", "dtype", "empty", "errstate", "eye", "finfo", "frombuffer", "full", "iinfo",
               "isscalar", "linalg.qr", "linspace", "pad", "random.SeedSequence", "result_type", "unique"}


def calls(path: Path) -> Iterator[tuple[int, str, set[str]]]:
    """(line, function, keywords) for every np.function(...) of the file; a type that is called is none."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call):
            name = ast.unparse(node.func)
            if re.fullmatch(r"np(\.\w+)+", name) and not isinstance(getattr(np, name.split(".")[1]), type):
                yield node.lineno, name.removeprefix("np."), {k.arg for k in node.keywords if k.arg}


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(ROOT)))
def test_cupy_has_every_function_that_is_called(path: Path) -> None:
    for line, name, keywords in calls(path):
        head, _, method = name.partition(".")
        if isinstance(getattr(np, head), np.ufunc):
            interface.check_ufunc(getattr(np, head), method or "__call__", keywords)
        elif name not in OF_THE_HOST:
            try:
                interface.check(name, interface.FUNCTIONS.get(name), keywords - {"like"})
            except TypeError as error:
                pytest.fail(f"{path.relative_to(ROOT)}:{line}: {error}")


def test_the_list_is_that_of_cupy() -> None:
    cupy = pytest.importorskip("cupy", reason="CuPy is not installed")
    for name, expected in interface.FUNCTIONS.items():
        function = cupy
        for part in name.split("."):
            function = getattr(function, part)
        found = _parameters(function)
        assert expected <= found, f"cupy.{name} takes {sorted(found)}"
    for name, expected in interface.METHODS.items():
        found = _parameters(getattr(cupy.ndarray, name))
        assert expected <= found, f"cupy.ndarray.{name} takes {sorted(found)}"
    assert {name for name in vars(np) if isinstance(getattr(np, name), np.ufunc) and not hasattr(cupy, name)} == interface.NO_UFUNCS
    for method in interface.UFUNC_METHODS:
        assert hasattr(cupy.add, method)


def _parameters(function: object) -> set[str]:
    """Of a function in Python by inspection; one in Cython says them in the first line of its docstring."""
    try:
        return set(inspect.signature(function).parameters)  # type: ignore[arg-type]  # what has none raises
    except (TypeError, ValueError):
        first = (function.__doc__ or "").strip().split("\n")[0]
        return set(re.findall(r"(\w+)(?:=[^,)]*)?(?=[,)])", first.partition("(")[2]))
