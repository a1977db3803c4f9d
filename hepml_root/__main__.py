"""``python -m hepml_root`` and the command ``hepml-root``."""

from __future__ import annotations

import sys

from hepml_root.cli.commands import main

if __name__ == "__main__":
    sys.exit(main())
