"""Every argument and every option of every command with a value that is wrong: what is said, and the exit code 2."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import click
import pytest

from bitspec.cli.main import COMMANDS, cli
from bitspec.parameters.cache import catalogue
from bitspec.parameters.fingerprint import model_fingerprint
from bitspec.parameters.models import model_folder
from bitspec.store.store import Store
from tests.cli.conftest import Bitspec
from tests.report.conftest import SPEC, moved
from tests.store.conftest import STARTED, Lab, failed, trained_values

Process: TypeAlias = Callable[..., "subprocess.CompletedProcess[str]"]


@dataclass(frozen=True)
class Wrong:
    """A call that is wrong in one of its parameters, and what is said of it."""

    command: str
    parameter: str
    rest: tuple[str, ...]
    said: str

    def __str__(self) -> str:
        return f"{self.command} {' '.join(self.rest)}"


def _of(command: str, *calls: tuple[str, str, str]) -> Iterator[Wrong]:
    """Wrong calls of a command: the parameter, the arguments, what is said."""
    for parameter, arguments, said in calls:
        yield Wrong(command, parameter, tuple(one.replace("␣", " ") for one in arguments.split()), said)


NO_STORE = "error[no-store]: there are no results in `gone`\n  = help: train a study with `bitspec run SPEC`"
NO_FILE = "error[no-such-file]: there is no file `gone.bspec`\n  = help: check the path; `bitspec new` writes a first"
FOLDER = "error[not-a-file]: `folder` is a folder\n  = help: name a `.bspec` file"
NO_MODEL = "error[no-such-folder]: there is no folder `./gone`"
BAD_SEEDS = "error[bad-seed]: `--seeds 4..x` is not understood\n  = help: write `--seeds 0..4` or `--seeds 1,7,42`"
NO_STUDY = "error[unknown-name]: there is no study called `movd` in the store\n  = help: did you mean `moved`?"
IN_STUDY = "in the study `moved`\n  = help: "
NO_TASK = f"error[unknown-name]: there is no task called `rt` {IN_STUDY}"
NO_STRATEGY = f"error[unknown-name]: there is no strategy called `bitfi` {IN_STUDY}did you mean `bitfit`?"
NOT_THIS_MODEL = f"error[unknown-name]: there is no model called `nan` {IN_STUDY}did you mean `nano`?"
NO_FORM = "error[unknown-form]: `.jpeg` is no form of a {}\n  = help: "
NOT_WRITTEN = "error[unwritable-file]: `file/x.{}` cannot be written: "

OF_STUDIES = (
    ("spec", "gone.bspec", NO_FILE),
    ("spec", "folder", FOLDER),
    ("spec", "wrong.bspec", "error[unknown-name]: there is no group or strategy called `gmma`\n --> wrong.bspec:1:"),
    ("spec", "library.bspec", "error[nothing-to-run]: this spec has groups and strategies for other specs to use, and no study"),
    ("spec", "", "Error: Missing argument 'SPEC'."),
    ("--set", "moved.bspec --set epoch=2", "error[unknown-setting]: there is no setting called `epoch`"),
    ("--set", "moved.bspec --set epochs", "error[bad-setting]: `--set epochs` is not understood\n  = help: write for example `--set epochs=2`"),
    ("--set", "moved.bspec --set epochs=many", "error[setting-value]: `epochs` cannot be `many`"),
    ("--set", "moved.bspec --set learning_rate=1e30", "error[setting-range]: `learning_rate` "),
    ("--only", "moved.bspec --only bitfi", "error[unknown-name]: the study has no strategy or task called `bitfi`\n  = help: did you mean `bitfit`?"),
    ("--seeds", "moved.bspec --seeds 4..x", BAD_SEEDS),
    ("--model", "moved.bspec --model ./gone", NO_MODEL),
    ("--data-dir", "glue.bspec --data-dir gone", "error[no-such-folder]: there is no folder `gone`"),
    ("--data-dir", "glue.bspec --data-dir file", "error[not-a-folder]: `file` is a file"),
    ("--pack", "moved.bspec --pack many", "error[bad-pack]: `--pack many` is not understood\n  = help: write `--pack auto`"),
    ("--pack", "moved.bspec --pack 0", "error[bad-pack]: `--pack 0` is not understood"),
    ("--packs-of", "moved.bspec --packs-of gone --store new", NO_STORE),
    ("--packs-of", "moved.bspec --packs-of file --store new", "error[no-store]: there are no results in `file`"),
    ("--store", "moved.bspec --store file", "error[store-unusable]: results cannot be kept in `file`: `file` is a file"),
)  # fmt: skip


def _of_charts() -> Iterator[Wrong]:
    for chart in ("heatmap", "bars", "curves", "scatter", "pareto", "forest"):
        yield from _of(
            f"plot {chart}",
            ("--task", "--task rt", NO_TASK),
            ("--strategy", "--strategy bitfi", NO_STRATEGY),
            ("--model", "--model nan", NOT_THIS_MODEL),
            ("--study", "--study movd", NO_STUDY),
            ("--output", "-o x.jpeg", NO_FORM.format("chart")),
            ("--output", "-o x", "error[unknown-form]: `x` has no ending that says its form"),
            ("--output", "-o file/x.json", NOT_WRITTEN.format("json")),
            ("--store", "--store gone", NO_STORE),
        )


WRONG = (
    *_of(
        "check",
        ("specs", "", "Error: Missing argument 'SPEC...'."),
        ("specs", "gone.bspec", NO_FILE),
        ("specs", "folder", FOLDER),
    ),
    *_of(
        "show",
        ("spec", "", "Error: Missing argument 'SPEC'."),
        ("spec", "gone.bspec", NO_FILE),
        ("--model", "moved.bspec --model ./gone", NO_MODEL),
        ("--model", "moved.bspec --model ./file", "error[not-a-folder]: `./file` is a file, and a model is a folder"),
        ("--model", "moved.bspec -m ␣", "error[bad-model-name]: ` ` is no name for a model"),
        ("--model", "moved.bspec -m builtin/nono", "error[unknown-builtin]: no model `builtin/nono` comes with bitspec"),
        ("--strategy", "moved.bspec --strategy bitfi", "error[unknown-name]: there is no strategy called `bitfi`\n  = help: did you mean `bitfit`?"),
        ("--seeds", "moved.bspec --seeds 4..x", BAD_SEEDS),
        ("--trial", "--trial abc", "error[short-key]: `abc` is too short for a key\n  = help: give at least 4"),
        ("--trial", "--trial bitfit", "error[short-key]: `bitfit` is no key"),
        ("--trial", "moved.bspec --trial abcd", "Error: `--trial` shows a trial of a store, and `moved.bspec` is a spec"),
        ("--store", "--trial abcd --store gone", NO_STORE),
        ("--json", "--trial abcd --no-heatmap", "Error: `--no-heatmap` goes with a spec, and `--trial` shows a trial"),
    ),
    *_of("plan", *OF_STUDIES),
    *_of(
        "run",
        *OF_STUDIES,
        ("--device", "moved.bspec --store new --device gpu", "error[no-device]: `--device gpu` cannot be used\n  = help: this machine has"),
        ("--device", "moved.bspec --store new --device cuda:99", "error[no-device]: `--device cuda:99` cannot be used"),
        ("--runner", "moved.bspec --runner locl", "error[unknown-runner]: there is no runner called `locl`\n  = help: did you mean `local`?"),
        ("--workers", "moved.bspec --workers 0", "Error: Invalid value for '--workers': 0 is not in the range 1<=x<=1024."),
        ("--workers", "moved.bspec --workers two", "Error: Invalid value for '--workers': 'two' is not a valid integer range."),
    ),
    *_of(
        "query",
        ("query", "", "error[missing-value]: there is no query\n  = help: write for example `bitspec query"),
        ("query", "select␣scor", "error[unknown-column]: "),
        ("query", "drop␣view␣scores", "error[refused]: `drop` is not for a query"),
        ("--format", "select␣n -f xml", "Error: Invalid value for '-f' / '--format': 'xml' is not one of 'table', 'csv'"),
        ("--store", "select␣n --store gone", NO_STORE),
        ("--store", "select␣n --store file", "error[no-store]: there are no results in `file`"),
        ("--schema", "--schema score", "error[unknown-view]: there is no view called `score`\n  = help: did you mean `scores`"),
        ("--timeout", "select␣n --timeout 0", "Error: Invalid value for '--timeout': 0.0 is not in the range 0<x<=86400."),
        ("--timeout", "select␣n --timeout soon", "Error: Invalid value for '--timeout': 'soon' is not a valid float range."),
        ("--timeout", "select␣n --timeout nan", "Error: Invalid value for '--timeout': nan is no number of seconds."),
    ),
    *_of_charts(),
    *_of("plot", ("chart", "heatmp", "Error: there is no chart called `heatmp`; did you mean `heatmap`?")),
    *_of(
        "report",
        ("spec", "gone.bspec", NO_FILE),
        ("spec", "library.bspec", "error[incomplete]: `library.bspec` has groups and strategies for other specs, and no study\n  = help: name the spec of a study that was run"),
        ("--output", "-o x.jpeg", NO_FORM.format("report")),
        ("--output", "-o file/x.md", "error[unwritable-file]: `file/x-charts/"),
        ("--task", "--task rt", NO_TASK),
        ("--model", "--model nan", NOT_THIS_MODEL),
        ("--study", "--study movd", NO_STUDY),
        ("--store", "--store gone", NO_STORE),
    ),
    *_of(
        "compare",
        ("left", "bitfi frozen", NO_STRATEGY),
        ("right", "frozen bitfi", NO_STRATEGY),
        ("right", "frozen", "Error: Missing argument 'B'."),
        ("right", "frozen frozen", "error[bad-comparison]: `frozen` is named twice\n  = help: name two strategies of the study"),
        ("right", "./store ./store", "error[bad-comparison]: `store` and `store` are the same store"),
        ("right", "./store frozen", "error[bad-comparison]: `./store` is a store, and `frozen` is none"),
        ("right", "./store ./gone", NO_STORE),
        ("--task", "bitfit frozen --task rt", NO_TASK),
        ("--strategy", "bitfit frozen --strategy bitfit", "error[bad-comparison]: `--strategy` chooses what two stores are compared by, and these are two strategies\n  = help: leave it out"),
        ("--model", "bitfit frozen --model nan", NOT_THIS_MODEL),
        ("--study", "bitfit frozen --study movd", NO_STUDY),
        ("--format", "bitfit frozen --format xml", "Error: Invalid value for '-f' / '--format': 'xml' is not one of"),
        ("--store", "bitfit frozen --store gone", NO_STORE),
    ),
    *_of(
        "export",
        ("key", "-o x", "Error: Missing argument 'KEY'."),
        ("key", "zzzz -o x", "error[unknown-trial]: no trial has a key that begins with `zzzz`"),
        ("key", "KEY -o x", "error[model-changed]: the model `builtin/nano` is not the one that this trial began with\n  = help: find the model as it was"),
        ("--output", "abcd", "Error: Missing option '-o' / '--output'."),
        ("--output", "KEY -o file", "error[file-exists]: `file` is a file\n  = help: choose another name for the folder"),
        ("--output", "KEY -o full", "error[file-exists]: `full` is there already\n  = help: choose another one, or write into it with"),
        ("--base", "OWN --base gone -o x --store own", "error[no-such-folder]: there is no folder `./mine`"),
        ("--store", "KEY -o x --store gone", NO_STORE),
    ),
    *_of(
        "fmt",
        ("specs", "", "Error: Missing argument 'SPEC...'."),
        ("specs", "gone.bspec", NO_FILE),
        ("specs", "folder", FOLDER),
        ("specs", "unclosed.bspec", "error[unclosed]: "),
    ),
    *_of(
        "new",
        ("--model", "--model ./gone", NO_MODEL),
        ("--model", '-m a"b', 'error[bad-name]: the model `a"b` cannot stand in a spec\n  = help: take the quotes away'),
        ("--task", "-m builtin/nano --task rtee", "error[unknown-task]: there is no task called `rtee`"),
        ("--task", "-m builtin/nano --task my␣task", "error[bad-name]: `my task` is not the name of a task\n  = help: write for example `rte`"),
        ("--name", "-m builtin/nano --name 2nd", "error[bad-name]: `2nd` is not a name\n  = help: names have letters"),
        ("--output", "-m builtin/nano -o moved.bspec", "error[file-exists]: `moved.bspec` is there already\n  = help: choose another name"),
        ("--output", "-m builtin/nano -o file/x.bspec", NOT_WRITTEN.format("bspec")),
        ("--output", "-m builtin/nano --force -o folder", "error[unwritable-file]: `folder` cannot be written: Is a directory"),
    ),
    *_of("plugins", ("--format", "--format xml", "Error: Invalid value for '-f' / '--format': 'xml' is not one of")),
    *_of("schema", ("extra", "more", "Error: Got unexpected extra argument (more)")),
)  # fmt: skip


ASKING = SPEC + 'question "Is it better to train biases?" { expect bitfit > frozen }\n'


@pytest.fixture(scope="session")
def filled(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The folder of a store with a finished study, and the key of one of its trials."""
    lab = Lab(Store(tmp_path_factory.mktemp("paths") / "store"))
    cells = lab.begin(ASKING)
    for cell in cells:
        lab.record(cell, changes=moved(cell), values=trained_values())
    return lab.store.folder, cells[0].key


