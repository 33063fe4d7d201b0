"""Looking inside a network: every product behind every number, forward and backward, and what a network is made of.

    explain, explain_grad           the products behind one number of a layer, or of a gradient
    summary                         every layer's shapes, parameters, multiply-adds, memory
    receptive_field, effective_receptive_field, design          what a unit sees, and networks that see as much as they should
    connectivity, equivariance, invariance                      a network as a graph of units; what a shift of the image does
    filters, feature_maps, saliency, grad_cam, ...              looking at a trained network
    diff                            where two networks that should agree part, and whether that is rounding
    checkup, Doctor                 is a network healthy, does it learn
    check_claims                    what courses say, computed

Each is a package below, and all of them read the recording of a forward pass that `recorder.record` makes.
"""
# ruff: noqa: I001  (in the order above)
from minicnn.inspect.explaining import explain, explain_grad
from minicnn.inspect.summarizing import summary
from minicnn.inspect.receptive_fields import design, effective_receptive_field, receptive_field
from minicnn.inspect.graphs import connectivity, equivariance, invariance
from minicnn.inspect.showing import (
    activation_statistics, dead_units, feature_maps, filters, grad_cam, gradient_flow, maximal_patches, occlusion, saliency,
)
from minicnn.inspect.comparing import diff, on
from minicnn.inspect.health import Doctor, checkup
from minicnn.inspect.claims import check_claims

__all__ = [
    "Doctor", "activation_statistics", "check_claims", "checkup", "connectivity", "dead_units", "design", "diff",
    "effective_receptive_field", "equivariance", "explain", "explain_grad", "feature_maps", "filters", "grad_cam", "gradient_flow",
    "invariance", "maximal_patches", "occlusion", "on", "receptive_field", "saliency", "summary",
]
