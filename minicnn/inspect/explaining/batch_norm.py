"""BatchNorm2d: what the mean, the variance, the weight and the bias do to one value, and the three ways in which a pixel has a gradient."""
from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from minicnn.inspect.explaining.call import Call
from minicnn.inspect.explaining.conv2d import explained
from minicnn.inspect.explaining.explanation import Explanation, size
from minicnn.inspect.explaining.position import full_index
from minicnn.inspect.explaining.terms import Term, panel
from minicnn.inspect.explaining.words import number
from minicnn.kernels import devices
from minicnn.tensor import Tensor

AXES = ("n", "c", "h", "w")
STEPS = 12         # roundings on the way to one value: var + eps, root, quotient, factor, difference, product, sum, and as many in x_hat


@dataclass(frozen=True)
class Channel:
    """One channel in float64, with the statistics that the kernel used: x_hat = (x - mean) * inverse; y = x_hat * weight + bias.

    reach: |x_hat| as if nothing cancelled in x - mean, which is what rounding works on.
    """
    x: np.ndarray
    mean: float
    var: float
    weight: float
    bias: float | None
    inverse: float
    of_batch: bool

    @property
    def x_hat(self) -> np.ndarray:
        return (self.x - self.mean) * self.inverse

    @property
    def reach(self) -> np.ndarray:
        return (np.abs(self.x) + abs(self.mean)) * self.inverse


@np.errstate(invalid="ignore", divide="ignore", over="ignore")
def _channel(call: Call, c: int) -> Channel:
    node = call.op.output.node
    assert node is not None                                    # the tape was on
    _, _, _, _, mean, var, eps, of_batch, _ = node.cache
    mean, var = (float(devices.host(v.array if isinstance(v, Tensor) else v)[c]) for v in (mean, var))
    weight, bias = call.given(1), call.given(2)
    return Channel(call.read(0)[:, c], mean, var, 1.0 if weight is None else float(weight[c]), None if bias is None else float(bias[c]),
                   float(1 / np.sqrt(np.float64(var) + eps)), bool(of_batch))


def _statistics(call: Call, at: Channel, c: int) -> list[str]:
    eps = call.op.options["eps"]
    if not at.of_batch:
        words = [f"Eval mode: mean and variance of channel {c} are the running ones, {number(at.mean)} and {number(at.var)}, whatever the "
                 f"batch is."]
    else:
        mean, var = float(at.x.mean()), float(at.x.var())
        words = [f"Training mode: mean and variance of channel {c} are those of its {at.x.size} values in this batch. The kernel found "
                 f"{at.mean:.7g} and {at.var:.7g}; in float64 they are {mean:.7g} and {var:.7g}."]
    return [*words, f"1/sqrt(var + eps) = 1/sqrt({number(at.var)} + {eps:g}) = {number(at.inverse)}; weight {number(at.weight)}, so x is "
                    f"scaled by "
            f"{number(at.weight * at.inverse)}."]


def _numbers(at: Channel) -> dict[str, Any]:
    return {"statistics": {"mean": at.mean, "var": at.var, "inverse_std": at.inverse, "of_batch": at.of_batch, "values": at.x.size}}


@np.errstate(invalid="ignore", over="ignore")
def output(call: Call, index: Any) -> Explanation:
    n, c, h, w = at = full_index("the output", index, call.output.shape, AXES)
    found = _channel(call, c)
    scale = found.weight * found.inverse
    terms = [Term.of(found.x[n, h, w], scale, what="x * scale"), Term.of(-found.mean, scale, what="-mean * scale")]
    return explained(
        call, terms, call.output[at], of="output", name=f"y[{n}, {c}, {h}, {w}]", index=at, factors=("value", "scale"), bias=found.bias,
        equation=["y[n, c, h, w] = (x[n, c, h, w] - mean[c]) * scale + bias[c], with scale = weight[c] / sqrt(var[c] + eps)"],
        roundings=STEPS, words=[*_statistics(call, found, c), f"x_hat = (x - mean)/sqrt(var + eps) = "
                                                              f"{number(float(found.x_hat[n, h, w]))}: "
                                f"that many standard deviations from the mean."],
        numbers=_numbers(found), rows=[[panel(f"x[{n}, {c}]", found.x[n], [(h, w)])]])


