"""Module: what it finds, in which order, under which names; hooks, state, and what it says when something is wrong."""
import copy
from collections.abc import Callable

import numpy as np
import pytest
import torch

import minicnn
from minicnn import Tensor, nn
from tests.compare import assert_equal


def build(nn):
    """A network with nesting, buffers, a bare parameter, and one layer used twice: in our nn or in torch's."""
    class Inner(nn.Module):
        def __init__(self):
            super().__init__()
            self.scale = nn.Parameter(array(nn, [1.0, 2.0]))
            self.norm = nn.BatchNorm2d(3)
            self.register_buffer("table", array(nn, [4.0]))
            self.register_buffer("scratch", array(nn, [5.0]), persistent=False)
            self.register_parameter("nothing", None)

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(3, 3, 3)
            self.inner = Inner()
            self.again = self.conv
            self.head = nn.Sequential(nn.Flatten(), nn.Linear(4, 2, bias=False))
            self.tied = nn.Linear(4, 2)
            self.tied.weight = self.head[1].weight

    return Net()


def array(module, values):
    """A tensor of the framework that `module` belongs to."""
    return Tensor(values) if module is nn else torch.tensor(values)


LISTINGS: dict[str, Callable] = {
    "parameters": lambda m: [n for n, _ in m.named_parameters()],
    "own parameters": lambda m: [n for n, _ in m.inner.named_parameters(recurse=False)],
    "prefixed": lambda m: [n for n, _ in m.named_parameters(prefix="net")],
    "with duplicates": lambda m: [n for n, _ in m.named_parameters(remove_duplicate=False)],
    "buffers": lambda m: [n for n, _ in m.named_buffers()],
    "own buffers": lambda m: [n for n, _ in m.inner.named_buffers(recurse=False)],
    "modules": lambda m: [(n, type(x).__name__) for n, x in m.named_modules()],
    "modules with duplicates": lambda m: [n for n, _ in m.named_modules(remove_duplicate=False)],
    "children": lambda m: [n for n, _ in m.named_children()],
    "counts": lambda m: [len(list(x)) for x in (m.parameters(), m.buffers(), m.modules(), m.children())],
    "state": lambda m: [(k, tuple(v.shape)) for k, v in m.state_dict().items()],
    "prefixed state": lambda m: list(m.state_dict(prefix="ema.")),
    "submodule": lambda m: type(m.get_submodule("head.1")).__name__,
    "repr": repr,
}


@pytest.mark.parametrize("listing", LISTINGS.values(), ids=LISTINGS)
def test_lists_what_torch_lists(listing: Callable) -> None:
    assert listing(build(nn)) == listing(build(torch.nn))


def test_shared_parameter_has_one_gradient_and_one_state() -> None:
    net = build(nn)
    assert net.tied.weight is net.head[1].weight
    x = Tensor(np.arange(4.0, dtype=np.float32)[None])
    (net.tied(x) + net.head[1](x)).sum().backward()
    assert_equal(net.tied.weight.grad, np.tile(2 * np.arange(4, dtype=np.float32), (2, 1)))
    state = {name: value.clone() for name, value in net.state_dict().items()}
    net.zero_grad()
    assert net.head[1].weight.grad is None
    net.load_state_dict(state)
    assert net.tied.weight is net.head[1].weight


def test_state_dict_shares_memory_and_is_detached() -> None:
    layer = nn.Linear(2, 1)
    state = layer.state_dict()
    assert all(type(value) is Tensor and not value.requires_grad for value in state.values())
    state["weight"].array[...] = 7
    assert_equal(layer.weight, np.full((1, 2), 7, np.float32))


def test_load_copies_and_converts() -> None:
    source, layer = nn.Linear(3, 2, dtype=np.float64), nn.Linear(3, 2)
    weight = layer.weight
    assert layer.load_state_dict(source.state_dict()) == ([], [])
    assert layer.weight is weight
    assert_equal(layer.weight, source.weight.array.astype(np.float32))
    source.weight.array[...] = 0
    assert (layer.weight.array != 0).all()


