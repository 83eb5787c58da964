"""`python -m datachef.core.cli` is `chef`."""

from datachef.core.cli import main

main()
