"""Training: :func:`hepml_root.fit`, its pretraining, monitors and schedules, checkpoints and history."""

from hepml_root.training.adversarial import fit_adversarial
from hepml_root.training.history import History
from hepml_root.training.pretraining import Pretraining
from hepml_root.training.schedule import Cosine, Exponential, Plateau, Schedule
from hepml_root.training.significance_monitor import ValidationSignificance

__all__ = [
    "Cosine",
    "Exponential",
    "History",
    "Plateau",
    "Pretraining",
    "Schedule",
    "ValidationSignificance",
    "fit_adversarial",
]
