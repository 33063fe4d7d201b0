"""The examples in docstrings print what they say."""
import doctest
import importlib
import pkgutil

import numpy as np
import pytest

import minicnn
from minicnn import benchmarks, kernels
from minicnn.kernels.window import Window2d

MODULES = [info.name for package in (minicnn, kernels, benchmarks)
           for info in pkgutil.walk_packages(package.__path__, f"{package.__name__}.") if not info.name.endswith("__main__")]


@pytest.mark.parametrize("name", MODULES)
def test_examples(name: str) -> None:
    failed, _ = doctest.testmod(importlib.import_module(name), extraglobs={"np": np, "minicnn": minicnn, "Window2d": Window2d})
    assert not failed


def test_there_are_examples() -> None:
    found = [test for name in MODULES for test in doctest.DocTestFinder().find(importlib.import_module(name)) if test.examples]
    assert len(found) > 10
