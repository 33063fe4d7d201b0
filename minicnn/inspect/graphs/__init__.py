"""A convolutional network as a graph of units, and what shifting its input does."""
