"""Arrays for the tests of operations: of any shape and layout, several that broadcast, and the special values."""
from __future__ import annotations

from collections.abc import Callable

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, mutually_broadcastable_shapes

from tests.strategies import floats, in_layout, integers, layouts, seeds

Draw = Callable[[tuple[int, ...], int], np.ndarray]

_special = np.array([np.nan, np.inf, -np.inf, 0.0, -0.0, 1.0, -1.0, 2.0])
SPECIAL = _special
SPECIAL_PAIRS = _special[:, None].repeat(len(_special), 1), _special[None].repeat(len(_special), 0)     # every one beside every other


def shapes(least_axes: int = 0, most_axes: int = 4, least_side: int = 0) -> st.SearchStrategy[tuple[int, ...]]:
    """Shapes of few values; the sizes differ, and may be 1 or 0."""
    return st.just(()) | array_shapes(min_dims=1, max_dims=most_axes, min_side=least_side, max_side=4) if least_axes == 0 else (
        array_shapes(min_dims=least_axes, max_dims=most_axes, min_side=least_side, max_side=4))


@st.composite
def one(draw: st.DrawFn, values: Draw = integers, least_axes: int = 0, least_side: int = 0) -> np.ndarray:
    """An array of any shape and memory layout."""
    return in_layout(values(draw(shapes(least_axes, least_side=least_side)), draw(seeds)), draw(layouts))


@st.composite
def broadcastable(draw: st.DrawFn, count: int, values: Draw = integers) -> list[np.ndarray]:
    """`count` arrays of shapes that broadcast, each in a memory layout of its own."""
    drawn = draw(mutually_broadcastable_shapes(num_shapes=count, max_dims=4, max_side=3)).input_shapes
    return [in_layout(values(shape, draw(seeds)), draw(layouts)) for shape in drawn]


def positive(shape: tuple[int, ...], seed: int) -> np.ndarray:
    """Numbers from 0.5 upwards, for functions that need them."""
    return np.abs(floats(shape, seed)) + np.float32(0.5)


def nonzero(shape: tuple[int, ...], seed: int) -> np.ndarray:
    """Integers from 1 to 8, for divisors."""
    return integers(shape, seed, least=1)
