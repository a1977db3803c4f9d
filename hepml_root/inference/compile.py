"""From an ONNX file to a compiled network in a cache: generated, compiled with the machine's compiler, checked.

The library has a C interface with names that are unique to the model, ``<symbol>`` being
:attr:`CompiledModel.symbol`::

    void <symbol>_infer(const float* const* inputs, std::size_t events, float* const* outputs);
    const char* <symbol>_manifest();
    int <symbol>_abi();

``inputs`` and ``outputs`` point to row-major blocks ``(events, ...)`` in the manifest's order, masks as 0 and 1.
It may be called from any number of threads at once.
"""

from __future__ import annotations

import ctypes
import errno
import hashlib
import json
import os
import shutil
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hepml_root.errors import ModelFileError, OutputWriteError
from hepml_root.inference.compiler import FLAGS, Compiler, cpu, find_compiler
from hepml_root.inference.probe import check
from hepml_root.output import refuse_existing, writing

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hepml_root.export.cpp import CppSource

ABI = 1
PACKAGE = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class CompiledModel:
    """A network as machine code.

    ``library`` is the shared library (None if the network was compiled by ROOT's interpreter), ``header`` the
    C++ header it was made of, ``symbol`` the beginning of the names of its functions, ``manifest`` what the
    model is, ``name`` its C++ name: the header's namespace is ``TMVA_SOFIE_<name>``.
    """

    name: str
    library: Path | None
    header: Path
    symbol: str
    manifest: dict[str, Any]
    address: int | None = field(default=None, repr=False)

    def function(self) -> Any:
        """Return ``<symbol>_infer`` as a ctypes function; calling it releases Python's global lock."""
        signature = ctypes.CFUNCTYPE(
            None, ctypes.POINTER(ctypes.c_void_p), ctypes.c_size_t, ctypes.POINTER(ctypes.c_void_p)
        )
        if self.library is None:
            return signature(self.address)
        return signature((f"{self.symbol}_infer", ctypes.CDLL(str(self.library))))

    def infer(self, inputs: Sequence[np.ndarray], outputs: Sequence[np.ndarray]) -> None:
        """Fill ``outputs`` for the events in ``inputs``: float32, C-contiguous, in the manifest's order.

        Shapes are not checked here; :class:`hepml_root.inference.session.Session` does.
        """
        call(self.function(), inputs, outputs)

    def declare_in_root(self) -> None:
        """Make the functions ``<symbol>_…`` known to ROOT's interpreter, so that RDataFrame code can call them.

        Raises
        ------
        CompilerError
            The library cannot be loaded into ROOT.
        """
        from hepml_root.inference import interpret

        interpret.declare(self)


def call(function: Any, inputs: Sequence[np.ndarray], outputs: Sequence[np.ndarray]) -> None:
    """Call a network's ``infer`` with numpy arrays."""
    pointers = [(ctypes.c_void_p * len(arrays))(*(a.ctypes.data for a in arrays)) for arrays in (inputs, outputs)]
    function(pointers[0], len(inputs[0]), pointers[1])


def compile(
    model: str | os.PathLike[str],
    output: str | os.PathLike[str] | None = None,
    *,
    overwrite: bool = False,
    compiler: str | None = None,
) -> CompiledModel:
    """Compile an ONNX model into a shared library that needs nothing but the C++ runtime.

    The library is kept in ``$HEPML_ROOT_CACHE`` (``~/.cache/hepml_root`` by default) under a name made of the
    hashes of the model, of the generator and its engine, of the compiler, its flags and the processor, so that
    the next call for the same model takes milliseconds. A library is used only after it has given the model's
    own probe events their right scores, in blocks and one by one.

    Arguments
    ---------
    model
        Path of the ``.onnx`` file.
    output
        Where to copy the library, for example ``higgs.so``; the header goes beside it, ``higgs.hxx``.
    overwrite
        Whether existing files at ``output`` may be replaced.
    compiler
        Command of the C++ compiler; by default ``$CXX``, else the first of g++, c++, clang++ there is.

    Raises
    ------
    ModelFileError
        The file is missing, no ONNX model, or its manifest is damaged.
    UnsupportedOperationError
        The network has an operator that cannot be generated; the message names it.
    CompilerError
        The compiler is missing or fails.
    ParityError
        The compiled network does not reproduce the model's probe events.
    OutputExistsError, OutputWriteError
        ``output`` exists already; the cache or the output cannot be written.

    Example
    -------
    >>> import tempfile, onnx
    >>> from onnx import TensorProto, helper
    >>> x = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 3])
    >>> y = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 3])
    >>> graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "relu", [x], [y])
    >>> path = tempfile.mkdtemp() + "/relu.onnx"
    >>> onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)]), path)
    >>> compiled = compile(path)
    >>> compiled.library.name, compiled.manifest["outputs"][0]["name"]
    ('relu.so', 'y')
    """
    if output is not None:
        output = Path(output)
        output = output if output.suffix else output.with_suffix(".so")
        for path in (output, output.with_suffix(".hxx")):
            refuse_existing(path, overwrite)
    compiled = _cached(Path(model), find_compiler(compiler))
    if output is None:
        return compiled
    return _copy(compiled, output, overwrite)


