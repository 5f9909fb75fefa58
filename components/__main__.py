"""`python -m components` is the same as `vizecg`."""

import sys

from components.cli import main

sys.exit(main())
