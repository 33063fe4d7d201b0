"""The problems: strings that read back, right answers held to the reference and to torch, counts, and bounds."""
import dataclasses
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from minicnn.benchmarks import networks, suites
from minicnn.benchmarks.problems import FAMILIES, BatchNorm, Conv, CrossEntropy, Linear, Network, Pool, text
from minicnn.benchmarks.problems.problem import exact_range
from minicnn.benchmarks.rule import Rule
from minicnn.kernels import reference
from minicnn.training import recipe_file
from tests.compare import assert_close64, assert_equal

SMALL = "g2mb2ic4ih9iw8oc6kh3kw2sh2sw1ph1pw0dh1dw0"


@pytest.mark.parametrize("kind", suites.SUITES)
def test_every_problem_of_a_suite_reads_back(kind: str) -> None:
    family = FAMILIES[suites.SUITES[kind][1]]
    problems = [problem for _, problem in suites.suite(kind)]
    assert [family.parse(str(problem)) for problem in problems] == problems
    assert len(set(problems)) == len(problems)


def test_the_conv_suite_is_what_it_says() -> None:
    """At least 24 shapes, each also at batch 1, with every special geometry."""
    problems = [problem for _, problem in suites.suite("conv")]
    shapes = {dataclasses.replace(problem, N=1) for problem in problems}
    assert len(shapes) >= 24
    assert {problem for problem in problems if problem.N == 1} == shapes
    assert {problem.C for problem in problems} >= {1, 3, 6, 10, 17}
    assert any(problem.groups == problem.C > 1 for problem in problems), "depthwise"
    assert any(problem.window.dilation == (2, 2) for problem in problems)
    assert any(problem.window.kernel == (7, 7) and problem.window.stride == (2, 2) and problem.H == 224 for problem in problems)


EXPECTED_NETWORK = ("expected a model and a batch size, such as lenet:mb64, or recipe:digits; models: lenet, tinyvgg, digits, convnet, "
                    "resnet8, resnet20")
NETWORKS_THERE = ("there are: lenet, tinyvgg, digits, convnet, resnet8, resnet20; convnet also with its layers, such as "
                  "convnet(16,pool,32,pool,64)")
EXPECTED_PLAN = ('expected numbers of channels and "pool", then mean or flatten, then a dropout, such as '
                 "convnet(16,pool,32,flatten,dropout0.2)")


@st.composite
def plans(draw: st.DrawFn) -> str:
    """Convnets with up to two pools."""
    channels = draw(st.lists(st.integers(1, 5).map(str), min_size=1, max_size=3))
    layers = draw(st.permutations(channels + ["pool"] * draw(st.integers(0, 2))))
    tail = [*draw(st.sampled_from([[], ["mean"], ["flatten"]])), *draw(st.sampled_from([[], ["dropout0.25"]]))]
    return f"convnet({','.join([*layers, *tail])})"


@st.composite
def conv_strings(draw: st.DrawFn) -> str:
    """Sizes in any order, with and without those that have usual values."""
    g = draw(st.integers(1, 3))
    sizes = {"mb": draw(st.integers(1, 9)), "ic": g * draw(st.integers(1, 4)), "ih": draw(st.integers(9, 20)),
             "oc": g * draw(st.integers(1, 4)), "kh": draw(st.integers(1, 3)), "g": g}
    ranges = {"iw": (9, 20), "kw": (1, 3), "sh": (1, 3), "sw": (1, 3), "ph": (0, 2), "pw": (0, 2), "dh": (0, 1), "dw": (0, 1)}
    for name, (least, most) in ranges.items():
        if draw(st.booleans()):
            sizes[name] = draw(st.integers(least, most))
    return "".join(f"{name}{sizes[name]}" for name in draw(st.permutations(sorted(sizes))))


