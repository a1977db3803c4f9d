"""Ctrl-C that is not lost."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from types import FrameType


class _Handler:
    """The handler of SIGINT while somebody checks; remembers that it was called."""

    def __init__(self) -> None:
        self.pressed = False

    def __call__(self, number: int, frame: FrameType | None) -> None:
        self.pressed = True
        signal.default_int_handler(number, frame)

    def check(self) -> None:
        """Raise KeyboardInterrupt if one was raised before and did not get out."""
        if self.pressed:
            self.pressed = False
            raise KeyboardInterrupt


@contextlib.contextmanager
def interrupts() -> Iterator[Callable[[], None]]:
    """Give a function that raises KeyboardInterrupt if Ctrl-C was pressed in the block and was lost.

    Looking up a C++ name in PyROOT (``ROOT.TChain``) drops every exception that is raised meanwhile, also
    the one of Ctrl-C, and the program goes on for hours. Long loops call the function once in a while, and
    what writes a file calls it before it gives the file its name.

    Where a program has a handler of its own for SIGINT, and outside of the main thread, nothing is changed.

    Example
    -------
    >>> with interrupts() as check:
    ...     for _ in range(3):
    ...         check()
    """
    # Handlers run in the main thread: what was lost there is not for another one to find.
    if threading.current_thread() is not threading.main_thread():
        yield _nothing
        return
    own_handler = signal.getsignal(signal.SIGINT)
    if isinstance(own_handler, _Handler):
        try:
            yield own_handler.check
        except KeyboardInterrupt:
            own_handler.pressed = False  # it got out
            raise
        return
    if own_handler is not signal.default_int_handler:
        yield _nothing
        return
    handler = _Handler()
    signal.signal(signal.SIGINT, handler)
    try:
        yield handler.check
    finally:
        signal.signal(signal.SIGINT, own_handler)


def _nothing() -> None:
    """Check nothing."""
