"""The page of a run: everything that is known about it, in one HTML file that needs nothing else."""
