"""ONNX file → one C++ header that computes the network, with ROOT SOFIE's class and method names.

The road: ``reading.py`` reads the graph into steps (one rule per operator, in ``elementwise.py``,
``dense.py``, ``shape.py``, ``reduction.py`` and their siblings), ``passes.py`` fuses them and gives every
value its place, and this module fills ``export/templates/model.hxx`` with the code of the steps, the weights,
and the engine's own headers (``include/hepml_root/engine``), so that the result needs nothing but the
standard library.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hepml_root.errors import SettingError, unknown
from hepml_root.export.cpp.graph import Graph, Tensor
from hepml_root.export.cpp.passes import optimise, place, vectors
from hepml_root.export.cpp.reading import load, lower
from hepml_root.export.cpp.weights import Weights
from hepml_root.export.cpp.weights import lines as lines_of
from hepml_root.export.cpp.winograd import filter_minimally
from hepml_root.export.identity import identity
from hepml_root.output import writing

if TYPE_CHECKING:
    import onnx

PACKAGE = Path(__file__).resolve().parents[2]
TEMPLATE = PACKAGE / "export" / "templates" / "model.hxx"
INCLUDE = PACKAGE / "include"
ENGINE = tuple(sorted((INCLUDE / "hepml_root" / "engine").glob("*.hxx")))

# What the engine's headers stand between (engine/sums.hxx), by what sums are added up in.
ACCUMULATED = {
    "float32": ("", ""),
    "float64": ("#define HEPML_ROOT_ACCUMULATE_DOUBLE 1\n", "#undef HEPML_ROOT_ACCUMULATE_DOUBLE\n"),
}

# Of the inputs of models from elsewhere, for manifests.
KINDS = {"float": "flat", "bool": "mask", "int": "index"}

# Up to here the weights are written into the header as numbers; compilers become slow beyond.
MOST_WEIGHTS_IN_HEADER = 2_000_000


@dataclass(frozen=True)
class CppSource:
    """A generated network.

    ``header`` is the text of the header, ``namespace`` its C++ namespace, ``hash`` the hash of the model and
    of the engine that went into it, ``manifest`` the model's manifest, ``weights`` all its weights as the
    engine reads them. If ``side_file`` is set they are not in the header, which reads them from the file
    ``<name>.weights``.
    """

    name: str
    namespace: str
    header: str
    hash: str
    manifest: dict[str, Any]
    weights: bytes
    side_file: bool = False

    def save(self, folder: str | os.PathLike[str], *, overwrite: bool = False) -> Path:
        """Write ``<name>.hxx``, and ``<name>.weights`` if there is one; return the header's path.

        Raises
        ------
        OutputExistsError, OutputWriteError
        """
        path = Path(folder) / f"{self.name}.hxx"
        if self.side_file:
            with writing(path.with_suffix(".weights"), overwrite) as temporary:
                temporary.write_bytes(self.weights)
        with writing(path, overwrite) as temporary:
            temporary.write_text(self.header, encoding="ascii")
        return path


def generate(
    model: str | os.PathLike[str] | onnx.ModelProto,
    name: str | None = None,
    *,
    batched: bool | None = None,
    accumulate: str = "float32",
    events: int = 1,
) -> CppSource:
    """Return the C++ header of an ONNX model.

    The header has ``namespace TMVA_SOFIE_<name> { struct Session { ... }; }`` with

    * ``std::vector<float> infer(const float* x)``: one event; one pointer per input, in the file's order,
    * ``void infer(const float* x, std::size_t n, float* out)``: ``n`` events, for one input and one output,
    * ``void infer(const float* const* x, std::size_t n, float* const* out)``: the same for any number,
    * ``static const char* manifest()``: the model's manifest as JSON.

    Inputs are rows ``(events, features)`` in row-major order; a mask is given as 0 and 1.

    Arguments
    ---------
    model
        Path of an ``.onnx`` file, or an ONNX model.
    name
        Name of the model in C++; by default that of the file. Characters that cannot stand in a C++ name
        become ``_``.
    batched
        Whether the first axis of every input is the batch, which is free (as for None), or, if False, the
        model is static: all shapes are fixed and used as they are, and one event is one whole set of inputs.
    accumulate
        In what products with matrices, reductions and normalisations are added up: "float32", or "float64",
        several times slower, to see how much of a difference are rounding errors of sums.
    events
        How many events ``infer(x)`` takes and gives, one after the other: SOFIE's models have a fixed batch.

    Raises
    ------
    SettingError
        ``accumulate`` is neither, or ``events`` is not positive.
    SourceNotFoundError
        There is no such file.
    ModelFileError
        It is no valid ONNX model, or its manifest is damaged.
    UnsupportedOperationError
        An operator, type or shape that cannot be generated, by the name of its node.

    Example
    -------
    >>> from onnx import TensorProto, helper
    >>> x = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 3])
    >>> y = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 3])
    >>> graph = helper.make_graph([helper.make_node("Tanh", ["x"], ["y"])], "small", [x], [y])
    >>> source = generate(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)]))
    >>> source.namespace, "hyperbolic_tangent" in source.header
    ('TMVA_SOFIE_small', True)
    """
    if accumulate not in ACCUMULATED:
        raise SettingError(unknown("type to accumulate in", accumulate, ACCUMULATED))
    if events < 1:
        raise SettingError(f"events={events}: infer(x) takes at least one event.")
    if isinstance(model, str | os.PathLike):
        path = Path(model)
        loaded = load(path)
        name = name or path.stem
    else:
        loaded = model
        # Where the name is no text, protobuf gives bytes, and the reader refuses the model.
        name = name or str(model.graph.name)
    name = identifier(name)
    graph = lower(loaded, batched=batched is not False)
    optimise(graph)
    if accumulate == "float32":  # sums in double are for checks, of sums as they are written
        filter_minimally(graph)
    manifest = manifest_of(loaded, graph)
    digest = hashlib.sha256(identity(loaded.SerializeToString(deterministic=True)))
    digest.update(f"{engine_hash()} {batched is not False} {accumulate}".encode())
    if events > 1:
        digest.update(f" {events} events".encode())
    return _write(name, graph, manifest, digest.hexdigest(), accumulate, events)


def identifier(name: str) -> str:
    """Return ``name`` with everything that a C++ name may not hold replaced by ``_``.

    >>> identifier("my model-2; int main"), identifier("")
    ('my_model_2_int_main', 'model')
    """
    # Double underscores are reserved in C++.
    return re.sub(r"_+", "_", re.sub(r"[^A-Za-z0-9]", "_", name)).strip("_")[:64] or "model"


def string_literal(text: str, indent: str = "") -> str:
    """Return ``text`` as C++ string literals, one per line, of printable ASCII only.

    Everything else, and the characters that mean something to C++ (quotes, backslashes, question marks of
    trigraphs), is written as an octal escape, so that no text can end the literal.

    >>> string_literal('a"b')
    '"a\\\\042b"'
    """
    safe = "".join(
        chr(byte) if 32 <= byte < 127 and byte not in b'"\\?' else f"\\{byte:03o}"
        for byte in text.encode("utf-8")
    )
    pieces = re.findall(r"(?:\\[0-7]{3}|[^\\]){1,100}", safe) or [""]
    return f"\n{indent}".join(f'"{piece}"' for piece in pieces)


def manifest_of(model: onnx.ModelProto, graph: Graph) -> dict[str, Any]:
    """Return the manifest in a model's metadata, or one made of names and shapes for a model from elsewhere.

    Raises
    ------
    ModelFileError
        The manifest is damaged or does not fit the graph.
    """
    from hepml_root.export import manifest as manifests

    if any(entry.key == manifests.KEY for entry in model.metadata_props):
        # How closely runtimes agreed is no part of what the model is, nor of its code.
        return {**manifests.manifest_in(model), "parity": {}}
    return {
        "format": manifests.FORMAT,
        "version": manifests.VERSION,
        "name": graph.name,
        "inputs": [
            {"name": name, "kind": KINDS[tensor.kind], "shape": list(tensor.shape)}
            for name, tensor in graph.inputs
        ],
        "outputs": [{"name": name, "shape": list(tensor.shape)} for name, tensor in graph.outputs],
    }


@cache
def engine_hash() -> str:
    """Return the hash of all that turns a model into code: the engine, the template and the generator."""
    digest = hashlib.sha256()
    for path in (*ENGINE, TEMPLATE, *sorted(Path(__file__).parent.glob("*.py"))):
        digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()


@cache
def _included(name: str) -> tuple[str, ...]:
    """Return a header of the engine and those that it includes, the innermost first."""
    text = (INCLUDE / "hepml_root" / "engine" / f"{name}.hxx").read_text(encoding="ascii")
    found = re.findall(r'^#include "([a-z_0-9]+)\.hxx"$', text, flags=re.M)
    return tuple(dict.fromkeys([*(inner for other in found for inner in _included(other)), name]))


@cache
def _engine_text(names: tuple[str, ...], accumulate: str) -> tuple[str, str]:
    """Return headers of the engine, with those that they include, as one text, and their namespace in it.

    The namespace carries a hash of the text: headers that were generated by different versions can then be
    included side by side, and those that use the same parts of one version share them.
    """
    order = dict.fromkeys(inner for name in names for inner in _included(name))
    folder = INCLUDE / "hepml_root" / "engine"
    text = "\n".join((folder / f"{name}.hxx").read_text(encoding="ascii") for name in order)
    define, undefine = ACCUMULATED[accumulate]
    text = f"{define}{text}{undefine}"
    digest = hashlib.sha256(text.encode()).hexdigest()[:12]
    namespace = f"hepml_root::engine_{digest}"
    text = re.sub(r'#pragma once\n|#include "[a-z_0-9]+\.hxx"\n', "", text)
    text = text.replace("namespace hepml_root::engine", f"namespace {namespace}")
    guard = f"HEPML_ROOT_ENGINE_{digest}"
    return f"#ifndef {guard}\n#define {guard}\n{text}#endif // {guard}", namespace


def _headers(graph: Graph, side_file: bool) -> tuple[str, ...]:
    """Return the headers of the engine that a network needs: a small network has a small header."""
    needed = {"run", *(header for step in graph.steps for header in step.headers)}
    if side_file:
        needed.add("weights_file")
    if any(tensor.kind == "bool" for _, tensor in graph.inputs):
        needed.add("functions")
    return tuple(sorted(needed))


def _write(
    name: str, graph: Graph, manifest: dict[str, Any], digest: str, accumulate: str, events: int
) -> CppSource:
    places, room = place(graph)
    weights = Weights()

    def where(tensor: Tensor) -> str:
        return f"v + {places[tensor.step] + tensor.offset} * M::lanes"

    compute = ["(void)w;", "(void)v;"]
    for step in graph.steps:
        compute += step.code(f"v + {places[step]} * M::lanes", where, weights)
    array, tables = weights.array(), weights.tables()
    in_header = array.size + tables.size <= MOST_WEIGHTS_IN_HEADER
    data = array.astype("<f4").tobytes() + tables.astype("<i4").tobytes()
    if tables.size:
        compute.insert(
            0, f"const auto* const tables = reinterpret_cast<const unsigned char*>(w + {array.size});"
        )

    engine, engine_namespace = _engine_text(_headers(graph, not in_header), accumulate)
    namespace = f"TMVA_SOFIE_{name}"
    blocks: dict[str, Iterable[str]] = {
        "guard": [
            f"#ifndef HEPML_ROOT_MODEL_{name}_{digest[:12]}",
            f"#define HEPML_ROOT_MODEL_{name}_{digest[:12]}",
        ],
        "endguard": ["#endif"],
        "engine": engine.splitlines(),
        "alias": [f"namespace engine = {engine_namespace};"],
        "weights": _weights(array, tables, in_header),
        "formulas": weights.formulas(),
        "sizes": _sizes(graph, room),
        "read": [
            f"engine::read_rows<M, {tensor.size}>(x[{i}] + first * {tensor.size}, events, {where(tensor)});"
            for i, (_, tensor) in enumerate(graph.inputs)
        ]
        + [
            f"engine::each<M, {tensor.size}>({where(tensor)}, "
            f"[&](auto at) {{ return engine::not_zero(at.value({where(tensor)})); }});"
            for _, tensor in graph.inputs
            if tensor.kind == "bool"
        ],
        "compute": compute,
        "write": [
            f"engine::write_rows<M, {tensor.size}>({where(tensor)}, events, y[{i}] + first * {tensor.size});"
            for i, (_, tensor) in enumerate(graph.outputs)
        ],
        "infer": _infer(graph, events),
        "manifest": [f"return {string_literal(json.dumps(manifest, sort_keys=True), '       ')};"],
    }
    if not in_header:
        blocks |= _side_file(name, array.size + tables.size, data)
    header = _fill(TEMPLATE.read_text(encoding="ascii"), blocks).replace("TMVA_SOFIE_model", namespace)
    header = header.replace('#include "model.hxx"', f'#include "{name}.hxx"')
    return CppSource(name, namespace, header, digest, manifest, data, not in_header)


def _fill(template: str, blocks: dict[str, Iterable[str]]) -> str:
    """Replace every block between the lines "// begin NAME" and "// end NAME" for which there are lines."""

    def replacement(match: re.Match[str]) -> str:
        indent, key, old = match.group(1), match.group(2), match.group(3)
        if key not in blocks:
            return old
        return "".join(f"{indent}{line}".rstrip() + "\n" for line in blocks[key])

    text = re.sub(r"^( *)// begin (\w+)\n(.*?)^ *// end \2\n", replacement, template, flags=re.M | re.S)
    return re.sub(r"^// This template is valid.*?\n(?=#)", "", text, flags=re.M | re.S)


def _weights(array: np.ndarray, tables: np.ndarray, in_header: bool) -> Iterable[str]:
    if not in_header:
        return [f"constexpr std::size_t weight_count = {array.size + tables.size};"]
    lines = [
        f"alignas(64) inline const float weights[{array.size}] = {{",
        *(f"   {line}" for line in lines_of(array)),
        "};",
    ]
    if tables.size:
        # The tables of 32-bit words follow the weights, as in a file of weights.
        both = f"{{ float numbers[{array.size}]; std::uint32_t words[{tables.size}]; }}"
        lines[0] = (
            f"struct NumbersAndWords {both};\nalignas(64) inline const NumbersAndWords all_weights = {{{{"
        )
        lines[-1:] = ["}, {", *(f"   {line}" for line in lines_of(tables)), "}};"]
        lines += ["inline const float* const weights = all_weights.numbers;"]
    return lines


def _sizes(graph: Graph, room: int) -> list[str]:
    sizes = [", ".join(str(tensor.size) for _, tensor in values) for values in (graph.inputs, graph.outputs)]
    return [
        "// Floats per event for all values that are needed at the same time.",
        f"static constexpr std::size_t room = {room};",
        "// Registers of events per block.",
        f"static constexpr std::size_t vectors = {vectors(graph, room)};",
        f"static constexpr std::size_t inputs = {len(graph.inputs)};",
        f"static constexpr std::size_t outputs = {len(graph.outputs)};",
        f"static constexpr std::size_t input_sizes[] = {{{sizes[0]}}};",
        f"static constexpr std::size_t output_sizes[] = {{{sizes[1]}}};",
    ]


def _infer(graph: Graph, events: int = 1) -> list[str]:
    """Return SOFIE's infer() for one event (or ``events``), with an argument per input, and for one input
    also n events."""
    names = [f"input_{i}" for i in range(len(graph.inputs))] if len(graph.inputs) > 1 else ["input"]
    several = len(graph.outputs) > 1
    result = "std::vector<std::vector<float>>" if several else "std::vector<float>"
    pointers = ", ".join(f"const float* {name}" for name in names)
    vectors = ", ".join(f"const std::vector<float>& {name}" for name in names)
    sizes = [tensor.size for _, tensor in graph.outputs]
    data = [f"y[{i}].data()" for i in range(len(sizes))] if several else ["y.data()"]
    from_vectors = ", ".join(f"{name}.data()" for name in names)

    def body(count: str, floats: list[str]) -> list[str]:
        made = (
            "{" + ", ".join(f"std::vector<float>({size})" for size in floats) + "}"
            if several
            else f"({floats[0]})"
        )
        return [
            "{",
            f"   {result} y{made};",
            f"   const float* const x[] = {{{', '.join(names)}}};",
            f"   float* const to[] = {{{', '.join(data)}}};",
            f"   infer(x, {count}, to);",
            "   return y;",
            "}",
            "",
        ]

    lines = [
        f"{result} infer({pointers}) const",
        *body(str(events), [str(size * events) for size in sizes]),
        "// As SOFIE's models with a free batch: n events, those of an output one after the other.",
        f"{result} infer(std::size_t n, {pointers}) const",
        *body("n", [f"n * {size}" for size in sizes]),
        f"{result} infer({vectors}) const {{ return infer({from_vectors}); }}",
    ]
    if len(names) == 1 and not several:
        lines += [
            "",
            "void infer(const float* input, std::size_t n, float* y) const",
            "{",
            "   const float* const x[] = {input};",
            "   float* const to[] = {y};",
            "   infer(x, n, to);",
            "}",
        ]
    return lines


def _side_file(name: str, count: int, data: bytes) -> dict[str, Iterable[str]]:
    """Return the blocks of a header whose weights are in a file: read by a Session, shared by its copies."""
    return {
        "constructor": [
            f'// The file of weights, SOFIE\'s own argument; by default "{name}.weights" in this folder.',
            f'explicit Session(const std::string& file = "{name}.weights")',
            f"   : values(engine::read_weights(file, {count}, {checksum(data)}ull))",
            "{",
            "}",
        ],
    }


def checksum(data: bytes) -> int:
    """Return the 64-bit checksum of a file of weights that engine/weights_file.hxx computes when it reads it.

    The sum of the 32-bit words, each times an odd number that depends on its place, modulo 2^64: any single
    changed word, and any two exchanged ones, are seen.
    """
    words = np.frombuffer(data, dtype="<u4").astype(np.uint64)
    factors = np.arange(words.size, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15) | np.uint64(1)
    return int(((words + np.uint64(1)) * factors).sum(dtype=np.uint64))
