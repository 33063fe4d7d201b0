"""What `minicnn explain` explains: a layer that is made up, or one of a network."""
from minicnn.cli.explained import of_layer, of_network

__all__ = ["of_layer", "of_network"]