@given(conv_strings())
def test_conv_strings_read_back(string: str) -> None:
    problem = Conv.parse(string)
    assert Conv.parse(str(problem)) == problem
    sizes = text.read(string, ("mb", "ic", "ih", "oc", "kh"), ("g", "iw", "kw", "sh", "sw", "ph", "pw", "dh", "dw"))
    assert problem.window.stride == (sizes["sh"], sizes["sw"])
    assert problem.window.dilation == (sizes["dh"] + 1, sizes["dw"] + 1)
    assert problem.window.padding == (sizes["ph"], sizes["ph"], sizes["pw"], sizes["pw"])
    assert (problem.H, problem.W, problem.window.kernel) == (sizes["ih"], sizes["iw"], (sizes["kh"], sizes["kw"]))


def test_the_string_is_the_shortest_one() -> None:
    assert str(Conv.parse("mb64ic32ih28iw28oc32oh28ow28kh3kw3sh1sw1ph1pw1dh0dw0g1")) == "mb64ic32ih28oc32oh28kh3ph1"
    assert str(Conv.parse(SMALL)) == "g2mb2ic4ih9iw8oc6oh4ow7kh3kw2sh2sw1ph1pw0dh1dw0"


@pytest.mark.parametrize(("family", "string", "error"), [
    ("conv", "mb64", "problem 'mb64': ic ih oc kh are missing; needed: mb ic ih oc kh"),
    ("conv", "mb1ic3ih5oc2", "problem 'mb1ic3ih5oc2': kh is missing; needed: mb ic ih oc kh"),
    ("conv", "64x32", "problem '64x32': expected letters and digits by turns, such as mb64ic32ih28oc32oh28kh3ph1"),
    ("conv", "mb0ic3ih5oc2kh3", "problem 'mb0ic3ih5oc2kh3': mb is 0, expected at least 1"),
    ("conv", "mb1mb1ic3ih5oc2kh3", "problem 'mb1mb1ic3ih5oc2kh3': 'mb' is given twice"),
    ("conv", "mb1ic3ih5oc2kh3id4", "problem 'mb1ic3ih5oc2kh3id4': 'id' is not a size here; there are: "
                                   "mb ic ih oc kh g iw oh ow kw sh sw ph pw dh dw"),
    ("conv", "mb1ic3ih5oc2oh4kh3", "problem 'mb1ic3ih5oc2oh4kh3': oh is 4, but the other sizes give 3"),
    ("conv", "mb1ic3ih5iw7oc2oh3ow4kh3", "problem 'mb1ic3ih5iw7oc2oh3ow4kh3': ow is 4, but the other sizes give 5"),
    ("conv", "g2mb1ic3ih5oc2kh3", "problem 'g2mb1ic3ih5oc2kh3': ic 3 is not a multiple of g 2"),
    ("conv", "mb1ic1ih2oc1kh3", "problem 'mb1ic1ih2oc1kh3': no output: height 2 + padding 0 + 0 = 2 is smaller than the window's extent "
                                "dilation*(kernel - 1) + 1 = 1*(3 - 1) + 1 = 3; use a smaller kernel or dilation, or more padding"),
    ("pool", "mb1ic1ih4kh2", "problem 'mb1ic1ih4kh2': expected max: or avg: first, such as max:mb64ic32ih28oh14kh2sh2"),
    ("pool", "max:mb1ic1ih4kh2ph2", "problem 'max:mb1ic1ih4kh2ph2': padding 2 is more than half of the kernel's 2"),
    ("network", "lenet", f"problem 'lenet': {EXPECTED_NETWORK}"),
    ("network", "lenet:64", f"problem 'lenet:64': {EXPECTED_NETWORK}"),
    ("network", "lenet:mb0", "problem 'lenet:mb0': mb is 0, expected at least 1"),
    ("network", "lenet:ih28", "problem 'lenet:ih28': mb is missing; needed: mb"),
    ("network", "lenet:mb1ih8", "LeNet: images of 8x8 are too small: height and width must be at least 12 (12 + 2*2 - 4 = 12, pooled 6, "
                                "6 - 4 = 2, pooled 1 pixel is left)"),
    ("network", "vgg16:mb1", f"unknown network 'vgg16'; {NETWORKS_THERE}"),
    ("network", "lenet(3):mb1", f"unknown network 'lenet(3)'; {NETWORKS_THERE}"),
    *(("network", f"convnet({plan}:mb1", f"network 'convnet({plan}': {EXPECTED_PLAN}") for plan in (
        ")", "pool)", "3,pol)", "3,,4)", "3", "mean)", "3,dropout0.1,mean)", "3,dropout1)", "-3)")),
    ("network", "recipe:fasion", "unknown recipe 'fasion'"),
])
def test_bad_strings(family: str, string: str, error: str) -> None:
    with pytest.raises(ValueError) as raised:                  # noqa: PT011  (the text is compared below)
        FAMILIES[family].parse(string)
    assert str(raised.value).startswith(error) if string.startswith("recipe:") else str(raised.value) == error


