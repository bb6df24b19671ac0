"""What the commands do, and what they say to whom: exit codes, both outputs, pipes, terminals, interruptions."""

from __future__ import annotations

import json
import os
import pty
import subprocess
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

import jsonschema
import pytest

from bitspec.cli.main import COMMANDS
from bitspec.diagnostics import Source
from bitspec.language.formatter import format_text
from bitspec.language.load import load, loads
from tests.cli.conftest import Bitspec, Ran

Process = Callable[..., subprocess.CompletedProcess[str]]

RIGHT = 'study s "Title"\nmodel "bert-base-cased"\ntask rte, cola\nseeds 0..1\nstrategy x "X" = bias where role == q\n'
LIBRARY = 'group g = bias where role == q\nstrategy y "Why" = g | gamma\nstrategy z = rowcol(matrix, size(g))\n'


def wrote(name: str, text: str) -> Path:
    path = Path(name)
    path.write_text(text, "utf-8")
    return path


# Every command ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", COMMANDS)
def test_the_help_of_every_command_has_an_example(bitspec: Bitspec, name: str) -> None:
    for option in ("--help", "-h"):
        found = bitspec(name, option)
        assert (found.code, found.err) == (0, "")
        assert found.out.startswith(f"Usage: bitspec {name} ")
        assert f"\n  Example: bitspec {name}" in found.out
    options = import_module(f"bitspec.cli.{name}").command.params
    assert all(one.help for one in options if one.param_type_name == "option")


def test_the_help_lists_the_commands(bitspec: Bitspec) -> None:
    found = bitspec("--help")
    assert found.code == 0
    width = max(map(len, COMMANDS))
    for name, line in COMMANDS.items():
        assert f"  {name:<{width}}  {line}\n" in found.out
    assert found.out.endswith("\n  Example: bitspec show specs/paper.bspec\n")


def test_the_version(bitspec: Bitspec) -> None:
    from importlib.metadata import version

    assert bitspec("--version") == Ran(0, f"bitspec, version {version('bitspec')}\n", "")


def test_without_a_command_there_is_the_help(bitspec: Bitspec) -> None:
    found = bitspec()
    assert found.code == 2
    assert "Commands:\n" in found.err + found.out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["shw"], "Error: there is no command called `shw`; did you mean `show`?\n"),
        (["xyz"], "Error: there is no command called `xyz`; `bitspec --help` lists the commands\n"),
        (["a.bspec"], "Error: there is no command called `a.bspec`; did you mean `bitspec show a.bspec`?\n"),
        (["check", "--quite", "f"], "Error: No such option '--quite'. Did you mean '--quiet'?\n"),
        (["show"], "Error: Missing argument 'SPEC'.\n"),
        (["check"], "Error: Missing argument 'SPEC...'.\n"),
        (["--nonesuch"], "Error: No such option '--nonesuch'.\n"),
    ],
)
def test_what_is_wrong_with_a_call(bitspec: Bitspec, arguments: list[str], said: str) -> None:
    found = bitspec(*arguments)
    assert (found.code, found.out) == (2, "")
    assert found.err.startswith("Usage: bitspec ")
    assert found.err.endswith(said)


# check --------------------------------------------------------------------------------------------------


def test_check_says_what_a_right_spec_holds(bitspec: Bitspec) -> None:
    wrote("s.bspec", RIGHT)
    wrote("lib.bspec", LIBRARY)
    assert bitspec("check", "s.bspec", "lib.bspec") == Ran(
        0,
        "s.bspec: s: 1 model × 2 tasks × 1 strategy × 2 seeds = 4 trials\n"
        "lib.bspec: 1 group, 2 strategies, for other specs to use\n",
        "",
    )
    assert bitspec("check", "-q", "s.bspec", "lib.bspec") == Ran(0, "", "")


WRONG = (
    "error[unknown-name]: there is no group or strategy called `gmma`\n"
    " --> bad.bspec:1:11\n"
    "  |\n"
    "1 | group g = gmma\n"
    "  |           ^^^^\n"
    "  = help: did you mean `gamma`?\n"
    "\n"
)
MISSING = (
    "error[no-such-file]: there is no file `gone.txt`\n  = help: check the path; `bitspec new` writes a first spec\n\n"
)


