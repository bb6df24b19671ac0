"""Puts the packages of another virtual environment beneath those of the one that runs this.

    .venv-plugins/bin/python tools/on_top.py .venv

What is installed in it afterwards stays out of the other; both need the same version of Python.
"""

from __future__ import annotations

import sys
import sysconfig
from pathlib import Path


def main(below: str) -> None:
    """Write a `.pth` file that adds the other environment's packages, and what its own `.pth` files add."""
    packages = Path(sysconfig.get_path("purelib", vars={"base": str(Path(below).resolve())}))
    if not packages.is_dir():
        sys.exit(f"{below} has no packages for this Python: there is no {packages}")
    line = f"import site; site.addsitedir({str(packages)!r})\n"
    Path(sysconfig.get_path("purelib"), "on_top.pth").write_text(line, encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1])