def test_load_from_torch() -> None:
    ours, theirs = build(nn), build(torch.nn)
    ours.load_state_dict(theirs.state_dict())
    for name, value in theirs.state_dict().items():
        assert_equal(ours.state_dict()[name], value, name)


WRONG_STATE = """Error(s) in loading state_dict for Sequential:
	Missing key(s) in state_dict: "0.bias", "1.running_var".
	Unexpected key(s) in state_dict: "0.b", "extra".
	size mismatch for 0.weight: the shape in state_dict is (2, 4), in the module (2, 3).
	1.weight holds no real numbers: got str.
	size mismatch for 1.bias: the shape in state_dict is (), in the module (2,)."""


def test_strict_load_lists_every_problem_and_changes_nothing() -> None:
    net = nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2))
    before = copy.deepcopy(net.state_dict())
    state = {**net.state_dict(), "0.b": Tensor([1.0]), "extra": Tensor([1.0]), "0.weight": Tensor(np.zeros((2, 4))), "1.weight": "one",
             "1.bias": 5.0, "1.running_mean": Tensor([8.0, 8.0])}
    del state["0.bias"], state["1.running_var"]
    with pytest.raises(RuntimeError) as error:
        net.load_state_dict(state)
    assert str(error.value) == WRONG_STATE
    for name, value in before.items():
        assert_equal(net.state_dict()[name], value, name)


def test_load_not_strict_returns_what_did_not_fit() -> None:
    layer = nn.Linear(3, 2)
    keys = layer.load_state_dict({"bias": Tensor([1.0, 2.0]), "other": Tensor([1.0])}, strict=False)
    assert keys.missing_keys == ["weight"]
    assert keys.unexpected_keys == ["other"]
    assert_equal(layer.bias, np.array([1, 2], np.float32))
    with pytest.raises(RuntimeError, match=r"^Error\(s\) in loading state_dict for Linear:\n\tsize mismatch for bias: "
                                           r"the shape in state_dict is \(3,\), in the module \(2,\)\.$"):
        layer.load_state_dict({"bias": Tensor([1.0, 2.0, 3.0])}, strict=False)


def test_hooks_see_and_change_and_can_be_removed() -> None:
    layer, calls = nn.Identity(), []
    before = layer.register_forward_pre_hook(lambda module, args: calls.append(("before", module is layer, args)))
    double = layer.register_forward_pre_hook(lambda module, args: args[0] * 2)
    layer.register_forward_hook(lambda module, args, y: calls.append(("after", args, y)))
    negate = layer.register_forward_hook(lambda module, args, y: -y)
    assert layer(3) == -6
    assert calls == [("before", True, (3,)), ("after", (6,), 6)]
    double.remove()
    before.remove()
    before.remove()
    with negate:
        assert layer(3) == -3
    assert layer(3) == 3
    assert [c[0] for c in calls] == ["before", "after", "after", "after"]


def test_a_hook_may_remove_itself() -> None:
    layer, calls = nn.Identity(), []

    def once(module: nn.Module, args: tuple, y: int) -> None:
        calls.append(y)
        handle.remove()

    handle = layer.register_forward_hook(once)
    assert (layer(1), layer(2), calls) == (1, 2, [1])


def test_train_and_eval_reach_everything() -> None:
    net = build(nn)
    assert net.eval() is net
    assert not any(m.training for m in net.modules())
    assert all(m.training for m in net.train().modules())


def test_apply_visits_the_innermost_first() -> None:
    def order(net):
        seen = []
        assert net.apply(lambda module: seen.append(type(module).__name__)) is net
        return seen
    assert order(build(nn)) == order(build(torch.nn))


def test_requires_grad_freezes() -> None:
    net = build(nn).requires_grad_(False)
    assert not any(p.requires_grad for p in net.parameters())
    assert not net.head[1](Tensor([[1.0, 2.0, 3.0, 4.0]])).requires_grad
    assert all(p.requires_grad for p in net.requires_grad_().parameters())


