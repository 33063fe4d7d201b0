"""Problem strings in the manner of oneDNN's benchdnn: `mb64ic32ih28oc32oh28kh3ph1` is a whole convolution in one word.

Letters name a size, digits give it. What is left out has its usual value: width as height, stride 1, no padding, no dilation, one group.

    g groups    mb batch    ic ih iw input channels, height, width    oc oh ow output channels, height, width
    kh kw kernel    sh sw stride    ph pw padding    dh dw dilation - 1, as in benchdnn (0: none)
"""
from __future__ import annotations

import re
from collections.abc import Sequence

ORDER = ("g", "mb", "ic", "ih", "iw", "oc", "oh", "ow", "kh", "kw", "sh", "sw", "ph", "pw", "dh", "dw")
DEFAULTS = {"g": 1, "sh": 1, "ph": 0, "dh": 0}
WIDTHS = {"iw": "ih", "ow": "oh", "kw": "kh", "sw": "sh", "pw": "ph", "dw": "dh"}
MAY_BE_ZERO = ("ph", "pw", "dh", "dw")


def read(text: str, needed: Sequence[str], optional: Sequence[str] = ()) -> dict[str, int]:
    """The sizes that a problem string gives, and the usual ones for `optional` that it leaves out.

    Raises ValueError that says which part is wrong, and shows a string that is right.
    """
    sizes: dict[str, int] = {}
    if not re.fullmatch(r"([a-z]+\d+)+", text):
        raise ValueError(f"problem {text!r}: expected letters and digits by turns, such as mb64ic32ih28oc32oh28kh3ph1")
    for name, digits in re.findall(r"([a-z]+)(\d+)", text):
        if name not in (*needed, *optional):
            raise ValueError(f"problem {text!r}: {name!r} is not a size here; there are: {' '.join((*needed, *optional))}")
        if name in sizes:
            raise ValueError(f"problem {text!r}: {name!r} is given twice")
        if int(digits) < 1 and name not in MAY_BE_ZERO:
            raise ValueError(f"problem {text!r}: {name} is {digits}, expected at least 1")
        sizes[name] = int(digits)
    missing = [name for name in needed if name not in sizes]
    if missing:
        verb = "is" if len(missing) == 1 else "are"
        raise ValueError(f"problem {text!r}: {' '.join(missing)} {verb} missing; needed: {' '.join(needed)}")
    for name in optional:
        if name not in sizes:
            like = WIDTHS.get(name)
            if like in sizes:
                sizes[name] = sizes[like]
            elif name in DEFAULTS:
                sizes[name] = DEFAULTS[name]
    for name in optional:                                      # widths of what was itself left out
        if name not in sizes and WIDTHS.get(name) in sizes:
            sizes[name] = sizes[WIDTHS[name]]
    return sizes


def write(sizes: dict[str, int]) -> str:
    """The shortest string that `read` turns back into these sizes."""
    return "".join(f"{name}{sizes[name]}" for name in ORDER
                   if name in sizes and sizes[name] != DEFAULTS.get(name) and sizes[name] != sizes.get(WIDTHS.get(name, "")))


def agree(problem: str, sizes: dict[str, int], found: dict[str, int]) -> None:
    """Raise ValueError if an output size that the string states ("oh", "ow") is not the one that its other sizes give."""
    if "oh" in sizes and "ow" not in sizes:
        sizes = {**sizes, "ow": sizes["oh"] if sizes["iw"] == sizes["ih"] else found["ow"]}
    for name, size in found.items():
        if sizes.get(name, size) != size:
            raise ValueError(f"problem {problem!r}: {name} is {sizes[name]}, but the other sizes give {size}")
