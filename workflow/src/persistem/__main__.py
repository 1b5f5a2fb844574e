"""``python -m persistem``."""

import os
import sys

# `python -m` puts the working folder first, where a file named like a library would be imported
if not sys.flags.safe_path and sys.path[0] in ("", os.getcwd()):  # noqa: PTH109 (pathlib would come from there)
    del sys.path[0]

from persistem.commands import forks

if (status := forks.ended_as(sys.argv[1:])) is None:
    from persistem.commands.cli import main

    status = main()
sys.exit(status)