def test_zero_grad() -> None:
    layer = nn.Linear(2, 1)
    layer(Tensor([[1.0, 2.0]])).sum().backward()
    layer.zero_grad(set_to_none=False)
    assert_equal(layer.weight.grad, np.zeros((1, 2), np.float32))
    layer.zero_grad()
    assert layer.weight.grad is None


def test_to_converts_parameters_gradients_and_float_buffers() -> None:
    net = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
    parameters = list(net.parameters())
    net(Tensor([[1.0, 2.0], [3.0, 5.0]])).sum().backward()
    assert net.double() is net
    assert [id(p) for p in net.parameters()] == [id(p) for p in parameters]
    assert {p.dtype.name for p in parameters} == {p.grad.dtype.name for p in parameters} == {"float64"}
    assert [b.dtype.name for b in net.buffers()] == ["float64", "float64", "int64"]
    assert {p.dtype.name for p in net.float().parameters()} == {"float32"}
    assert {p.dtype.name for p in net.to(np.float16).to("cpu").cpu().parameters()} == {"float16"}
    with pytest.raises(TypeError, match=r"^to\(\): a module's parameters are floating point, they cannot become int64$"):
        net.to(np.int64)


def test_attributes_move_between_tables() -> None:
    layer = nn.Module()
    layer.x = 1
    layer.x = nn.Parameter([1.0])
    assert [n for n, _ in layer.named_parameters()] == ["x"]
    assert "x" in dir(layer)
    layer.x = None
    assert layer.x is None
    layer.x = nn.ReLU()
    assert (list(layer._parameters), [n for n, _ in layer.named_children()]) == ([], ["x"])
    del layer.x
    assert not hasattr(layer, "x")
    layer.register_buffer("b", Tensor([1.0]), persistent=False)
    layer.b = Tensor([2.0])
    assert list(layer.state_dict()) == []
    del layer.b
    layer.register_buffer("b", Tensor([1.0]))
    assert list(layer.state_dict()) == ["b"]


def test_deepcopy_is_independent() -> None:
    net = build(nn)
    twin = copy.deepcopy(net)
    twin.head[1].weight.array[...] = 0
    assert twin.tied.weight is twin.head[1].weight
    assert (net.tied.weight.array != 0).all()
    assert list(twin.state_dict()) == list(net.state_dict())


def test_parameter() -> None:
    assert repr(nn.Parameter([1.0, 2.0])) == repr(torch.nn.Parameter(torch.tensor([1.0, 2.0])))
    product = Tensor([1.0], requires_grad=True) * 2
    assert nn.Parameter(product).is_leaf
    assert not nn.Parameter([1.0], requires_grad=False).requires_grad
    with pytest.raises(RuntimeError, match=r"^only floating-point tensors can require gradients, this one is int64$"):
        nn.Parameter([1, 2])


class Forgetful(nn.Module):
    def __init__(self) -> None:
        self.depth = 3
        self.conv = nn.Conv2d(1, 1, 1)


class ForgetfulBuffer(nn.Module):
    def __init__(self) -> None:
        self.register_buffer("table", Tensor([1.0]))


class VeryForgetful(nn.Module):
    def __init__(self) -> None:
        self.depth = 3


def registered(method: str, name: object, value: object) -> Callable[[], None]:
    return lambda: getattr(nn.Linear(2, 2), method)(name, value)


