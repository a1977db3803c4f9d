"""Ctrl-C as a wish to stop, honoured where the training's state is whole."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType


class Wish:
    """Whether somebody has asked to stop; true after the first Ctrl-C."""

    def __init__(self) -> None:
        self.stop = False

    def __bool__(self) -> bool:
        return self.stop


@contextlib.contextmanager
def interruptible() -> Iterator[Wish]:
    """Turn the first Ctrl-C (SIGINT) inside the block into a wish; a second one is an ordinary
    KeyboardInterrupt.

    Outside the main thread, where Python delivers no signals, the wish is never expressed.

    Example
    -------
    >>> import signal
    >>> with interruptible() as wish:
    ...     signal.raise_signal(signal.SIGINT)
    ...     bool(wish)
    True
    """
    wish = Wish()
    if threading.current_thread() is not threading.main_thread():
        yield wish
        return

    def ask(number: int, frame: FrameType | None) -> None:
        if wish.stop:
            signal.default_int_handler(number, frame)
        wish.stop = True

    before = signal.signal(signal.SIGINT, ask)
    try:
        yield wish
    finally:
        signal.signal(signal.SIGINT, before)
