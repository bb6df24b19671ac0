"""The house's one-way imports: which room may import which, what may come from outside, and what a command loads."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "bitspec"

#: Every room and how high it stands: a room may import from those below it. Some are still to be built.
LEVELS = {
    "__main__": 8,
    "__init__": 8,
    "cli": 7,
    "api": 6,
    "report": 5,
    "query": 5,
    "runners": 5,
    "store": 4,
    "training": 4,
    "parameters": 4,
    "language": 4,
    "ir": 3,
    "registry": 2,
    "guard": 1,
    "names": 1,
    "whole": 1,
    "plugins": 0,
    "vocabulary": 0,
    "diagnostics": 0,
}

#: The one import between rooms of a level.
SIDEWAYS = {("report", "query")}

#: What only names the types of the rooms that it is for, and imports nothing of them when it runs.
NAMES_TYPES = {"plugins"}

#: What each room may import from outside the standard library.
OUTSIDE: dict[str, set[str]] = {
    "__main__": set(),
    "__init__": set(),
    "cli": {"click", "rich"},
    "api": {"pydantic"},
    "report": {"altair", "vl_convert", "scipy", "numpy", "pydantic", "rich"},
    "query": {"lark", "duckdb", "pydantic"},
    "runners": {"rich", "pydantic", "numpy"},
    "store": {"duckdb", "numpy", "safetensors", "pydantic"},
    "training": {
        "torch",
        "transformers",
        "datasets",
        "evaluate",
        "sklearn",
        "scipy",
        "pyarrow",
        "numpy",
        "safetensors",
        "huggingface_hub",
    },
    "parameters": {
        "numpy",
        "pydantic",
        "regex",
        "platformdirs",
        "huggingface_hub",
        "safetensors",
        "torch",
        "transformers",
    },
    "language": {"lark", "regex"},
    "ir": {"pydantic", "numpy"},
    "names": set(),
    "whole": set(),
    "registry": set(),
    "guard": set(),
    "plugins": {"numpy"},
    "vocabulary": set(),
    "diagnostics": {"pydantic_core"},
}

#: Where in a room a package may be imported, for those that do not belong everywhere in it.
ONLY_IN = {
    ("ir", "numpy"): {"masks", "values"},
    ("runners", "numpy"): {"changes", "selections"},
    ("parameters", "torch"): {"structure"},
    ("parameters", "transformers"): {"structure"},
    ("parameters", "huggingface_hub"): {"hub"},
    ("training", "huggingface_hub"): {"hub"},
    ("training", "datasets"): {"hub", "metrics"},
    ("training", "evaluate"): {"metrics"},
    ("training", "safetensors"): {"checkpoints", "model"},
    ("parameters", "safetensors"): {"weights"},
    ("parameters", "platformdirs"): {"cache"},
}

#: Modules that are all torch and transformers: they import them at load, and are themselves imported inside functions.
OF_TORCH = {
    f"bitspec.training.{name}"
    for name in (
        "attention",
        "binding",
        "buckets",
        "capture",
        "course",
        "devices",
        "encoding",
        "evidence",
        "flat",
        "graphs",
        "layers",
        "layout",
        "loop",
        "model",
        "noise",
        "predictions",
        "products",
        "saving",
        "sparse",
        "state",
    )
}

#: What takes so long to import that it stands inside functions, everywhere else.
HEAVY = ("torch", "transformers", "datasets", "evaluate", "sklearn", "scipy", "pyarrow", "huggingface_hub")


@dataclass(frozen=True)
class Import:
    """One import: by which module of bitspec, of which module, and whether importing the first runs it."""

    by: str
    module: str
    at_load: bool
    line: int

    @property
    def room(self) -> str:
        return _room(self.by)

    @property
    def package(self) -> str:
        return self.module.partition(".")[0]

    def __str__(self) -> str:
        return f"{self.by}:{self.line} imports {self.module}"


def _room(module: str) -> str:
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else "__init__"


def imports(tree: ast.AST, by: str, at_load: bool = True) -> Iterator[Import]:
    """All imports of a module, those of functions and of `if TYPE_CHECKING` included."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Import):
            yield from (Import(by, alias.name, at_load, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{by}:{node.lineno} has a relative import"
            assert node.module is not None
            for alias in node.names:
                is_room = node.module == "bitspec"
                name = f"bitspec.{alias.name}" if is_room else node.module
                yield Import(by, name, at_load, node.lineno)
        elif isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING"):
            for part in node.body:
                yield from imports(ast.Module([part], []), by, at_load=False)
            for part in node.orelse:
                yield from imports(ast.Module([part], []), by, at_load)
        else:
            is_body = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
            yield from imports(node, by, at_load and not is_body)


def _module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _all_imports() -> list[Import]:
    found: list[Import] = []
    for path in sorted(PACKAGE.rglob("*.py")):
        found += imports(ast.parse(path.read_text("utf-8")), _module_name(path))
    return found


IMPORTS = _all_imports()
INSIDE = [one for one in IMPORTS if one.package == "bitspec"]
FROM_OUTSIDE = [
    one
    for one in IMPORTS
    if one.package not in sys.stdlib_module_names and one.package not in {"bitspec", "__future__"}
]


def complaint(one: Import) -> str | None:
    """What is wrong with an import of one room by another."""
    by, of = one.room, _room(one.module)
    if of not in LEVELS:
        return f"{one}: there is no room `{of}` in the table"
    if by == of or LEVELS[by] > LEVELS[of] or (by, of) in SIDEWAYS or (by in NAMES_TYPES and not one.at_load):
        return None
    return f"{one}: {by} stands {'beside' if LEVELS[by] == LEVELS[of] else 'below'} {of}"


def test_every_module_has_its_room_in_the_table() -> None:
    rooms = {_room(_module_name(path)) for path in PACKAGE.rglob("*.py")}
    assert rooms <= LEVELS.keys()
    assert LEVELS.keys() == OUTSIDE.keys()


def test_imports_were_found_at_all() -> None:
    assert {one.room for one in INSIDE} >= {"cli", "api", "parameters", "language", "ir"}
    assert {one.package for one in FROM_OUTSIDE} >= {"lark", "numpy", "torch", "click", "rich"}


def test_imports_point_one_way() -> None:
    assert [said for one in INSIDE if (said := complaint(one)) is not None] == []


@pytest.mark.parametrize(
    ("by", "module", "said"),
    [
        ("bitspec.ir.check", "bitspec.language.load", "ir stands below language"),
        ("bitspec.language.load", "bitspec.parameters.cache", "language stands beside parameters"),
        ("bitspec.query.sql", "bitspec.report.page", "query stands beside report"),
        ("bitspec.language.load", "bitspec", "language stands below __init__"),
        ("bitspec.ir.check", "bitspec.attic.box", "there is no room `attic` in the table"),
        ("bitspec.report.page", "bitspec.query.sql", None),
        ("bitspec.cli.show", "bitspec.api", None),
    ],
)
def test_a_wrong_import_is_complained_of(by: str, module: str, said: str | None) -> None:
    found = complaint(Import(by, module, at_load=True, line=3))
    assert found == (f"{by}:3 imports {module}: {said}" if said else None)


def test_the_reader_of_imports_sees_all_of_them() -> None:
    text = """
import a.b, c
if TYPE_CHECKING:
    import d
else:
    import e
try:
    from f import g
except ImportError:
    pass
class C:
    import h
    def method(self):
        import i
from bitspec import api
"""
    found = [(one.module, one.at_load) for one in imports(ast.parse(text), "x")]
    loaded = ["a.b", "c", "e", "f", "h", "bitspec.api"]
    assert sorted(found) == sorted([(name, True) for name in loaded] + [("d", False), ("i", False)])


def test_rooms_take_from_outside_only_what_is_theirs() -> None:
    assert [str(one) for one in FROM_OUTSIDE if one.package not in OUTSIDE[one.room]] == []


def test_packages_stay_in_the_modules_that_are_for_them() -> None:
    astray = [
        str(one)
        for one in FROM_OUTSIDE
        if one.by.rpartition(".")[2] not in ONLY_IN.get((one.room, one.package), {one.by.rpartition(".")[2]})
    ]
    assert astray == []
    used = {(one.room, one.package) for one in FROM_OUTSIDE}
    assert ONLY_IN.keys() <= used  # no row speaks of what is long gone


def test_nothing_heavy_is_imported_at_load() -> None:
    assert [str(one) for one in FROM_OUTSIDE if one.package in HEAVY and one.at_load and one.by not in OF_TORCH] == []
    assert [str(one) for one in INSIDE if one.module in OF_TORCH and one.at_load and one.by not in OF_TORCH] == []


# What is loaded, as the interpreter sees it ------------------------------------------------------------

PROGRAM = """
import sys
from bitspec.cli.main import main
sys.argv = ["bitspec", *{arguments!r}]
try:
    main()
except SystemExit as end:
    code = end.code
assert code == 0, code
print("LOADED", *sorted(name for name in sys.modules if "." not in name))
"""


def loaded(program: str) -> set[str]:
    """The top-level modules that are loaded once a program has run."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return set(done.stdout.rpartition("LOADED ")[2].split())


def test_check_loads_nothing_heavy() -> None:
    found = loaded(PROGRAM.format(arguments=["check", "specs/paper.bspec"]))
    assert {"bitspec", "lark", "pydantic"} <= found
    assert not found & {*HEAVY, "numpy", "rich"}


@pytest.mark.usefixtures("warm_cache")
def test_show_with_a_warm_cache_loads_nothing_heavy() -> None:
    found = loaded(PROGRAM.format(arguments=["show", "specs/paper.bspec", "--seeds", "0"]))
    assert {"bitspec", "numpy", "rich"} <= found
    assert not found & set(HEAVY)


def test_help_loads_no_grammar_and_no_model() -> None:
    found = loaded(PROGRAM.format(arguments=["--help"]))
    assert "click" in found
    assert not found & {*HEAVY, "numpy", "rich", "lark", "pydantic"}


def test_importing_bitspec_costs_nothing() -> None:
    found = loaded("import bitspec, sys; dir(bitspec); print('LOADED', *sys.modules)")
    assert "bitspec" in found
    assert not found & {*HEAVY, "numpy", "rich", "lark", "pydantic", "regex", "click"}


@pytest.mark.parametrize("name", ["Shown", "Study", "catalogue", "check", "format_text", "load", "select"])
def test_what_bitspec_offers_is_found_when_first_used(name: str) -> None:
    import bitspec

    assert name in bitspec.__all__
    assert name in dir(bitspec)
    assert getattr(bitspec, name).__name__ == name


def test_what_bitspec_does_not_offer_is_refused_as_by_any_module() -> None:
    import bitspec

    with pytest.raises(AttributeError, match=r"^module 'bitspec' has no attribute 'nothing'$"):
        _ = bitspec.nothing
    assert all(getattr(bitspec, name) is not None for name in bitspec.__all__)


@pytest.fixture
def warm_cache() -> None:
    from bitspec.parameters.cache import catalogue

    catalogue("bert-base-cased")
