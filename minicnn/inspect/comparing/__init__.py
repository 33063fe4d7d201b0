"""diff: where two networks that should agree part."""
