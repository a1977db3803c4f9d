"""Keras → ONNX: ``emitter.py`` walks the model, ``rules.py`` knows the rule of every layer and operation.

The rules are in a module for each family; ``graph.py`` is what they build, ``simplify.py`` and
``transposes.py`` tidy it up.
"""

from hepml_root.export.onnx.emitter import emit, input_names, named_outputs, predict

__all__ = ["emit", "input_names", "named_outputs", "predict"]