ERRORS = {
    "no super, module": (Forgetful, AttributeError, "cannot assign 'conv' yet: Forgetful.__init__() must call super().__init__() first"),
    "no super, buffer": (ForgetfulBuffer, AttributeError,
                         "cannot register 'table' yet: ForgetfulBuffer.__init__() must call super().__init__() first"),
    "no super, call": (lambda: VeryForgetful()(1), AttributeError, "'VeryForgetful' object has no attribute '_forward_pre_hooks' "
                       "(did VeryForgetful.__init__() call super().__init__()?)"),
    "no forward": (lambda: nn.Module()(1), NotImplementedError, 'Module [Module] is missing the required "forward" function'),
    "attribute": (lambda: nn.Linear(2, 2).wieght, AttributeError, "'Linear' object has no attribute 'wieght'"),
    "parameter": (lambda: setattr(nn.Linear(2, 2), "weight", Tensor([1.0])), TypeError,
                  "cannot assign a Tensor as parameter 'weight' of Linear: it must be a Parameter or None"),
    "buffer": (lambda: setattr(nn.BatchNorm2d(2), "running_mean", [1.0]), TypeError,
               "cannot assign a list as buffer 'running_mean' of BatchNorm2d: it must be a Tensor or None"),
    "module": (lambda: setattr(nn.Sequential(nn.ReLU()), "0", abs), TypeError,
               "cannot assign a builtin_function_or_method as module '0' of Sequential: it must be a Module or None"),
    "name with a dot": (registered("add_module", "a.b", nn.ReLU()), ValueError,
                        "the name 'a.b' cannot be used: it must not be empty or contain a dot, which separates the names in state_dict"),
    "empty name": (registered("register_buffer", "", Tensor([1.0])), ValueError,
                   "the name '' cannot be used: it must not be empty or contain a dot, which separates the names in state_dict"),
    "number as a name": (registered("register_module", 0, nn.ReLU()), TypeError,
                         "the name of a parameter, buffer or module must be a str, got int"),
    "taken": (registered("register_buffer", "weight", Tensor([1.0])), ValueError, "Linear already has an attribute 'weight'"),
    "wrong kind": (registered("register_parameter", "gain", Tensor([1.0])), TypeError,
                   "cannot register a Tensor as 'gain': it must be a Parameter or None"),
    "no dictionary": (lambda: nn.ReLU().load_state_dict([1]), TypeError, "load_state_dict: expected a dictionary of tensors, got list"),
    "submodule": (lambda: build(nn).get_submodule("head.fc"), AttributeError,
                  "Sequential has no submodule 'fc' (of 'head.fc'); it has: '0', '1'"),
    "submodule of nothing": (lambda: nn.ReLU().get_submodule("fc"), AttributeError, "ReLU has no submodule 'fc' (of 'fc'); it has: none"),
}


@pytest.mark.parametrize(("action", "kind", "message"), ERRORS.values(), ids=ERRORS)
def test_errors_say_what_to_do(action: Callable, kind: type[Exception], message: str) -> None:
    with pytest.raises(kind) as error:
        action()
    assert str(error.value) == message


def test_tutorial_code_runs_unchanged() -> None:
    """The idioms of networks written for torch, with `torch` being minicnn."""
    torch, nn = minicnn, minicnn.nn

    class Tutorial(nn.Module):
        def __init__(self, in_channels, width, kernel_size):
            super(Tutorial, self).__init__()  # noqa: UP008  (the spelling of older tutorials)
            self.conv = nn.Conv2d(in_channels, width, kernel_size, padding='same')
            self.pool = nn.MaxPool2d(2)
            self.blocks = nn.ModuleList([nn.Conv2d(width, width, 3, padding=1) for _ in range(2)])
            self.gain = nn.Parameter(torch.ones(1))
            self.fc = nn.Linear(width * 6 * 10, 5)

        def forward(self, x):
            x = self.pool(torch.relu(self.conv(x)))
            for block in self.blocks:
                x = x + self.gain * nn.functional.relu(block(x))
            return self.fc(x.view(x.size(0), -1))

    net = Tutorial(1, 4, 5)
    images, labels = torch.randn(2, 1, 12, 20), torch.tensor([3, 0])
    criterion = nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.05, momentum=0.9)
    losses = []
    for _ in range(10):
        optimizer.zero_grad()
        loss = criterion(net(images), labels)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0] / 2
    net.eval()
    with torch.no_grad():
        assert net(images).argmax(dim=1).tolist() == [3, 0]
    assert sum(p.numel() for p in net.parameters()) == 104 + 2 * 148 + 1 + 1205
    assert net.conv.weight[0, 0].shape == (5, 5)
