"""The pages of results: a table between two marks of a page that people write."""

from __future__ import annotations

from pathlib import Path

from hepml_root.errors import SettingError
from hepml_root.output import writing

BEGIN, END = "<!-- table -->", "<!-- end of table -->"


def put_table(page: Path, text: str, title: str) -> None:
    """Put a table between the marks of a page; a page that is not there, or has none, is begun with a title.

    Raises
    ------
    SettingError
        The page has the first mark and not the second: what follows would be lost.
    """
    before, after = f"# {title}\n\n", "\n"
    if page.exists() and BEGIN in page.read_text():
        before, _, rest = page.read_text().partition(BEGIN)
        _, end, after = rest.partition(END)
        if not end:
            raise SettingError(f"'{page}' has the mark '{BEGIN}', and not '{END}' where the table ends.")
    with writing(page, overwrite=True) as path:
        path.write_text(f"{before}{BEGIN}\n\n{text.rstrip()}\n\n{END}{after}")


def between(text: str, mark: str, part: str) -> str:
    """Replace what stands between two marks, where a text has them.

    >>> between("a <!-- x --> old <!-- end of x --> b", "x", "new").split()
    ['a', '<!--', 'x', '-->', 'new', '<!--', 'end', 'of', 'x', '-->', 'b']
    """
    begin, end = f"<!-- {mark} -->", f"<!-- end of {mark} -->"
    before, found, rest = text.partition(begin)
    _, there, after = rest.partition(end)
    return f"{before}{begin}\n\n{part}\n\n{end}{after}" if found and there else text
