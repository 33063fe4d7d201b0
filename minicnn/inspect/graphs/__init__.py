"""A network as a graph: which unit reads which, and what of a picture that moves its output follows."""
from minicnn.inspect.graphs.connectivity import Connectivity, connectivity
from minicnn.inspect.graphs.degrees import Degrees
from minicnn.inspect.graphs.layer_graph import LayerGraph
from minicnn.inspect.graphs.shifts import Shift, Shifts, equivariance, invariance
from minicnn.inspect.graphs.variants import ShiftStudy, shift_study, variants
from minicnn.inspect.graphs.wiring import Edges, Wiring

__all__ = ["Connectivity", "Degrees", "Edges", "LayerGraph", "Shift", "ShiftStudy", "Shifts", "Wiring", "connectivity", "equivariance",
           "invariance", "shift_study", "variants"]
