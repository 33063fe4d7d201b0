"""How much memory a training step takes, predicted from shapes: the step is gone through with arrays that have a size and no numbers."""
