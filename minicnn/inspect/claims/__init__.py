"""check_claims: what courses say about convolutional networks, each computed, with a verdict.

    registry      the list: a claim is one small function
    parameters, fields, arithmetic, shifting        counted and measured: at once
    position, depth, training                       trained: most of a minute
    result, drawing                                 how it is shown
"""
from minicnn.inspect.claims import parameters, fields, arithmetic, shifting, position, depth  # noqa: I001  the list has this order
from minicnn.inspect.claims.registry import CLAIMS, Answer, Claim
from minicnn.inspect.claims.result import Claims, Finding, check_claims

__all__ = ["CLAIMS", "Answer", "Claim", "Claims", "Finding", "arithmetic", "check_claims", "depth", "fields", "parameters", "position",
           "shifting"]
