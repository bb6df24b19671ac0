"""What comes with bitspec: the configs of well-known models, and models of its own."""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import Final

from bitspec.diagnostics import Diagnostic, did_you_mean, error, listed

#: Names that belong to bitspec: of these models it has everything, weights and tokenizer included.
BUILTIN: Final = "builtin/"

#: Models whose config comes with bitspec, by every name they go by: its place in the package.
SHIPPED: Final[dict[str, str]] = {
    "builtin/nano": "builtin/nano/config.json",
    "bert-base-cased": "parameters/configs/bert-base-cased.json",
    "bert-base-uncased": "parameters/configs/bert-base-uncased.json",
    "google-bert/bert-base-cased": "parameters/configs/bert-base-cased.json",
    "google-bert/bert-base-uncased": "parameters/configs/bert-base-uncased.json",
}

#: What may stand where a model is named, for the help of messages.
SOURCES: Final = "write a name on the Hugging Face hub, such as `bert-base-cased`, or a folder, such as `./model`"


def shipped_config(source: str) -> Path:
    """The file of a config that comes with bitspec."""
    return package() / SHIPPED[source]


def package() -> Path:
    """The folder of the installed package."""
    return Path(str(resources.files("bitspec")))


def near(source: str) -> str | None:
    """`did you mean …?`: the shipped names like one that is not known."""
    if source in SHIPPED:  # its files cannot be had, but its name is right
        return None
    # Each shipped model has a short and a full name: suggest the like of what was written.
    return did_you_mean(source, [name for name in SHIPPED if ("/" in name) == ("/" in source)])


def unknown_builtin(source: str, revision: str | None) -> Diagnostic:
    """What is wrong with a name that belongs to bitspec: there is no such model, or it has no revisions."""
    if source in SHIPPED:
        return error(
            "revision-of-builtin",
            f"`{source}` comes with bitspec and has no revision `{revision}`",
            help=f'take `revision "{revision}"` away',
        )
    builtins = [name for name in SHIPPED if name.startswith(BUILTIN)]
    return error(
        "unknown-builtin",
        f"no model `{source}` comes with bitspec",
        help=did_you_mean(source, builtins) or f"what comes with it: {listed(builtins, 'and')}",
    )
