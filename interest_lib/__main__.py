"""`python -m interest_lib`."""

import sys

from interest_lib.study import main

if __name__ == "__main__":
    sys.exit(main())
