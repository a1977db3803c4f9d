"""Export of trained networks: one self-contained ONNX file, and C++ made from it.

The package is callable: ``hr.export(model, "higgs.onnx")`` is :func:`export`.

- :mod:`hepml_root.export.onnx` Keras → ONNX, with a rule a layer or operation
- :mod:`hepml_root.export.trees` LightGBM → ONNX
- :mod:`hepml_root.export.manifest` the JSON manifest inside the file
- :mod:`hepml_root.export.parity` whether two runtimes agree
- :mod:`hepml_root.export.certificate` the record of it in the manifest, generated code included
- :mod:`hepml_root.export.cpp` ONNX → C++ header
"""

from __future__ import annotations

import sys
import types
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

__all__ = ["adopt", "export", "read_manifest"]


def export(
    model: Any,
    path: str | Path,
    *,
    data: Any = None,
    overwrite: bool = False,
    working_points: Sequence[Mapping[str, Any]] | Mapping[str, float] | None = None,
    tolerance: float = 1e-5,
    certify: bool | Sequence[str] = True,
) -> Path:
    """Write a trained model to one self-contained ``.onnx`` file, after checking that it computes the same.

    The file holds the network with its variable transforms, named inputs ``(events, ...)`` in float32 with
    any number of events, and a manifest: column expressions and units, classes, working points, provenance,
    and some real events with their scores. Keras (or LightGBM), ONNX Runtime and our C++ (and SOFIE, in a
    ROOT that has it) are compared on real events and on extreme ones before the file gets its name; the
    manifest's "parity" is the certificate (:mod:`hepml_root.export.certificate`).

    Arguments
    ---------
    model
        A Keras model, or the path of a ``.keras`` file; boosted trees of :func:`hepml_root.models.boosted`,
        their file ``.trees``, or a LightGBM model (with ``data``).
    path
        The file to write.
    data
        A :class:`Dataset` of the events to check on; by default the events that the model keeps from its
        training. Needed if the model carries no manifest (a Keras model from elsewhere): then it describes
        the inputs. A ``describe()`` dictionary is taken too, and then no event is real.
    overwrite
        Replace an existing file.
    working_points
        ``{"tight": 0.9}``, or a list of ``{"name", "threshold", ...}`` with whatever else describes them.
    tolerance
        Largest difference allowed, relative to the scale of the outputs.
    certify
        Compare generated code, too, or which: ``["cpp", "sofie"]``. It is compiled, some seconds, and stays
        in the cache for `define`, `apply` and `compile`. Without a compiler, or for a network that the engine
        refuses, the manifest says why it was not compared. ``HEPML_ROOT_CERTIFY=0`` in the environment
        switches it off everywhere.

    Returns
    -------
    Path
        The path of the file.

    Raises
    ------
    UnsupportedOperationError
        A layer or an operation has no counterpart in ONNX; it is named, and nothing is written.
    ParityError
        ONNX Runtime or generated code differs from Keras, or LightGBM; nothing is written.
    ModelFileError
        The model carries no manifest and ``data`` is not given.
    ShapeError
        ``data`` has other inputs than the model.
    OutputExistsError, OutputWriteError
        The file exists or cannot be written.

    Example
    -------
    >>> import tempfile, numpy as np, hepml_root as hr
    >>> rng = np.random.default_rng(1)
    >>> x, labels = rng.normal(size=(200, 3)), rng.integers(0, 2, 200)
    >>> data = hr.Dataset.from_arrays(x, labels, classes=["background", "signal"])
    >>> model = hr.models.dense(data, hidden=(8,))
    >>> path = hr.export(model, tempfile.mkdtemp() + "/small.onnx", working_points={"loose": 0.4})
    >>> hr.export.read_manifest(path)["working_points"]
    [{'name': 'loose', 'threshold': 0.4}]
    """
    from hepml_root.export.model_file import write_checked

    return write_checked(
        model, Path(path), data=data, overwrite=overwrite, points=working_points, tolerance=tolerance,
        certify=certify,
    )  # fmt: skip


