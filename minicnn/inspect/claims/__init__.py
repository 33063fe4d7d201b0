"""What courses say about convolutional networks, each computed, with a verdict."""
