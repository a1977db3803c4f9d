"""The documentation: its Python runs, its job files are accepted, its commands exist, its pages build."""

from __future__ import annotations

import importlib
import inspect
import re
import shlex
from pathlib import Path

import pytest

import hepml_root
from hepml_root.cli.commands import parser
from hepml_root.cli.job_file import parse

DOCS = Path(__file__).resolve().parents[1] / "docs"
PAGES = sorted(path.stem for path in DOCS.glob("*.md"))


def blocks(page: str, language: str) -> list[str]:
    """Return the code blocks of a page that are in one language."""
    text = (DOCS / f"{page}.md").read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.M | re.S)


@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page, "python")])
def test_the_python_of_a_page_runs(page, tmp_path, monkeypatch):
    """The blocks of a page are one script, in its order, in an empty folder; fragments are marked `py`."""
    monkeypatch.chdir(tmp_path)
    code = "\n".join(blocks(page, "python"))
    exec(compile(code, f"{page}.md", "exec"), {"__name__": page})


def test_the_job_files_are_accepted():
    jobs = [block for page in PAGES for block in blocks(page, "yaml") if block.startswith("name:")]
    assert len(jobs) >= 4
    assert {parse(job, "documentation").model.kind for job in jobs} == {"dense", "boosted", "particle_net"}


def test_the_commands_exist():
    lines = [line for page in PAGES for block in blocks(page, "bash") for line in block.splitlines()]
    commands = [line.split("#")[0].split(">")[0] for line in lines if line.startswith("hepml-root")]
    assert len(commands) >= 3
    for command in commands:
        options, unknown = parser().parse_known_args(shlex.split(command)[1:])
        assert unknown == []
        assert options.command


def test_files_that_are_named_exist():
    """Tutorials and macros that a page names are there."""
    root = DOCS.parent
    named = {
        name
        for page in PAGES
        for name in re.findall(
            r"(?:tutorials|macros)/[\w.]+", (DOCS / f"{page}.md").read_text(encoding="utf-8")
        )
    }
    assert len(named) >= 6
    assert [name for name in sorted(named) if not (root / name).exists()] == []


def test_the_reference_has_every_public_name():
    """Classes and functions that a package names in ``__all__`` are on the page of the reference."""
    shown = []
    page = (DOCS / "api.md").read_text(encoding="utf-8")
    for kind, name, options in re.findall(r"^\.\. auto(\w+):: (\S+)((?:\n +.*)*)", page, re.M):
        if kind == "module":
            module = importlib.import_module(name)
            listed = re.search(r":members:(.*)", options, re.S)
            names = re.findall(r"\w+", listed[1]) if listed else []
            shown += [getattr(module, one) for one in names or vars(module)]
        else:
            module, _, attribute = name.rpartition(".")
            shown.append(getattr(importlib.import_module(module), attribute))
    packages = [hepml_root] + [getattr(hepml_root, name) for name in hepml_root.__all__]
    public = {
        f"{package.__name__}.{name}": getattr(package, name)
        for package in packages
        if inspect.ismodule(package)
        for name in getattr(package, "__all__", ())
    }
    assert len(public) > 100
    missing = [
        name
        for name, value in public.items()
        if (inspect.isclass(value) or inspect.isfunction(value)) and not any(value is one for one in shown)
    ]
    assert missing == []


@pytest.mark.slow
def test_the_pages_build_without_a_warning(tmp_path):
    from sphinx.cmd.build import main

    assert main(["-W", "-q", "-b", "html", str(DOCS), str(tmp_path)]) == 0
    page = (tmp_path / "job_file.html").read_text(encoding="utf-8")
    assert "AsimovSignificance" in page
    assert "patience" in page
    assert "--working-point" in (tmp_path / "command_line.html").read_text(encoding="utf-8")
