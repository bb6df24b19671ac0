"""A spec in its one canonical layout.

The words of the text are read with their comments, neighbours are aligned, and the words are written. No pass
adds a word or moves a comment across one, so the study stays the same. Where lines break hangs on the words,
except that blank lines, blocks on one line and settings on one line stay as they are: so a second formatting
changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

from bitspec.diagnostics import BitspecError, Source, columns
from bitspec.language.grammar import without_collector
from bitspec.language.parser import parse
from bitspec.language.words import WIDTH, Block, Item, Run, Word, read_items, space

#: Indentation of the lines of a block, and of the further lines of a statement.
BLOCK_INDENT = 2
HANGING_INDENT = 4
#: A statement is not aligned with its neighbours if its left side is this much wider than the narrowest.
MAX_PADDING = 40


def format_text(source: Source) -> str:
    """The text in its canonical layout. Raises BitspecError with what is wrong in it if it does not parse."""
    with without_collector():
        diagnostics = parse(source).diagnostics
        if diagnostics:
            raise BitspecError(*diagnostics)
        items, end = read_items(source.text)
        writer = _Writer()
        writer.items(items, 0)
        writer.comments(end, 0)
        return writer.text()


class _Writer:
    """Writes words line by line. A comment ends its line, whatever the layout would have put there."""

    def __init__(self) -> None:
        self._lines: list[str] = []
        self._line = ""
        self._column = 0
        self._last: Word | None = None

    def text(self) -> str:
        self._end_line()
        return "".join(f"{line}\n" for line in self._lines)

    def items(self, items: list[Item], indent: int) -> None:
        """Statements, or the entries of a block, each on its own line except for settings that share one."""
        _align(items, indent)
        for position, item in enumerate(items):
            if position and self._shares_line(item, items[position - 1], indent):
                item.first.padding = 1
            else:
                self._end_line()
            self._run(item.run, 0, len(item.run.words), indent, indent + HANGING_INDENT)
            if item.block is not None:
                self._block(item.block, indent)

    def comments(self, word: Word, indent: int) -> None:
        """The comments before a word, on lines of their own."""
        for comment in word.leading:
            self._end_line()
            if comment.blank:
                self._lines.append("")
            self._lines.append(" " * indent + comment.text)

    def _shares_line(self, item: Item, before: Item, indent: int) -> bool:
        return (
            item.rule == "property"
            and not item.first.on_new_line
            and indent + before.width <= WIDTH
            and self._column + 2 + item.width <= WIDTH
        )

    def _block(self, block: Block, indent: int) -> None:
        if block.on_one_line and self._column + block.width <= WIDTH:
            self._flat_block(block)
            return
        inside = indent + BLOCK_INDENT
        self.items(block.items, inside)
        self._end_line()
        self.comments(block.closing, inside)
        self._word(block.closing, indent)

    def _flat_block(self, block: Block) -> None:
        for position, item in enumerate(block.items):
            item.first.padding = 1 if position else 0
            for word in item.run.words:
                self._word(word, 0)
            if item.block is not None:
                self._flat_block(item.block)
        self._word(block.closing, 0)

    def _run(self, run: Run, first: int, end: int, indent: int, hang: int, *, each: bool = False) -> None:
        """Words on one line if they fit there, else broken where they bind loosest.

        `indent` is for the first word, should it start a line, and `hang` for the other lines. `each`: a list
        gets a line for each of its parts; else as many parts as fit stand on a line.
        """
        cuts, is_list = run.cuts(first, end)
        if self._fits(run, first, end, indent) and not (is_list and each):
            for word in run.words[first:end]:
                self._commented(word, indent)
            return
        if not cuts:
            self._brackets(run, first, end, indent, max(hang, indent + HANGING_INDENT))
            return
        for start, stop in pairwise([first, *cuts, end]):
            if start != first:
                indent = hang
                if not is_list or each or not self._fits(run, start, stop, hang):
                    self._end_line()
            # Operands are indented below their operator, but not the first name of a list at a statement.
            further = 0 if is_list and indent < hang else HANGING_INDENT
            self._run(run, start, stop, indent, hang + further)

    def _brackets(self, run: Run, first: int, end: int, indent: int, hang: int) -> None:
        """Words that can only be broken inside their brackets."""
        position = first
        while position < end:
            word = run.words[position]
            self._commented(word, indent if position == first else hang)
            closing = run.partners.get(position, position)
            width = run.width(position, closing + 1) - columns(word.text)
            if closing + 1 < end:
                width += 2  # for the comma or the block's brace that follows
            if width > len("()") and self._column + width > WIDTH:
                self._end_line()
                if closing > position + 1:
                    self._run(run, position + 1, closing, hang, hang, each=word.kind == "LPAR")
                    self._end_line()
                self.comments(run.words[closing], hang)
                self._word(run.words[closing], hang - HANGING_INDENT)
                position = closing
            position += 1

    def _fits(self, run: Run, first: int, end: int, indent: int) -> bool:
        word = run.words[first]
        if word.leading or not self._line or self._last is None:
            column = indent
        else:
            column = self._column + space(self._last, word)
        return column + run.width(first, end) <= WIDTH

    def _commented(self, word: Word, indent: int) -> None:
        self.comments(word, indent)
        self._word(word, indent)

    def _word(self, word: Word, indent: int) -> None:
        if not self._line or self._last is None:
            if word.blank:
                self._lines.append("")
            margin = indent
        else:
            margin = space(self._last, word) + word.padding
        self._line += " " * margin + word.text
        self._column += margin + columns(word.text)
        self._last = word
        if word.trailing:
            self._line += f"  {word.trailing}"
            self._end_line()

    def _end_line(self) -> None:
        if self._line:
            self._lines.append(self._line)
            self._line = ""
            self._column = 0


def _align(items: list[Item], indent: int) -> None:
    """Pad neighbours of one kind so that their labels, and their `=` or first scores, stand in columns."""
    for neighbours in _neighbours(items, indent):
        narrowest = min(item.run.starts[_anchor(item)] for item in neighbours)
        members = [item for item in neighbours if item.run.starts[_anchor(item)] <= narrowest + MAX_PADDING]
        _, anchor_at = _stops(members)
        room = WIDTH - indent - anchor_at
        members = [item for item in members if item.width - item.run.starts[_anchor(item)] <= room]
        label_at, anchor_at = _stops(members)
        for item in members:
            run, anchor = item.run, _anchor(item)
            shift = 0
            if _has_label(item):
                shift = run.words[2].padding = label_at - run.starts[2]
            run.words[anchor].padding = anchor_at - run.starts[anchor] - shift


def _neighbours(items: list[Item], indent: int) -> Iterator[list[Item]]:
    """Groups, strategies and rows on lines below each other, with nothing in between."""
    found: list[Item] = []
    for item in items:
        fits = item.rule in {"group", "strategy", "row"} and indent + item.width <= WIDTH
        continues = found and item.rule == found[-1].rule and not item.first.leading and not item.first.blank
        if found and not (fits and continues):
            yield found
            found = []
        if fits:
            found.append(item)
    if found:
        yield found


def _stops(items: list[Item]) -> tuple[int, int]:
    """The columns of the labels and of what is aligned after them."""
    label_at = max((item.run.starts[2] for item in items if _has_label(item)), default=0)
    anchor_at = 0
    for item in items:
        shift = label_at - item.run.starts[2] if _has_label(item) else 0
        anchor_at = max(anchor_at, item.run.starts[_anchor(item)] + shift)
    return label_at, anchor_at


def _has_label(item: Item) -> bool:
    return item.run.words[2].kind == "STRING"


def _anchor(item: Item) -> int:
    """The position of the word that is aligned: the `=`, or a row's first task."""
    return 3 if _has_label(item) else 2
