"""Every hot loop of the framework as plain nested loops: the definition that all backends are tested against.

Never optimised and never clever: one loop an index, one line a formula. Sums are accumulated in float64 and rounded once, at
the end. A read outside the input is a read of the padding: 0 for convolution and averages, nothing at all for the maximum.
"""
from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import numpy as np

from minicnn.kernels.cost import Cost
from minicnn.kernels.window import Size, Window2d

Array = np.ndarray


def conv2d(x: Array, w: Array, b: Array | None, window: Window2d, groups: int = 1, relu: bool = False) -> Array:
    """Nested loops: one output at a time, one product at a time.

        y[n, f, oh, ow] = b[f] + sum over c, kh, kw of x[n, g*C/G + c, oh*SH + kh*DH - PT, ow*SW + kw*DW - PL] * w[f, c, kh, kw]

    where g = f // (F/G) is the group of filter f. Shapes: x (N, C, H, W), w (F, C/G, KH, KW), b (F) or None -> y (N, F, OH, OW).
    With relu, what is below 0 becomes 0.
    """
    N, F, CG = len(x), len(w), w.shape[1]
    y = np.zeros((N, F, *window.output_size(x.shape[2:])))
    for n, f, oh, ow in np.ndindex(y.shape):
        total = 0.0 if b is None else float(b[f])
        first = f // (F // groups) * CG                                # the first input channel of this filter's group
        for kh, kw, h, ww in _reads(window, oh, ow, x.shape[2:]):
            for c in range(CG):
                total += float(x[n, first + c, h, ww]) * float(w[f, c, kh, kw])
        y[n, f, oh, ow] = 0.0 if relu and total < 0 else total
    return y.astype(x.dtype)


def conv2d_cost(x_shape: tuple[int, ...], w_shape: tuple[int, ...], window: Window2d, groups: int = 1, itemsize: int = 4) -> Cost:
    """Every product reads its x and its w anew, none is made with padding; every y is written in float64, read, and written once more,
    rounded."""
    outputs = x_shape[0] * w_shape[0] * math.prod(window.output_size(x_shape[2:]))
    macs = x_shape[0] * w_shape[0] * w_shape[1] * window.reads(x_shape[2:])
    return Cost(macs, 2 * macs * itemsize + outputs * (8 + 8 + itemsize), workspace=8 * outputs)


def conv2d_grad_input(dy: Array, w: Array, input_shape: tuple[int, ...], window: Window2d, groups: int = 1) -> Array:
    """dx: every product x * w of the forward loop passes dy * w back to the x it read, and a pixel adds up what it gets.

    Shapes: dy (N, F, OH, OW), w (F, C/G, KH, KW) -> dx (N, C, H, W).
    """
    dx, F, CG = np.zeros(input_shape), len(w), w.shape[1]
    for n, f, oh, ow in np.ndindex(dy.shape):
        first = f // (F // groups) * CG
        for kh, kw, h, ww in _reads(window, oh, ow, input_shape[2:]):
            for c in range(CG):
                dx[n, first + c, h, ww] += float(dy[n, f, oh, ow]) * float(w[f, c, kh, kw])
    return dx.astype(dy.dtype)


def conv2d_grad_weight(dy: Array, x: Array, weight_shape: tuple[int, ...], window: Window2d, groups: int = 1) -> Array:
    """dw: every product x * w of the forward loop passes dy * x back to its weight, summed over all places that share it.

    Shapes: dy (N, F, OH, OW), x (N, C, H, W) -> dw (F, C/G, KH, KW).
    """
    dw, (F, CG) = np.zeros(weight_shape), weight_shape[:2]
    for n, f, oh, ow in np.ndindex(dy.shape):
        first = f // (F // groups) * CG
        for kh, kw, h, ww in _reads(window, oh, ow, x.shape[2:]):
            for c in range(CG):
                dw[f, c, kh, kw] += float(dy[n, f, oh, ow]) * float(x[n, first + c, h, ww])
    return dw.astype(dy.dtype)


