"""`python -m flows.local`: see `flows.local.launch`."""

import sys

from flows.local.launch import main

sys.exit(main())
