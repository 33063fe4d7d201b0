"""Hypothesis profiles: dev (the default, a quick look), ci (what CI runs), deep (an hour: HYPOTHESIS_PROFILE=deep)."""
import os

from hypothesis import HealthCheck, settings

# Shared machines are slow at times, and no test here is timed.
common = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow]}
settings.register_profile("dev", max_examples=15, **common)
settings.register_profile("ci", max_examples=100, derandomize=True, **common)
settings.register_profile("deep", max_examples=3000, **common)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci" if os.environ.get("CI") else "dev"))
