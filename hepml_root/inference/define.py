"""Scores as columns of an RDataFrame, computed by compiled C++ inside the event loop."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import Any

from hepml_root.errors import ColumnNotFoundError, ColumnTypeError, ExpressionError, SettingError
from hepml_root.inference.bindings import (
    InputBlock,
    InputColumn,
    bind,
    identifier,
    output_columns,
    output_labels,
)
from hepml_root.inference.compile import compile_or_interpret
from hepml_root.inference.declaration import declare
from hepml_root.inference.frame_columns import FrameColumns
from hepml_root.inference.lookahead import look_ahead, sizes
from hepml_root.inference.representing import maker
from hepml_root.inference.trained_ranges import ranges_of
from hepml_root.inference.working_points import working_point

# Floats of a block that are kept on the stack, which the threads of a loop have little of.
_MOST_ON_STACK = 16384


def define(
    df: Any,
    path: str | os.PathLike[str],
    column: str | Iterable[str] = "score",
    inputs: Mapping[str, str] | None = None,
    parameters: Mapping[str, float | str] | None = None,
    ahead: bool = True,
    seed: int = 0,
    event: str | None = None,
    select: str | None = None,
    allow_extrapolation: bool = False,
) -> Any:
    """Define the outputs of a model as columns of an RDataFrame.

    The model is compiled once and cached; no Keras is needed. Scores are computed in the event loop, in C++,
    also under ``ROOT.EnableImplicitMT()``. They vary when an input varies (``Vary``), and work on the
    distributed frames of ``ROOT.RDF.Distributed``: machines that do not see the compiled library of this one
    interpret the same C++ from its text.

    Where the inputs are branches of a tree in local files, jagged or not, or formulas of scalar ones, the
    next events are read in bulk and scored in blocks, ahead of the loop, which then costs less than having
    the loop read the inputs. Other inputs (Defines, jagged expressions, friends, RNTuple, remote files) and
    varied ones are scored event by event. The scores are the same.

    Jagged inputs (``RVec`` columns) are padded with zeros to the model's length and get their mask.
    Representations are filled by the same compiled C++ that filled the training data, from the description in
    the model file; a value that is not finite where it is needed ends the loop with an error.

    Arguments
    ---------
    df:
        A data frame or any node of one; the model's inputs are looked up in its columns.
    path:
        The ``.onnx`` file of an exported model.
    column:
        Name of the score column. A model with several output values gives one column each,
        ``<column>_<label>`` (``score_signal``); a pattern (``"p_{label}"``) or a list of names says it
        otherwise, and ``"score[]"`` asks for a single ``RVec<float>`` column ``score``.
    inputs:
        {input label: branch or expression}, where the frame calls things differently than the training data
        did. Inputs that are not named are read by their expression in the model's manifest. Of
        representations, the labels are those of the columns they read ("pt", "eta", …).
    parameters:
        {parameter label: number or expression}: the point at which a parameterised model is evaluated.
        Parameters that are not named are read like inputs.
    ahead:
        Whether events may be scored ahead of the loop; False: always event by event.
    seed:
        Of a network that draws random numbers: an event's draws are a function of the seed and of its number
        (``event``). Such networks are scored event by event.
    event:
        Of such a network: a column or an expression with the number of the event, a whole number from 0. By
        default ``rdfentry_``, which is the same in every run on one thread, or with an empty source. Threads
        share out the entries of a tree anew in each run: there, and on distributed frames, name a column of
        the file.
    select:
        Name of a working point of the model: only events that pass its cut go on, by a ``Filter`` of that
        name (which ``Report()`` counts). Scores and thresholds are compared as float32 numbers, so that the
        same events pass here, in Python and in compiled C++.
    allow_extrapolation:
        Of a generator of showers: whether conditions outside of the range that it was trained in are taken,
        too. Else such an event ends the loop with an error.

    Returns
    -------
    The node with the new columns, filtered if ``select`` is given, to go on from.

    Raises
    ------
    ColumnNotFoundError
        The frame lacks a column that an input needs.
    ColumnTypeError
        A column holds one value where the model takes many, or many where it takes one.
    SettingError
        A column of the asked name exists, an input or parameter is not one of the model's, it has no working
        point of that name, or random numbers would not be the same in another run and ``event`` is not given.
    ModelFileError
        The file is no model exported by hepml_root; SourceNotFoundError if there is no such file.

    Example
    -------
    >>> import tempfile, hepml_root as hr
    >>> file = hr.data.shipped_file("Higgs_data.root")
    >>> sources = {"signal": f"{file}:sig_tree", "background": f"{file}:bkg_tree"}
    >>> data = hr.Dataset.from_root(sources, inputs=["m_bb", "jet1_b-tag"])
    >>> path = hr.export(hr.models.dense(data, hidden=(8,)), tempfile.mkdtemp() + "/higgs.onnx", data=data)
    >>> import ROOT
    >>> frame = hr.define(ROOT.RDataFrame("sig_tree", file), path, column="score")
    >>> 0 < frame.Mean("score").GetValue() < 1
    True
    """
    frame = FrameColumns(df)
    compiled = compile_or_interpret(path)
    labels = output_labels(compiled.manifest)
    chosen = None if select is None else working_point(compiled.manifest, select)
    cut_on = None if chosen is None else chosen.position()
    names = output_columns(column, labels)
    for name in [names] if isinstance(names, str) else names:
        if frame.has(name):
            raise SettingError(
                f"the data frame has a column '{name}' already: ask for another one with column='...'."
            )
    blocks = bind(compiled.manifest, inputs, parameters)
    one = names if isinstance(names, str) else names[0]
    together = one if isinstance(names, str) or len(names) == 1 else frame.free_name("rdfscores_{}_")
    outputs = compiled.manifest["outputs"]
    if not 0 <= seed < 2**64:
        raise SettingError(f"seed is {seed}: it must be from 0 to 2^64 - 1.")
    random = compiled.draws
    ranges = ranges_of(compiled.manifest)
    lookahead = look_ahead(blocks, compiled, frame) if ahead and not random and not ranges else None
    node = frame.node
    by_event = ""
    if lookahead is None or not lookahead.plain:
        by_event = together if lookahead is None else frame.free_name("rdfbyevent_{}_")
        draws = (seed, _event_number(frame, event, str(path))) if random else None
        checked = str(allow_extrapolation).lower() if ranges else ""
        code = call_code(blocks, outputs, compiled.symbol, frame, str(path), draws, checked)
        represented = [block.represented for block in blocks if block.represented is not None]
        declare(compiled, distributed=frame.distributed, representations=represented)
        value = "hepml_scores[0]"
        if len(labels) > 1:
            value = f"ROOT::RVecF(hepml_scores, hepml_scores + {len(labels)})"
        node = frame.node.Define(by_event, f"{code} return {value};")
    if lookahead is not None:
        node = lookahead.define(node, together, sizes(outputs), compiled, by_event)
    if together != one:
        for index, name in enumerate(names):
            node = node.Define(name, f"{together}[{index}]")
    if chosen is not None and cut_on is not None:
        of_labels = [f"{one}[{index}]" for index in range(len(labels))] if isinstance(names, str) else names
        node = node.Filter(chosen.expression(of_labels[cut_on]), chosen.name)
    return node


def call_code(
    blocks: Iterable[InputBlock],
    outputs: Iterable[Mapping[str, Any]],
    symbol: str,
    frame: FrameColumns,
    model: str,
    draws: tuple[int, str] | None = None,
    checked: str = "",
) -> str:
    """Return the C++ statements that fill the inputs of one event and leave its outputs in ``hepml_scores``.

    ``draws`` is the seed of a network that draws random numbers, and C++ of the event's number. ``checked``
    is, of a generator, C++ of whether it may extrapolate: ``<symbol>_require`` then checks its conditions.
    RDataFrame takes every word that is the name of a column for the column: ours begin with ``hepml_``.

    Raises
    ------
    ColumnNotFoundError, ColumnTypeError
        As for :func:`define`.
    """
    blocks = list(blocks)
    named = {block.name: f"hepml_in{index}_{identifier(block.name)}" for index, block in enumerate(blocks)}
    statements = []
    for block in blocks:
        array = named[block.name]
        if block.kind in ("flat", "parameter"):
            option = "parameters" if block.kind == "parameter" else "inputs"
            values = ", ".join(_scalar(column, frame, model, option) for column in block.columns)
            statements.append(f"const float {array}[{block.size}] = {{{values}}};")
        elif block.size <= _MOST_ON_STACK:
            statements.append(f"float {array}[{block.size}];")
        else:
            statements.append(f"std::vector<float> {array}_values({block.size});")
            statements.append(f"float *const {array} = {array}_values.data();")
    for block in blocks:
        if block.is_padded:
            length, features = block.shape
            mask = named.get(block.mask or "", "nullptr")
            padding = f"{named[block.name]}_padding"
            statements.append(
                f"hepml_root::rdf::Padding {padding}({named[block.name]}, {mask}, {length}, {features});"
            )
            statements += [
                f"{padding}.Add({_code(column, frame, model, 'inputs', many=True)});"
                for column in block.columns
            ]
        if block.represented is not None:
            statements += _represented(block, named, frame, model)
    if checked:
        statements.append(f"{symbol}_require({next(iter(named.values()))}, {checked});")
    sizes = [_product(output["shape"]) for output in outputs]
    offsets = [sum(sizes[:index]) for index in range(len(sizes))]
    statements.append(f"const float *const hepml_inputs[] = {{{', '.join(named.values())}}};")
    statements.append(f"float hepml_scores[{sum(sizes)}];")
    statements.append(
        f"float *const hepml_outputs[] = {{{', '.join(f'hepml_scores + {offset}' for offset in offsets)}}};"
    )
    if draws is None:
        statements.append(f"{symbol}_infer(hepml_inputs, 1, hepml_outputs);")
    else:
        seed, number = draws
        statements.append(f"{symbol}_infer_seeded(hepml_inputs, 1, hepml_outputs, {seed}ULL, {number});")
    return " ".join(statements)


def _event_number(frame: FrameColumns, event: str | None, model: str) -> str:
    """C++ of the number of an event, which does not depend on how threads share the events."""
    if event is not None:
        return f"static_cast<std::uint64_t>({frame.code(event, many=False)})"
    if frame.shared_out:
        raise SettingError(
            f"'{model}' draws random numbers, and several threads or processes number the entries of a tree "
            "differently in each run. Name a column with the number of the event: event='event_number'."
        )
    return "rdfentry_"


def _represented(block: InputBlock, named: Mapping[str, str], frame: FrameColumns, model: str) -> list[str]:
    """C++ statements that fill all blocks of one representation."""
    one = block.represented
    assert one is not None  # the caller has seen to it
    name = f"{named[block.name]}_represented"
    statements = [
        f"hepml_root::rdf::Representing {name}(hepml_represent_event, {maker(one)}(), "
        f'"{identifier(one.name)}");'
    ]
    for labels, expressions, many, add in (
        (one.column_labels, one.columns, True, "Add"),
        (one.scalar_labels, one.scalars, False, "AddScalar"),
    ):
        for label, expression in zip(labels, expressions, strict=True):
            code = _code(InputColumn(label, expression), frame, model, "inputs", many=many)
            statements.append(f"{name}.{add}({code});")
    arrays = []
    for index, tensor in enumerate(one.tensors):
        if tensor.name not in named:  # a tensor that the model has no use for
            statements.append(f"std::vector<float> {name}_unused{index}({_product(tensor.shape)});")
        arrays.append(named.get(tensor.name, f"{name}_unused{index}.data()"))
    statements.append(f"float *const {name}_tensors[] = {{{', '.join(arrays)}}};")
    statements.append(f"{name}.Fill({name}_tensors);")
    return statements


def _product(shape: Iterable[int]) -> int:
    product = 1
    for length in shape:
        product *= length
    return product


def _scalar(column: InputColumn, frame: FrameColumns, model: str, option: str) -> str:
    if column.expression is None:
        return f"static_cast<float>({column.constant!r})"
    return f"static_cast<float>({_code(column, frame, model, option, many=False)})"


def _code(column: InputColumn, frame: FrameColumns, model: str, option: str, many: bool) -> str:
    """C++ of the column's expression; an error also says which input of which model it was for."""
    try:
        return frame.code(str(column.expression), many)
    except (ColumnNotFoundError, ColumnTypeError, ExpressionError) as error:
        value = "number or expression" if option == "parameters" else "expression"
        raise type(error)(
            f"input '{column.label}' of '{model}': {error} Another one is bound with "
            f"{option}={{'{column.label}': {value}}}."
        ) from None
