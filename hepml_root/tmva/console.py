"""The lines that TMVA prints: who says it, padded, then what."""

from __future__ import annotations

import sys
from dataclasses import dataclass

_WIDTH = 25
_COLOURS = {"warning": "\033[1;31m", "error": "\033[31m", "header": "\033[1;32m"}


@dataclass
class Console:
    """Prints what a Factory and its methods say.

    Arguments
    ---------
    source
        Who speaks, such as ``Factory``.
    silent
        Say nothing but warnings.
    verbose
        Say what :meth:`verbose_line` is given, too.
    colour
        Use colours of the terminal.

    Example
    -------
    >>> Console("Factory").line("Booking method: BDT")
    Factory                  : Booking method: BDT
    """

    source: str
    silent: bool = False
    verbose: bool = False
    colour: bool = False

    def named(self, source: str) -> Console:
        """Return the same for another speaker."""
        return Console(source, self.silent, self.verbose, self.colour)

    def line(self, text: str = "") -> None:
        if not self.silent:
            self._print(text, "")

    def verbose_line(self, text: str) -> None:
        if self.verbose:
            self.line(text)

    def warning(self, text: str) -> None:
        self._print(f"<WARNING> {text}", "warning")

    def _print(self, text: str, kind: str) -> None:
        for row in str(text).split("\n"):
            row = f"{self.source:<{_WIDTH}}: {row}"
            print(
                f"{_COLOURS[kind]}{row}\033[0m" if self.colour and kind else row, file=sys.stdout, flush=True
            )
