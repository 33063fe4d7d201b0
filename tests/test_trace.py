"""compile(): the same numbers as the model, for every model, shape and backend; and never stale ones."""
import numpy as np
import pytest

import minicnn
from minicnn import kernels, models, nn, optim
from minicnn.nn import functional as F
from tests.compare import assert_bounded, assert_equal
from tests.strategies import floats, integers

USABLE = [name for name in kernels.CPU_BACKENDS if not kernels.missing(name)]
NETWORKS = {"digits": (1, 8), "lenet": (1, 28), "tinyvgg": (1, 12), "resnet8": (3, 12)}


def close(got: np.ndarray, expected: np.ndarray) -> None:
    """Up to the rounding of sums of a few thousand terms."""
    assert_bounded(got, expected.astype(np.float64), np.abs(expected).max() + np.ones_like(expected), 10_000)


@pytest.mark.parametrize("backend", USABLE)
@pytest.mark.parametrize("name", NETWORKS)
def test_every_model_gives_its_own_results(name: str, backend: str) -> None:
    channels, size = NETWORKS[name]
    minicnn.manual_seed(0)
    with minicnn.use_backend(backend), minicnn.no_grad():
        model = models.create(name, channels, size, 10)
        for module in model.modules():                         # statistics that are not 0 and 1
            if isinstance(module, nn.BatchNorm2d):
                nn.init.uniform_(module.running_mean, -1, 1)
                nn.init.uniform_(module.running_var, 0.5, 2)
        model.eval()
        fast = minicnn.compile(model)
        for seed, batch in enumerate((1, 3, 1)):
            x = minicnn.Tensor(floats((batch, channels, size, size), seed))
            close(fast(x).array, model(x).array)


class Written(nn.Module):
    """Everything that can be joined, and what looks like it but cannot."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.conv2, self.conv3 = nn.Conv2d(2, 6, 3, padding=1), nn.Conv2d(6, 6, 3, groups=6, padding=1), nn.Conv2d(6, 4, 1)
        self.fc1, self.fc2 = nn.Linear(4 * 3 * 2, 5), nn.Linear(5, 3)

    def forward(self, x: minicnn.Tensor) -> minicnn.Tensor:
        x = F.relu(self.conv1(x))                              # used twice: the pool must not be joined
        x = F.max_pool2d(x, 2) + F.max_pool2d(-x, 2)
        x = F.max_pool2d(F.relu(self.conv2(x)), 2, ceil_mode=True)
        x = F.max_pool2d(self.conv3(x), (2, 3), (2, 3))        # without relu: what is negative stays
        return self.fc2(F.relu(self.fc1(F.interpolate(x, (3, 2)).flatten(1))))


@pytest.mark.parametrize("backend", USABLE)
def test_functional_code(backend: str) -> None:
    minicnn.manual_seed(0)
    model = Written().eval()
    x = minicnn.Tensor(floats((2, 2, 17, 14), 0))
    with minicnn.use_backend(backend), minicnn.no_grad():
        close(minicnn.compile(model)(x).array, model(x).array)


class Apart(nn.Module):
    """A convolution, and in layers of their own what follows it: batch norm and relu are one operation before the recording begins."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.tail = nn.Conv2d(2, 3, 3), nn.Sequential(nn.BatchNorm2d(3), nn.ReLU())

    def forward(self, x: minicnn.Tensor) -> minicnn.Tensor:
        return F.max_pool2d(self.tail(self.conv(x)), 2)


@pytest.mark.parametrize("backend", USABLE)
def test_batch_norm_with_relu_joins_the_convolution_before_it(backend: str) -> None:
    minicnn.manual_seed(0)
    model, x = Apart(), minicnn.Tensor(floats((2, 2, 8, 10), 0))
    with minicnn.use_backend(backend), minicnn.no_grad():
        model(x)                                               # statistics away from 0 and 1
        got, expected = minicnn.compile(model.eval())(x).array, model(x).array
    close(got, expected)
    assert (expected == 0).any()


@pytest.mark.parametrize("backend", USABLE)
def test_a_convolution_with_relu_and_pool_is_exact(backend: str) -> None:
    model = nn.Sequential(nn.Conv2d(3, 5, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)).eval()
    model.load_state_dict({"0.weight": integers((5, 3, 3, 3), 0), "0.bias": integers((5,), 1)})
    x = minicnn.Tensor(integers((2, 3, 9, 8), 2))
    with minicnn.use_backend(backend), minicnn.no_grad():
        assert_equal(minicnn.compile(model)(x).array, model(x).array)


def test_changed_weights_are_seen() -> None:
    """After a step, load_state_dict, an in-place operation, and initialisation."""
    minicnn.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.ReLU(), nn.Flatten(), nn.Linear(2 * 6 * 6, 3)).eval()
    fast, x = minicnn.compile(model), minicnn.Tensor(floats((4, 1, 8, 8), 0))

    def check() -> None:
        model.eval()
        with minicnn.no_grad():
            close(fast(x).array, model(x).array)

    def step() -> None:
        model.train()
        loss = F.cross_entropy(model(x), minicnn.tensor([0, 1, 2, 0]))
        loss.backward()
        optim.SGD(model.parameters(), lr=1.0).step()

    def in_place() -> None:
        with minicnn.no_grad():
            model[0].weight.mul_(2)

    state = {name: value.array * 3 for name, value in model.state_dict().items()}
    for change in (step, in_place, lambda: model.load_state_dict(state), lambda: nn.init.ones_(model[4].weight),
                   lambda: setattr(model[0].weight, "data", model[0].weight * 2)):
        check()
        change()
        check()


def test_training_and_recording_run_the_model() -> None:
    model = nn.Sequential(nn.Linear(3, 2), nn.Dropout(0.5))
    fast, x = minicnn.compile(model), minicnn.ones(1, 3)
    assert fast(x).requires_grad
    assert fast.module is model
    assert repr(fast).startswith("compiled Sequential(")
    with minicnn.no_grad():
        assert any((fast(x).array == 0).any() for _ in range(20))          # dropout is at work


class ByValue(nn.Module):
    def forward(self, x: minicnn.Tensor) -> minicnn.Tensor:
        return x * 2 if x.sum().item() > 0 else x * 3


class OutsideOfTensors(nn.Module):
    def forward(self, x: minicnn.Tensor) -> minicnn.Tensor:
        return x * minicnn.Tensor(x.array.copy())


@pytest.mark.parametrize("model", [ByValue(), OutsideOfTensors()])
def test_what_cannot_be_recorded_is_refused(model: nn.Module) -> None:
    message = rf"^compile: {type(model).__name__}.forward cannot be recorded: on other values of the same shape the recording gives another"
    with minicnn.no_grad(), pytest.raises(RuntimeError, match=message):
        minicnn.compile(model.eval())(minicnn.tensor([[1.0, 3.0, -1.5]]))


class Twice(nn.Module):
    def forward(self, x: minicnn.Tensor) -> tuple[minicnn.Tensor, minicnn.Tensor]:
        return x + 1, x + 2


def test_other_mistakes() -> None:
    with pytest.raises(TypeError, match=r"^compile: expected a Module, got function$"):
        minicnn.compile(lambda x: x)
    with minicnn.no_grad(), pytest.raises(RuntimeError, match=r"^compile: Twice.forward must return one Tensor that it computed from its "
                                                              r"input, got tuple$"):
        minicnn.compile(Twice().eval())(minicnn.ones(1))
