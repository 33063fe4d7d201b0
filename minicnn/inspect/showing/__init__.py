"""Looking at a trained network: its filters, what they make of an image, which pixels decide, where it is dead, how gradients flow."""
from minicnn.inspect.showing.about import About
from minicnn.inspect.showing.cam import grad_cam
from minicnn.inspect.showing.covering import occlusion
from minicnn.inspect.showing.dead import DeadUnits, dead_units
from minicnn.inspect.showing.flow import GradientFlow, gradient_flow
from minicnn.inspect.showing.heat import Heat
from minicnn.inspect.showing.maps import FeatureMaps, feature_maps
from minicnn.inspect.showing.patches import MaximalPatches, maximal_patches
from minicnn.inspect.showing.pixels import saliency
from minicnn.inspect.showing.statistics import ActivationStatistics, activation_statistics
from minicnn.inspect.showing.weights import Filters, filters

__all__ = ["About", "ActivationStatistics", "DeadUnits", "FeatureMaps", "Filters", "GradientFlow", "Heat", "MaximalPatches",
           "activation_statistics", "dead_units", "feature_maps", "filters", "grad_cam", "gradient_flow", "maximal_patches", "occlusion",
           "saliency"]