@given(st.builds(Network, st.one_of(st.sampled_from(["lenet", "tinyvgg", "digits", "resnet8"]), plans()), st.integers(1, 999),
                 st.integers(1, 4), st.integers(12, 40), st.integers(1, 99)))
def test_network_strings_are_read_again(problem: Network) -> None:
    assert Network.parse(str(problem)) == problem


@given(plans())
def test_plans_are_those_of_the_recipes(plan: str) -> None:
    name, options = networks.read(plan)
    assert networks.write(name, options) == plan
    assert networks.read(networks.write(name, options)) == (name, options)


def test_a_recipe_is_a_problem() -> None:
    recipe = recipe_file.read("digits")
    problem = Network.parse("recipe:digits")
    assert str(problem) == "recipe:digits"
    assert (problem.model, problem.N, problem.channels, problem.size) == (recipe.model, recipe.batch_size, 1, 8)
    assert problem.rule == Rule.of(recipe) == Rule("adamw", recipe.lr, 0.9, False, recipe.weight_decay, 0, 0, recipe.label_smoothing,
                                                         recipe.ema)
    with pytest.raises(ValueError, match=r"^recipe folder: its dataset is a folder, whose classes a problem string cannot say$"):
        Network.parse("recipe:folder")
    with pytest.raises(ValueError, match=r"^the benchmarks have no network convnet with depth; they have convnet with layers, head and "
                                         r"dropout$"):
        networks.write("convnet", {"depth": 3})


