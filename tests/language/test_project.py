"""The project folder: what a spec brings in with `use`, and its tasks' files, lie in it unless that is allowed."""

from __future__ import annotations

from pathlib import Path

import pytest

import bitspec
from bitspec.diagnostics import BitspecError, Diagnostic, Source
from bitspec.language.load import analyse, analyse_file, load, loads

LIBRARY = "group g = bias\n"
USER = 'study s model "m" task rte\nuse "{}"\nstrategy x = g\n'
OWN = (
    'study s model "m"\n'
    "task own {{\n"
    '  training = "{}"  validation = "{}"\n'
    "  text = a  label = b  metric = accuracy\n"
    "}}\n"
    "strategy x = bias\n"
)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, with a library and data in it and some outside, and links between the two."""
    folder = tmp_path / "project"
    (folder / "specs" / "deep").mkdir(parents=True)
    outside = tmp_path / "outside"
    outside.mkdir()
    for place in (folder, folder / "specs", folder / "specs" / "deep", outside):
        (place / "lib.bspec").write_text(LIBRARY, "utf-8")
        (place / "train.csv").write_text("a,b\nx,1\ny,2\n", "utf-8")
    (folder / "specs" / "away").symlink_to(outside)
    (folder / "specs" / "away.bspec").symlink_to(outside / "lib.bspec")
    (outside / "back.bspec").symlink_to(folder / "lib.bspec")
    monkeypatch.chdir(folder)
    monkeypatch.setenv("HOME", str(outside))
    return folder


def wrote(path: str, text: str) -> Path:
    Path(path).write_text(text, "utf-8")
    return Path(path)


def refusals(spec: Path) -> list[Diagnostic]:
    return [found for found in analyse_file(spec).diagnostics if found.code == "outside-project"]


INSIDE = [
    "lib.bspec",
    "./lib.bspec",
    "deep/lib.bspec",
    "../lib.bspec",
    "../specs/deep/../lib.bspec",
    "{project}/lib.bspec",
]
OUTSIDE = [
    "../../outside/lib.bspec", "{outside}/lib.bspec", "away/lib.bspec", "away.bspec", "deep/../../../outside/lib.bspec",
    "/etc/passwd", "/dev/zero", "../../outside/none.bspec",
]  # fmt: skip


@pytest.mark.parametrize("path", INSIDE)
def test_files_of_the_project_are_used(path: str, project: Path) -> None:
    spec = wrote("specs/s.bspec", USER.format(path.format(project=project)))
    assert [group.name for group in load(spec).groups] == ["g"]
    assert [group.name for group in load(spec.absolute()).groups] == ["g"]


@pytest.mark.parametrize("path", OUTSIDE)
def test_other_files_are_not_even_opened(path: str, project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = path.format(outside=project.parent / "outside")
    spec = wrote("specs/s.bspec", USER.format(text))
    opened: list[Path] = []
    original = Path.open

    def noting(self: Path, *arguments: object, **options: object) -> object:
        opened.append(self)
        return original(self, *arguments, **options)  # type: ignore[call-overload]

    monkeypatch.setattr(Path, "open", noting)
    (found,) = analyse_file(spec).diagnostics  # and not that there is no `g`
    assert found.code == "outside-project"
    assert found.span is not None
    assert found.span.location == "specs/s.bspec:2:5"
    place = (Path("specs") / text).resolve()
    assert found.message == f"`{text}` leads out of the project folder, to `{place}`"
    assert "`--allow-outside`" in (found.help or "")
    assert str(project) in (found.help or "")
    assert opened == [spec]


@pytest.mark.usefixtures("project")
def test_they_are_with_leave() -> None:
    spec = wrote("specs/s.bspec", USER.format("away.bspec"))
    for study in (
        load(spec, allow_outside=True),
        loads(spec.read_text("utf-8"), folder="specs", allow_outside=True),
        analyse_file(spec, allow_outside=True).study,
    ):
        assert [group.name for group in study.groups] == ["g"]
    assert bitspec.check(spec, allow_outside=True) == ()
    assert bitspec.show(spec, models="bert-base-cased", allow_outside=True).is_right
    assert [found.code for found in bitspec.check(spec)] == ["outside-project"]
    with pytest.raises(BitspecError, match="outside-project"):
        loads(spec.read_text("utf-8"), folder="specs")
    with pytest.raises(BitspecError, match="outside-project"):
        bitspec.show(spec)


@pytest.mark.usefixtures("project")
def test_what_is_used_is_held_to_the_same_project() -> None:
    wrote("specs/deep/lib.bspec", 'use "../../../outside/lib.bspec"\n')
    (found,) = refusals(wrote("specs/s.bspec", USER.format("deep/lib.bspec")))
    assert found.span is not None
    assert found.span.location == "specs/deep/lib.bspec:1:5"
    # A way out and back in again is no way out.
    spec = wrote("specs/s.bspec", USER.format("../../outside/back.bspec"))
    assert [group.name for group in load(spec).groups] == ["g"]


def test_a_spec_elsewhere_has_its_own_folder_for_a_project(project: Path) -> None:
    outside = project.parent / "outside"
    spec = wrote(str(outside / "s.bspec"), USER.format("lib.bspec"))
    assert [group.name for group in load(spec).groups] == ["g"]
    for path in ("../project/lib.bspec", str(project / "lib.bspec"), "../lib.bspec", "back.bspec"):
        (found,) = refusals(wrote(str(outside / "s.bspec"), USER.format(path)))
        assert f"the project is `{outside}`" in (found.help or "")


def test_a_spec_that_is_a_link_belongs_where_it_leads(project: Path) -> None:
    outside = project.parent / "outside"
    wrote(str(outside / "s.bspec"), USER.format("../lib.bspec"))
    Path("specs/s.bspec").symlink_to(outside / "s.bspec")
    (found,) = refusals(Path("specs/s.bspec"))
    assert f"the project is `{project / 'specs'}`" in (found.help or "")


@pytest.mark.parametrize(
    "path", ["train.csv", "../train.csv", "{project}/specs/train.csv", "none.csv", "deep/train.csv"]
)
def test_data_of_the_project(path: str, project: Path) -> None:
    text = path.format(project=project)
    assert load(wrote("specs/s.bspec", OWN.format(text, text))).tasks[0].name == "own"


@pytest.mark.parametrize(
    "path", ["../../outside/train.csv", "~/train.csv", "away/train.csv", "/etc/passwd", "~root/x.csv"]
)
def test_data_outside_the_project(path: str, project: Path) -> None:
    text = path.format(project=project)
    spec = wrote("specs/s.bspec", OWN.format(text, "train.csv"))
    (found,) = analyse_file(spec).diagnostics
    assert found.code == "outside-project"
    assert found.span is not None
    assert found.span.location == "specs/s.bspec:3:14"
    both = refusals(wrote("specs/s.bspec", OWN.format("train.csv", text) + OWN[OWN.index("task") :].format(text, text)))
    assert [found.span.location for found in both if found.span] == [
        "specs/s.bspec:3:40", "specs/s.bspec:8:14", f"specs/s.bspec:8:{31 + len(text)}",
    ]  # fmt: skip
    assert load(wrote("specs/s.bspec", OWN.format(text, text)), allow_outside=True).tasks


@pytest.mark.usefixtures("project")
def test_data_in_a_loop() -> None:
    text = OWN[OWN.index("task") : OWN.index("strategy")].replace("own", "own_$r").format("$r", "$r")
    text = f"for r in {{'train.csv', '../../outside/train.csv'}} {{ {text} }}".replace("own_$r", "own")
    training, validation = refusals(wrote("specs/s.bspec", text))
    assert "outside/train.csv" in training.message
    assert "outside/train.csv" in validation.message


@pytest.mark.parametrize("path", ["x" * 5000, "loop/x", "a\0b", "~no-such-user-of-this-machine/x.csv"])
@pytest.mark.usefixtures("project")
def test_paths_that_no_system_takes(path: str) -> None:
    Path("specs/loop").symlink_to("loop")
    for text in (USER.format(path), OWN.format(path, path)):
        found = analyse(Source("s.bspec", text), Path("specs")).diagnostics
        assert {one.code for one in found} <= {"unreadable-file", "no-such-file", "outside-project", "not-a-file"}
        assert all(one.render() for one in found)
