"""Characters beyond ASCII in LaTeX: what stands for those that a font lacks.

pdfLaTeX knows few of them and stops at any other; XeLaTeX and LuaLaTeX leave out what their font lacks without a word.
So each one that a text has is declared, with something that every font can print: an accented letter as its accent
and letter, a symbol of mathematics, or else its code point.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

_GREEK: Final = (
    "alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", "theta", "iota", "kappa", "lambda", "mu", "nu", "xi",
    "o", "pi", "rho", "varsigma", "sigma", "tau", "upsilon", "phi", "chi", "psi", "omega",
)  # fmt: skip

#: Commands of the mathematics that every LaTeX has.
_MATHEMATICS: Final = {
    **{chr(0x3B1 + place): name for place, name in enumerate(_GREEK) if name != "o"},
    **{
        chr(0x391 + place): name.capitalize()
        for place, name in enumerate(_GREEK)
        if name in {"gamma", "delta", "theta", "lambda", "xi", "pi", "sigma", "upsilon", "phi", "psi", "omega"}
    },
    "µ": "mu",
    "±": "pm",
    "×": "times",
    "÷": "div",
    "·": "cdot",
    "≤": "leq",
    "≥": "geq",
    "≠": "neq",
    "≈": "approx",
    "≪": "ll",
    "≫": "gg",
    "«": "ll",
    "»": "gg",
    "¬": "neg",
    "∞": "infty",
    "∈": "in",
    "∉": "notin",
    "∅": "emptyset",
    "∩": "cap",
    "∪": "cup",
    "⊂": "subset",
    "⊆": "subseteq",
    "∂": "partial",
    "∇": "nabla",
    "∑": "sum",
    "∏": "prod",
    "∫": "int",
    "√": "surd",
    "∀": "forall",
    "∃": "exists",
    "∧": "wedge",
    "∨": "vee",
    "→": "rightarrow",
    "←": "leftarrow",
    "↑": "uparrow",
    "↓": "downarrow",
    "↔": "leftrightarrow",
    "⇒": "Rightarrow",
    "⇔": "Leftrightarrow",
    "▲": "bigtriangleup",
    "▼": "bigtriangledown",
    "○": "bigcirc",
    "●": "bullet",
    "•": "bullet",
    "\N{REPLACEMENT CHARACTER}": "diamond",
}

#: What else every font can print.
_TEXTS: Final = {
    "\N{NO-BREAK SPACE}": "~",
    "\N{NARROW NO-BREAK SPACE}": r"\,",
    "\N{THIN SPACE}": r"\,",
    "–": "--",
    "—": "---",
    "‑": "-",
    "−": r"\ensuremath{-}",
    "…": r"\ldots{}",
    "‘": "`",
    "’": "'",
    "“": "``",
    "”": "''",
    "„": ",,",
    "‚": ",",
    "°": r"\ensuremath{^{\circ}}",
    "¹": r"\ensuremath{^{1}}",
    "²": r"\ensuremath{^{2}}",
    "³": r"\ensuremath{^{3}}",
    "½": "1/2",
    "¼": "1/4",
    "¾": "3/4",
    "§": r"\S{}",
    "¶": r"\P{}",
    "©": r"\copyright{}",
    "£": r"\pounds{}",
    "€": "EUR",
    "¡": "!`",
    "¿": "?`",
    "ß": r"\ss{}",
    "æ": r"\ae{}",
    "Æ": r"\AE{}",
    "œ": r"\oe{}",
    "Œ": r"\OE{}",
    "ø": r"\o{}",
    "Ø": r"\O{}",
    "ł": r"\l{}",
    "Ł": r"\L{}",
    "ı": r"\i{}",
}

#: Accents by their combining characters.
_ACCENTS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "\u0300": "`",
        "\u0301": "'",
        "\u0302": "^",
        "\u0303": "~",
        "\u0304": "=",
        "\u0306": "u",
        "\u0307": ".",
        "\u0308": '"',
        "\u030a": "r",
        "\u030b": "H",
        "\u030c": "v",
        "\u0323": "d",
        "\u0327": "c",
        "\u0331": "b",
    }
)

_DECLARED: Final = r"""\newcommand{\codepoint}[1]{{\scriptsize\ttfamily[U+#1]}}
% What is printed for a character that the font lacks; pdfLaTeX has no fonts with more than these.
\ifdefined\DeclareUnicodeCharacter
  \newcommand{\orelse}[2]{\DeclareUnicodeCharacter{#1}{#2}}
\else
  \newcommand{\orelse}[2]{%
    \begingroup\lccode`\~="#1\relax
    \lowercase{\endgroup\protected\def~}{\iffontchar\font"#1 \char"#1\relax\else#2\fi}%
    \catcode"#1=\active}
\fi
"""


def declarations(content: str) -> str:
    """What a preamble must say for the characters of a document."""
    found = sorted({char for char in content if not char.isascii()})
    return _DECLARED + "".join(f"\\orelse{{{ord(char):04X}}}{{{stand_in(char)}}}\n" for char in found)


def stand_in(char: str) -> str:
    """What stands for a character: LaTeX that needs no other font."""
    if char in _TEXTS:
        return _TEXTS[char]
    if char in _MATHEMATICS:
        return f"\\ensuremath{{\\{_MATHEMATICS[char]}}}"
    base, *marks = list(unicodedata.normalize("NFD", char))
    if marks and base.isascii():
        letter = f"\\{base}" if base in "ij" and set(marks) & _ACCENTS.keys() else base
        for mark in marks:
            letter = f"\\{_ACCENTS[mark]}{{{letter}}}" if mark in _ACCENTS else letter
        return letter
    return f"\\codepoint{{{ord(char):04X}}}"
