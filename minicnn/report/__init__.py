"""What a user sees of runs: the page of each, in one HTML file that needs nothing else, and lists that compare them."""
from minicnn.report.page import Written, write
from minicnn.report.record import Record, read, runs_in

__all__ = ["Record", "Written", "read", "runs_in", "write"]
