"""Two networks that should compute the same: where they part first, and whether that is rounding or a bug."""
from minicnn.inspect.comparing.comparison import diff
from minicnn.inspect.comparing.difference import Difference, LayerDifference
from minicnn.inspect.comparing.judged import Judged
from minicnn.inspect.comparing.sides import Placed, on

__all__ = ["Difference", "Judged", "LayerDifference", "Placed", "diff", "on"]
