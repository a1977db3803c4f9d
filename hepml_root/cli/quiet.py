"""Settings of other libraries that suit a command line: quiet, and fair to a shared machine."""

from __future__ import annotations

import os
import sys
import tempfile
import warnings
from typing import Any

from hepml_root.errors import SlowerWarning, StatisticsWarning

_asked = False


def _note(message: Warning | str, *_: Any) -> None:
    print(f"hepml-root: note: {message}", file=sys.stderr)


def quieten() -> None:
    """Ask TensorFlow, matplotlib and the ROOT wheel to keep their notes to themselves, in this process."""
    global _asked
    _asked = True
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("MPLBACKEND", "Agg")
    warnings.filterwarnings("ignore")
    for category in (SlowerWarning, StatisticsWarning):
        warnings.filterwarnings("once", category=category)
    warnings.showwarning = _note  # type: ignore[assignment]


def share_cores() -> None:
    """Let OpenMP's threads sleep while they wait: on busy cores, spinning makes LightGBM 20 times slower."""
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")


def import_keras() -> None:
    """Import Keras and its backend without what TensorFlow writes to stderr before it heeds any log level.

    If the import fails, what was written is shown after all. With ``--debug`` (:func:`quieten` was not
    called) nothing is held back.
    """
    if "keras" in sys.modules or not _asked:
        return
    sys.stderr.flush()
    kept = os.dup(2)
    with tempfile.TemporaryFile() as notes:
        os.dup2(notes.fileno(), 2)
        try:
            import keras

            keras.ops.zeros(1)  # makes the backend look for its devices, which it also talks about
        except BaseException:
            notes.seek(0)
            os.write(kept, notes.read())
            raise
        finally:
            os.dup2(kept, 2)
            os.close(kept)
