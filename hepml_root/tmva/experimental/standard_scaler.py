"""TMVA's RStandardScaler: variables with mean 0 and standard deviation 1."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hepml_root.errors import NonFiniteInputError, SettingError, ShapeError
from hepml_root.tmva.experimental.root_objects import open_file, read_object, tmva_class, write_object


class RStandardScaler:
    r"""Scales variables to mean 0 and standard deviation 1.

    .. math:: y_{ij} = (x_{ij} - \mu_j) / \sigma_j

    with the standard deviation of n − 1.

    Shapes: events are ``(events, variables)``, float32; one event is ``(variables,)``.

    ``RStandardScaler()`` is to be fitted; ``RStandardScaler(title, file)`` is read from a ROOT file, also one
    that TMVA wrote. ``RStandardScaler["float"]()`` is the same.

    Raises
    ------
    SourceNotFoundError, CorruptFileError
        There is no such file, or no such object in it.

    Example
    -------
    >>> scaler = RStandardScaler()
    >>> scaler.Fit([[1.0, 10.0], [3.0, 30.0]])
    >>> scaler.GetMeans().tolist(), scaler.Compute([2.0, 20.0]).tolist()
    ([2.0, 20.0], [0.0, 0.0])
    """

    def __class_getitem__(cls, kind: Any) -> type[RStandardScaler]:
        if str(getattr(kind, "__name__", kind)) != "float":
            raise SettingError(f"RStandardScaler[{kind}]: numbers are 'float' here.")
        return cls

    def __init__(self, title: str = "", filename: str = "") -> None:
        self._means = np.zeros(0, np.float32)
        self._stds = np.zeros(0, np.float32)
        if not filename:
            if title:
                raise SettingError("RStandardScaler(title, file) or RStandardScaler().")
            return
        kind = tmva_class("RStandardScaler.hxx", "TMVA::Experimental::RStandardScaler<float>")
        with open_file(filename, "READ") as file:
            found = read_object(file, str(title), kind)
            self._means = np.array(found.fMeans, np.float32)
            self._stds = np.array(found.fStds, np.float32)

    def Fit(self, x: Any) -> None:
        """Take means and standard deviations of events.

        Arguments
        ---------
        x
            ``(events, variables)``.

        Raises
        ------
        ShapeError
            It is no matrix, or has fewer than two events.
        NonFiniteInputError
            A value is NaN or infinite.
        """
        values = np.asarray(x, np.float64)
        if values.ndim != 2 or len(values) < 2:
            raise ShapeError(f"events of the shape {values.shape}: (events, variables), at least 2 events.")
        if not np.isfinite(values).all():
            raise NonFiniteInputError("a variable holds NaN or infinity: leave such events out.")
        self._means = values.mean(axis=0).astype(np.float32)
        self._stds = values.std(axis=0, ddof=1).astype(np.float32)

    def Compute(self, x: Any) -> NDArray[np.float32]:
        """Return one event or many, scaled; a variable that was constant gives NaN or infinity, as in TMVA.

        Raises
        ------
        SettingError
            The scaler was not fitted.
        ShapeError
            Another number of variables was fitted.
        """
        values = np.asarray(x, np.float32)
        if not len(self._means):
            raise SettingError("the scaler is empty: call Fit(events), or read one from a file.")
        if values.ndim not in (1, 2) or values.shape[-1] != len(self._means):
            raise ShapeError(f"events of the shape {values.shape}, fitted were {len(self._means)} variables.")
        with np.errstate(divide="ignore", invalid="ignore"):
            return (values - self._means) / self._stds

    def GetMeans(self) -> NDArray[np.float32]:
        """Return the means ``(variables,)``."""
        return self._means.copy()

    def GetStds(self) -> NDArray[np.float32]:
        """Return the standard deviations ``(variables,)``."""
        return self._stds.copy()

    def Save(self, title: str, filename: str) -> None:
        """Add the scaler to a ROOT file, which is made if there is none.

        Raises
        ------
        OutputWriteError
            The file cannot be written.
        """
        kind = tmva_class("RStandardScaler.hxx", "TMVA::Experimental::RStandardScaler<float>")
        made = kind()
        for target, values in ((made.fMeans, self._means), (made.fStds, self._stds)):
            for value in values.tolist():
                target.push_back(value)
        with open_file(filename, "UPDATE") as file:
            write_object(file, made, str(title))
