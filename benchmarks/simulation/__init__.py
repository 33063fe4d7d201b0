"""What a GPU would do for a convolution, counted without one: the CUDA rungs in the simulator, side by side."""
