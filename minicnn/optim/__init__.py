"""Optimisers with torch's names and options; `lr_scheduler`: schedules for their learning rates; `swa_utils`: averages of weights."""
from minicnn.optim import lr_scheduler, swa_utils
from minicnn.optim.adam import Adam, AdamW
from minicnn.optim.muon import Muon, muon_groups
from minicnn.optim.optimizer import Optimizer
from minicnn.optim.sgd import SGD

__all__ = ["SGD", "Adam", "AdamW", "Muon", "Optimizer", "lr_scheduler", "muon_groups", "swa_utils"]
