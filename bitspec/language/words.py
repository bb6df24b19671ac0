"""The words of a spec as its layout sees them: tokens with their comments, in runs, statements and blocks.

They are read off a parse tree that keeps every token, so that nothing of the text is lost but white space.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from itertools import pairwise

from lark import Lark, Token, Tree

from bitspec.diagnostics import columns
from bitspec.language.grammar import grammar

#: Columns of a line; only what cannot be broken, such as a long text, is longer. Comments do not count.
WIDTH = 100

#: Where lines are broken, the loosest binding first.
_LOOSENESS = {"COMMA": 0, "VBAR": 1, "SIGN": 1, "AMPERSAND": 2, "WHERE": 3, "OR": 4, "AND": 5}
_TIGHT_BEFORE = {"COMMA", "COLON", "DOTS", "PERCENT", "RPAR", "RBRACE"}
_TIGHT_AFTER = {"DOTS", "LPAR", "LBRACE", "UNARY"}
_TIGHT_PAIRS = {("NAME", "LPAR"), ("OPEN_BLOCK", "CLOSE_BLOCK")}

_COMMENT_OR_BREAK = re.compile(r"#[^\n]*|\n")


@dataclass(slots=True)
class Comment:
    """A comment on a line of its own; `blank`: after a blank line."""

    text: str
    blank: bool


@dataclass(slots=True)
class Word:
    """A token with its comments: those on lines of their own before it, and the one after it on its line.

    `kind` is the token's type, except that the braces of blocks and the signs of numbers have their own.
    `blank`: after a blank line that is kept. `padding` is the space that alignment adds in front.
    """

    text: str
    kind: str
    leading: Sequence[Comment] = ()
    trailing: str = ""
    blank: bool = False
    on_new_line: bool = False
    padding: int = 0


class Run:
    """Words that can stand on one line: a setting, say, or a statement up to its block's opening brace.

    `starts` and `ends` are the columns of each word on that line, and `partners` maps the position of an
    opening bracket to that of the closing one.
    """

    def __init__(self, words: list[Word]) -> None:
        self.words = words
        self.starts = [0]
        self.ends = [columns(words[0].text)]
        self.partners: dict[int, int] = {}
        opened: list[int] = []
        for position, (before, word) in enumerate(pairwise(words), 1):
            # Nothing with a comment inside fits on a line: the comment takes all of it.
            comment = WIDTH if before.trailing or word.leading else 0
            self.starts.append(self.ends[-1] + space(before, word) + comment)
            self.ends.append(self.starts[-1] + columns(word.text))
            if word.kind in {"LPAR", "LBRACE"}:
                opened.append(position)
            elif word.kind in {"RPAR", "RBRACE"}:
                self.partners[opened.pop()] = position

    def width(self, first: int = 0, end: int | None = None) -> int:
        """Columns of the words from `first` up to `end`."""
        return self.ends[-1 if end is None else end - 1] - self.starts[first]

    def cuts(self, first: int, end: int) -> tuple[list[int], bool]:
        """Where to break words over lines, before what binds loosest; and whether that is after commas."""
        loosest = max(_LOOSENESS.values()) + 1
        cuts: list[int] = []
        position = first
        while position < end:
            kind = self.words[position].kind
            looseness = _LOOSENESS.get(kind, loosest + 1)
            cut = position + 1 if kind == "COMMA" else position
            if looseness <= loosest and first < cut < end:
                if looseness < loosest:
                    loosest, cuts = looseness, []
                cuts.append(cut)
            position = self.partners.get(position, position) + 1
        return cuts, loosest == _LOOSENESS["COMMA"]


@dataclass
class Item:
    """A statement, or an entry of its block.

    `rule` is its rule in the grammar. `width`: its columns on one line.
    """

    rule: str
    run: Run
    block: Block | None = None
    width: int = field(init=False)

    def __post_init__(self) -> None:
        self.width = self.run.width() + (self.block.width if self.block is not None else 0)

    @property
    def first(self) -> Word:
        """Its first word, which has the comments before it."""
        return self.run.words[0]


@dataclass
class Block:
    """Entries up to the closing brace; the opening one is the last word of the statement's run.

    `on_one_line`: as it stands in the text. `width`: its columns on one line, after the opening brace.
    """

    items: list[Item]
    closing: Word
    on_one_line: bool
    width: int = field(init=False)

    def __post_init__(self) -> None:
        self.width = 1 + sum(item.width + 2 for item in self.items)


def space(before: Word, after: Word) -> int:
    """Spaces between two words on a line."""
    if after.kind in _TIGHT_BEFORE or before.kind in _TIGHT_AFTER:
        return 0
    return 0 if (before.kind, after.kind) in _TIGHT_PAIRS else 1


def read_items(text: str) -> tuple[list[Item], Word]:
    """The statements of a text that parses, and an empty word for the comments after the last."""
    return _Reader(text).file(_concrete_grammar().parse(text))


@cache
def _concrete_grammar() -> Lark:
    """The grammar, with trees that keep every token."""
    return Lark(grammar().source_grammar, parser="lalr", start="file", keep_all_tokens=True, maybe_placeholders=False)


class _Reader:
    """Reads words in the order of the text, where it looks up what stands between each and the one before."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._end = 0
        self._last: Word | None = None

    def file(self, tree: Tree[Token]) -> tuple[list[Item], Word]:
        items = [self._item(child) for child in tree.children if isinstance(child, Tree)]
        end = self._word("", "END", len(self._text), starts=True)
        _drop_outer_blanks(items, end)
        return items, end

    def _item(self, tree: Tree[Token]) -> Item:
        words: list[Word] = []
        items: list[Item] = []
        block: Block | None = None
        for child in tree.children:
            if isinstance(child, Tree) and words and words[-1].kind == "OPEN_BLOCK":
                items.append(self._item(child))
            elif child == "{":
                words.append(self._token(child, "OPEN_BLOCK"))
            elif child == "}":
                closing = self._token(child, "CLOSE_BLOCK", starts=True)
                _drop_outer_blanks(items, closing)
                block = Block(items, closing, _is_on_one_line(words[-1], items, closing))
            else:
                words += self._words(child, starts=not words)
        return Item(tree.data, Run(_without_last_commas(words)), block)

    def _words(self, node: Tree[Token] | Token, starts: bool) -> Iterator[Word]:
        # Without recursion: a chain of operators is a tree as deep as the chain is long.
        stack = [node]
        while stack:
            node = stack.pop()
            if isinstance(node, Token):
                yield self._token(node, node.type, starts)
                starts = False
            elif node.data == "number" and len(node.children) == 2:
                sign, digits = node.children
                yield self._token(sign, "UNARY")
                stack.append(digits)
            else:
                stack += reversed(node.children)

    def _token(self, token: Tree[Token] | Token, kind: str, starts: bool = False) -> Word:
        assert isinstance(token, Token)
        text = str(token)
        if kind == "STRING" and '"' not in text:
            text = f'"{text[1:-1]}"'
        start = token.start_pos or 0
        word = self._word(text, kind, start, starts)
        self._end = start + len(token)
        return word

    def _word(self, text: str, kind: str, start: int, starts: bool) -> Word:
        """The next word. `starts`: it starts an entry or ends a block, so blank lines before it are kept."""
        word = Word(text, kind)
        gap = self._text[self._end : start]
        leading: list[Comment] = []
        breaks = 0
        for piece in _COMMENT_OR_BREAK.findall(gap):
            if piece == "\n":
                breaks += 1
                word.on_new_line = True
            elif self._last is not None and not word.on_new_line:
                self._last.trailing = piece.rstrip()
            else:
                leading.append(Comment(piece.rstrip(), blank=starts and breaks > 1))
                breaks = 0
        word.leading = leading
        word.blank = starts and breaks > 1
        self._last = word
        return word


def _drop_outer_blanks(items: list[Item], closing: Word) -> None:
    """No blank line at the start of a file or block, nor right before its end."""
    closing.blank = False
    first = items[0].first if items else closing
    if first.leading:
        first.leading[0].blank = False
    else:
        first.blank = False


def _is_on_one_line(opening: Word, items: list[Item], closing: Word) -> bool:
    if not items:
        return not opening.trailing and not closing.leading
    if closing.on_new_line:
        return False
    words = (word for item in items for word in item.run.words)
    blocks = (item.block for item in items if item.block is not None)
    return not any(word.on_new_line for word in words) and all(block.on_one_line for block in blocks)


def _without_last_commas(words: list[Word]) -> list[Word]:
    """A comma before the end of a set goes, unless a comment stands at it."""
    kept = [
        before
        for before, after in pairwise(words)
        if before.kind != "COMMA" or after.kind != "RBRACE" or before.leading or before.trailing
    ]
    return [*kept, words[-1]]
