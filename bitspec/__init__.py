"""bitspec: a declarative language for parameter-ablation studies of pretrained transformers.

import bitspec

study = bitspec.load("specs/paper.bspec")
bitspec.show(study)                              # what every strategy trains; a table in a notebook
bitspec.select("bias where role == q", "bert-base-cased").count
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bitspec.api import Shown, check, select, show
    from bitspec.diagnostics import BitspecError, Diagnostic
    from bitspec.ir.study import Study
    from bitspec.language.formatter import format_text
    from bitspec.language.load import load, loads
    from bitspec.parameters.cache import catalogue

__all__ = [
    "BitspecError",
    "Diagnostic",
    "Shown",
    "Study",
    "catalogue",
    "check",
    "format_text",
    "load",
    "loads",
    "select",
    "show",
]

_PLACES = {
    "BitspecError": "bitspec.diagnostics",
    "Diagnostic": "bitspec.diagnostics",
    "Study": "bitspec.ir.study",
    "catalogue": "bitspec.parameters.cache",
    "format_text": "bitspec.language.formatter",
    "load": "bitspec.language.load",
    "loads": "bitspec.language.load",
}


def __getattr__(name: str) -> Any:
    # Imported when first used: `import bitspec` itself costs nothing.
    if name not in __all__:
        raise AttributeError(f"module 'bitspec' has no attribute {name!r}")
    return getattr(import_module(_PLACES.get(name, "bitspec.api")), name)


def __dir__() -> list[str]:
    return sorted(__all__)
