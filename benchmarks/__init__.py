"""Benchmarks: verify, then time. A time is given only for a call whose output was checked."""
