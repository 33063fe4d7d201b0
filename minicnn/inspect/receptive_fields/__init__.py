"""Receptive fields: which input pixels a unit sees, in theory and in effect, and networks designed to see a given part."""
