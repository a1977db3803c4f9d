"""``hepml-root factory``: the Python side of hepml_root/Factory.hxx."""

from __future__ import annotations

import argparse
from collections.abc import Callable

from hepml_root.errors import SettingError

EXAMPLES = """\
C++ programs and macros that include hepml_root/Factory.hxx start it and speak with it; see macros/."""


def add_factory(command: Callable[..., argparse.ArgumentParser]) -> None:
    """Add the command to the command line."""
    added = command("factory", run, "train what a C++ program books (started by Factory.hxx)", EXAMPLES)
    added.add_argument("--socket", type=int, required=True, metavar="N", help="descriptor of the socket")


def run(options: argparse.Namespace) -> int:
    """Run the command with its parsed options."""
    import os
    import stat

    try:
        is_socket = stat.S_ISSOCK(os.fstat(options.socket).st_mode)
    except OSError:
        is_socket = False
    if not is_socket:
        raise SettingError(
            "factory: C++ programs that include hepml_root/Factory.hxx start it, and give it a socket."
        )
    from hepml_root.tmva.conversation import converse

    converse(options.socket)
    return 0