@pytest.fixture(scope="session")
def of_own_model(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The same of a model in a folder, which is not there."""
    lab = Lab(Store(tmp_path_factory.mktemp("own") / "store"))
    (cell, *_) = lab.begin(SPEC.replace("builtin/nano", "./mine"))
    lab.record(cell, values=trained_values())
    return lab.store.folder, cell.key


@pytest.fixture
def _files(filled: tuple[Path, str]) -> None:
    shutil.copytree(filled[0], "store")
    Path("moved.bspec").write_text(SPEC, "utf-8")
    Path("glue.bspec").write_text('study s model "builtin/nano" task rte strategy a = bias\n', "utf-8")
    Path("wrong.bspec").write_text("group g = gmma\n", "utf-8")
    Path("unclosed.bspec").write_text("group g = rand(bias, 3\n", "utf-8")
    Path("library.bspec").write_text("group g = bias\n", "utf-8")
    Path("folder").mkdir()
    Path("file").write_text("I was here first", "utf-8")
    Path("full").mkdir()
    Path("full/x").write_text("I was here first", "utf-8")


@pytest.mark.parametrize("wrong", WRONG, ids=str)
@pytest.mark.usefixtures("_files")
def test_what_is_wrong(
    bitspec: Bitspec, wrong: Wrong, filled: tuple[Path, str], of_own_model: tuple[Path, str]
) -> None:
    keys = {"KEY": filled[1], "OWN": of_own_model[1]}
    if "OWN" in wrong.rest:
        shutil.copytree(of_own_model[0], "own")
    before = {path: path.read_bytes() for path in Path().rglob("*") if path.is_file()}
    ran = bitspec(*wrong.command.split(), *(keys.get(one, one) for one in wrong.rest))
    assert wrong.said in ran.err
    assert (ran.code, ran.out) == (2, "")
    assert "Traceback" not in ran.err
    after = {path: path.read_bytes() for path in Path().rglob("*") if path.is_file() and "new" not in path.parts}
    assert after == before


def _commands() -> Iterator[tuple[str, click.Command]]:
    context = click.Context(cli)
    for name in COMMANDS:
        command = cli.get_command(context, name)
        assert command is not None
        if isinstance(command, click.Group):
            yield from ((f"{name} {part}", one) for part, one in command.commands.items())
        else:
            yield name, command


#: What is tried below, since it takes more than a call.
ELSEWHERE = {("export", "--data-dir"), ("run", "--checkpoint-every")}

#: The commands of a group with a file of its own: test_store.py.
GROUPS = ("store ",)


def test_nothing_is_left_out() -> None:
    tried = {(one.command, one.parameter) for one in WRONG} | ELSEWHERE
    takes = {
        (name, one.opts[-1])
        for name, command in _commands()
        for one in command.params
        if not (isinstance(one, click.Option) and one.is_flag) and not name.startswith(GROUPS)
    }
    assert takes - tried == set()


@pytest.mark.parametrize("name", [name for name, _ in _commands()])
def test_options_that_there_are_not_and_values_that_lack(bitspec: Bitspec, name: str) -> None:
    ran = bitspec(*name.split(), "--nonesuch")
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.endswith("Error: No such option '--nonesuch'.\n")
    command = dict(_commands())[name]
    for option in command.params:
        if isinstance(option, click.Option) and not option.is_flag and option.name != "schema":
            for spelling in option.opts:
                ran = bitspec(*name.split(), spelling)
                assert (ran.code, ran.out) == (2, "")
                assert ran.err.endswith(f"Error: Option '{spelling}' requires an argument.\n")


def test_a_text_on_standard_input_that_is_wrong(process: Process) -> None:
    ran = process("fmt", "-", input="group g = rand(bias, 3\n")
    assert (ran.returncode, ran.stdout) == (2, "")
    assert ran.stderr.startswith("error[unclosed]: ")
    assert " --> <stdin>:1:" in ran.stderr
    ran = process("query", "-", input="select mean(score by strategy")
    assert (ran.returncode, ran.stdout) == (2, "")
    assert ran.stderr.startswith("error[unclosed]: a parenthesis is not closed\n --> <query>:1:19\n")


def test_a_strategy_that_selects_nothing(bitspec: Bitspec) -> None:
    Path("s.bspec").write_text(SPEC + "strategy y = bias & (bias - bias)\n", "utf-8")
    for command in ("show", "run"):
        ran = bitspec(command, "s.bspec")
        assert ran.code == 2
        assert "error[selects-nothing]: `y` selects nothing\n" in ran.err
        assert "help: write `none` if only the head is to be trained\n" in ran.err


def test_an_export_of_a_trial_that_failed(bitspec: Bitspec) -> None:
    lab = Lab(Store(Path("store")))
    (cell, *_) = lab.begin(SPEC)
    lab.store.record_failure(lab.runs[-1], cell, failed(cell, message="it broke"), started=STARTED)
    ran = bitspec("export", cell.key, "-o", "x")
    assert (ran.code, ran.out) == (2, "")
    assert ran.err == (
        f"error[no-values]: the trial {cell.key[:12]} failed: it broke\n  = help: run its study again\n\n1 error\n"
    )


def test_an_export_of_a_trial_whose_values_were_not_kept(bitspec: Bitspec) -> None:
    lab = Lab(Store(Path("store")))
    (cell, *_) = lab.begin(SPEC)
    lab.record(cell)
    ran = bitspec("export", cell.key, "-o", "x")
    assert (ran.code, ran.out) == (2, "")
    assert ran.err == (
        f"error[no-values]: the trained values of the trial {cell.key[:12]} were not kept\n"
        "  = help: train it again with `bitspec run SPEC --keep-values`\n\n1 error\n"
    )


def test_two_stores_that_share_nothing(bitspec: Bitspec) -> None:
    for name, spec in (
        ("one", SPEC),
        ("other", SPEC.replace("builtin/rte", "builtin/mrpc").replace("builtin/cola, ", "")),
    ):
        lab = Lab(Store(Path(name)))
        for cell in lab.begin(spec):
            lab.record(cell, changes=())
    ran = bitspec("compare", "./one", "./other")
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.startswith(
        "error[nothing-finished]: no cell (model × task × strategy) is finished in both `one` and `other`\n  = help: "
    )


def test_the_data_of_an_export_is_looked_for_where_it_is_said_to_be(bitspec: Bitspec) -> None:
    folder = model_folder("builtin/nano")
    assert folder is not None
    lab = Lab(Store(Path("store")))
    (cell, *_) = lab.begin('study s model "builtin/nano" task rte strategy a = bias')
    lab.record(cell, values=trained_values(), model_fingerprint=model_fingerprint(folder))
    for place, said in (
        ("gone", "error[no-such-folder]: there is no folder `gone`"),
        ("s", "error[no-task-data]: `s` has"),
    ):
        Path("s").mkdir(exist_ok=True)
        ran = bitspec("export", cell.key, "-o", "x", "--data-dir", place)
        assert (ran.code, ran.out) == (2, "")
        assert ran.err.startswith(said)
        assert not Path("x").exists()


def test_the_data_of_an_export_is_that_of_its_trial(bitspec: Bitspec) -> None:
    folder = model_folder("builtin/nano")
    assert folder is not None
    lab = Lab(Store(Path("store")))
    (cell, *_) = lab.begin(SPEC)
    lab.record(cell, values=trained_values(), model_fingerprint=model_fingerprint(folder))
    ran = bitspec("export", cell.key, "-o", "x")
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.startswith(
        "error[data-changed]: the data of `builtin/cola` is not that of this trial, which names the classes\n"
        "  = help: find the data as it was, or train the trial again on this one with `bitspec run`\n"
    )


def test_a_first_spec_for_a_model_of_matrices_alone(
    bitspec: Bitspec, llama: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    facts = catalogue(str(llama))
    matrices = tuple(one for one in facts.parameters if one.kind == "matrix")
    bare = facts.model_copy(update={"parameters": matrices})
    monkeypatch.setattr("bitspec.parameters.cache.catalogue", lambda *_, **__: bare)
    ran = bitspec("new", "-m", "./llama")
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.startswith(
        "error[no-vectors]: `./llama` has neither biases nor scales of norms\n"
        "  = help: write a spec for its matrices: docs/language.md has all that a spec can say\n"
    )
