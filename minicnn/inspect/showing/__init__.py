"""Looking at a trained network: filters, maps, and which pixels matter."""
