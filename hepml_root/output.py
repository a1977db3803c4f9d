"""Writing files so that nothing half-written is ever left under a final name."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from hepml_root.errors import OutputExistsError, OutputWriteError
from hepml_root.interrupts import interrupts


def refuse_existing(path: str | os.PathLike[str], overwrite: bool, *, folder: bool = False) -> Path:
    """Return ``path`` as a Path, or raise if it exists and ``overwrite`` is not set.

    Call it before long work, so that the work is not done in vain. A folder is replaced only by another
    one (``folder=True``), never by a file.

    Raises
    ------
    OutputExistsError
        ``path`` exists and ``overwrite`` is False, or it is a folder where a file shall be written.
    """
    path = Path(path)
    if path.is_dir() and not folder:
        raise OutputExistsError(f"'{path}' is a folder, which no file replaces. Name a file.")
    if path.exists() and not overwrite:
        raise OutputExistsError(
            f"'{path}' exists already. Choose another name, or ask for it to be replaced "
            "(--overwrite on the command line, overwrite=True in Python)."
        )
    return path


def cache_folder() -> Path:
    """Return the folder for what can be made again: ``$HEPML_ROOT_CACHE``, else ``~/.cache/hepml_root``."""
    given = os.environ.get("HEPML_ROOT_CACHE")
    if given:
        return Path(given)
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "hepml_root"


@contextlib.contextmanager
def writing(path: str | os.PathLike[str], overwrite: bool = False, *, folder: bool = False) -> Iterator[Path]:
    """Give a temporary path beside ``path``; move it to ``path`` when the block ends without an error.

    The temporary path has the same suffix, is in the same folder (so that the move is atomic) and does
    not exist yet: the block makes a file there, or a folder (``folder=True``). After an error it is removed.

    Raises
    ------
    OutputExistsError
        ``path`` exists and ``overwrite`` is False, or it is a folder where a file shall be written.
    OutputWriteError
        The folder is missing or not writable, or the disk is full.

    Example
    -------
    >>> import tempfile, pathlib
    >>> folder = pathlib.Path(tempfile.mkdtemp())
    >>> with writing(folder / "note.txt") as temporary:
    ...     _ = temporary.write_text("hello")
    >>> (folder / "note.txt").read_text()
    'hello'
    """
    path = refuse_existing(path, overwrite, folder=folder)
    parent = path.parent
    try:
        parent.mkdir(parents=True, exist_ok=True)
        holder = Path(tempfile.mkdtemp(prefix=".writing-", dir=parent))
    except OSError as error:
        raise OutputWriteError(f"cannot write '{path}': {error.strerror or error}.") from error
    temporary = holder / path.name
    try:
        with interrupts() as check:
            yield temporary
            check()
        if not temporary.exists():
            raise OutputWriteError(f"nothing was written for '{path}'.")
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        os.replace(temporary, path)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise OutputWriteError(
                f"cannot write '{path}': {error.strerror}. Nothing was left there; free some space "
                "and try again."
            ) from error
        raise
    finally:
        shutil.rmtree(holder, ignore_errors=True)
