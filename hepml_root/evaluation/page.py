"""The report's page: one HTML file with everything inside."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hepml_root.evaluation.page_tables import Table, key_numbers, model_facts, provenance_facts, tables

if TYPE_CHECKING:
    from hepml_root.evaluation.pictures import Picture
    from hepml_root.evaluation.report import Report

_SECTIONS = {
    "performance": "Performance",
    "scores": "Scores on test and training events",
    "calibration": "Calibration",
    "significance": "Significance",
    "inputs": "Inputs",
    "training": "Training",
}


def write_page(
    report: Report,
    pictures: list[Picture],
    sources: dict[str, str],
    path: Path,
    *,
    root_file: bool = True,
    formats: Sequence[str] = (),
) -> None:
    """Write the page; ``sources`` holds each picture as a data URI, by name."""
    render(
        "report.html",
        path,
        _SECTIONS,
        pictures,
        sources,
        tables(report),
        report=report,
        tiles=key_numbers(report),
        level=f"{100 * report.settings['level']:.1f} %",
        root_file=root_file,
        formats=list(formats),
        model_facts=model_facts(report),
        provenance_facts=provenance_facts(report),
        files=[
            {key: str(file.get(key, "")) for key in ("path", "size", "hash")}
            for file in report.provenance.get("files", [])
        ],
    )


def render(
    template: str,
    path: Path,
    sections: Mapping[str, str],
    pictures: Sequence[Picture],
    sources: Mapping[str, str],
    tables_of: Mapping[str, Sequence[Table]],
    *,
    templates: Path | None = None,
    **content: Any,
) -> None:
    """Write a page made of ``templates/base.html``: sections ``{key: title}`` with tables and pictures.

    ``templates`` is a folder with further templates, where ``template`` is one of these.
    """
    import jinja2

    folders = [Path(__file__).parent / "templates", *([] if templates is None else [templates])]
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(folders),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["symbols"] = _symbols
    shown: dict[str, list[dict[str, Any]]] = {}
    for number, picture in enumerate(pictures, start=1):
        entry = {"number": number, "picture": picture, "source": sources[picture.name]}
        shown.setdefault(picture.section, []).append(entry)
    page = environment.get_template(template).render(
        sections=[(key, title, shown[key]) for key, title in sections.items() if key in shown],
        tables=tables_of,
        **content,
    )
    path.write_text(page, encoding="utf-8")


def _symbols(text: str) -> Any:
    """Return text as HTML, with the indices of ε_s, ε_b and Z_A set below the line."""
    from markupsafe import Markup, escape

    return Markup(re.sub(r"(ε|Z)_([sbA])\b", r"\1<sub>\2</sub>", str(escape(text))))
