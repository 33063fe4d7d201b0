"""Networks: modules, layers, losses, and how they are initialised, under torch.nn's names."""
from minicnn.nn import functional, init, utils
from minicnn.nn.activation import ELU, GELU, Hardswish, LeakyReLU, LogSoftmax, ReLU, Sigmoid, SiLU, Softmax, Tanh
from minicnn.nn.containers import ModuleDict, ModuleList, Sequential
from minicnn.nn.conv import Conv2d, ConvTranspose2d
from minicnn.nn.dropout import Dropout, Dropout2d
from minicnn.nn.linear import Identity, Linear
from minicnn.nn.loss import BCEWithLogitsLoss, CrossEntropyLoss, L1Loss, MSELoss, NLLLoss, SmoothL1Loss
from minicnn.nn.module import Module
from minicnn.nn.normalization import BatchNorm1d, BatchNorm2d, GroupNorm, LayerNorm
from minicnn.nn.parameter import Parameter
from minicnn.nn.pooling import AdaptiveAvgPool2d, AdaptiveMaxPool2d, AvgPool2d, MaxPool2d
from minicnn.nn.resize import Upsample
from minicnn.nn.shape import Flatten, Fold, Unflatten, Unfold, ZeroPad2d

__all__ = [
    "ELU", "GELU", "AdaptiveAvgPool2d", "AdaptiveMaxPool2d", "AvgPool2d", "BCEWithLogitsLoss", "BatchNorm1d", "BatchNorm2d", "Conv2d",
    "ConvTranspose2d", "CrossEntropyLoss", "Dropout", "Dropout2d", "Flatten", "Fold", "GroupNorm", "Hardswish", "Identity", "L1Loss",
    "LayerNorm", "LeakyReLU", "Linear", "LogSoftmax", "MSELoss", "MaxPool2d", "Module", "ModuleDict", "ModuleList", "NLLLoss", "Parameter",
    "ReLU", "Sequential", "SiLU", "Sigmoid", "SmoothL1Loss", "Softmax", "Tanh", "Unflatten", "Unfold", "Upsample", "ZeroPad2d",
    "functional", "init", "utils",
]
