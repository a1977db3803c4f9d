"""The Python side of a C++ program that trains: it takes calls, does them, and answers.

``include/hepml_root/Factory.hxx`` starts ``hepml-root factory`` and writes one JSON object a line into a
socket::

    {"cwd": "/home/me", "call": "DataLoader", "arguments": ["dataset"], "keep": "1"}
    {"cwd": "/home/me", "on": "1", "call": "AddSignalTree", "arguments": [{"tree": {...}}, 1.0]}

``call`` is a class of :data:`CLASSES`, or a method of the object kept as ``on``; its result is kept as
``keep``. Arguments are JSON values, ``{"object": name}`` of a kept object, ``{"tree": …}`` (:func:`_tree`),
``{"output": path}`` of a ROOT file to be written. The answer is ``{"value": …}`` or ``{"error": message}``.
What the methods print goes to the standard output meanwhile, as it comes.
"""

from __future__ import annotations

import contextlib
import ctypes
import importlib
import json
import os
import sys
import traceback
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from hepml_root.data.feed_library import import_root
from hepml_root.errors import HepmlError, SettingError, SourceNotFoundError, unknown
from hepml_root.tmva.methods.registry import method_class
from hepml_root.tmva.resampling.cross_validation_result import CrossValidationResult

CLASSES = {
    "DataLoader": "hepml_root.tmva.data_sets.dataloader",
    "Factory": "hepml_root.tmva.factory",
    "CrossValidation": "hepml_root.tmva.resampling.cross_validation",
}


