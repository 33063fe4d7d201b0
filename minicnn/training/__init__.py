"""Training: the loop, metrics, checkpoints, and runs that save themselves."""
from minicnn.training.checkpoint import Description
from minicnn.training.checkpoint import load as load_checkpoint
from minicnn.training.checkpoint import save as save_checkpoint
from minicnn.training.experiment import Experiment, Interrupted, Result
from minicnn.training.loop import Epoch, Evaluation, Observer, evaluate, fit
from minicnn.training.metrics import accuracy, confusion_matrix
from minicnn.training.predictor import Prediction, Predictor
from minicnn.training.recipe import Recipe
from minicnn.training.recipe_file import recipe_for

__all__ = [
    "Description", "Epoch", "Evaluation", "Experiment", "Interrupted", "Observer", "Prediction", "Predictor", "Recipe", "Result",
    "accuracy", "confusion_matrix", "evaluate", "fit", "load_checkpoint", "recipe_for", "save_checkpoint",
]
