"""Which expression of a frame feeds each input of a model.

The manifest of a model names its inputs: blocks of columns, each with a label, the ROOT expression it was
trained on and its units. A binding takes those expressions, replaces the ones a user gives, and turns them
into C++ for RDataFrame or into a request for the bulk feed.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from hepml_root.data.feed_rows import Represented
from hepml_root.errors import ModelFileError, SettingError, unknown


@dataclass(frozen=True)
class InputColumn:
    """One column of one input block.

    Arguments
    ---------
    label:
        Its name in the model.
    expression:
        The ROOT expression, or branch name, that is read for it; None for a constant.
    constant:
        The value, for a parameter that is the same for all events.
    """

    label: str
    expression: str | None
    constant: float | None = None


@dataclass(frozen=True)
class InputBlock:
    """One input tensor of a model and the columns bound to it.

    Arguments
    ---------
    name:
        Name of the tensor in the model.
    kind:
        "flat", "parameter", "jagged", "mask", "image", "index" or "edges".
    shape:
        Shape of one event: (features,), (constituents, features), (constituents,), …
    columns:
        The columns along the last axis; none for a mask, or where a representation fills the block.
    mask:
        Of a jagged block: the name of the block that receives its mask, or None.
    represented:
        What fills this block and others: its description and the expressions it reads, or None.
    of:
        Name of the representation whose first block is another one, or None.
    """

    name: str
    kind: str
    shape: tuple[int, ...]
    columns: tuple[InputColumn, ...]
    mask: str | None = None
    represented: Represented | None = None
    of: str | None = None

    @property
    def is_padded(self) -> bool:
        """True for plain jagged columns; False for what a representation fills."""
        return self.kind == "jagged" and self.represented is None and self.of is None

    @property
    def size(self) -> int:
        """Number of values of one event."""
        product = 1
        for length in self.shape:
            product *= length
        return product


def bind(
    manifest: Mapping[str, Any],
    inputs: Mapping[str, str] | None = None,
    parameters: Mapping[str, float | str] | None = None,
) -> tuple[InputBlock, ...]:
    """Return the input blocks of a model, in the manifest's order, with the expressions to read.

    Arguments
    ---------
    manifest:
        The model's manifest.
    inputs:
        {input label: other expression or branch}; an input that is not named keeps the manifest's expression.
        Of a representation, the labels are those of the columns it reads ("pt"), in all that have it.
    parameters:
        {parameter label: number, the same for all events, or expression}; a parameter that is not named
        keeps the manifest's expression.

    Raises
    ------
    ModelFileError
        The manifest does not name the columns of an input.
    SettingError
        A label in ``inputs`` or ``parameters`` is none of the model's (nearest names are given), or a
        value is neither a number nor an expression.

    Example
    -------
    >>> manifest = {"inputs": [{"name": "features", "kind": "flat", "shape": [1],
    ...                         "columns": [{"label": "m", "expression": "m_bb", "units": "GeV"}]}]}
    >>> bind(manifest, inputs={"m": "mass / 1000"})[0].columns[0].expression
    'mass / 1000'
    """
    inputs = dict(inputs or {})
    parameters = dict(parameters or {})
    labels: dict[str, list[str]] = {"input": [], "parameter": []}
    blocks = []
    for entry in manifest["inputs"]:
        description, of = entry.get("representation"), entry.get("of")
        if description is not None or of is not None:
            made = None
            if description is not None:
                read = [*description["columns"], *description["scalars"]]
                labels["input"] += [column["label"] for column in read]
                own = {column["label"] for column in read}
                expressions = {
                    label: str(_bound(label, value, False).expression)
                    for label, value in inputs.items()
                    if label in own
                }
                made = Represented.of(description, expressions)
            blocks.append(
                InputBlock(
                    entry["name"], entry["kind"], tuple(entry["shape"]), (), entry.get("mask"), made, of
                )
            )
            continue
        is_parameter = entry["kind"] == "parameter"
        replaced: Mapping[str, Any] = {**inputs, **parameters} if is_parameter else inputs
        columns = []
        for column in entry.get("columns", ()):
            label = column["label"]
            labels["parameter" if is_parameter else "input"].append(label)
            columns.append(_bound(label, replaced.get(label, column["expression"]), is_parameter))
        if entry["kind"] != "mask" and not columns:
            raise ModelFileError(
                f"the model's input '{entry['name']}' takes {math.prod(entry['shape'])} values, and the file "
                "does not say which: it has no manifest of hepml_root. "
                "hepml_root.export.adopt writes one into it."
            )
        blocks.append(
            InputBlock(entry["name"], entry["kind"], tuple(entry["shape"]), tuple(columns), entry.get("mask"))
        )
    masks = {block.mask for block in blocks if block.is_padded}
    for block in blocks:
        _refuse_unfilled(block, masks)
    for label in inputs:
        if label not in labels["input"] + labels["parameter"]:
            raise SettingError(unknown("input", label, labels["input"] + labels["parameter"]))
    for label in parameters:
        if label not in labels["parameter"]:
            hint = "This model has no parameters." if not labels["parameter"] else ""
            raise SettingError(unknown("parameter", label, labels["parameter"], hint))
    return tuple(blocks)


def _refuse_unfilled(block: InputBlock, masks: Iterable[str | None]) -> None:
    """Refuse a block that the columns of an event do not fill: the network would see chance numbers."""
    if block.represented is not None or block.of is not None or block.is_padded:
        return
    if block.kind in ("flat", "parameter") or (block.kind == "mask" and block.name in masks):
        return
    if block.kind == "mask":
        why = "is a mask, and the file does not say of what"
    else:
        why = f"is an array of kind '{block.kind}', and the file does not say how it is made of columns"
    raise ModelFileError(
        f"the model's input '{block.name}' {why}. Export a model of a dataset whose representations make it "
        "(hepml_root.representations), or give the arrays to hepml_root.Session."
    )


def _bound(label: str, value: Any, is_parameter: bool) -> InputColumn:
    if isinstance(value, str):
        return InputColumn(label, value)
    if is_parameter and isinstance(value, (int, float)) and math.isfinite(value):
        return InputColumn(label, None, float(value))
    expected = "a finite number or an expression" if is_parameter else "an expression"
    raise SettingError(f"'{label}' needs {expected} (text), and was given {value!r}.")


def output_labels(manifest: Mapping[str, Any]) -> list[str]:
    """Return one label per output value, all output tensors one after the other.

    >>> output_labels({"outputs": [{"name": "score", "shape": [2], "labels": ["top", "qcd"]}]})
    ['top', 'qcd']
    """
    labels: list[str] = []
    for output in manifest["outputs"]:
        size = 1
        for length in output["shape"]:
            size *= length
        given = list(output.get("labels") or [])
        if len(given) != size:
            given = [output["name"]] if size == 1 else [f"{output['name']}_{index}" for index in range(size)]
        labels += given
    return labels


def output_columns(column: str | Iterable[str], labels: list[str]) -> list[str] | str:
    """Return the names of the score columns: one per output value, or one text for a single vector column.

    Arguments
    ---------
    column:
        A name: it is the column of a model with one output value; of several values, each gets
        ``<name>_<label>``. A pattern with ``{label}``: one column per value. A list: the names in order.
        A name ending in ``[]``: one vector column holding all values.
    labels:
        The labels of the output values.

    Raises
    ------
    SettingError
        The number of names is not the number of values, a name is no C++ identifier or comes twice.

    Example
    -------
    >>> output_columns("score", ["signal"])
    ['score']
    >>> output_columns("score", ["top", "qcd jet"])
    ['score_top', 'score_qcd_jet']
    >>> output_columns("p_{label}", ["top", "qcd"])
    ['p_top', 'p_qcd']
    >>> output_columns("score[]", ["top", "qcd"])
    'score'
    """
    if isinstance(column, str) and column.endswith("[]"):
        _refuse_no_identifier([column[:-2]])
        return column[:-2]
    if not isinstance(column, str):
        names = [str(name) for name in column]
        if len(names) != len(labels):
            raise SettingError(
                f"{len(names)} column names for {len(labels)} output values ({', '.join(labels)}): "
                "give one name each, or a pattern like 'score_{label}'."
            )
    elif "{label}" in column:
        names = [column.replace("{label}", identifier(label)) for label in labels]
    elif len(labels) == 1:
        names = [column]
    else:
        names = [f"{column}_{identifier(label)}" for label in labels]
    _refuse_no_identifier(names)
    if len(set(names)) != len(names):
        raise SettingError(f"the score columns {', '.join(names)} are not all different.")
    return names


def identifier(text: str) -> str:
    """Return ``text`` with everything that cannot stand in a C++ name replaced by an underscore.

    >>> identifier("qcd jet")
    'qcd_jet'
    """
    return re.sub(r"\W", "_", text, flags=re.ASCII)


def _refuse_no_identifier(names: Iterable[str]) -> None:
    for name in names:
        if not re.fullmatch(r"[A-Za-z_]\w*", name, flags=re.ASCII):
            raise SettingError(f"the column name '{name}' cannot be used: letters, digits and _ only.")
