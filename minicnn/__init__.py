"""minicnn: a convolutional-network framework written from scratch on NumPy. `import minicnn as torch` runs tutorial code unchanged."""
import importlib
from typing import Any

import numpy as np

from minicnn import kernels, ops
from minicnn.autograd import enable_grad, is_grad_enabled, no_grad, set_grad_enabled
from minicnn.kernels import use_backend
from minicnn.random import manual_seed
from minicnn.tensor import Tensor
