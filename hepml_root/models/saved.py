"""Trained models of `.keras` files."""

from __future__ import annotations

import os
from pathlib import Path

import keras

from hepml_root.errors import ModelFileError, SourceNotFoundError


def load_model(path: str | os.PathLike[str]) -> keras.Model:
    """Return the trained model of a ``.keras`` file, whatever of this package is inside.

    ``keras.models.load_model`` reads the same files, but only after ``hepml_root.models`` was imported: it
    does not know the layers before. The model is not compiled; it predicts, and :func:`hepml_root.fit` goes
    on with it.

    Arguments
    ---------
    path
        A file that ``model.save`` has written.

    Raises
    ------
    SourceNotFoundError
        There is no such file.
    ModelFileError
        It is no Keras model, or was written by a version whose layers are not these.

    Example
    -------
    >>> import tempfile, hepml_root as hr
    >>> file = hr.data.shipped_file("Higgs_data.root")
    >>> sources = {"signal": f"{file}:sig_tree", "background": f"{file}:bkg_tree"}
    >>> model = hr.models.dense(hr.Dataset.from_root(sources, inputs=["m_bb"]), hidden=(8,))
    >>> path = tempfile.mkdtemp() + "/network.keras"
    >>> model.save(path)
    >>> hr.load_model(path).count_params() == model.count_params()
    True
    """
    path = Path(path)
    if not path.is_file():
        raise SourceNotFoundError(f"there is no Keras model file '{path}'.")
    import hepml_root.models  # noqa: F401  (registers the layers that the file may hold)

    try:
        return keras.saving.load_model(path, compile=False)
    except (ValueError, OSError, TypeError) as error:
        raise ModelFileError(f"'{path}' cannot be read as a Keras model: {error}") from error
