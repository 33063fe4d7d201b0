"""Ten training steps beside torch, in float64: every loss, and afterwards every parameter and every running statistic, to 1e-10."""
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional

import minicnn
from minicnn import Tensor, models, nn, optim
from tests.compare import TRAINING64, assert_close64
from tests.nn.beside_torch import same_state
from tests.strategies import floats


class TorchLeNet(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv1 = torch.nn.Conv2d(1, 6, 5, padding=2)
        self.conv2 = torch.nn.Conv2d(6, 16, 5)
        self.fc1 = torch.nn.Linear(16 * 2 * 3, 120)          # 16x20 -> 8x10 -> 4x6 -> 2x3
        self.fc2 = torch.nn.Linear(120, 84)
        self.fc3 = torch.nn.Linear(84, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = functional.max_pool2d(functional.relu(self.conv1(x)), 2)
        x = functional.max_pool2d(functional.relu(self.conv2(x)), 2)
        return self.fc3(functional.relu(self.fc2(functional.relu(self.fc1(x.flatten(1))))))


class TorchBlock(torch.nn.Module):
    def __init__(self, before: int, after: int, stride: int) -> None:
        super().__init__()
        self.conv1 = torch.nn.Conv2d(before, after, 3, stride, 1, bias=False)
        self.bn1 = torch.nn.BatchNorm2d(after)
        self.conv2 = torch.nn.Conv2d(after, after, 3, 1, 1, bias=False)
        self.bn2 = torch.nn.BatchNorm2d(after)
        self.downsample = torch.nn.Identity() if stride == 1 else torch.nn.Sequential(
            torch.nn.Conv2d(before, after, 1, stride, bias=False), torch.nn.BatchNorm2d(after))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.bn2(self.conv2(functional.relu(self.bn1(self.conv1(x)))))
        return functional.relu(y + self.downsample(x))


class TorchResNet8(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv1 = torch.nn.Conv2d(3, 16, 3, padding=1, bias=False)
        self.bn1 = torch.nn.BatchNorm2d(16)
        self.layer1 = torch.nn.Sequential(TorchBlock(16, 16, 1))
        self.layer2 = torch.nn.Sequential(TorchBlock(16, 32, 2))
        self.layer3 = torch.nn.Sequential(TorchBlock(32, 64, 2))
        self.fc = torch.nn.Linear(64, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.layer3(self.layer2(self.layer1(functional.relu(self.bn1(self.conv1(x))))))
        return self.fc(x.mean(dim=(2, 3)))


NETWORKS = {
    "LeNet": (lambda: models.LeNet(1, (16, 20), 5), TorchLeNet, (6, 1, 16, 20), 0.05),
    "ResNet-8": (lambda: models.ResNet8(3, (8, 10), 5), TorchResNet8, (6, 3, 8, 10), 0.05),
}


@pytest.mark.parametrize("options", [{"momentum": 0.9, "weight_decay": 5e-4}, {"momentum": 0.9, "weight_decay": 5e-4, "nesterov": True}],
                         ids=["momentum", "nesterov"])
@pytest.mark.parametrize("backend", ["numpy", "numba"])
@pytest.mark.parametrize(("ours", "theirs", "shape", "lr"), NETWORKS.values(), ids=NETWORKS)
def test_ten_steps(ours: Any, theirs: Any, shape: tuple[int, ...], lr: float, backend: str, options: dict[str, Any]) -> None:
    torch.manual_seed(0)
    mine, peer = ours().double(), theirs().double()
    mine.load_state_dict(peer.state_dict())
    start = {name: value.clone() for name, value in peer.state_dict().items()}
    optimizer = optim.SGD(mine.parameters(), lr=lr, **options)
    torch_optimizer = torch.optim.SGD(peer.parameters(), lr=lr, **options)
    criterion = nn.CrossEntropyLoss()
    with minicnn.use_backend(backend):
        for step in range(10):
            x, labels = floats(shape, step, np.float64), np.random.default_rng(step).integers(0, 5, shape[0])
            optimizer.zero_grad()
            loss = criterion(mine(Tensor(x)), Tensor(labels))
            loss.backward()
            optimizer.step()
            torch_optimizer.zero_grad()
            expected = functional.cross_entropy(peer(torch.tensor(x)), torch.tensor(labels))
            expected.backward()
            torch_optimizer.step()
            assert_close64(loss, expected, f"loss of step {step}", TRAINING64)
    same_state(mine, peer, TRAINING64)
    for name, value in peer.state_dict().items():
        assert not torch.equal(value, start[name]), f"{name} has not changed"


def test_an_epoch_lowers_the_loss() -> None:
    """The loop alone, without torch, on one batch in float32."""
    minicnn.manual_seed(0)
    net = models.ResNet8(1, 8, 4)
    optimizer, criterion = optim.SGD(net.parameters(), lr=0.05, momentum=0.9), nn.CrossEntropyLoss()
    x, labels = Tensor(floats((16, 1, 8, 8), 0)), Tensor(np.arange(16) % 4)
    losses = []
    for _ in range(20):
        optimizer.zero_grad()
        loss = criterion(net(x), labels)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.1 < losses[0]
