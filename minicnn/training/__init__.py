"""Training: the loop, metrics, checkpoints, and runs that save themselves."""
from minicnn.training.checkpoint import Description
from minicnn.training.checkpoint import load as load_checkpoint
from minicnn.training.checkpoint import save as save_checkpoint
from minicnn.training.divergence import Diverged
from minicnn.training.experiment import Experiment, Result
from minicnn.training.history import Epoch, Evaluation, Position
from minicnn.training.interruption import Interrupted
from minicnn.training.loop import Observer, evaluate, fit
from minicnn.training.metrics import accuracy, confusion_matrix
from minicnn.training.predictor import Prediction, Predictor
from minicnn.training.recipe import Recipe
from minicnn.training.recipe_file import recipe_for
from minicnn.training.stopped import Stopped

__all__ = [
    "Description", "Diverged", "Epoch", "Evaluation", "Experiment", "Interrupted", "Observer", "Position", "Prediction", "Predictor",
    "Recipe", "Result", "Stopped", "accuracy", "confusion_matrix", "evaluate", "fit", "load_checkpoint", "recipe_for", "save_checkpoint",
]
