"""From an ONNX file to a compiled network in a cache: generated, compiled by the machine's compiler, checked.

The library has a C interface with names that are unique to the model, ``<symbol>`` being
:attr:`CompiledModel.symbol`::

    void <symbol>_infer(const float* const* inputs, std::size_t events, float* const* outputs);
    void <symbol>_infer_seeded(const float* const* inputs, std::size_t events, float* const* outputs,
                               std::uint64_t seed, std::uint64_t event);
    const char* <symbol>_manifest();
    const char* <symbol>_isa();
    int <symbol>_abi();

``inputs`` and ``outputs`` point to row-major blocks ``(events, ...)`` in the manifest's order, masks as 0 and
1. They may be called from any number of threads at once. ``infer_seeded`` is for networks with random
operators: the same seed gives the same draws to the same event, ``event`` being the number of the first.

The libraries of the cache are compiled for the processor at hand. Those that a user asks for are portable:
they hold the network for AVX-512, for AVX2 and for any processor, and choose when they are loaded;
``isa`` tells which it is, and ``HEPML_ROOT_ISA`` in the environment ("avx512", "avx2" or "plain") says which
is the best that may be taken.
"""

from __future__ import annotations

import ctypes
import dataclasses
import errno
import functools
import hashlib
import json
import os
import platform
import shutil
import tempfile
import warnings
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hepml_root.data.feed_library import SHARED
from hepml_root.errors import (
    CompilerError,
    OutputWriteError,
    SettingError,
    SlowerWarning,
    SourceNotFoundError,
    unknown,
)
from hepml_root.export.identity import identity
from hepml_root.inference.compiler import (
    FLAGS,
    INSTALL,
    INSTRUCTIONS,
    Compiler,
    cpu,
    cpu_features,
    find_compiler,
    runs,
)
from hepml_root.inference.interface import (
    INFER,
    INFER_SEEDED,
    ISA,
    call,
    interpreted_source,
    library_source,
)
from hepml_root.inference.probe import certify, check
from hepml_root.output import cache_folder, refuse_existing, writing

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from hepml_root.export.cpp import CppSource

ENTRY = "manifest.json"
PACKAGE = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class CompiledModel:
    """A network as machine code.

    ``library`` is the shared library (None if the network was compiled by ROOT's interpreter), ``header`` the
    C++ header it was made of, ``symbol`` the beginning of the names of its functions, ``manifest`` what the
    model is, ``name`` its C++ name: the header's namespace is ``TMVA_SOFIE_<name>``. ``certificate`` is how
    closely it met the model's own scores and ONNX Runtime when it was compiled (inference/probe.py).
    """

    name: str
    library: Path | None
    header: Path
    symbol: str
    manifest: dict[str, Any]
    address: int | None = field(default=None, repr=False)
    certificate: dict[str, Any] = field(default_factory=dict, repr=False)

    def function(self) -> Any:
        """Return ``<symbol>_infer`` as a ctypes function; calling it releases Python's global lock."""
        if self.address is not None:
            return INFER(self.address)
        return INFER((f"{self.symbol}_infer", ctypes.CDLL(str(self.library))))

    def seeded_function(self) -> Any:
        """Return ``<symbol>_infer_seeded``, which takes a seed and the number of the first event, too."""
        if self.address is not None:
            import ROOT

            address = int(ROOT.gInterpreter.Calc(f"(long)&{self.symbol}_infer_seeded"))
            return INFER_SEEDED(address)
        return INFER_SEEDED((f"{self.symbol}_infer_seeded", ctypes.CDLL(str(self.library))))

    @property
    def draws(self) -> bool:
        """Whether the network draws random numbers, of which every event needs its own."""
        return "engine::draw<" in self.header.read_text(encoding="ascii")

    @property
    def isa(self) -> str:
        """The instructions that the network uses here: "avx512", "avx2", "avx" or "plain"."""
        if self.address is not None:
            import ROOT

            address = int(ROOT.gInterpreter.Calc(f"(long)&{self.symbol}_isa"))
            return str(ISA(address)().decode())
        return str(ISA((f"{self.symbol}_isa", ctypes.CDLL(str(self.library))))().decode())

    def builds(self) -> dict[str, Any]:
        """The functions of a library for each instruction set that runs here, by its name, the best first."""
        if self.library is None:
            return {}
        library, found = ctypes.CDLL(str(self.library)), {}
        for name in INSTRUCTIONS:
            symbol = f"{self.symbol}_infer_{name}"
            if hasattr(library, symbol) and runs(name):
                found[name] = INFER_SEEDED((symbol, library))
        return found

    def infer(self, inputs: Sequence[np.ndarray], outputs: Sequence[np.ndarray]) -> None:
        """Fill ``outputs`` for the events in ``inputs``: float32, C-contiguous, in the manifest's order.

        Shapes are not checked here; :class:`hepml_root.inference.session.Session` does.
        """
        call(self.function(), inputs, outputs)

    @property
    def interpreted(self) -> str:
        """C++ with the functions ``<symbol>_…`` for an interpreter on any machine, without the library."""
        return interpreted_source(self.header, self.symbol)