def cache_folder() -> Path:
    """Return the folder where compiled networks are kept."""
    given = os.environ.get("HEPML_ROOT_CACHE")
    if given:
        return Path(given)
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "hepml_root"


def read_model(path: Path) -> bytes:
    """Return the bytes of a model file, or raise ModelFileError."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise ModelFileError(f"the model file '{path}' cannot be read: {error.strerror or error}.") from error


def _cached(path: Path, compiler: Compiler) -> CompiledModel:
    data = read_model(path)
    key = _key(path.stem.encode(), data, _generator(), compiler.version.encode(), repr(compiler.command).encode(),
               " ".join(FLAGS).encode(), cpu().encode())  # fmt: skip
    folder = cache_folder() / key[:32]
    if not (folder / "manifest.json").is_file():
        from hepml_root.export.cpp import generate

        _build(generate(path), key[:32], folder, compiler)
    entry = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    name = entry["name"]
    return CompiledModel(
        name, folder / f"{name}.so", folder / f"{name}.hxx", f"hepml_root_{key[:32]}", entry["manifest"]
    )


def _key(*parts: bytes) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(len(part).to_bytes(8, "little") + part)
    return digest.hexdigest()


def _generator() -> bytes:
    """Return the text of everything that takes part in making a library, without importing onnx."""
    digest = hashlib.sha256()
    files = [
        *sorted((PACKAGE / "include" / "hepml_root" / "engine").glob("*.hxx")),
        *sorted((PACKAGE / "export").glob("cpp*.py")),
        *sorted((PACKAGE / "export" / "templates").glob("*.?xx")),
        Path(__file__),
    ]
    for file in files:
        digest.update(file.name.encode() + b"\0" + file.read_bytes() + b"\0")
    return digest.digest()


def library_source(source: CppSource, symbol: str) -> str:
    """Return the C++ file that gives a generated header the C interface of a library."""
    text = (PACKAGE / "export" / "templates" / "library.cxx").read_text(encoding="ascii")
    text = text.replace('"model.hxx"', f'"{source.name}.hxx"').replace("TMVA_SOFIE_model", source.namespace)
    if source.weights is not None:
        # The file of weights becomes part of the library, as it is.
        text = text.replace(
            "const " + source.namespace + "::Session session;",
            'extern "C" __attribute__((visibility("hidden"))) const float hepml_root_symbol_weights[];\n'
            'asm(".section .rodata\\n.balign 64\\nhepml_root_symbol_weights:\\n'
            f'.incbin \\"{source.name}.weights\\"\\n.previous\\n");\n'
            f"const {source.namespace}::Session session(hepml_root_symbol_weights);",
        )
    return text.replace("hepml_root_symbol", symbol)


def _build(source: CppSource, key: str, folder: Path, compiler: Compiler) -> None:
    """Compile in a temporary folder beside ``folder``, check, and give it its name in one step.

    Two processes may build the same model at the same time: the second finds the name taken and uses it.
    """
    symbol = f"hepml_root_{key}"
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".building-", dir=folder.parent) as name:
            work = Path(name) / "model"
            work.mkdir()
            source.save(work)
            (work / "library.cxx").write_text(library_source(source, symbol), encoding="ascii")
            compiler.run([*FLAGS, "library.cxx", "-o", f"{source.name}.so"], work)
            (work / "manifest.json").write_text(
                json.dumps({"name": source.name, "manifest": source.manifest}), encoding="utf-8"
            )
            compiled = CompiledModel(
                source.name, work / f"{source.name}.so", work / f"{source.name}.hxx", symbol, source.manifest
            )
            check(compiled)
            try:
                work.rename(folder)
            except OSError as error:
                if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                    raise
    except OSError as error:
        if isinstance(error, OutputWriteError):
            raise
        raise OutputWriteError(
            f"the cache '{folder.parent}' cannot be written: {error.strerror or error}. "
            "Set HEPML_ROOT_CACHE to a folder that can."
        ) from error


def _copy(compiled: CompiledModel, output: Path, overwrite: bool) -> CompiledModel:
    assert compiled.library is not None
    header = output.with_suffix(".hxx")
    copies = [(compiled.library, output), (compiled.header, header)]
    side_file = compiled.header.with_suffix(".weights")
    if side_file.is_file():
        copies.append((side_file, output.with_name(side_file.name)))
    for from_path, to_path in copies:
        with writing(to_path, overwrite) as temporary:
            shutil.copyfile(from_path, temporary)
    return CompiledModel(compiled.name, output, header, compiled.symbol, compiled.manifest)
