"""minicnn: a convolutional-network framework written from scratch on NumPy. `import minicnn as torch` runs tutorial code unchanged."""
from minicnn.autograd import enable_grad, is_grad_enabled, no_grad, set_grad_enabled
from minicnn.kernels import use_backend
from minicnn.tensor import Tensor

__version__ = "0.1.0"
__all__ = ["Tensor", "enable_grad", "is_grad_enabled", "no_grad", "set_grad_enabled", "use_backend"]
