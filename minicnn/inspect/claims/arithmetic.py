"""Claims about the arithmetic of a convolution: one window, and sizes of outputs, by running layers."""
from __future__ import annotations

import numpy as np

from minicnn import nn, no_grad
from minicnn.inspect.claims.counting import biases, output_shape, parameters, weights
from minicnn.inspect.claims.registry import DEPENDS, Answer, claim, numbers, verdict
from minicnn.inspect.explaining import Explanation, explain
from minicnn.tensor import Tensor


def worked_example() -> Explanation:
    """The window that courses work through: three channels that grow by 0.1 from pixel to pixel, and a Sobel filter on each."""
    row, column = np.mgrid[:8, :8]
    x = np.stack([first + (row + column) / 10 for first in (0.1, 0.4, 0.7)]).astype(np.float32)
    conv = nn.Conv2d(3, 1, 3, bias=False)
    with no_grad():
        conv.weight.copy_(Tensor(np.array([[1, 0, -1], [2, 0, -2], [1, 0, -1]], np.float32) * np.ones((1, 3, 1, 1), np.float32)))
    return explain(conv, x, (0, 0, 0))


@claim("worked-window", "Three channels under a vertical Sobel filter, upper left window, no bias", "-2.4 (red: -0.8)")
def worked_window(quoted: str) -> Answer:
    found = worked_example()
    red = sum(term.product for term in found.terms if term.place["c"] == 0)
    close = abs(found.kernel + 2.4) <= found.bound and abs(red + 0.8) <= found.bound
    return Answer(verdict(close), f"{found.kernel:.7g} (red: {red:.3g})",
                  f"The kernel's float32 number is {abs(found.kernel + 2.4):.1e} from -2.4; {len(found.terms)} terms may round by up to "
                  f"{found.bound:.1e}. Each row of each channel falls by 0.2 to the right, and the weights of a column add up to 4: "
                  "3 channels x 4 x (-0.2).", {"kernel": found.kernel, "total": found.total, "bound": found.bound, "red": red})


def _size(quoted: str, conv: nn.Conv2d, image: int, why: str) -> Answer:
    found = output_shape(conv, conv.in_channels, image, image)[-1]
    return Answer(verdict(found == numbers(quoted)[0]), f"{found}x{found}", why, {"size": found})


@claim("output-size", "A 64x64 image under a 5x5 kernel, stride 2, padding 2", "32x32")
def output_size(quoted: str) -> Answer:
    return _size(quoted, nn.Conv2d(1, 1, 5, stride=2, padding=2), 64, "floor((64 - 5 + 2*2) / 2) + 1 = floor(31.5) + 1: the stride does "
                 "not divide 63, and the last padded row and column are never read.")


@claim("no-padding", "A 224x224 image under a 3x3 kernel without padding", "222x222")
def no_padding(quoted: str) -> Answer:
    return _size(quoted, nn.Conv2d(3, 1, 3), 224, "floor((224 - 3 + 0) / 1) + 1: each such layer takes off a frame of one pixel.")


@claim("strided-parameters", "A convolution with stride 2 instead of pooling", "kernel² x channels² parameters")
def strided_parameters(quoted: str) -> Answer:
    same, wider, plain = (nn.Conv2d(64, F, 3, stride=s, padding=1) for F, s in ((64, 2), (128, 2), (64, 1)))
    square = 3**2 * 64**2
    right = weights(same) == square == weights(plain)
    return Answer(DEPENDS if right and weights(wider) != square else verdict(right),
                  f"{weights(same):,} + {biases(same)} biases (64 channels)",
                  f"It is kernel² x C_in x C_out + C_out: the quoted formula gives {square:,}, which is right for as many "
                  f"channels out as in, without biases; 64 to 128 channels take {parameters(wider):,}. The stride itself costs nothing: "
                  "stride 1 has as many.",
                  {"weights": weights(same), "parameters": parameters(same), "wider": parameters(wider), "stride_1": parameters(plain)})
