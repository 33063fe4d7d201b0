"""Looking inside a network: every product behind every number, forward and backward, and what a network is made of."""
import importlib
from typing import Any

_HOMES = {                                                     # public name: the package below this one that has it
    "explain": "explaining", "explain_grad": "explaining",
    "summary": "summarizing",
    "receptive_field": "receptive_fields", "effective_receptive_field": "receptive_fields", "design": "receptive_fields",
    "connectivity": "graphs", "equivariance": "graphs", "invariance": "graphs",
    "filters": "showing", "feature_maps": "showing", "activation_statistics": "showing", "dead_units": "showing",
    "gradient_flow": "showing", "saliency": "showing", "occlusion": "showing", "grad_cam": "showing", "maximal_patches": "showing",
    "diff": "comparing", "on": "comparing",
    "checkup": "health", "Doctor": "health",
    "check_claims": "claims",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(f"minicnn.inspect.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'minicnn.inspect' has no attribute {name!r}")
