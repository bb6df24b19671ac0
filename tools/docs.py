"""Writes what the documentation takes from the code: tables, messages, the JSON Schema.

    python tools/docs.py            # write everything anew
    python tools/docs.py --check    # write nothing; exit code 1 if something is stale

A page holds a generated part between `<!-- generated: NAME -->` and `<!-- end -->`. The pages in FILES are generated
as a whole. What a message's code means stands in `messages.toml`; the messages themselves are the golden ones of the
tests, and those of the examples in that file.
"""

from __future__ import annotations

import re
import sys
import tomllib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import click

import bitspec
from bitspec import diagnostics, vocabulary
from bitspec.cli.main import COMMANDS, cli
from bitspec.ir import check, patterns, selection
from bitspec.ir.schema import schema_text
from bitspec.ir.settings import SETTINGS
from bitspec.language import build, limits, load, recovery, values, words
from bitspec.parameters import conditions as matching
from bitspec.parameters import hub, models, structure, summary
from bitspec.parameters.roles import table as roles_table

ROOT = Path(__file__).resolve().parent.parent
PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))

_PART = re.compile(r"(<!-- generated: ([\w-]+) -->\n).*?(<!-- end -->)", re.DOTALL)
_DIAGNOSTIC = re.compile(r"\n\n(?=(?:error|warning)\[)")
_CODE = re.compile(r"(?:error|warning)\[([\w-]+)\]")


def main() -> None:
    """Write what is stale, or with `--check` only name it."""
    stale = [(path, text) for path, text in generated() if not path.exists() or path.read_text("utf-8") != text]
    is_check = "--check" in sys.argv[1:]
    for path, text in stale:
        click.echo(f"{path.relative_to(ROOT)}: {'stale; run `python tools/docs.py`' if is_check else 'written'}")
        if not is_check:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, "utf-8")
    sys.exit(1 if is_check and stale else 0)


def generated() -> Iterable[tuple[Path, str]]:
    """Every file that holds something generated, with the text that it should have."""
    for name, write in FILES.items():
        yield ROOT / name, write()
    for path in PAGES:
        if str(path.relative_to(ROOT)) not in FILES:
            yield path, _PART.sub(lambda part: f"{part[1]}\n{PARTS[part[2]]()}\n{part[3]}", path.read_text("utf-8"))


