"""What CuPy has of NumPy's interface, as far as minicnn might use it: the simulator refuses the rest, as CuPy does.

Taken from CuPy 14.2; tests/test_device.py holds it against the CuPy that is installed, where one is.
"""
from __future__ import annotations

import numpy as np

# NumPy's functions, each with the names of its parameters in CuPy. np.full, np.ones and np.eye are not here: with like= they pass an
# argument that CuPy's do not take.
FUNCTIONS = {name: set(parameters.split()) for name, parameters in {
    "all": "a axis out keepdims",
    "allclose": "a b rtol atol equal_nan",
    "amax": "a axis out keepdims",
    "amin": "a axis out keepdims",
    "any": "a axis out keepdims",
    "arange": "start stop step dtype",
    "argmax": "a axis dtype out keepdims",
    "argmin": "a axis dtype out keepdims",
    "argsort": "a axis kind",
    "argwhere": "a",
    "array_equal": "a1 a2 equal_nan",
    "asarray": "a dtype order copy",
    "bincount": "x weights minlength",
    "broadcast_to": "array shape",
    "clip": "a a_min a_max out",
    "concatenate": "tup axis out dtype casting",
    "copyto": "dst src casting where",
    "cumsum": "a axis dtype out",
    "empty": "shape dtype order",
    "empty_like": "prototype dtype order shape",
    "expand_dims": "a axis",
    "flip": "a axis",
    "full_like": "a fill_value dtype order shape",
    "isclose": "a b rtol atol equal_nan",
    "linalg.norm": "x ord axis keepdims",
    "max": "a axis out keepdims",
    "mean": "a axis dtype out keepdims",
    "min": "a axis out keepdims",
    "moveaxis": "a source destination",
    "nan_to_num": "x copy nan posinf neginf",
    "ndim": "a",
    "nonzero": "a",
    "ones_like": "a dtype order shape",
    "prod": "a axis dtype out keepdims",
    "put_along_axis": "arr indices values axis",
    "ravel": "a order",
    "repeat": "a repeats axis",
    "reshape": "a newshape order copy",
    "roll": "a shift axis",
    "shape": "a",
    "size": "a axis",
    "split": "ary indices_or_sections axis",
    "squeeze": "a axis",
    "stack": "tup axis out dtype casting",
    "sum": "a axis dtype out keepdims",
    "swapaxes": "a axis1 axis2",
    "take": "a indices axis out",
    "take_along_axis": "a indices axis",
    "tensordot": "a b axes",
    "tile": "A reps",
    "transpose": "a axes",
    "where": "condition x y",
    "zeros": "shape dtype order",
    "zeros_like": "a dtype order shape",
}.items()}

METHODS = {name: set(parameters.split()) for name, parameters in {
    "all": "axis out keepdims",
    "any": "axis out keepdims",
    "argmax": "axis out dtype keepdims",
    "argmin": "axis out dtype keepdims",
    "argsort": "axis kind",
    "astype": "dtype order casting subok copy",
    "clip": "min max out",
    "copy": "order",
    "cumprod": "axis dtype out",
    "cumsum": "axis dtype out",
    "diagonal": "offset axis1 axis2",
    "dot": "b out",
    "fill": "value",
    "flatten": "order",
    "max": "axis out keepdims",
    "mean": "axis dtype out keepdims",
    "min": "axis out keepdims",
    "nonzero": "",
    "prod": "axis dtype out keepdims",
    "ravel": "order",
    "repeat": "repeats axis",
    "reshape": "order copy",
    "round": "decimals out",
    "sort": "axis kind",
    "squeeze": "axis",
    "std": "axis dtype out ddof keepdims",
    "sum": "axis dtype out keepdims",
    "swapaxes": "axis1 axis2",
    "take": "indices axis out",
    "trace": "offset axis1 axis2 dtype out",
    "transpose": "axes",
    "var": "axis dtype out ddof keepdims",
    "view": "dtype type",
}.items()}

NO_UFUNCS = {"isnat", "matvec", "spacing", "vecdot", "vecmat"}
UFUNC_METHODS = {
    "__call__": {"out", "where", "dtype", "casting"},
    "accumulate": {"axis", "dtype", "out"},
    "at": set(),
    "outer": {"out", "dtype", "casting"},
    "reduce": {"axis", "dtype", "out", "keepdims"},
}


def full_name(function: object) -> str:
    """np.linalg.norm -> "linalg.norm" """
    module = getattr(function, "__module__", "numpy") or "numpy"
    return f"{module}.{getattr(function, '__name__', '?')}".removeprefix("numpy.")


def check(what: str, parameters: set[str] | None, given: object) -> None:
    """Raise TypeError unless CuPy has `what`, with the keyword arguments that are given."""
    unknown = sorted(set(given) - (parameters or set()))  # type: ignore[call-overload]  # the keys of a dict
    if parameters is None:
        raise TypeError(f"CuPy has no {what} that takes device arrays, so the simulated device has none either")
    if unknown:
        raise TypeError(f"CuPy's {what} takes no {', '.join(unknown)}, so the simulated device's does not either; it takes "
                        f"{', '.join(sorted(parameters)) or 'no keyword arguments'}")


def check_ufunc(ufunc: np.ufunc, method: str, given: object) -> None:
    """The same for the ufunc's method, such as np.add.reduce."""
    name = f"np.{ufunc.__name__}" + ("" if method == "__call__" else f".{method}")
    check(name, None if ufunc.__name__ in NO_UFUNCS else UFUNC_METHODS.get(method), given)
