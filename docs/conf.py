"""Settings of the documentation: `make docs` builds docs/_build/index.html."""

from __future__ import annotations

from typing import Any

from hepml_root import __version__
from hepml_root.cli.commands import command_help
from hepml_root.cli.job_schema import schema_markdown
from hepml_root.cli.models import zoo_markdown
from hepml_root.cli.operators import operators_markdown
from hepml_root.simulation.description import samples_markdown

project = "hepml_root"
copyright = "the hepml_root developers"
version = release = __version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.viewcode"]
exclude_patterns = ["_build"]
myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 3
html_theme = "furo"
html_static_path = ["_static"]
html_css_files = ["wrap.css"]
html_title = f"hepml_root {__version__}"

# The docstrings are plain text with headings ("Arguments", "Raises"): show them as they are written.
autodoc_typehints = "none"
autodoc_member_order = "bysource"

# Pages with a place for text that is made from the code.
_MADE = {
    "job_file": ("<!-- the settings -->", schema_markdown),
    "command_line": ("<!-- the commands -->", command_help),
    "models": ("<!-- the models -->", zoo_markdown),
    "engine": ("<!-- the operators -->", operators_markdown),
    "simulation": ("<!-- the samples and the detector -->", samples_markdown),
}


def _plain_docstrings(app: Any, what: str, name: str, found: object, options: Any, lines: list[str]) -> None:  # noqa: ARG001
    """Keep docstrings word for word, in a block of their own: they are written to be read in a terminal."""
    text = list(lines)
    lines[:] = ["::", "", *("   " + line for line in text), ""] if text else []


def _made_text(app: Any, name: str, source: list[str]) -> None:  # noqa: ARG001
    """Put text made from the code into its page, so that the two cannot disagree."""
    if name in _MADE:
        mark, text = _MADE[name]
        source[0] = source[0].replace(mark, text())


def setup(app: Any) -> None:
    app.connect("autodoc-process-docstring", _plain_docstrings)
    app.connect("source-read", _made_text)
