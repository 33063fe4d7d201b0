"""Receptive fields: which input pixels a unit sees, in theory and in effect, and networks designed to see a given part."""
from minicnn.inspect.receptive_fields.cones import Box, Cone, cones
from minicnn.inspect.receptive_fields.designs import Candidate, Design, design
from minicnn.inspect.receptive_fields.effective import EffectiveField, effective_receptive_field
from minicnn.inspect.receptive_fields.field import ReceptiveField, receptive_field

__all__ = ["Box", "Candidate", "Cone", "Design", "EffectiveField", "ReceptiveField", "cones", "design", "effective_receptive_field",
           "receptive_field"]