def compile(
    model: str | os.PathLike[str],
    output: str | os.PathLike[str] | None = None,
    *,
    overwrite: bool = False,
    compiler: str | None = None,
    isa: str | None = None,
) -> CompiledModel:
    """Compile an ONNX model into a shared library that needs nothing but the C++ runtime.

    The library is kept in ``$HEPML_ROOT_CACHE`` (``~/.cache/hepml_root`` by default) under a name made of the
    hashes of the model, of the generator and its engine, of the compiler, its flags and the processor: the
    next call for the same model takes milliseconds. A library is used only after it has given the model's
    own probe events their right scores, in blocks and one by one, and those of ONNX Runtime on edge values.

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
    isa
        "portable": for AVX-512, AVX2 and any other processor, the choice being made when the library is
        loaded; "native": for this processor only, or for one kind of them: "avx512", "avx2", "plain". By
        default portable with an ``output``, and ``$HEPML_ROOT_ISA`` or native without one.

    Raises
    ------
    SourceNotFoundError
        There is no such file.
    SettingError
        There is no such ``isa``, or this processor does not run its code.
    ModelFileError
        It is no ONNX model, or its manifest is damaged.
    UnsupportedOperationError
        The network has an operator that cannot be generated; the message names it.
    CompilerError
        The compiler is missing or fails.
    ParityError
        The compiled network does not reproduce the model's probe events, or differs from ONNX Runtime.
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
    compiled = _cached(Path(model), find_compiler(compiler), _isa(isa, "portable" if output else "native"))
    if output is None:
        return compiled
    return _copy(compiled, output, overwrite)


def read_model(path: Path) -> bytes:
    """Return the bytes of a model file, or raise SourceNotFoundError."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise SourceNotFoundError(
            f"the model file '{path}' cannot be read: {error.strerror or error}."
        ) from error


def compile_or_interpret(model: str | os.PathLike[str]) -> CompiledModel:
    """Compile a model, or, where there is no C++ compiler, have ROOT's interpreter do it, with a warning.

    The interpreter optimises less: on dense networks its code reaches half to two thirds of the speed of
    compiled code in blocks (and less where it may not use the processor's wide registers), and it lives only
    as long as the process. See :func:`compile` for
    the errors; CompilerError then means that there is neither a compiler nor ROOT.
    """
    try:
        compiler = find_compiler()
    except CompilerError as error:
        return _interpreted(Path(model), error)
    return _cached(Path(model), compiler, _isa(None, "native"))


def _isa(asked: str | None, default: str) -> str:
    """Return what to compile for."""
    found = asked
    if found is None:
        # A portable library obeys the variable when it is loaded.
        found = default if default == "portable" else os.environ.get("HEPML_ROOT_ISA") or default
    known = ["portable", *INSTRUCTIONS]
    if found not in known:
        where = "" if asked else "HEPML_ROOT_ISA: "
        raise SettingError(where + unknown("instruction set", found, known))
    if found != "portable" and not runs(found):
        raise SettingError(f"this processor does not run code for {found}: compile it as 'portable'.")
    return found


def _cached(path: Path, compiler: Compiler, isa: str) -> CompiledModel:
    marks = (
        compiler.version,
        repr(compiler.command),
        " ".join((*FLAGS, *SHARED)),
        isa,
        repr(INSTRUCTIONS),
        cpu(),
    )
    key = _key(path, *marks)
    folder = cache_folder() / key

    def build(source: CppSource, work: Path) -> None:
        weights = work / f"{source.name}.weights"
        if not source.side_file:
            weights.write_bytes(source.weights)
        code = library_source(source.name, _symbol(key), weights.name)
        (work / "library.cxx").write_text(code, encoding="ascii")
        _build(compiler, work, f"{source.name}.so", isa)
        if not source.side_file:
            weights.unlink()
        made = _model_in(work, key)
        certificate = certify(made, path)
        if isa == "portable":
            for function in made.builds().values():
                certify(made, path, functools.partial(_call_build, function))
        _note(work, certificate=certificate)

    if not _is_complete(folder):
        _fill(path, folder, build)
    return _model_in(folder, key)