class Conversation:
    """Objects that were made, and the calls that are done on them.

    Example
    -------
    >>> conversation = Conversation()
    >>> conversation.answer({"call": "DataLoader", "arguments": ["dataset"], "keep": "1"})
    {'value': None}
    >>> conversation.answer({"on": "1", "call": "GetName"})
    {'value': 'dataset'}
    >>> conversation.answer({"on": "1", "call": "AddVariabel", "arguments": ["x"]})["error"][:28]
    "no call 'AddVariabel'. Neare"
    """

    def __init__(self) -> None:
        self._objects: dict[str, Any] = {}
        self._files: dict[str, Any] = {}

    def answer(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Do one call and return its answer; errors become messages."""
        try:
            if "cwd" in request:
                os.chdir(request["cwd"])
            return {"value": self._do(request)}
        except HepmlError as error:
            return {"error": str(error), "kind": type(error).__name__}
        except KeyboardInterrupt:
            return {"error": "stopped with Ctrl-C", "kind": "KeyboardInterrupt"}
        except Exception as error:
            traceback.print_exc()
            return {"error": f"internal error, {type(error).__name__}: {error}", "kind": type(error).__name__}
        finally:
            sys.stdout.flush()
            ctypes.CDLL(None).fflush(None)  # what ROOT's C++ has printed

    def _do(self, request: Mapping[str, Any]) -> Any:
        call = request["call"]
        if call == "forget":
            self._objects.pop(request["on"], None)
            return None
        if call == "save":
            return self._save(request["on"])
        if call == "python":
            return sys.executable
        if call == "options":
            return _options(*request["arguments"])
        arguments = [self._value(argument) for argument in request.get("arguments", ())]
        if "on" in request:
            target = self._object(request["on"])
            calls = [name for name in dir(target) if name[0].isupper() and callable(getattr(target, name))]
        else:
            target, calls = None, list(CLASSES)
        if call not in calls:
            raise SettingError(unknown("call", str(call), calls))
        if target is None:
            found = getattr(importlib.import_module(CLASSES[call]), call)(*arguments)
        else:
            found = getattr(target, call)(*arguments)
        if request.get("keep"):
            self._objects[request["keep"]] = found
            return None
        return _plain(found)

    def _object(self, name: str) -> Any:
        if name not in self._objects:
            raise SettingError(f"the object of this call is gone: {unknown('object', name, self._objects)}")
        return self._objects[name]

    def _value(self, argument: Any) -> Any:
        if not isinstance(argument, Mapping):
            return argument
        if "object" in argument:
            return self._object(argument["object"])
        if "tree" in argument:
            return _tree(argument["tree"])
        path = argument["output"]
        self._files[path] = _opened(path, "RECREATE")
        return self._files[path]

    def _save(self, path: str) -> None:
        """Write what is in the memory of an output file, so that others can read it."""
        file = self._files[path]
        file.Write("", import_root().TObject.kOverwrite)
        file.SaveSelf(True)
        file.Flush()


def _options(type_name: str) -> list[dict[str, str]]:
    """Return the options of a method, for a program that reads option strings itself."""
    declared = method_class(type_name).own_options
    return [{"name": one.name, "default": str(one.default), "help": one.help} for one in declared]


def _opened(path: str, mode: str = "READ") -> Any:
    ROOT = import_root()
    with contextlib.suppress(OSError):  # PyROOT's own exception; what follows says more
        file = ROOT.TFile.Open(path, mode)
        if file and not file.IsZombie():
            return file
    raise SourceNotFoundError(f"the ROOT file '{path}' cannot be opened.")


def _tree(description: Mapping[str, Any]) -> Any:
    """Open a tree: ``files`` [[file, tree], …]; ``chain``: as a TChain; ``aliases``; ``friends`` [[tree,
    name], …]."""
    ROOT = import_root()
    parts = description["files"]
    if description.get("chain"):
        tree = ROOT.TChain(parts[0][1] if parts else "")
        for path, name in parts:
            tree.AddFile(path, ROOT.TTree.kMaxEntries, name)
    else:
        ((path, name),) = parts
        file = _opened(path)
        tree = file.Get(name)
        if not tree:
            raise SourceNotFoundError(f"'{path}' has no tree '{name}'.")
        tree._hepml_file = file  # kept open as long as the tree
    for name, formula in description.get("aliases", {}).items():
        tree.SetAlias(name, formula)
    friends = []
    for other, name in description.get("friends", ()):
        friends.append(_tree(other))
        tree.AddFriend(friends[-1], name)
    tree._hepml_friends = friends
    return tree


def _plain(value: Any) -> Any:
    """Return a result as JSON takes it."""
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, CrossValidationResult):
        return _folds(value)
    if isinstance(value, np.generic):
        return value.item()
    if hasattr(value, "GetListOfGraphs"):
        return [_plain(graph) for graph in value.GetListOfGraphs()]
    if hasattr(value, "GetN") and hasattr(value, "GetX"):
        points = [
            np.frombuffer(axis, np.float64, value.GetN()).tolist() for axis in (value.GetX(), value.GetY())
        ]
        return {"title": str(value.GetTitle()), "name": str(value.GetName()), "x": points[0], "y": points[1]}
    if isinstance(value, Mapping):
        return {str(name): _plain(entry) for name, entry in value.items()}
    if isinstance(value, (Sequence, np.ndarray)):
        return [_plain(entry) for entry in value]
    return None


def _folds(result: CrossValidationResult) -> dict[str, Any]:
    """Return the numbers of a cross validation by the names of their calls, and its curves."""
    calls = [name for name in dir(result) if name.startswith("Get") and name.endswith("Values")]
    numbers = {name: list(getattr(result, name)()) for name in calls if name != "GetROCValues"}
    curves = [] if result.analysis == "Regression" else _plain(result.GetROCCurves())
    average = _plain(result.GetAvgROCCurve()) if curves else None
    return {
        "title": result.title, "values": numbers | {"GetROCValues": list(result.GetROCValues().values())},
        "curves": curves, "average": average,
    }  # fmt: skip


def converse(descriptor: int) -> None:
    """Answer all calls that come through a socket, until it is closed.

    Arguments
    ---------
    descriptor
        The number of the open socket, which the starting program gives.
    """
    import_root().gROOT.SetBatch(True)
    conversation = Conversation()
    with os.fdopen(descriptor, "r+b", buffering=0) as socket:
        rest = b""
        while True:
            try:
                part = socket.read(1 << 16)
            except KeyboardInterrupt:
                continue  # Ctrl-C while nothing was asked is for the program that asks
            if not part:
                return
            rest += part
            while b"\n" in rest:
                line, _, rest = rest.partition(b"\n")
                request = json.loads(line.decode(errors="surrogateescape"))
                answer = json.dumps(conversation.answer(request)).encode() + b"\n"
                while answer:
                    answer = answer[socket.write(answer) :]