@pytest.mark.parametrize("string", [SMALL, "mb3ic2ih7iw5oc4kh3ph1", "mb2ic3ih6oc2kh1sh2"])
@pytest.mark.parametrize("direction", Conv.directions)
def test_conv_answers_of_both_oracles(string: str, direction: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The nested loops answer small problems, shift-and-add large ones; here both must say the same."""
    problem = Conv.parse(string)
    arrays = problem.arrays(0)
    loops = problem.answers(direction, arrays)
    monkeypatch.setattr("minicnn.benchmarks.problems.conv.LOOPS_LIMIT", 0)
    shifted = problem.answers(direction, arrays)
    assert list(loops) == list(shifted)
    for name in loops:
        assert_equal(shifted[name], loops[name])
        assert np.abs(loops[name]).max() > 0


def test_a_wrong_oracle_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    problem = Conv.parse("mb3ic2ih7oc4kh3ph1")
    monkeypatch.setattr(reference, "conv2d", lambda x, w, b, window, groups: np.zeros(problem.y_shape))
    with pytest.raises(RuntimeError, match=r"^mb3ic2ih7oc4oh7kh3ph1: the right answer at .* nothing is timed$"):
        problem.answers("forward", problem.arrays(0))


@pytest.mark.parametrize("terms", [1, 9, 4608, 200_000, 10**7, 10**9])
def test_sums_of_the_inputs_are_exact(terms: int) -> None:
    most = exact_range(terms)
    assert 1 <= most <= 8
    assert terms * most**2 <= 2**24 or most == 1


@pytest.mark.parametrize("string", ["max:mb2ic3ih9iw8kh3kw2sh2ph1", "avg:mb2ic3ih9iw8kh3kw2sh2ph1", "max:mb1ic2ih6kh2sh2",
                                    "avg:mb1ic2ih8oh1kh8"])
@pytest.mark.parametrize("direction", Pool.directions)
def test_pool_answers_are_the_references(string: str, direction: str) -> None:
    problem = Pool.parse(string)
    arrays = {name: a.astype(np.float64) for name, a in problem.arrays(0).items()}
    if problem.kind == "max":
        y, argmax = reference.max_pool2d(arrays["x"], problem.window)
        dx = reference.max_pool2d_grad(arrays["dy"], argmax, problem.x_shape, problem.window)
    else:
        y = reference.avg_pool2d(arrays["x"], problem.window)
        dx = reference.avg_pool2d_grad(arrays["dy"], problem.x_shape, problem.window)
    expected = {"forward": {"y": y}, "backward": {"dx": dx}}[direction]
    for name, got in problem.answers(direction, arrays).items():
        assert_close64(got, expected[name])


def test_other_answers_are_torchs() -> None:
    """Batch norm, linear and cross-entropy, in float64, through torch's autograd."""
    for problem in (BatchNorm(3, 4, 5, 6), Linear(5, 7, 3), CrossEntropy(6, 9)):
        arrays = problem.arrays(1)
        t = {name: torch.tensor(a.astype(np.float64) if a.dtype == np.float32 else a, requires_grad=a.dtype == np.float32)
             for name, a in arrays.items()}
        expected: dict[str, Any] = {}
        if isinstance(problem, CrossEntropy):
            expected["loss"] = torch.nn.functional.cross_entropy(t["x"], t["labels"])
            expected["loss"].backward()
        else:
            expected["y"] = (torch.nn.functional.batch_norm(t["x"], None, None, t["gamma"], t["beta"], True)
                             if isinstance(problem, BatchNorm) else torch.nn.functional.linear(t["x"], t["w"]))
            expected["y"].backward(t["dy"].detach())
        expected |= {f"d{name}": tensor.grad for name, tensor in t.items() if tensor.grad is not None}
        for direction in problem.directions:
            answers = problem.answers(direction, arrays)
            assert answers
            for name, got in answers.items():
                assert_close64(got, expected[name].detach().numpy(), f"{problem.family} {direction} {name}")


@pytest.mark.parametrize("string", [SMALL, "mb1ic2ih6iw5oc3kh5kw3ph2pw1", "mb2ic3ih9oc2kh3"])
def test_macs_of_a_convolution_are_those_of_the_loops(string: str) -> None:
    problem = Conv.parse(string)
    x, w = (np.ones(shape) for shape in (problem.x_shape, problem.w_shape))
    y = reference.conv2d(x, w, None, problem.window, problem.groups)       # of ones: every output counts its own products
    assert {problem.macs(d) for d in Conv.directions} == {int(y.sum())}
    assert problem.bytes("forward") == 4 * (x.size + w.size + y.size)


def test_network_counts() -> None:
    """LeNet by hand: 134 of 28*5 taps of its first layer's rows lie in the image, and as many of its columns'; 61,706 parameters."""
    problem = Network.parse("lenet:mb2")
    layers = [134 * 134 * 6, 10 * 10 * 16 * 150, 400 * 120, 120 * 84, 84 * 10]
    assert problem.macs("forward") == 2 * sum(layers)
    assert problem.macs("step") == 2 * (3 * sum(layers) - layers[0])
    assert problem.bytes("forward") == 4 * (2 * 28 * 28 + 61_706)


def test_the_bounds_of_a_network_are_rounding() -> None:
    """float32 stays within them, and a mistake of one part in a thousand in one weight does not."""
    problem = Network("tinyvgg", 4, 1, 8)
    arrays = problem.arrays(0)
    for direction in ("forward", "step"):
        answers, bounds = problem.answers(direction, arrays), problem.bounds(direction, arrays)
        assert answers.keys() == bounds.keys()
        assert all(0 < bounds[name] < 0.01 * np.sqrt(np.square(answers[name]).mean()) for name in answers)
    off = problem._in_float64("step", arrays, 1e-3, np.random.default_rng(0))
    wrong = [name for name in answers if np.sqrt(np.square(off[name] - answers[name]).mean()) > bounds[name]]
    assert all(f"grad {name}" in wrong for name in problem.initial_state())