def _build(compiler: Compiler, work: Path, library: str, isa: str) -> None:
    """Compile library.cxx in ``work``."""
    if isa != "portable":
        compiler.run([*FLAGS, *INSTRUCTIONS[isa], *SHARED, "library.cxx", "-o", library], work)
        return
    kernels = ["avx512", "avx2"] if platform.machine() in ("x86_64", "AMD64") else []
    parts = [
        [*FLAGS, *INSTRUCTIONS[name], f"-DHEPML_ROOT_KERNEL={name}", "-c", "library.cxx", "-o", f"{name}.o"]
        for name in kernels
    ]
    portable = ["-DHEPML_ROOT_PORTABLE"] if kernels else []
    parts.append([*FLAGS, *portable, "-c", "library.cxx", "-o", "plain.o"])
    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        list(pool.map(lambda arguments: compiler.run(arguments, work), parts))
    # The one for any processor first: see templates/library.cxx.
    objects = ["plain.o", *(f"{name}.o" for name in kernels)]
    compiler.run([*SHARED, *objects, "-o", library], work)
    for name in objects:
        (work / name).unlink()


def _call_build(function: Any, inputs: Sequence[np.ndarray], outputs: Sequence[np.ndarray]) -> None:
    call(function, inputs, outputs, (0, 0))


def _interpreted(path: Path, reason: CompilerError) -> CompiledModel:
    key = _key(path, "interpreted")
    folder = cache_folder() / key
    if not _is_complete(folder, library=False):
        _fill(path, folder)
    model = _model_in(folder, key, library=False)
    try:
        import ROOT
    except ImportError:
        raise reason from None
    warnings.warn(
        f"no C++ compiler: '{path}' is compiled by ROOT's interpreter, into code of half to two thirds the "
        f"speed. {INSTALL}",
        SlowerWarning,
        stacklevel=3,
    )
    code = interpreted_source(model.header, model.symbol, cpu_features())
    guard = f"HEPML_ROOT_KNOWN_{model.symbol}"  # the same as in declaration.py: declared once in a process
    if not ROOT.gInterpreter.Declare(f"#ifndef {guard}\n#define {guard}\n{code}\n#endif"):
        raise CompilerError(f"ROOT's interpreter cannot compile '{path}'; the lines above say why. {INSTALL}")
    model = dataclasses.replace(model, address=int(ROOT.gInterpreter.Calc(f"(long)&{model.symbol}_infer")))
    check(model)
    return model


def _symbol(key: str) -> str:
    return f"hepml_root_{key}"


def _model_in(folder: Path, key: str, library: bool = True) -> CompiledModel:
    entry = json.loads((folder / ENTRY).read_text(encoding="utf-8"))
    name = entry["name"]
    path = folder / f"{name}.so" if library else None
    header, certificate = folder / f"{name}.hxx", entry.get("certificate", {})
    return CompiledModel(name, path, header, _symbol(key), entry["manifest"], certificate=certificate)


def _note(folder: Path, **facts: Any) -> None:
    """Add to what is written down about a model in the cache."""
    path = folder / ENTRY
    known = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    path.write_text(json.dumps({**known, **facts}), encoding="utf-8")


def _is_complete(folder: Path, library: bool = True) -> bool:
    """Whether a model is in the cache, with all its files: some cleaners delete single files by their age."""
    try:
        model = _model_in(folder, "", library)
        needed = [model.header, *([model.library] if model.library else [])]
        if json.loads((folder / ENTRY).read_text(encoding="utf-8"))["side_file"]:
            needed.append(model.header.with_suffix(".weights"))
    except (OSError, ValueError, KeyError):
        return False
    return all(path.is_file() for path in needed)


def _key(path: Path, *marks: str) -> str:
    """Return a hash of the model and of everything that takes part in making its code."""
    digest = hashlib.sha256()
    parts = [path.stem.encode(), identity(read_model(path)), *(mark.encode() for mark in marks)]
    files = [
        *(PACKAGE / "include" / "hepml_root" / "engine").glob("*.hxx"),
        *(PACKAGE / "export" / "cpp").glob("*.py"),
        *(PACKAGE / "export" / "templates").glob("*.?xx"),
        *Path(__file__).parent.glob("interface.py"),
    ]
    for file in sorted(files):
        parts += [file.name.encode(), file.read_bytes()]
    for part in parts:
        digest.update(len(part).to_bytes(8, "little") + part)
    return digest.hexdigest()[:32]


def _fill(path: Path, folder: Path, build: Callable[[CppSource, Path], None] | None = None) -> None:
    """Generate the code in a temporary folder beside ``folder``, build it, and give it its name in one step.

    Two processes may do so at the same time: the second finds the name taken, and uses what is there.
    """
    from hepml_root.export.cpp import generate

    source = generate(path)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".building-", dir=folder.parent) as name:
            work = Path(name) / "model"
            work.mkdir()
            source.save(work)
            _note(work, name=source.name, manifest=source.manifest, side_file=source.side_file)
            if build is not None:
                build(source, work)
            try:
                work.rename(folder)
            except OSError as error:
                if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                    raise
                if not _is_complete(folder, library=build is not None):
                    folder.rename(work.with_name("incomplete"))
                    work.rename(folder)
    except OutputWriteError:
        raise
    except OSError as error:
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
    return dataclasses.replace(compiled, library=output, header=header)
