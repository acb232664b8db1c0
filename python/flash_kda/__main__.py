"""python -m flash_kda info|verify|bench."""

import sys

from .tool import main

if __name__ == "__main__":
    sys.exit(main())