def test_check_looks_at_every_spec_and_counts_what_is_wrong(bitspec: Bitspec) -> None:
    wrote("s.bspec", RIGHT)
    wrote("bad.bspec", "group g = gmma")
    assert bitspec("check", "bad.bspec", "gone.txt", "s.bspec") == Ran(
        2, "s.bspec: s: 1 model × 2 tasks × 1 strategy × 2 seeds = 4 trials\n", WRONG + MISSING + "2 errors\n"
    )
    assert bitspec("check", "--quiet", "bad.bspec") == Ran(2, "", WRONG + "1 error\n")


def test_check_of_warnings(bitspec: Bitspec) -> None:
    wrote("s.bspec", RIGHT + "group g = gamma")
    found = bitspec("check", "s.bspec")
    assert found.code == 0
    assert found.out.startswith("s.bspec: s: ")
    assert found.err.startswith("warning[unused-group]: no strategy uses the group `g`\n --> s.bspec:6:7\n")
    assert found.err.endswith("\n\n1 warning\n")
    strict = bitspec("check", "--strict", "s.bspec")
    assert (strict.code, strict.err) == (2, found.err)


# show ---------------------------------------------------------------------------------------------------

SHOWN = """s  Title

bert-base-cased  BertForSequenceClassification, 12 layers, 108,310,272 parameters
head, always trained and never counted: 1,538 (rte, cola)

strategy  label  trained  % of all
x         X        9,216   0.00851
"""


def test_show(bitspec: Bitspec) -> None:
    wrote("s.bspec", RIGHT)
    found = bitspec("show", "s.bspec", "--no-heatmap")
    assert (found.code, found.err) == (0, "")
    assert "\n".join(line.rstrip() for line in found.out.splitlines()) + "\n" == SHOWN
    whole = bitspec("show", "s.bspec").out
    assert "\nq      ▃▃▃▃▃▃▃▃▃▃▃▃ ·       9,216" in whole
    assert "columns: layers 0 to 11, then outside the layers" in whole


def test_show_as_json(bitspec: Bitspec, specs: Path) -> None:
    found = bitspec("show", specs / "paper.bspec", "--seeds", "0", "--json")
    assert (found.code, found.err) == (0, "")
    (model,) = found.json()["models"]
    counts = {strategy["name"]: strategy["least"] for strategy in model["strategies"]}
    assert found.json()["study"] == "bitfit_plus"
    assert model["total"] == 108_310_272
    assert counts["bitfit"] == 102_912
    assert {name for name, count in counts.items() if count == 0} == {"frozen"}
    assert found.json()["diagnostics"] == []


def test_show_as_json_has_the_warnings_too(bitspec: Bitspec, specs: Path) -> None:
    found = bitspec("show", specs / "paper_as_run.bspec", "--json", "--strategy", "gamma_ln2")
    (said,) = found.json()["diagnostics"]
    assert (said["severity"], said["code"]) == ("warning", "straddling-pattern")
    assert said["location"].endswith("paper_as_run.bspec:29:27")
    assert found.err.endswith("\n\n1 warning\n")


def test_show_of_some_strategies(bitspec: Bitspec, specs: Path) -> None:
    found = bitspec("show", specs / "paper.bspec", "-s", "frozen", "--strategy", "bitfit", "--json")
    assert [one["name"] for one in found.json()["models"][0]["strategies"]] == ["frozen", "bitfit"]
    wrong = bitspec("show", specs / "paper.bspec", "-s", "bitft")
    assert wrong == Ran(
        2, "", "error[unknown-name]: there is no strategy called `bitft`\n  = help: did you mean `bitfit`?\n\n1 error\n"
    )  # fmt: skip


@pytest.mark.parametrize(("seeds", "expected"), [("0..2", [0, 1, 2]), ("1,7", [1, 7]), ("{5}", [5]), ("3", [3])])
def test_show_over_other_seeds(bitspec: Bitspec, seeds: str, expected: list[int]) -> None:
    wrote("s.bspec", RIGHT)
    assert bitspec("show", "s.bspec", "--seeds", seeds, "--json").json()["models"][0]["seeds"] == expected


@pytest.mark.parametrize("seeds", ["x", "", "-1", "4..0", "0..", "1 1", "1.5", "0 strategy y = gamma", "0 seeds 1"])
def test_show_over_what_are_no_seeds(bitspec: Bitspec, seeds: str) -> None:
    wrote("s.bspec", RIGHT)
    assert bitspec("show", "s.bspec", "--seeds", seeds) == Ran(
        2,
        "",
        f"error[bad-seed]: `--seeds {seeds}` is not understood\n"
        "  = help: write `--seeds 0..4` or `--seeds 1,7,42`\n\n1 error\n",
    )


