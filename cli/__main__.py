"""`python -m cli` is `masker`."""

from cli.app import main

main()
