"""What `minicnn explain` explains: a layer that is made up, or one of a network."""
from minicnn.cli.explained import of_layer, of_network
from minicnn.cli.explained.arguments import Geometry

__all__ = ["Geometry", "of_layer", "of_network"]
