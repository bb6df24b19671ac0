"""`plan`, `run` and `export`, as a user sees them: on a small random model and a file of examples."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest
import torch

from bitspec.ir.events import Event
from bitspec.runners.protocol import Pack
from bitspec.store.store import Store
from tests.cli.conftest import Bitspec
from tests.lab import SPEC, write_lab


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_lab(tmp_path_factory.mktemp("lab")).parent


@pytest.fixture
def lab(made: Path, tmp_path: Path) -> Path:
    shutil.copytree(made, tmp_path, dirs_exist_ok=True)
    return tmp_path / "lab.bspec"


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


def rows(sql: str) -> list[tuple[Any, ...]]:
    with duckdb.connect("store/results.duckdb", read_only=True) as connection:
        return connection.execute(sql).fetchall()


def test_a_study_from_spec_to_results(bitspec: Bitspec, lab: Path) -> None:
    planned = bitspec("plan", lab)
    assert planned.code == 0
    assert "3 never trained" in planned.out
    assert "no earlier trial tells" in planned.out
    assert not Path("store").exists()  # planning writes nothing

    ran = bitspec("run", lab)
    assert ran.code == 0, ran.err
    assert "3 trials finished in" in ran.out
    assert 'bitspec query "select avg(score) by strategy"' in ran.out
    assert "[1/3] rated frozen seed 0: score" in ran.err
    assert "[3/3] rated sample seed 0: score" in ran.err
    assert [row[0] for row in rows("select strategy from scores order by position")] == ["frozen", "bitfit", "sample"]
    assert rows("select count(*) from epochs") == [(6,)]
    assert rows("select count(*), count(distinct example) from predictions") == [(75, 25)]
    assert rows("select count(*) from changes where strategy = 'bitfit' and change > 0")[0][0] > 10
    assert rows("select count(*) from changes where strategy = 'frozen'") == [(0,)]

    again = bitspec("run", lab)
    assert again.code == 0
    assert again.out.startswith("nothing to train: all 3 trials of lab finished before")
    assert rows("select count(*) from trials") == [(3,)]

    planned = bitspec("plan", lab)
    assert "nothing to train" in planned.out


def test_a_trial_run_twice_is_equal_bit_for_bit(bitspec: Bitspec, lab: Path) -> None:
    for folder in ("one", "two"):
        assert bitspec("run", lab, "--store", folder, "--keep-values").code == 0
    one, two = Store(Path("one")), Store(Path("two"))
    keys = set(one.statuses())
    assert len(keys) == 3
    assert keys == set(two.statuses())
    for key in keys:
        first, second = one.values(key), two.values(key)
        assert first is not None
        assert second is not None
        for name, tensor in first.tensors.items():
            assert tensor.values.tobytes() == second.tensors[name].values.tobytes()
    for table in ("epochs", "predictions", "changes"):
        found = []
        for store in (one, two):
            with duckdb.connect(store.database, read_only=True) as connection:
                columns = "* exclude (seconds)" if table == "epochs" else "*"
                found.append(connection.execute(f"select {columns} from {table} order by all").fetchall())  # noqa: S608
        assert found[0] == found[1]


def test_only_what_is_new_is_trained(bitspec: Bitspec, lab: Path) -> None:
    assert "1 trial finished" in bitspec("run", lab, "--only", "bitfit").out
    assert "1 to train" in bitspec("run", lab, "--only", "bitfit", "--seeds", "0..1").err.replace("1 trial to", "1 to")
    planned = bitspec("plan", lab, "--seeds", "0,1")
    assert "6 cells" in planned.out
    assert "about" in planned.out  # how long, from the trials before
    # A name, a label and a comment change no trial; a setting does.
    lab.write_text(lab.read_text("utf-8").replace('bitfit "BitFit"', '# all of them\nbiases "All biases"'), "utf-8")
    ran = bitspec("run", lab)
    assert "1 are done" in ran.err
    assert "2 trials finished" in ran.out
    assert "3 never trained" in bitspec("plan", lab, "--set", "epochs=1").out


def test_cells_that_say_the_same_are_trained_once(bitspec: Bitspec, lab: Path) -> None:
    lab.write_text(SPEC + 'strategy again "The same" = bias | none\n', "utf-8")
    ran = bitspec("run", lab)
    assert "3 trials finished" in ran.out
    assert "`again` and `bitfit` select the same" in ran.err
    assert rows("select count(*), count(distinct key) from scores") == [(4, 3)]
    assert "1 of the cells share" in bitspec("plan", lab).out


def test_settings_of_the_command_line_come_before_the_specs(bitspec: Bitspec, lab: Path) -> None:
    lab.write_text(SPEC + "train for bitfit { epochs = 3 }\n", "utf-8")
    assert bitspec("run", lab, "--set", "epochs=1", "--set", "learning_rate=1e-3").code == 0
    assert rows("select distinct epochs, learning_rate from scores") == [(1, 1e-3)]


def test_a_dry_run_trains_nothing(bitspec: Bitspec, lab: Path) -> None:
    dry, planned = bitspec("run", lab, "--dry-run"), bitspec("plan", lab)
    assert dry.code == 0
    assert dry.out == planned.out
    assert not Path("store").exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--only", "bitfi"], "did you mean `bitfit`"),
        (["--set", "epoch=2"], "did you mean `epochs`"),
        (["--set", "epochs"], "--set epochs=2"),
        (["--set", "epochs=many"], "`epochs` takes"),
        (["--seeds", "x"], "--seeds 0..4"),
        (["--model", "./nowhere"], "there is no folder `./nowhere`"),
        (["--device", "gpu"], "this machine has"),
        (["--store", "train.csv"], "is a file"),
    ],
)
def test_wrong_input_ends_with_2_before_anything_is_trained(
    bitspec: Bitspec, lab: Path, arguments: list[str], said: str
) -> None:
    ran = bitspec("run", lab, *arguments)
    assert ran.code == 2
    assert said in ran.err
    assert not Path("store/results.duckdb").exists() or rows("select count(*) from trials") == [(0,)]


def test_a_wrong_selection_is_found_before_anything_is_trained(bitspec: Bitspec, lab: Path) -> None:
    lab.write_text(SPEC + "strategy nowhere = bias where layer == 7\n", "utf-8")
    ran = bitspec("run", lab)
    assert ran.code == 2
    assert "matches-nothing" in ran.err
    assert rows("select count(*) from trials") == [(0,)]


def test_missing_data_is_wrong_input(bitspec: Bitspec, lab: Path) -> None:
    Path("dev.csv").unlink()
    ran = bitspec("run", lab)
    assert ran.code == 2
    assert "dev.csv" in ran.err
    assert f"{lab}:4" in ran.err


def test_a_library_cannot_be_run(bitspec: Bitspec, tmp_path: Path) -> None:
    (tmp_path / "groups.bspec").write_text("group b = bias\n", "utf-8")
    ran = bitspec("run", "groups.bspec")
    assert ran.code == 2
    assert "nothing-to-run" in ran.err


def test_a_trial_that_diverges_does_not_stop_the_others(bitspec: Bitspec, lab: Path) -> None:
    lab.write_text(
        SPEC + "train for bitfit { learning_rate = 10  eps = 1e-30  clip_norm = off epochs = 20 }\n", "utf-8"
    )
    text = lab.read_text("utf-8").replace('strategy bitfit "BitFit" = bias', 'strategy bitfit "BitFit" = all')
    lab.write_text(text, "utf-8")
    ran = bitspec("run", lab)
    assert ran.code in {0, 1}
    if ran.code == 1:
        assert "diverged" in ran.err
        assert "smaller learning_rate" in ran.err
    assert {"frozen", "sample"} <= {row[0] for row in rows("select strategy from scores")}


def test_failures_are_kept_and_tried_again(bitspec: Bitspec, lab: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from bitspec.runners.bench import Bench

    trained = Bench.run

    def broken(self: Bench, pack: Pack, _stop: object) -> Iterator[Event]:
        if any(planned.title == "BitFit" for planned in pack):
            raise RuntimeError("CUDA out of memory. Tried to allocate 20 MiB")
        return trained(self, pack)

    with monkeypatch.context() as patched:
        patched.setattr(Bench, "run", broken)
        ran = bitspec("run", lab)
    assert ran.code == 1
    assert "1 trial without a result" in ran.err
    assert "smaller batch_size" in ran.err
    assert "1 failed last time" in bitspec("plan", lab).out
    assert rows("select strategy, status from trials where status <> 'finished'") == [("bitfit", "failed")]
    assert bitspec("run", lab).code == 0
    assert rows("select count(*) from scores") == [(3,)]


def test_an_interrupted_run_keeps_what_is_finished(
    bitspec: Bitspec, lab: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from bitspec.runners.bench import Bench

    trained = Bench.run

    def interrupted(self: Bench, pack: Pack, _stop: object) -> Iterator[Event]:
        if any(planned.title == "Sample" for planned in pack):
            raise KeyboardInterrupt
        return trained(self, pack)

    with monkeypatch.context() as patched:
        patched.setattr(Bench, "run", interrupted)
        ran = bitspec("run", lab)
    assert ran.code == 130
    assert "what is finished is kept. To go on: bitspec run" in ran.err
    assert "1 trial finished" in bitspec("run", lab).out


@pytest.mark.parametrize(
    "strategy", ["sample", *(pytest.param(name, marks=pytest.mark.slow) for name in ("bitfit", "frozen"))]
)
def test_an_exported_trial_is_a_model_of_transformers(bitspec: Bitspec, lab: Path, strategy: str) -> None:
    assert bitspec("run", lab, "--keep-values").code == 0
    ((key,),) = rows(f"select key from scores where strategy = '{strategy}'")  # noqa: S608
    ran = bitspec("export", str(key)[:10], "-o", "exported")
    assert ran.code == 0, ran.err
    assert "from_pretrained" in ran.out

    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    model = AutoModelForSequenceClassification.from_pretrained("exported").eval()
    tokenizer = AutoTokenizer.from_pretrained("exported")
    assert model.config.id2label == {0: "bad", 1: "good"}
    lines = [line.split(",") for line in Path("dev.csv").read_text("utf-8").splitlines()[1:]]
    coded = tokenizer([a for a, _, _ in lines], [b for _, b, _ in lines], padding=True, return_tensors="pt")
    with torch.no_grad():
        logits = model(**coded).logits
    stored = rows(
        f"select label, prediction, margin from predictions where strategy = '{strategy}' order by example"  # noqa: S608
    )
    assert [row[1] for row in stored] == logits.argmax(1).tolist()
    assert [("bad", "good")[int(str(row[0])[0])] for row in stored] == [label for _, _, label in lines]
    label = torch.tensor([int(str(row[0])[0]) for row in stored])
    margins = logits.gather(1, label[:, None]).squeeze(1) - logits.gather(1, 1 - label[:, None]).squeeze(1)
    torch.testing.assert_close(margins.double(), torch.tensor([row[2] for row in stored]).double(), atol=1e-5, rtol=0)

    again = bitspec("export", str(key)[:10], "-o", "exported")
    assert again.code == 2
    assert "--force" in again.err


def test_what_cannot_be_exported(bitspec: Bitspec, lab: Path) -> None:
    assert "bitspec run" in bitspec("export", "abc", "-o", "x").err
    lab.write_text(SPEC + 'strategy full "Full" = all\n', "utf-8")
    assert bitspec("run", lab).code == 0
    ((key,),) = rows("select key from scores where strategy = 'full'")
    ran = bitspec("export", str(key), "-o", "x")
    assert ran.code == 2
    assert "--keep-values" in ran.err
    assert "no trial has a key that begins with" in bitspec("export", "zzz", "-o", "x").err
    assert bitspec("run", lab, "--keep-values").code == 0
    assert bitspec("export", str(key), "-o", "x").code == 0
