"""Learning-rate schedules with torch's names, options and rates."""
from minicnn.optim.decay import ConstantLR, CosineAnnealingLR, ExponentialLR, LambdaLR, LinearLR, MultiStepLR, StepLR
from minicnn.optim.one_cycle import OneCycleLR
from minicnn.optim.plateau import ReduceLROnPlateau
from minicnn.optim.scheduler import LRScheduler
from minicnn.optim.sequential import SequentialLR

__all__ = [
    "ConstantLR", "CosineAnnealingLR", "ExponentialLR", "LRScheduler", "LambdaLR", "LinearLR", "MultiStepLR", "OneCycleLR",
    "ReduceLROnPlateau", "SequentialLR", "StepLR",
]
