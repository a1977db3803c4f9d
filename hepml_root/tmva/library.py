"""A weight file as a compiled library, with what a Reader has to know of it: made once, kept in the cache.

Readers in other languages (``include/hepml_root/Reader.hxx``) ask for it by ``hepml-root library FILE``.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import re
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hepml_root.errors import OutputWriteError, SourceNotFoundError, UnsupportedOperationError
from hepml_root.inference.compile import compile
from hepml_root.output import cache_folder

_ANALYSES = {"binary": "Classification", "multiclass": "Multiclass", "regression": "Regression"}
_DESCRIPTION = "description.json"
_COMPANION = re.compile(rb'<Weights\b[^>]{0,4096}\bModel="([^"]{1,1024})"')


def library(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Compile a weight file, or an ONNX file, and say what it takes and gives.

    The graph is kept in ``$HEPML_ROOT_CACHE`` under a hash of the file's content and of this package, the
    library as :func:`hepml_root.compile` keeps it.

    Arguments
    ---------
    path
        A file ``*.weights.xml`` of TMVA or of ours, or an ``.onnx`` file with plain columns as input.

    Returns
    -------
    dict
        ``library``: path of the shared library, None of the method Cuts, which needs none. ``method``,
        ``title``, ``analysis`` as in TMVA; ``variables``, ``spectators``: each with ``expression`` and
        ``label``; ``inputs``: the expressions of the columns that the library takes; ``outputs``: labels of
        the values it gives; ``cuts``: None, or the boxes ``least``, ``most`` ``(boxes, variables)``, one for
        each step of the signal efficiency; ``densities``: None, or those of the response of signal and
        background (CreateMVAPdfs), each with ``edges``, ``values``, and whether they are ``interpolated``
        between the centres of the bins.

    Raises
    ------
    SourceNotFoundError, ModelFileError, UnsupportedOperationError
        As :func:`hepml_root.tmva.read_weights`.
    CompilerError, ParityError, OutputWriteError
        As :func:`hepml_root.compile`.

    Example
    -------
    >>> library("missing.weights.xml")
    Traceback (most recent call last):
    hepml_root.errors.SourceNotFoundError: there is no weight file 'missing.weights.xml'.
    """
    path = Path(path)
    if path.suffix == ".onnx":
        return _of_onnx(path)
    folder = cache_folder() / f"weights-{_key(path)}"
    try:
        description = json.loads((folder / _DESCRIPTION).read_text(encoding="utf-8"))
        complete = description["graph"] is None or (folder / description["graph"]).is_file()
    except (OSError, ValueError, KeyError):
        complete = False
    if not complete:
        description = _fill(path, folder)
    graph = description.pop("graph")
    compiled = None if graph is None else compile(folder / graph).library
    return {"library": None if compiled is None else str(compiled), **description}


def _key(path: Path) -> str:
    """Return a hash of the weight file, of the graph beside it, and of the code that reads them."""
    try:
        content = path.read_bytes()
    except OSError as error:
        if isinstance(error, FileNotFoundError):
            raise SourceNotFoundError(f"there is no weight file '{path}'.") from None
        raise SourceNotFoundError(f"the weight file '{path}' cannot be read: {error.strerror}.") from error
    digest = hashlib.sha256()
    parts = [str(path.name).encode(), content]
    for name in _COMPANION.findall(content)[:1]:
        with contextlib.suppress(OSError, UnicodeDecodeError, ValueError):
            parts.append((path.parent / name.decode()).read_bytes())
    package = Path(__file__).resolve().parent
    for file in sorted([*package.rglob("*.py"), package.parent / "__init__.py"]):
        parts += [file.name.encode(), file.read_bytes()]
    for part in parts:
        digest.update(len(part).to_bytes(8, "little") + part)
    return digest.hexdigest()[:32]


