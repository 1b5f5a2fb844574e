"""``python -m persistem``."""

import sys

from persistem.commands.cli import main

sys.exit(main())
