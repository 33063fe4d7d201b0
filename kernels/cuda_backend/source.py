"""The CUDA C++ files: their text with everything they #include in it, and the signatures of their kernels.

CuPy's cache on disk looks at the text it is given and not at the files that it includes, so it is given one text. The signatures are
read from that text too, so that what Python passes is checked against what the kernel declares, and nothing is written down twice.
"""
from __future__ import annotations

import functools
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

FOLDER = Path(__file__).parent
_SCALARS: dict[str, np.dtype] = {
    "int": np.dtype(np.int32), "unsigned": np.dtype(np.uint32), "long long": np.dtype(np.int64), "float": np.dtype(np.float32),
    "double": np.dtype(np.float64),
}


@dataclass(frozen=True)
class Parameter:
    """One parameter of a kernel. dtype: of the value, or of what the pointer points to; None stands for `real`, the module's type."""
    name: str
    dtype: np.dtype | None
    pointer: bool = False
    constant: bool = False                                     # const: the kernel only reads it, and it may be None


@functools.cache
def text(file: str) -> str:
    """The file with its #include "..." lines replaced by the text of those files, each once."""
    return _expanded(file, set())


def _expanded(file: str, seen: set[str]) -> str:
    lines = []
    for number, line in enumerate((FOLDER / file).read_text().splitlines(), 1):
        included = re.match(r'#include "(.+)"', line)
        if not included:
            lines.append(line)
        elif included[1] not in seen:
            seen.add(included[1])
            lines += [f'#line 1 "{included[1]}"', _expanded(included[1], seen), f'#line {number + 1} "{file}"']
    return "\n".join(lines)


@functools.cache
def signatures(file: str) -> dict[str, tuple[Parameter, ...]]:
    """The parameters of every extern "C" __global__ kernel of the file, by the kernel's name."""
    code = re.sub(r"//.*", "", text(file))
    types: dict[str, np.dtype] = {**_SCALARS, **structures(file)}
    found = {}
    for name, parameters in re.findall(r'extern "C" __global__ void\s+(?:__launch_bounds__\([^)]*\)\s+)?(\w+)\((.*?)\)\s*\{', code, re.S):
        found[name] = tuple(_parameter(file, name, declared, types) for declared in parameters.split(","))
    return found


@functools.cache
def structures(file: str) -> dict[str, np.dtype]:
    """Every `struct Name { int a, b; ... };` of the file, of ints only, as a NumPy dtype with the same layout."""
    code = re.sub(r"//.*", "", text(file))
    return {name: np.dtype([(field, np.int32) for field in re.findall(r"\w+", body.replace("int ", ""))])
            for name, body in re.findall(r"struct (\w+) \{((?:\s*int [\w, \n]+;)+)\s*\};", code)}


def _parameter(file: str, kernel: str, declared: str, types: dict[str, np.dtype]) -> Parameter:
    """`const real *__restrict__ x` -> Parameter("x", None, pointer=True, constant=True)"""
    pointer, constant = "*" in declared, "const" in declared.split()
    *words, name = (word for word in re.sub(r"\*", " ", declared).split() if word not in ("const", "__restrict__"))
    kind = " ".join(words)
    if kind != "real" and kind not in types:
        raise ValueError(f"{file}: kernel {kernel}: the type of parameter {declared.strip()!r} is not one of real, {', '.join(types)}")
    return Parameter(name, types.get(kind), pointer, constant)
