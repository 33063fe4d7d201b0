"""Occlusion against one loop over all patches; the strongest patches against all units of all images."""
from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import minicnn
from minicnn import Tensor, models, nn
from minicnn.inspect.recorder import record
from minicnn.inspect.showing import maximal_patches, occlusion
from tests.compare import TRAINING64, assert_close64, assert_equal
from tests.inspect.showing.nets import both, plain, residual
from tests.strategies import floats, seeds


@given(seed=seeds, patch=st.tuples(st.integers(1, 6), st.integers(1, 8)), stride=st.tuples(st.integers(1, 7), st.integers(1, 9)),
       fill=st.sampled_from([None, 0.25, [1.0, -1.0]]), target=st.sampled_from([None, 3]))
def test_occlusion_is_what_a_loop_finds(seed: int, patch: Any, stride: Any, fill: Any, target: int | None) -> None:
    ours, theirs = both(residual, seed)
    theirs.eval()
    x = floats((2, 2, 6, 8), seed, np.float64)
    found = occlusion(ours, Tensor(x), target, patch, stride, fill=fill)
    cover = x.mean(axis=(0, 2, 3)) if fill is None else np.broadcast_to(fill, 2)
    with torch.no_grad():
        before = torch.softmax(theirs(torch.tensor(x)), 1).numpy()
        total, count = np.zeros((2, 6, 8)), np.zeros((2, 6, 8))
        for n in range(2):
            chosen = int(before[n].argmax()) if target is None else target
            for top in sorted({min(i * stride[0], 6 - patch[0]) for i in range(7)}):
                for left in sorted({min(j * stride[1], 8 - patch[1]) for j in range(9)}):
                    covered = x[n].copy()
                    area = slice(top, top + patch[0]), slice(left, left + patch[1])
                    covered[:, *area] = cover[:, None, None]
                    after = torch.softmax(theirs(torch.tensor(covered[None])), 1)[0, chosen].item()
                    total[n, *area] += before[n, chosen] - after
                    count[n, *area] += 1
    assert_close64(found.heat, np.where(count, total / np.maximum(count, 1), 0), "heat", TRAINING64)


def test_occlusion_in_words() -> None:
    found = occlusion(models.LeNet().eval(), floats((1, 1, 28, 28), 0))
    assert found.settings == {"patch": "7x7", "stride": "3x3"}
    assert found.values.shape == (1, 8, 8)
    assert "Half of the positive heat lies in " in found.verdict


@given(seed=seeds, top=st.integers(1, 6), batch=st.integers(1, 5))
def test_the_patches_are_the_strongest_and_do_it_alone(seed: int, top: int, batch: int) -> None:
    """Cut out and fed to the layers alone, a patch gives one unit with exactly the value that was reported."""
    ours, theirs = both(plain, seed)
    x = floats((5, 1, 8, 10), seed, np.float64)
    found = maximal_patches(ours, [(Tensor(x[i:i + batch]), None) for i in range(0, 5, batch)], "3", top=top)
    values = theirs[:4](torch.tensor(x)).detach().numpy()      # (N, 4, OH, OW)
    for c, patches in found.patches.items():
        assert len({p.image for p in patches}) == len(patches) == min(top, 5)
        best = np.sort(values[:, c].max(axis=(1, 2)))[::-1]    # the largest of each image, all units looked at
        assert_close64(np.array([p.activation for p in patches]), best[:top].copy(), "values", TRAINING64)
        for p in patches:
            assert p.box == p.full
            assert p.box.size == (6, 6)                        # 3 x 3, pooled by 2, 2 x 2: 3 + 1 + 2
            alone = theirs[:4](torch.tensor(p.cut(x)[None].copy())).detach().numpy()
            assert alone.shape == (1, 4, 1, 1)
            assert_close64(alone[0, c, 0, 0], np.float64(p.activation), "the patch alone", TRAINING64)


@given(seed=seeds, layer=st.sampled_from([None, "norm", "conv2", "max_pool2d"]))
def test_nothing_outside_the_patch_counts(seed: int, layer: str | None) -> None:
    """With padding and a residual branch: noise everywhere else leaves the unit as it was, noise in the patch does not."""
    ours, _ = both(residual, seed)
    x = floats((4, 2, 6, 8), seed, np.float64)
    found = maximal_patches(ours, Tensor(x), layer, channels=[3, 0], top=2)
    assert list(found.patches) == [3, 0]
    rng = np.random.default_rng(seed)
    values = _layer(ours, x, found.layer)
    for c, patches in found.patches.items():
        best = np.sort(values[:, c].max(axis=(1, 2)))[::-1]
        assert_equal(np.array([p.activation for p in patches]), best[:2].copy())
        for p in patches:
            assert values[p.image, c][p.unit] == p.activation
            noisy = rng.standard_normal(x.shape)
            noisy[p.image, :, p.box.top:p.box.bottom + 1, p.box.left:p.box.right + 1] = p.cut(x)
            alone = _layer(ours, noisy, found.layer)[p.image, c][p.unit]
            assert_close64(alone, np.float64(p.activation), "with noise around it", TRAINING64)


def _layer(model: nn.Module, x: np.ndarray, name: str) -> np.ndarray:
    return record(model, Tensor(x)).layer(name).output.output.array


def test_patches_of_a_linear_layer_are_whole_images() -> None:
    minicnn.manual_seed(0)
    found = maximal_patches(models.LeNet().eval(), floats((3, 1, 28, 28), 0), "fc2", top=2)
    assert len(found.patches) == 84
    assert {p.box.size for patches in found.patches.values() for p in patches} == {(28, 28)}
    assert found.figure() is not None


@pytest.mark.parametrize("name", ["digits", "resnet8"])
def test_the_usual_layer(name: str) -> None:
    model = models.create(name, 1, 8, 10)
    found = maximal_patches(model, floats((2, 1, 8, 8), 0), channels=5)
    assert found.layer == {"digits": "features.9", "resnet8": "layer3.0.add_relu"}[name]
    assert list(found.patches) == [5]
