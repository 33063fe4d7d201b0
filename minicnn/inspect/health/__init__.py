"""The training doctor: is a network healthy, does it learn, and what to do when it does not."""
from minicnn.inspect.health.examination import checkup
from minicnn.inspect.health.verdict import Checkup, Verdict
from minicnn.inspect.health.watching import Doctor

__all__ = ["Checkup", "Doctor", "Verdict", "checkup"]