def max_pool2d(x: Array, window: Window2d) -> tuple[Array, Array]:
    """y = the largest value under the window; argmax = its flat index h*W + w in the input plane.

    The first maximum in row-major order wins; a NaN wins over every number, and the last NaN over earlier ones, as in torch;
    padding counts as -inf and can never win: a window that sees nothing else gives -inf and argmax -1.
    Shapes: x (N, C, H, W) -> y (N, C, OH, OW), argmax int64 of the same shape.
    """
    N, C, H, W = x.shape
    y = np.full((N, C, *window.output_size((H, W))), -np.inf, x.dtype)
    argmax = np.full(y.shape, -1, np.int64)
    for n, c, oh, ow in np.ndindex(y.shape):
        for _, _, h, w in _reads(window, oh, ow, (H, W)):
            value = x[n, c, h, w]
            if argmax[n, c, oh, ow] < 0 or value > y[n, c, oh, ow] or np.isnan(value):
                y[n, c, oh, ow], argmax[n, c, oh, ow] = value, h * W + w
    return y, argmax


def max_pool2d_grad(dy: Array, argmax: Array, input_shape: tuple[int, ...], window: Window2d) -> Array:
    """dx: the winner of each window gets its whole dy; a pixel that won several windows adds them up; argmax -1 passes nothing.

    Shapes: dy and argmax (N, C, OH, OW) -> dx (N, C, H, W).
    """
    dx, W = np.zeros(input_shape), input_shape[3]
    for n, c, oh, ow in np.ndindex(dy.shape):
        winner = int(argmax[n, c, oh, ow])
        if winner >= 0:
            dx[n, c, winner // W, winner % W] += float(dy[n, c, oh, ow])
    return dx.astype(dy.dtype)


def avg_pool2d(x: Array, window: Window2d, count_include_pad: bool = True, divisor_override: int | None = None) -> Array:
    """y = (sum of the values under the window) / divisor: `divisor_override`, or the cells the window covers, see `_divisor`.

    Shapes: x (N, C, H, W) -> y (N, C, OH, OW).
    """
    y = np.zeros((*x.shape[:2], *window.output_size(x.shape[2:])))
    for n, c, oh, ow in np.ndindex(y.shape):
        total = sum(float(x[n, c, h, w]) for _, _, h, w in _reads(window, oh, ow, x.shape[2:]))
        y[n, c, oh, ow] = total / _divisor(window, oh, ow, x.shape[2:], count_include_pad, divisor_override)
    return y.astype(x.dtype)


def avg_pool2d_grad(dy: Array, input_shape: tuple[int, ...], window: Window2d, count_include_pad: bool = True,
                    divisor_override: int | None = None) -> Array:
    """dx: each output shares its dy equally among the pixels it averaged. Shapes: dy (N, C, OH, OW) -> dx (N, C, H, W)."""
    dx = np.zeros(input_shape)
    for n, c, oh, ow in np.ndindex(dy.shape):
        share = float(dy[n, c, oh, ow]) / _divisor(window, oh, ow, input_shape[2:], count_include_pad, divisor_override)
        for _, _, h, w in _reads(window, oh, ow, input_shape[2:]):
            dx[n, c, h, w] += share
    return dx.astype(dy.dtype)


def im2col(x: Array, window: Window2d) -> Array:
    """cols[n, c, kh, kw, oh, ow] = what output (oh, ow) reads at kernel offset (kh, kw); 0 in the padding."""
    OH, OW = window.output_size(x.shape[2:])
    cols = np.zeros((*x.shape[:2], *window.kernel, OH, OW), x.dtype)
    for oh, ow in np.ndindex(OH, OW):
        for kh, kw, h, w in _reads(window, oh, ow, x.shape[2:]):
            cols[:, :, kh, kw, oh, ow] = x[:, :, h, w]
    return cols


def col2im(cols: Array, input_size: Size, window: Window2d) -> Array:
    """The adjoint of im2col: every column value is added to the pixel it was copied from. -> (N, C, H, W)"""
    x = np.zeros((*cols.shape[:2], *input_size))
    for oh, ow in np.ndindex(cols.shape[4:]):
        for kh, kw, h, w in _reads(window, oh, ow, input_size):
            x[:, :, h, w] += cols[:, :, kh, kw, oh, ow]
    return x.astype(cols.dtype)


def batch_norm_statistics(x: Array) -> tuple[Array, Array]:
    """mean[c] = the mean of x[:, c], var[c] = the mean of (x[:, c] - mean[c])². x (N, C, H, W) -> (C), (C)."""
    C, M = x.shape[1], x.size // x.shape[1]
    mean, var = np.zeros(C), np.zeros(C)
    for n, c, h, w in np.ndindex(x.shape):
        mean[c] += float(x[n, c, h, w]) / M
    for n, c, h, w in np.ndindex(x.shape):
        var[c] += (float(x[n, c, h, w]) - mean[c]) ** 2 / M
    return mean.astype(x.dtype), var.astype(x.dtype)


def batch_norm(x: Array, gamma: Array | None, beta: Array | None, mean: Array, var: Array, eps: float, relu: bool = False) -> Array:
    """y = gamma[c] * (x - mean[c]) / sqrt(var[c] + eps) + beta[c]; gamma and beta may be None (1 and 0); relu: max(y, 0)."""
    y = np.zeros(x.shape)
    for n, c, h, w in np.ndindex(x.shape):
        x_hat = (float(x[n, c, h, w]) - float(mean[c])) / math.sqrt(float(var[c]) + eps)
        y[n, c, h, w] = x_hat * (1 if gamma is None else float(gamma[c])) + (0 if beta is None else float(beta[c]))
        if relu and y[n, c, h, w] <= 0:                          # NaN stays NaN
            y[n, c, h, w] = 0
    return y.astype(x.dtype)


def batch_norm_grad(dy: Array, x: Array, gamma: Array | None, mean: Array, var: Array, eps: float,
                    batch_statistics: bool, beta: Array | None = None, relu: bool = False,
                    inplace: bool = False) -> tuple[Array, Array, Array]:
    """dx, dgamma, dbeta, with x_hat = (x - mean) / sqrt(var + eps) and M = N*H*W values a channel:

        dbeta[c] = sum of dy,   dgamma[c] = sum of dy * x_hat
        dx = gamma / sqrt(var + eps) * (dy - dbeta / M - x_hat * dgamma / M)      with the batch's own statistics; else without the last two

    inplace: dx may be written over dy; here it never is.
    """
    if relu:                                                     # dy is that of max(y, 0)
        dy = relu_grad(dy, batch_norm(x, gamma, beta, mean, var, eps))
    C, M = x.shape[1], x.size // x.shape[1]
    dx, dgamma, dbeta = np.zeros(x.shape), np.zeros(C), np.zeros(C)
    inverse_std = [1 / math.sqrt(float(v) + eps) for v in var]
    for n, c, h, w in np.ndindex(x.shape):
        dbeta[c] += float(dy[n, c, h, w])
        dgamma[c] += float(dy[n, c, h, w]) * (float(x[n, c, h, w]) - float(mean[c])) * inverse_std[c]
    for n, c, h, w in np.ndindex(x.shape):
        x_hat = (float(x[n, c, h, w]) - float(mean[c])) * inverse_std[c]
        by_statistics = (dbeta[c] + x_hat * dgamma[c]) / M if batch_statistics else 0.0
        dx[n, c, h, w] = (float(dy[n, c, h, w]) - by_statistics) * inverse_std[c] * (1 if gamma is None else float(gamma[c]))
    return dx.astype(x.dtype), dgamma.astype(x.dtype), dbeta.astype(x.dtype)


def batch_norm_pool(x: Array, gamma: Array | None, beta: Array | None, mean: Array, var: Array, eps: float) -> Array:
    """y = max_pool2d(batch_norm(x, ..., relu=True)) with windows of 2 x 2 side by side."""
    return max_pool2d(batch_norm(x, gamma, beta, mean, var, eps, relu=True), Window2d.of(2, 2))[0]


def batch_norm_pool_grad(dy: Array, x: Array, gamma: Array | None, beta: Array | None, mean: Array, var: Array,
                         eps: float) -> tuple[Array, Array, Array]:
    """dx, dgamma, dbeta, mean and var being those of x: dy of a window belongs to its winner, if that is positive."""
    window = Window2d.of(2, 2)
    _, argmax = max_pool2d(batch_norm(x, gamma, beta, mean, var, eps, relu=True), window)
    return batch_norm_grad(max_pool2d_grad(dy, argmax, x.shape, window), x, gamma, mean, var, eps, True, beta, relu=True)


def relu(x: Array) -> Array:
    """y = x where x > 0, else 0; NaN stays NaN."""
    y = np.zeros_like(x)
    for i in np.ndindex(x.shape):
        y[i] = x[i] if x[i] > 0 or np.isnan(x[i]) else 0
    return y


def relu_grad(dy: Array, y: Array, inplace: bool = False) -> Array:
    """dx = dy where the output y is > 0, else 0. inplace: dx may be written over dy; here it never is."""
    dx = np.zeros_like(dy)
    for i in np.ndindex(dy.shape):
        if y[i] > 0:
            dx[i] = dy[i]
    return dx


def add(a: Array, b: Array, relu: bool = False) -> Array:
    """y = a + b, of equal shape and dtype; relu: max(y, 0), with NaN as it is."""
    y = np.zeros_like(a)
    for i in np.ndindex(a.shape):
        value = a[i] + b[i]
        y[i] = 0 if relu and value <= 0 else value
    return y


def linear(x: Array, w: Array, b: Array | None) -> Array:
    """y[m, o] = b[o] + sum over i of x[m, i] * w[o, i]. Shapes: x (M, I), w (O, I), b (O) or None -> y (M, O)."""
    y = np.zeros((len(x), len(w)))
    for m, o in np.ndindex(y.shape):
        y[m, o] = sum((float(x[m, i]) * float(w[o, i]) for i in range(x.shape[1])), start=0.0 if b is None else float(b[o]))
    return y.astype(x.dtype)


def linear_grad_input(dy: Array, w: Array) -> Array:
    """dx[m, i] = sum over o of dy[m, o] * w[o, i]. Shapes: dy (M, O), w (O, I) -> dx (M, I)."""
    dx = np.zeros((len(dy), w.shape[1]))
    for m, i in np.ndindex(dx.shape):
        dx[m, i] = sum(float(dy[m, o]) * float(w[o, i]) for o in range(len(w)))
    return dx.astype(dy.dtype)


def linear_grad_weight(dy: Array, x: Array) -> Array:
    """dw[o, i] = sum over m of dy[m, o] * x[m, i]. Shapes: dy (M, O), x (M, I) -> dw (O, I)."""
    dw = np.zeros((dy.shape[1], x.shape[1]))
    for o, i in np.ndindex(dw.shape):
        dw[o, i] = sum(float(dy[m, o]) * float(x[m, i]) for m in range(len(dy)))
    return dw.astype(dy.dtype)


def channel_sum(dy: Array) -> Array:
    """db[c] = the sum of dy over all axes but axis 1, the gradient of a bias. Shapes: dy (N, C, H, W), or (N, C) -> db (C)."""
    db = np.zeros(dy.shape[1])
    for index in np.ndindex(dy.shape):
        db[index[1]] += float(dy[index])
    return db.astype(dy.dtype)


def prepare_conv2d(w: Array, b: Array | None, window: Window2d, groups: int = 1, relu: bool = False,
                   pool: tuple[int, int] = (1, 1)) -> Callable[[Array], Array]:
    """x -> max_pool2d(relu(conv2d(x))) with pooling windows of size `pool` side by side; relu only if it is asked for."""
    return lambda x: max_pool2d(conv2d(x, w, b, window, groups, relu), Window2d.of(pool, pool))[0]


def prepare_linear(w: Array, b: Array | None, relu: bool = False, image: tuple[int, int, int] | None = None) -> Callable[[Array], Array]:
    """x -> relu(linear(x)); x (M, I), or (M, C, H, W) with image = (C, H, W), which is flattened first."""
    def product(x: Array) -> Array:
        y = linear(x.reshape(len(x), -1), w, b)
        return np.maximum(y, 0) if relu else y
    return product


def softmax_cross_entropy(x: Array, labels: Array) -> tuple[Array, Array]:
    """p[n, k] = exp(x[n, k]) / sum over j of exp(x[n, j]), loss[n] = -log p[n, labels[n]]; the largest x of a row is taken out first.

    Shapes: x (N, K), labels (N) -> losses (N), probabilities p (N, K).
    """
    losses, p = np.zeros(len(x)), np.zeros(x.shape)
    for n in range(len(x)):
        largest = max(float(v) for v in x[n])
        total = sum(math.exp(float(v) - largest) for v in x[n])
        for k in range(x.shape[1]):
            p[n, k] = math.exp(float(x[n, k]) - largest) / total
        losses[n] = math.log(total) - (float(x[n, labels[n]]) - largest)
    return losses.astype(x.dtype), p.astype(x.dtype)


def softmax_cross_entropy_grad(dlosses: Array, probabilities: Array, labels: Array) -> Array:
    """dx[n, k] = dlosses[n] * (p[n, k] - 1 if k is the label, else p[n, k])."""
    dx = np.zeros(probabilities.shape)
    for n, k in np.ndindex(dx.shape):
        dx[n, k] = float(dlosses[n]) * (float(probabilities[n, k]) - (k == labels[n]))
    return dx.astype(probabilities.dtype)


def sgd_step(p: Array, g: Array, velocity: Array | None, lr: float, momentum: float, dampening: float, weight_decay: float,
             nesterov: bool) -> None:
    """g += weight_decay * p;  v = momentum * v + (1 - dampening) * g;  p -= lr * (g + momentum * v, or v without nesterov). In place."""
    for i in np.ndindex(p.shape):
        step = float(g[i]) + weight_decay * float(p[i])
        if velocity is not None:
            v = momentum * float(velocity[i]) + (1 - dampening) * step
            velocity[i] = v
            step = step + momentum * v if nesterov else v
        p[i] = float(p[i]) - lr * step


def adam_step(p: Array, g: Array, m: Array, v: Array, step: int, lr: float, beta1: float, beta2: float, eps: float, weight_decay: float,
              decoupled: bool) -> None:
    """m and v are running means of g and g²; p -= lr * m_hat / (sqrt(v_hat) + eps), with m_hat = m / (1 - beta1^step) and v_hat alike.

    Weight decay is added to g (Adam), or p shrinks by lr * weight_decay * p first (decoupled: AdamW). In place; step counts from 1.
    """
    for i in np.ndindex(p.shape):
        old, gradient = float(p[i]), float(g[i])
        if decoupled:
            old -= lr * weight_decay * old
        else:
            gradient += weight_decay * old
        new_m = beta1 * float(m[i]) + (1 - beta1) * gradient
        new_v = beta2 * float(v[i]) + (1 - beta2) * gradient**2
        m[i], v[i] = new_m, new_v
        p[i] = old - lr * (new_m / (1 - beta1**step)) / (math.sqrt(new_v / (1 - beta2**step)) + eps)


def move_pixels(x: Array, size: Size, top: Array, left: Array, step: Array, outside: Array, hole: tuple[Array, Array, int] | None,
                blank: Array, table: Array | None) -> Array:
    """y[n, c, h, w] is the pixel of x at (top[n] + h, left[n] + step[n]*w), looked up in table[c] if there is one; outside[c] where x has
    none; blank[c] in the hole, side pixels square from (hole_top[n], hole_left[n]) on.
    """
    N, C, H, W = x.shape
    y = np.empty((N, C, *size), outside.dtype)
    for n, c, h, w in np.ndindex(y.shape):
        i, j = top[n] + h, left[n] + step[n] * w
        if hole is not None and 0 <= h - hole[0][n] < hole[2] and 0 <= w - hole[1][n] < hole[2]:
            y[n, c, h, w] = blank[c]
        elif not (0 <= i < H and 0 <= j < W):
            y[n, c, h, w] = outside[c]
        else:
            y[n, c, h, w] = x[n, c, i, j] if table is None else table[c, x[n, c, i, j]]
    return y


def _reads(window: Window2d, oh: int, ow: int, input_size: tuple[int, ...]) -> Iterator[tuple[int, int, int, int]]:
    """The (kh, kw, h, w) that output (oh, ow) reads inside the input, in row-major order."""
    (SH, SW), (DH, DW), (PT, _, PL, _) = window.stride, window.dilation, window.padding
    for kh, kw in np.ndindex(*window.kernel):
        h, w = oh * SH + kh * DH - PT, ow * SW + kw * DW - PL
        if 0 <= h < input_size[0] and 0 <= w < input_size[1]:
            yield kh, kw, h, w


def _divisor(window: Window2d, oh: int, ow: int, input_size: tuple[int, ...], count_include_pad: bool,
             divisor_override: int | None) -> float:
    """Taps of the window inside the input, or inside input and padding; what ceil_mode hangs over the end never counts."""
    if divisor_override is not None:
        return divisor_override
    (H, W), (PT, PB, PL, PR) = input_size, window.padding if count_include_pad else (0, 0, 0, 0)
    count = 0
    for kh, kw in np.ndindex(*window.kernel):
        h = oh * window.stride[0] + kh * window.dilation[0] - window.padding[0]
        w = ow * window.stride[1] + kw * window.dilation[1] - window.padding[2]
        count += -PT <= h < H + PB and -PL <= w < W + PR
    return float(count) if count else np.nan                          # an average over nothing