def _table(header: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    lines = [list(header), *([cell.replace("|", "\\|") for cell in row] for row in rows)]
    lines.insert(1, ["---"] * len(lines[0]))
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _words(header: str, meanings: dict[str, str]) -> str:
    return _table((header, "meaning"), ((f"`{word}`", meaning) for word, meaning in meanings.items()))


def _codes(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


# Parts of pages -----------------------------------------------------------------------------------------------


def _settings() -> str:
    rows = (
        (f"`{row.name}`", row.takes, f"`{row.written_default}`", row.unit, row.meaning) for row in SETTINGS.values()
    )
    return _table(("setting", "takes", "default", "unit", "meaning"), rows)


def _glue() -> str:
    tasks = vocabulary.GLUE | vocabulary.BUILTIN_TASKS
    rows = ((f"`{task}`", f"`{metric}`", str(vocabulary.GLUE_LABELS.get(task, 2))) for task, metric in tasks.items())
    return _table(("task", "metric", "outputs of the head"), rows)


def _families() -> str:
    rows = []
    for name, family in roles_table().families.items():
        has = {role for stack in family.stacks for role in stack.roles} | set(family.outside)
        zero = "zero" if family.frozen_key_bias else ""
        rows.append((name, _codes(family.types), _codes(role for role in vocabulary.ROLES if role in has), zero))
    return _table(("family", "model types", "roles", "gradient of the key's bias"), rows)


def _layer_roles() -> str:
    family = roles_table().families["bert"]
    inside, outside = family.stacks[0].roles, family.outside
    rows = [(f"`{role}`", _codes(inside.get(role) or outside.get(role, ()))) for role in vocabulary.ROLES]
    return _table(("role", "modules in BERT and its kin"), ((role, paths) for role, paths in rows if paths))


def _limits() -> str:
    return _table(
        ("what", "limit"),
        (
            ("a file", f"{load.MAX_BYTES:,} bytes"),
            ("a word of it", f"{limits.MAX_WORD:,} characters"),
            ("words of a file and all that it uses", f"{limits.MAX_WORDS:,}"),
            ("files that it uses", f"{load.MAX_FILES:,}"),
            ("files that use each other in a chain", f"{load.MAX_CHAIN}"),
            ("brackets inside brackets", f"{limits.MAX_NESTING}"),
            ("braces inside braces", f"{limits.MAX_BLOCKS}"),
            ("selections or conditions inside each other", f"{selection.MAX_DEPTH}"),
            ("statements that the loops of a file make", f"{limits.MAX_REPEATED:,}"),
            ("words that the loops of a spec write", f"{limits.MAX_WRITTEN:,}"),
            ("seeds of a study", f"{build.MAX_SEEDS:,}"),
            ("trials of a study", f"{check.MAX_TRIALS:,}"),
            ("strategies that select by each other's changes, one after the other", f"{check.MAX_STAGES}"),
            ("seeds over which `bitspec show` tries sizes", f"{summary.MAX_SEEDS}"),
            ("a name", f"{values.MAX_NAME} characters"),
            ("a number", f"{values.MAX_DIGITS} characters"),
            ("a text or name with the values of loops put in", f"{values.MAX_PUT_IN:,} characters"),
            ("a pattern", f"{patterns.MAX_PATTERN:,} characters"),
            ("a pattern with its repetitions written out", f"{patterns.MAX_REPEATED_PATTERN:,} characters"),
            ("a pattern, over all parameters of a model", f"{matching.PATTERN_TIMEOUT:g} second"),
            ("all patterns of a study", f"{matching.PATTERNS_TIMEOUT:g} seconds"),
            ("layers of a model", f"{structure.MOST_LAYERS:,}"),
            ("a model's `config.json`", f"{models.LARGEST_CONFIG // 2**20} MiB"),
            ("the answer of the Hugging Face hub", f"{hub.HUB_TIMEOUT:g} seconds"),
            ("syntax errors that are reported", f"{recovery.MAX_ERRORS}"),
            ("other errors and warnings that are reported", f"{diagnostics.MAX_DIAGNOSTICS}"),
            ("columns of a line that `bitspec fmt` writes", f"{words.WIDTH}"),
        ),
    )


def _commands() -> Iterator[tuple[str, click.Command, str]]:
    context = click.Context(cli)
    for name, meaning in COMMANDS.items():
        command = cli.get_command(context, name)
        assert command is not None
        yield name, command, meaning
        if isinstance(command, click.Group):
            for part, of_group in command.commands.items():
                yield f"{name} {part}", of_group, of_group.get_short_help_str(100)


def _options() -> str:
    lines = []
    for name, command, meaning in _commands():
        usage = " ".join(command.collect_usage_pieces(click.Context(command)))
        lines += [f"**`bitspec {name} {usage}`**: {meaning}", ""]
        given = command.get_params(click.Context(command))
        options = [one for one in given if isinstance(one, click.Option) and one.name != "help"]
        rows = [(_codes([*option.opts, *option.secondary_opts]), _said(option)) for option in options]
        lines += [_table(("option", "meaning"), rows)] if rows else []
    return "\n".join(lines).rstrip("\n") + "\n"


def _file(path: str, language: str) -> str:
    return f"```{language}\n{(ROOT / path).read_text('utf-8')}```\n"


def _said(option: click.Option) -> str:
    default = f" [default: {option.default}]" if option.show_default else ""
    return " ".join(f"{option.help}{default}".split())


PARTS: dict[str, Callable[[], str]] = {
    "selections": lambda: _words("selection", vocabulary.SELECTIONS),
    "kinds": lambda: _words("kind", vocabulary.KINDS),
    "roles": lambda: _words("role", vocabulary.ROLES),
    "layer-roles": _layer_roles,
    "families": _families,
    "attributes": lambda: _words("attribute", vocabulary.ATTRIBUTES),
    "settings": _settings,
    "glue": _glue,
    "metrics": lambda: _words("metric", vocabulary.METRICS),
    "keywords": lambda: f"{_codes(vocabulary.KEYWORDS)}\n",
    "limits": _limits,
    "plugin-module": lambda: _file("plugins/examples/rule/bitspec_blocks.py", "python"),
    "plugin-project": lambda: _file("plugins/examples/rule/pyproject.toml", "toml"),
    "options": _options,
}


# Whole files --------------------------------------------------------------------------------------------------


def _messages() -> str:
    meanings = tomllib.loads((ROOT / "tools" / "messages.toml").read_text("utf-8"))
    said = _said_messages(meanings.pop("examples"))
    lines = [
        "# Messages",
        "",
        "Every message has a code, which stays the same from version to version, a place (`file:line:column`), the",
        "line with a caret, what is wrong, and where there is something to say, a line of help. One pass finds every",
        "mistake: a wrong statement does not hide those after it. Messages go to standard error. An error makes the",
        "exit code 2, a warning only with `bitspec check --strict`. Below is what each code means, with one message as",
        "it is printed.",
        "",
        "This page is generated by `tools/docs.py` from `tools/messages.toml` and the tests' golden messages.",
    ]
    for title, codes in meanings.items():
        lines += ["", f"## {title}"]
        for code, meaning in codes.items():
            lines += ["", f"### `{code}`", "", meaning]
            if code in said:
                lines += ["", "```text", said[code], "```"]
    return "\n".join(lines) + "\n"


def _said_messages(examples: list[str]) -> dict[str, str]:
    """A message for each code that the golden files or the examples have: the first that stands alone, or the first."""
    outputs = [
        case.partition("\n---\n")[2].strip("\n")
        for file in sorted((ROOT / "tests" / "language" / "messages").glob("*.txt"))
        for case in file.read_text("utf-8").split("\n=== ")
    ]
    outputs += [_shown(example) for example in examples]
    found: dict[str, str] = {}
    for several in (False, True):
        for output in outputs:
            messages = _DIAGNOSTIC.split(output)
            for message in messages:
                code = _CODE.match(message)
                if code is not None and (several or len(messages) == 1):
                    found.setdefault(code[1], message)
    return found


def _shown(selections: str) -> str:
    """What `bitspec show` says about selections on BERT."""
    text = f'study example\nmodel "bert-base-cased"\ntask rte\n{selections.strip()}\n'
    try:
        diagnostics = bitspec.show(bitspec.loads(text, "spec.bspec")).diagnostics
    except bitspec.BitspecError as problem:
        diagnostics = problem.diagnostics
    return "\n\n".join(said.render() for said in diagnostics)


FILES: dict[str, Callable[[], str]] = {
    "docs/messages.md": _messages,
    "docs/schema/study.schema.json": schema_text,
}


if __name__ == "__main__":
    main()
