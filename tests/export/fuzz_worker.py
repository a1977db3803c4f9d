"""Generates C++ from every file of a folder, and says for each how it ended: run as a process of its own.

``python fuzz_worker.py FOLDER`` with one line of JSON per file: first ``{"file": ...}``, then the result.
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import signal
import sys
import traceback
from pathlib import Path
from types import FrameType

MEMORY = 3 << 30  # bytes of addresses
SECONDS = 30  # of processor time for one file, which is read three times


class TooLong(BaseException):
    """A file took more than its time."""


def _stop(signum: int, frame: FrameType | None) -> None:  # noqa: ARG001
    raise TooLong


def main(folder: Path) -> None:
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    import onnx
    from google.protobuf.message import DecodeError

    from hepml_root.errors import HepmlError
    from hepml_root.export.cpp import generate
    from hepml_root.export.manifest import read_manifest

    signal.signal(signal.SIGPROF, _stop)
    first = os.environ.get("HEPML_ROOT_FUZZ_FIRST", "")
    for path in sorted(folder.glob("*.onnx")):
        if path.name < first:
            continue  # done by a process before this one
        print(json.dumps({"file": path.name}), flush=True)
        result: dict[str, object] = {}
        signal.setitimer(signal.ITIMER_PROF, SECONDS)
        try:
            with contextlib.suppress(HepmlError):
                read_manifest(path)
            with contextlib.suppress(HepmlError, DecodeError):
                generate(onnx.load_model_from_string(path.read_bytes()))  # without the look of onnx's checker
            source = generate(path)
            result = {"namespace": source.namespace}
            path.with_suffix(".hxx").write_text(source.header, encoding="ascii")
        except HepmlError as error:
            result = {"refused": type(error).__name__, "message": str(error)[:300]}
        except TooLong:
            result = {"wrong": f"more than {SECONDS} s"}
        except BaseException as error:  # whatever else comes out is what is looked for
            frames = traceback.extract_tb(error.__traceback__)
            where = [f"{Path(f.filename).name}:{f.lineno}" for f in frames][-6:]
            result = {"wrong": f"{type(error).__name__}: {str(error)[:200]}", "where": " ".join(where)}
        finally:
            signal.setitimer(signal.ITIMER_PROF, 0)
        print(json.dumps(result), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
