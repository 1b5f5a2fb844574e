"""``python -m persistem``."""

import sys

from persistem.cli import main

sys.exit(main())
