"""`python -m bitspec`: the same as `bitspec`."""

from bitspec.cli.main import main

main()
