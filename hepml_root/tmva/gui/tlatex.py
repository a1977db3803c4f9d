"""Titles of ROOT (TLatex) as matplotlib writes them."""

from __future__ import annotations

import functools
import re

_MARKS = re.compile(r"#[A-Za-z]|[_^]\{")


@functools.lru_cache(maxsize=1024)
def shown(text: str) -> str:
    """Return a title for matplotlib: symbols and indices of TLatex become mathematics, all else stays.

    What matplotlib's mathematics does not know is shown as it is written.

    Example
    -------
    >>> shown("#eta_{jet}  [GeV]"), shown("jet1_b-tag"), shown("cost in $")
    ('$\\\\mathrm{\\\\eta_{jet}\\\\ [GeV]}$', 'jet1_b-tag', 'cost in \\\\$')
    """
    plain = re.sub(r"\s+", " ", text).strip()
    if _MARKS.search(plain):
        inner = plain.replace("$", r"\$").replace("#", "\\").replace("_{ }", "").replace("^{ }", "")
        inner = re.sub(r"([_^])(?!\{)", r"\\\1", inner.replace("%", r"\%").replace(" ", r"\ "))
        made = f"$\\mathrm{{{inner}}}$"
        if _known(made):
            return made
    return plain.replace("$", r"\$")


def _known(text: str) -> bool:
    from matplotlib.mathtext import MathTextParser

    try:
        MathTextParser("path").parse(text)
    except (ValueError, RuntimeError):
        return False
    return True
