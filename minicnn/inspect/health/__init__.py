"""The training doctor: checks of a network and its training, each with a verdict and the number behind it."""
