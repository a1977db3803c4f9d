"""``hepml-root inspect``: what a model file takes and gives, what it was made of and compared with."""

from __future__ import annotations

import argparse
import json
import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from hepml_root.errors import ModelFileError

if TYPE_CHECKING:
    import onnx

EXAMPLES = """\
A file of another program has no manifest: its inputs and outputs are shown; `hepml-root adopt` writes one.

examples:
  hepml-root inspect higgs.onnx                         inputs, outputs, working points, parity, provenance
  hepml-root inspect higgs.onnx --json                  the manifest, for programs"""

_BARE = "(the file has no manifest of hepml_root: hepml-root adopt writes one)"


def add_inspect(command: Callable[..., argparse.ArgumentParser]) -> None:
    """Add the command to the command line."""
    added = command("inspect", run, "say what a model file takes, gives and was made of", EXAMPLES)
    added.add_argument("model", metavar="MODEL.onnx", help="an ONNX file, of hepml_root or of others")
    added.add_argument("--json", action="store_true", help="print the manifest as JSON")


def run(options: argparse.Namespace) -> int:
    """Run the command with its parsed options."""
    from hepml_root.export import manifest as manifests

    proto = manifests.load_onnx(options.model)
    foreign = all(entry.key != manifests.KEY for entry in proto.metadata_props)
    if options.json:
        if foreign:
            raise ModelFileError(
                f"'{options.model}' has no manifest of hepml_root; without --json its inputs show."
            )
        manifest = manifests.validate(manifests.manifest_in(proto), proto)
        print(json.dumps({key: value for key, value in manifest.items() if key != "probe"}, indent=2))
        return 0
    found = _graph(proto) if foreign else described(manifests.validate(manifests.manifest_in(proto), proto))
    print("\n".join([*found, *_contents(proto)]))
    return 0


def described(manifest: Mapping[str, Any]) -> list[str]:
    """Return a manifest in words, as lines.

    Example
    -------
    >>> column = {"label": "m_bb", "expression": "m_bb / 1000", "units": "GeV"}
    >>> block = {"name": "features", "kind": "flat", "shape": [1], "columns": [column]}
    >>> small = {"name": "dense", "task": "binary", "inputs": [block], "outputs": [
    ...     {"name": "score", "shape": [1], "labels": ["signal"]}], "classes": ["background", "signal"],
    ...     "working_points": [{"name": "tight", "threshold": 0.9, "chosen_on": "validation"}],
    ...     "parity": {}, "provenance": {"versions": {"keras": "3.15"}, "created": "2026"}}
    >>> print("\\n".join(described(small)))
    dense: binary, of background, signal
    input features: flat, (events, 1)
      m_bb = m_bb / 1000 [GeV]
    output score: (events, 1): signal
    working point tight: score >= 0.9 (chosen_on validation)
    made 2026 with keras 3.15
    """
    about = manifest["classes"] or [target["label"] for target in manifest["targets"]]
    lines = [f"{manifest['name']}: {manifest['task']}, of {', '.join(about)}"]
    for block in manifest["inputs"]:
        lines.append(f"input {block['name']}: {block['kind']}, {_shape(block['shape'])}")
        lines += [f"  {text}" for text in map(_column, block["columns"])]
        if block.get("representation"):
            lines += [f"  {text}" for text in _representation(block["representation"])]
    for output in manifest["outputs"]:
        labels = f": {', '.join(output['labels'])}" if output["labels"] else ""
        lines.append(f"output {output['name']}: {_shape(output['shape'])}{labels}")
    lines += [_working_point(point, manifest["outputs"]) for point in manifest["working_points"]]
    lines += list(_parity(manifest["parity"]))
    versions = ", ".join(f"{name} {version}" for name, version in manifest["provenance"]["versions"].items())
    return [*lines, f"made {manifest['provenance']['created']} with {versions}"]


def _shape(shape: Sequence[Any]) -> str:
    return f"({', '.join(['events', *map(str, shape)])})"


def _column(column: Mapping[str, str]) -> str:
    equal = "" if column["expression"] == column["label"] else f" = {column['expression']}"
    return f"{column['label']}{equal}{f' [{units}]' if (units := column['units']) else ''}"


def _representation(description: Mapping[str, Any]) -> Iterator[str]:
    settings = ", ".join(f"{key}={value}" for key, value in description["settings"].items())
    yield f"made by {description['kind']} ({settings}) of"
    for column in (*description["columns"], *description["scalars"]):
        yield f"  {_column(column)}"


def _working_point(point: Mapping[str, Any], outputs: Sequence[Mapping[str, Any]]) -> str:
    facts = {key: value for key, value in point.items() if key not in ("name", "threshold", "output")}
    about = ", ".join(
        f"{key} {value:.4g}" if isinstance(value, float) else f"{key} {value}"
        for key, value in facts.items()
        if value is not None
    )
    output = point.get("output") or outputs[0]["name"]
    return (
        f"working point {point['name']}: {output} >= {point['threshold']:.6g}{f' ({about})' if about else ''}"
    )


def _parity(agreement: Mapping[str, Any]) -> Iterator[str]:
    from hepml_root.export.certificate import lines

    found = lines(agreement)
    if found:
        yield "largest differences between runtimes:"
        yield from (f"  {line}" for line in found)


def _graph(proto: onnx.ModelProto) -> list[str]:
    """Return what a file without a manifest says of its ends."""
    from hepml_root.export.manifest import graph_inputs

    ends = [("input", value) for value in graph_inputs(proto)]
    ends += [("output", value) for value in proto.graph.output]
    return [_BARE, *(f"{what} {value.name}: {_type(value)}" for what, value in ends)]


def _type(value: onnx.ValueInfoProto) -> str:
    from onnx import TensorProto

    if not value.type.HasField("tensor_type"):
        return value.type.WhichOneof("value") or "of no type"
    tensor = value.type.tensor_type
    sizes = ", ".join(str(d.dim_value) if d.dim_value else d.dim_param or "?" for d in tensor.shape.dim)
    return f"{TensorProto.DataType.Name(tensor.elem_type).lower()} ({sizes})"


def _contents(proto: onnx.ModelProto) -> Iterator[str]:
    """Say how large the network is, and what it is made of."""
    numbers = sum(math.prod(tensor.dims) for tensor in proto.graph.initializer)
    operators = Counter(node.op_type for node in proto.graph.node)
    made = ", ".join(f"{name} {count}" for name, count in operators.most_common())
    opset = next((entry.version for entry in proto.opset_import if entry.domain in ("", "ai.onnx")), "?")
    yield f"{numbers:,} numbers in weights; opset {opset}; {sum(operators.values())} nodes: {made}"
