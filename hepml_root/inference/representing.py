"""Representations in the event loop: the C++ that RDataFrame's code calls, here and on other machines."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from functools import cache
from pathlib import Path

from hepml_root.data.feed_library import HEADERS, library
from hepml_root.data.feed_rows import Represented
from hepml_root.errors import HepmlError

_INCLUDE = re.compile(r'^#include "(.+)"$', re.MULTILINE)
_LIBRARY = HEADERS / "hepml_root" / "feed" / "represent_library.hxx"
_INTERFACE = HEADERS / "hepml_root" / "rdf" / "representing.hxx"
_EVENT = (
    'extern "C" long long hepml_represent_make(const char *, const void **, char *, std::size_t);\n'
    'extern "C" long long hepml_represent_event(const void *, const float *const *, unsigned long long, '
    "const float *, float *const *, char *, std::size_t);\n"
)


def maker(represented: Represented) -> str:
    """Return the name of the C++ function that gives a representation, made once in each process."""
    return f"hepml_representation_{hashlib.sha256(represented.description.encode()).hexdigest()[:16]}"


def portable_code(representations: Iterable[Represented]) -> str:
    """Return C++ that makes representations known wherever it is interpreted; repeated, it does nothing.

    It loads the compiled library where that file can be seen, and else interprets the headers, whose text it
    holds.
    """
    represented = list(representations)
    if not represented:
        return ""
    path = library("represent").path
    text = self_contained(_LIBRARY)
    if path is not None:
        text = f'#if __has_include("{path}")\n{_EVENT}#pragma cling load("{path}")\n#else\n{text}\n#endif'
    code = [
        self_contained(_INTERFACE),
        f"#ifndef HEPML_ROOT_KNOWN_REPRESENT\n#define HEPML_ROOT_KNOWN_REPRESENT\n{text}\n#endif",
    ]
    for one in represented:
        name = maker(one)
        literal = one.description.replace("\\", "\\\\").replace('"', '\\"')
        code.append(
            f"#ifndef HEPML_ROOT_KNOWN_{name}\n#define HEPML_ROOT_KNOWN_{name}\n"
            f"inline const void *{name}() {{\n"
            "   static const void *const made = [] {\n"
            '      const void *result = nullptr;\n      char message[1024] = "";\n'
            f'      if (hepml_represent_make("{literal}", &result, message, sizeof(message)) < 0)\n'
            "         throw std::runtime_error(message);\n"
            "      return result;\n   }();\n   return made;\n}\n#endif"
        )
    return "\n".join(code) + "\n"


@cache
def self_contained(header: Path) -> str:
    """Return a header's text with the package's own headers that it includes in their places."""
    done: set[Path] = set()

    def text_of(path: Path) -> str:
        if path in done:
            return ""
        done.add(path)

        def place(found: re.Match[str]) -> str:
            own = HEADERS if found[1].startswith("hepml_root/") else path.parent
            other = (own / found[1]).resolve()
            if not other.is_file():
                raise HepmlError(f"the package lacks its header '{found[1]}'. Install it again.")
            return text_of(other)

        return _INCLUDE.sub(place, path.read_text(encoding="utf-8"))

    return text_of(header.resolve())