@np.errstate(invalid="ignore", over="ignore")
def gradient_of_input(call: Call, dy: np.ndarray, index: Any) -> Explanation:
    dx = call.gradient(dy, "input")
    n, c, h, w = at = full_index("x", index, dx.shape, AXES)
    found, values = _channel(call, c), dy[:, c].astype(np.float64)
    scale, M = found.weight * found.inverse, found.x.size
    terms = [Term.of(values[n, h, w], scale, way="itself", n=n, values=1)]
    magnitude, roundings = abs(terms[0].product), STEPS
    words = _statistics(call, found, c)
    if found.of_batch:
        x_hat, reach = found.x_hat, found.reach
        here = float(x_hat[n, h, w])
        terms += [Term.of(values[i].sum(), -scale / M, way="mean", n=i, values=values[i].size) for i in range(len(values))]
        terms += [Term.of((values[i] * x_hat[i]).sum(), -scale * here / M, way="variance", n=i, values=values[i].size)
                  for i in range(len(values))]
        through = np.abs(values).sum() + reach[n, h, w] * (np.abs(values) * reach).sum()
        magnitude = float(abs(scale) * (abs(values[n, h, w]) + through / M))
        roundings = M + 2 * STEPS
        dbeta, dgamma = float(values.sum()), float((values * x_hat).sum())
        by = {way: sum(term.product for term in terms if term.place["way"] == way) for way in ("itself", "mean", "variance")}
        words.append(f"This pixel changes the loss in three ways. By itself, through its own output: scale * dy = {number(by['itself'])}. "
                     f"Through the mean, which it raises by 1/{M} and which all {M} outputs of the channel subtract: -scale * sum of dy / "
                     f"{M} = -scale * {number(dbeta)}/{M} = {number(by['mean'])}. Through the variance, which it raises the more the "
                     f"farther it is from the mean (x_hat = {number(here)}): -scale * x_hat * sum of dy*x_hat / {M} = -scale * "
                     f"{number(here)} * {number(dgamma)}/{M} = {number(by['variance'])}. So every value of the channel, in every image of "
                     f"the batch, has a share in this one number; the table has the shares image by image.")
    else:
        words.append("The statistics are constants here, so this pixel changes its own output only: dx = scale * dy.")
    return explained(
        call, terms, dx[at], of="gradient of the input", name=f"dx[{n}, {c}, {h}, {w}]", index=at, factors=("dy", "factor"),
        equation=["dx = scale * (dy - sum of dy / M - x_hat * sum of dy*x_hat / M), sums over the M values of the channel" if found.of_batch
                  else "dx[n, c, h, w] = dy[n, c, h, w] * weight[c] / sqrt(var[c] + eps)"],
        magnitude=magnitude, roundings=roundings, words=words, numbers=_numbers(found),
        rows=[[panel(f"x[{n}, {c}]", found.x[n], [(h, w)]), panel(f"dy[{n}, {c}]", values[n], [(h, w)])]])


@np.errstate(invalid="ignore", over="ignore")
def gradient_of_weight(call: Call, dy: np.ndarray, index: Any) -> Explanation:
    dw = call.gradient(dy, "weight")
    (c,) = at = full_index("the weight", index, dw.shape, ("c",))
    found, values = _channel(call, c), dy[:, c].astype(np.float64)
    terms = [Term.of(values[i], found.x_hat[i], n=i[0], h=i[1], w=i[2]) for i in np.ndindex(*values.shape)]
    return explained(
        call, terms, dw[at], of="gradient of the weight", name=f"dweight[{c}]", index=at, factors=("dy", "x_hat"), group="n",
        equation=["dweight[c] = sum over n, h, w of dy[n, c, h, w] * x_hat[n, c, h, w], with x_hat = (x - mean)/sqrt(var + eps)"],
        magnitude=float((np.abs(values) * found.reach).sum()), roundings=len(terms) + STEPS, words=_statistics(call, found, c),
        numbers=_numbers(found))


def gradient_of_bias(call: Call, dy: np.ndarray, index: Any) -> Explanation:
    db = call.gradient(dy, "bias")
    (c,) = at = full_index("the bias", index, db.shape, ("c",))
    values = dy[:, c].astype(np.float64)
    terms = [Term.of(values[i], 1, n=i[0], h=i[1], w=i[2]) for i in np.ndindex(*values.shape)]
    return explained(call, terms, db[at], of="gradient of the bias", name=f"dbias[{c}]", index=at, factors=("dy", "one"), group="n",
                     equation=["dbias[c] = sum over n, h, w of dy[n, c, h, w]"], magnitude=size(terms),
                     words=[f"The bias is added to each of the {len(terms)} values of its channel, so each dy is its own too, with a "
                            f"factor of 1."])