def test_show_of_a_library(bitspec: Bitspec) -> None:
    wrote("lib.bspec", LIBRARY)
    found = bitspec("show", "lib.bspec")
    assert (found.code, found.out) == (2, "")
    assert found.err.startswith("error[incomplete]: there is no model to show this for\n --> lib.bspec:1:1\n")
    assert "help: name one with `--model bert-base-cased`, or in the spec with `model`\n" in found.err
    given = bitspec("show", "lib.bspec", "--model", "bert-base-cased", "--json")
    assert given.code == 0
    assert [(one["name"], one["least"]) for one in given.json()["models"][0]["strategies"]] == [
        ("y", 28_416),
        ("z", 9_216),
    ]


def test_show_for_another_model(bitspec: Bitspec, llama: Path) -> None:
    wrote("s.bspec", RIGHT.replace("bias where role == q", "gamma"))
    found = bitspec("show", "s.bspec", "-m", llama, "-m", "bert-base-cased", "--json")
    assert [(one["model"], one["strategies"][0]["least"]) for one in found.json()["models"]] == [
        (str(llama), 40),
        ("bert-base-cased", 19_200),
    ]


def test_show_says_when_it_reads_a_structure_and_only_then(bitspec: Bitspec, llama: Path) -> None:
    changed = json.loads((llama / "config.json").read_text("utf-8")) | {"vocab_size": 31}
    (llama / "config.json").write_text(json.dumps(changed), "utf-8")
    wrote("s.bspec", RIGHT.replace("bert-base-cased", "./llama").replace("bias where role == q", "gamma"))
    assert bitspec("show", "s.bspec").err == "reading the structure of ./llama (once; it is cached)\n"
    assert bitspec("show", "s.bspec").err == ""


@pytest.mark.parametrize(
    ("spec", "code", "place"),
    [
        (RIGHT.replace("bert-base-cased", "./none"), "no-such-folder", "s.bspec:2:1"),
        (RIGHT.replace("role == q", "role == qkv"), "matches-nothing", "s.bspec:5:29"),
        (RIGHT + "strategy y = bias & (bias - bias)", "selects-nothing", "s.bspec:6:10"),
    ],
)
def test_show_of_what_a_model_does_not_have(bitspec: Bitspec, spec: str, code: str, place: str) -> None:
    wrote("s.bspec", spec)
    found = bitspec("show", "s.bspec")
    assert found.code == 2
    assert found.err.startswith(f"error[{code}]: ")
    assert f" --> {place}\n" in found.err
    assert found.err.endswith("\n\n1 error\n")


def test_show_of_a_wrong_spec_reads_no_model(bitspec: Bitspec) -> None:
    wrote("bad.bspec", "group g = gmma")
    assert bitspec("show", "bad.bspec", "-m", "./none") == Ran(2, "", WRONG + "1 error\n")
    assert bitspec("show", "gone.txt") == Ran(2, "", MISSING + "1 error\n")


# new and schema -----------------------------------------------------------------------------------------


def test_new_writes_a_right_spec_in_the_canonical_layout(bitspec: Bitspec) -> None:
    found = bitspec("new")
    assert (found.code, found.err) == (0, "")
    study = loads(found.out)
    assert (study.name, study.models[0].source, study.tasks[0].name) == ("leave_one_out", "bert-base-cased", "rte")
    assert {"all_bias", "no_q", "no_ln2", "no_layer_11"} <= study.strategy_names
    assert format_text(Source("new", found.out)) == found.out


def test_new_for_a_model_without_biases(bitspec: Bitspec, llama: Path) -> None:
    model = f"./{llama.name}"
    found = bitspec("new", "--model", model, "--task", "builtin/cola", "--name", "tiny")
    assert found.code == 0
    study = loads(found.out)
    assert (study.name, study.models[0].source, study.tasks[0].name) == ("tiny", "./llama", "builtin/cola")
    assert study.strategy_names == {
        "all_gamma", "frozen", "as_many", "no_ln1", "no_ln2", "no_layer_0", "no_layer_1",
    }  # fmt: skip
    wrote("s.bspec", found.out)
    assert bitspec("show", "s.bspec").code == 0