def adopt(
    onnx_in: str | Path,
    onnx_out: str | Path,
    *,
    data: Any,
    inputs: Mapping[str, str] | None = None,
    output: str | None = None,
    labels: Sequence[str] | None = None,
    overwrite: bool = False,
    working_points: Sequence[Mapping[str, Any]] | Mapping[str, float] | None = None,
    certify: bool | Sequence[str] = True,
) -> Path:
    """Give an ONNX file from elsewhere (PyTorch, scikit-learn, tf2onnx) a manifest, so that it can be
    applied.

    Of classifiers as skl2onnx writes them the probabilities are taken, and the class label is left out.
    Scores are what the file computes: where it ends in logits, end the network with a sigmoid or softmax
    before exporting it.

    Arguments
    ---------
    onnx_in, onnx_out
        The file as it is, and the file to write.
    data
        The :class:`Dataset` (or its ``describe()`` dictionary) whose blocks the network takes, in float32 and
        with the columns in the same order.
    inputs
        ``{input of the graph: block of the data}``, where the names differ ("features" and "particles" with
        "particles_mask" are names of blocks). A single input takes the name of a single block by itself.
    output
        The output that holds the scores, where the graph has several.
    labels
        What the values of the output are, in the network's order, where that is not the order of
        ``data.classes``: ``["background", "signal"]`` of a classifier with both probabilities. Of a binary
        task the signal is taken.
    overwrite, working_points, certify
        As in :func:`export`.

    Raises
    ------
    ModelFileError
        ``onnx_in`` is no ONNX file, or ONNX Runtime does not run it.
    ParityError
        Generated code differs from ONNX Runtime; nothing is written.
    ShapeError
        Its inputs are not the blocks of ``data``, or its output has another number of values.
    SettingError
        ``inputs``, ``output`` or ``labels`` name something that is not there.

    Example
    -------
    A classifier that gives two probabilities, as scikit-learn's do:

    >>> import tempfile, numpy as np, onnx, hepml_root as hr
    >>> nodes = [onnx.helper.make_node("Softmax", ["input"], ["probabilities"], axis=1)]
    >>> ends = [[onnx.helper.make_tensor_value_info(n, 1, ["N", 2])] for n in ("input", "probabilities")]
    >>> opset = [onnx.helper.make_opsetid("", 18)]
    >>> model = onnx.helper.make_model(onnx.helper.make_graph(nodes, "g", *ends), opset_imports=opset)
    >>> model.ir_version = 10
    >>> folder = tempfile.mkdtemp()
    >>> onnx.save(model, folder + "/sklearn.onnx")
    >>> x = np.random.default_rng(1).normal(size=(100, 2))
    >>> data = hr.Dataset.from_arrays(x, x[:, 1] > 0, columns=["pt", "eta"])
    >>> order = ["background", "signal"]
    >>> path = adopt(folder + "/sklearn.onnx", folder + "/mine.onnx", data=data, labels=order)
    >>> read_manifest(path)["outputs"]
    [{'name': 'probabilities', 'shape': [1], 'labels': ['signal']}]
    """
    from hepml_root.export.model_file import write_adopted

    return write_adopted(
        Path(onnx_in), Path(onnx_out), data=data, inputs=inputs or {}, output=output, labels=labels,
        overwrite=overwrite, points=working_points, certify=certify,
    )  # fmt: skip


def read_manifest(path: str | Path) -> dict[str, Any]:
    """Return the manifest of a model file; see :mod:`hepml_root.export.manifest`."""
    from hepml_root.export import manifest

    return manifest.read_manifest(path)


class _CallablePackage(types.ModuleType):
    """Makes ``hr.export(...)`` and ``hr.export.onnx`` both work."""

    def __call__(self, *args: Any, **kwargs: Any) -> Path:
        return export(*args, **kwargs)


sys.modules[__name__].__class__ = _CallablePackage