def _fill(path: Path, folder: Path) -> dict[str, Any]:
    """Write graph and description into a temporary folder, and give it its name in one step."""
    from hepml_root.tmva.weights.conversion import inputs, write
    from hepml_root.tmva.weights.cuts import Cuts
    from hepml_root.tmva.weights.weights_xml import read_weights

    weights = read_weights(path)
    header = weights.header
    graph = None
    cuts = None
    if isinstance(weights.weights, Cuts):
        found = weights.weights
        cuts = {"least": found.least.tolist(), "most": found.most.tolist()}
    else:
        graph = "".join(c if c.isalnum() and c.isascii() else "_" for c in header.title or header.method)
        graph += ".onnx"
    description: dict[str, Any] = {
        "graph": graph,
        "method": header.method,
        "title": header.title,
        "analysis": header.analysis,
        "variables": _named(header.variables),
        "spectators": _named(header.spectators),
        "inputs": [variable.expression for variable in inputs(weights)],
        "outputs": list(header.outputs),
        "cuts": cuts,
        "densities": None if weights.mva_pdfs is None else [_density(pdf) for pdf in weights.mva_pdfs],
    }
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".reading-", dir=folder.parent) as name:
            work = Path(name) / "weights"
            work.mkdir()
            if graph is not None:
                write(
                    weights, work / graph, signal_efficiency=None, events=None, overwrite=False,
                    points=None, generated=(),
                )  # fmt: skip
            (work / _DESCRIPTION).write_text(json.dumps(description), encoding="utf-8")
            try:
                work.rename(folder)
            except OSError as error:
                if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                    raise
                # Of another process, or damaged: in any case what is here is right.
                folder.rename(work.with_name("before"))
                work.rename(folder)
    except OutputWriteError:
        raise
    except OSError as error:
        raise OutputWriteError(
            f"the cache '{folder.parent}' cannot be written: {error.strerror or error}. "
            "Set HEPML_ROOT_CACHE to a folder that can."
        ) from error
    return description


def _density(pdf: Any) -> dict[str, Any]:
    return {
        "edges": pdf.edges.tolist(), "values": pdf.values.astype(float).tolist(),
        "interpolated": bool(pdf.interpolated),
    }  # fmt: skip


def _named(variables: Sequence[Any]) -> list[dict[str, str]]:
    return [{"expression": variable.expression, "label": variable.label} for variable in variables]


def _of_onnx(path: Path) -> dict[str, Any]:
    found = _columns(path, path)
    compiled = compile(path)
    return {"library": str(compiled.library), **found, "cuts": None, "densities": None}


def _columns(path: Path, source: Path) -> dict[str, Any]:
    """Describe an ONNX file by its manifest."""
    from hepml_root.export import read_manifest

    if not path.is_file():
        raise SourceNotFoundError(f"there is no model file '{path}'.")
    manifest = read_manifest(path)
    kinds = [block["kind"] for block in manifest["inputs"]]
    if kinds != ["flat"] or len(manifest["outputs"]) != 1:
        raise UnsupportedOperationError(
            f"'{source}' takes {', '.join(kinds)} and gives {len(manifest['outputs'])} outputs; a Reader "
            "takes plain columns alone, and one output. hepml_root::rdf::Define and hepml_root.Session take "
            "all models."
        )
    (block,), (output,) = manifest["inputs"], manifest["outputs"]
    if manifest["task"] not in _ANALYSES:
        raise UnsupportedOperationError(
            f"'{source}' is a model for {manifest['task']}; a Reader takes {', '.join(_ANALYSES)}."
        )
    columns = [{"expression": c["expression"], "label": c["label"]} for c in block["columns"]]
    spectators = [
        {"expression": c["expression"], "label": c["label"]} for c in manifest.get("spectators", ())
    ]
    return {
        "method": "ONNX",
        "title": manifest["name"],
        "analysis": _ANALYSES[manifest["task"]],
        "variables": columns,
        "spectators": spectators,
        "inputs": [column["expression"] for column in columns],
        "outputs": output["labels"] or [output["name"]],
    }