def test_new_to_a_file(bitspec: Bitspec) -> None:
    path = Path("specs/my-first.bspec")
    found = bitspec("new", "-o", path)
    assert found == Ran(0, f"wrote {path}; look at it with `bitspec show {path}`\n", "")
    assert load(path).name == "my_first"
    again = bitspec("new", "-o", path, "-t", "cola")
    assert (again.code, again.out) == (2, "")
    assert again.err == (
        f"error[file-exists]: `{path}` is there already\n"
        "  = help: choose another name, or write over it with `--force`\n\n1 error\n"
    )
    assert load(path).tasks[0].name == "rte"
    assert bitspec("new", "-o", path, "-t", "cola", "--force").code == 0
    assert load(path).tasks[0].name == "cola"


def test_new_where_nothing_can_be_written(bitspec: Bitspec) -> None:
    wrote("file", "")
    Path("folder").mkdir()
    for path, reason in (("file/s.bspec", ("Not a directory", "File exists")), ("folder", ("Is a directory",))):
        found = bitspec("new", "-o", path, "--force")
        assert (found.code, found.out) == (2, "")
        assert found.err in [
            f"error[unwritable-file]: `{path}` cannot be written: {one}\n"
            "  = help: choose another place with `-o`\n\n1 error\n"
            for one in reason
        ]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["-n", "2nd"], "error[bad-name]: `2nd` is not a name\n"),
        (["-t", 'a"b'], 'error[bad-name]: the task `a"b` cannot stand in a spec\n'),
        (["-m", 'a"b'], 'error[bad-name]: the model `a"b` cannot stand in a spec\n'),
        (["-m", "./none"], "error[no-such-folder]: there is no folder `./none`\n"),
        (["-t", "rtee"], "error[unknown-task]: there is no task called `rtee`\n"),
        (["-t", "my task"], "error["),
        (["-n", "strategy"], "error["),
    ],
)
def test_new_of_what_cannot_stand_in_a_spec(bitspec: Bitspec, arguments: list[str], said: str) -> None:
    found = bitspec("new", *arguments)
    assert (found.code, found.out) == (2, "")
    assert found.err.startswith(said)


def test_schema(bitspec: Bitspec) -> None:
    found = bitspec("schema")
    assert (found.code, found.err) == (0, "")
    jsonschema.Draft202012Validator.check_schema(found.json())
    study = json.loads(loads(RIGHT).model_dump_json())
    jsonschema.validate(study, found.json())


# Pipes, terminals, interruptions ------------------------------------------------------------------------


def test_piped_output_is_plain(process: Process, specs: Path) -> None:
    for environment in ({}, {"NO_COLOR": "1"}, {"TERM": "xterm-256color", "COLUMNS": "30"}):
        found = process("show", specs / "paper_as_run.bspec", "-s", "gamma_ln2", environment=environment)
        assert found.returncode == 0
        assert "\x1b" not in found.stdout + found.stderr
        assert "19,200    0.0177" in found.stdout
        assert found.stderr.startswith("warning[straddling-pattern]: ")


@pytest.mark.parametrize(
    ("environment", "coloured"),
    [({}, True), ({"NO_COLOR": "1"}, False), ({"NO_COLOR": ""}, True), ({"TERM": "dumb"}, False)],
)
def test_a_terminal_gets_colours_unless_it_wants_none(
    process: Process, environment: dict[str, str], coloured: bool
) -> None:
    controller, terminal = pty.openpty()
    try:
        ran = process("check", "gone.txt", environment={"TERM": "xterm"} | environment, stderr=terminal)
        said = os.read(controller, 10_000).decode()
    finally:
        os.close(terminal)
        os.close(controller)
    assert ran.returncode == 2
    assert ("\x1b[31m\x1b[1merror[no-such-file]" in said) is coloured
    assert ("\x1b" in said) is coloured


@pytest.mark.parametrize("arguments", [["show", "--seeds", "0"], ["show", "--json", "--seeds", "0"], ["check"]])
def test_a_reader_that_has_seen_enough_is_no_mistake(process: Process, specs: Path, arguments: list[str]) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    try:
        found = process(*arguments, specs / "paper.bspec", stdout=writing)
    finally:
        os.close(writing)
    assert (found.returncode, found.stderr) == (0, "")


def test_an_interruption_ends_with_130_and_one_word(process: Process) -> None:
    wrote("s.bspec", RIGHT)
    interrupts = (
        "import os, signal, bitspec.language.load as load\n"
        "load.analyse_file = lambda path, **options: os.kill(os.getpid(), signal.SIGINT)\n"
    )
    found = process("check", "s.bspec", before=interrupts)
    assert found.returncode == 130
    assert found.stderr.split() == ["stopped"]
    assert found.stdout == ""
