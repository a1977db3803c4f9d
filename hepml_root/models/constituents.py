"""One block of constituents as the networks of particles see it: features, mask, and physical columns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from hepml_root.errors import SettingError, unknown
from hepml_root.models.inputs import InputBlocks


@keras.saving.register_keras_serializable(package="hepml_root")
class Columns(keras.layers.Layer):
    """Some of the last axis, by position: ``(events, constituents, features)`` to as many as were asked for.

    Arguments
    ---------
    columns
        Positions along the last axis.
    exponential
        Give exp(x): a column that holds a logarithm.

    Example
    -------
    >>> import numpy as np
    >>> Columns([2, 0])(np.array([[[1.0, 2.0, 3.0]]])).numpy().tolist()
    [[[3.0, 1.0]]]
    """

    def __init__(self, columns: Sequence[int], exponential: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.columns, self.exponential = [int(column) for column in columns], exponential

    def call(self, values: Any) -> Any:
        first, count = self.columns[0], len(self.columns)
        if self.columns == list(range(first, first + count)):  # a slice is cheaper than a gather
            chosen = values[..., first : first + count]
        else:
            chosen = ops.take(values, self.columns, axis=-1)
        return ops.exp(chosen) if self.exponential else chosen

    def compute_output_shape(self, input_shape: Any) -> Any:
        return (*input_shape[:-1], len(self.columns))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "columns": self.columns, "exponential": self.exponential}


class Constituents:
    """The block of constituents that a model is made for, chosen and checked.

    Arguments
    ---------
    blocks
        The model's input blocks.
    block
        Name of the block of constituents; None: the only one.
    features
        Labels of the columns that the network is given; None: all.
    asked_by
        Name of the model, for error messages.

    Raises
    ------
    SettingError
        There is no such block, or a column is missing; the message names it and what exists.
    """

    def __init__(
        self,
        blocks: InputBlocks,
        block: str | None = None,
        features: Sequence[str] | None = None,
        asked_by: str = "the model",
    ) -> None:
        self.blocks, self.asked_by = blocks, asked_by
        self.name = blocks.one_of_kind("jagged", block, asked_by)
        self.labels = blocks.labels(self.name)
        self.mask = blocks.mask(self.name)
        self.features = features if features is None else self._positions(features, "features")

    @property
    def values(self) -> Any:
        """Features after their transforms, ``(events, constituents, features)``, zero where padded."""
        values = self.blocks.tensor(self.name)
        if self.features is None:
            return values
        return Columns(self.features, name=f"{self.name}_features")(values)

    def raw(self, labels: Sequence[str], setting: str) -> Any:
        """Return columns in their units ``(events, constituents, columns)``, zero where padded.

        ``setting`` is the name of the setting by which others may be chosen.
        """
        positions = self._positions(labels, setting)
        return Columns(positions, name=f"{self.name}_{setting}")(self.blocks.raw(self.name))

    def has(self, *labels: str) -> bool:
        """Whether the block has all these columns."""
        return all(label in self.labels for label in labels)

    def transverse_momentum(self, label: str | None = None) -> Any:
        """Return the transverse momenta ``(events, constituents, 1)`` [GeV]; padding means nothing.

        Arguments
        ---------
        label
            Column that holds them; None: "pt", else exp("log_pt"), and where only a fraction of the jet's is
            known, "pt_fraction" or exp("log_pt_fraction"), in units of the jet's.
        """
        if label is not None:
            return self.raw([label], "pt")
        for known in ("pt", "log_pt", "pt_fraction", "log_pt_fraction"):
            if self.has(known):
                columns = Columns([self.labels.index(known)], known.startswith("log"), name=f"{self.name}_pt")
                return columns(self.blocks.raw(self.name))
        raise self._missing("pt", "pt", "or 'log_pt', 'pt_fraction', 'log_pt_fraction', ")

    def _positions(self, labels: Sequence[str], setting: str) -> list[int]:
        labels = [labels] if isinstance(labels, str) else list(labels)
        if not labels:
            raise SettingError(f"{setting}={labels!r}: at least one column is needed.")
        for label in labels:
            if label not in self.labels:
                raise self._missing(label, setting)
        return [self.labels.index(label) for label in labels]

    def _missing(self, label: str, setting: str, others: str = "") -> SettingError:
        if not self.labels:
            return SettingError(
                f"{self.asked_by} needs the column '{label}' {others}of the block '{self.name}', whose "
                "columns have no names. Give labels in place of their number, as (30, ['pt', 'delta_eta']), "
                "or with columns={block: labels} in Dataset.from_arrays."
            )
        remedy = (
            f"{self.asked_by} needs it {others}in the block '{self.name}'; choose others with {setting}=."
        )
        return SettingError(unknown("column", label, self.labels, remedy))
