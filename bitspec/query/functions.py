"""The functions of the short form: what each takes, and its SQL."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """What a value is, as far as a query is concerned."""

    NUMBER = "a number"
    TEXT = "a text"
    TRUTH = "true or false"
    TIME = "a time"
    OTHER = "something that holds several values"


def kind_of(sql_type: str) -> Kind:
    """The kind of a DuckDB type, which may be named as the Python client of DuckDB 1.4 does it (`NUMBER`, `dict`)."""
    name = sql_type.upper()
    if name.endswith("]") or name.startswith(_SEVERAL):
        return Kind.OTHER
    if name.startswith(("VARCHAR", "STRING", "UUID", "ENUM")):
        return Kind.TEXT
    if name.startswith("BOOL"):
        return Kind.TRUTH
    if name.startswith(("DATE", "TIME", "INTERVAL")):
        return Kind.TIME
    return Kind.NUMBER


_SEVERAL = ("MAP", "STRUCT", "UNION", "JSON", "BLOB", "VARIANT", "BINARY", "DICT", "LIST")


@dataclass(frozen=True)
class Function:
    """A function: its SQL with `{0}` for the first argument and `{all}` for all of them, and how many it takes.

    `takes` is what its arguments are, or None where anything will do. `gives` is what comes of it, or None for the
    kind of the first argument; `in_points` says that scores stay scores.
    """

    sql: str
    meaning: str
    least: int = 1
    most: int = 1
    takes: Kind | None = Kind.NUMBER
    gives: Kind | None = Kind.NUMBER
    in_points: bool = False


_MEAN = Function("avg({0})", "the mean", in_points=True)
_SD = Function(
    "stddev_samp({0})", "the standard deviation of a sample (n − 1 below); null for a single value", in_points=True
)
_N = Function("count({0})", "how many rows; of a column, how many values that are not null", least=0, takes=None)

#: What makes one value of many rows.
AGGREGATES: dict[str, Function] = {
    "mean": _MEAN,
    "avg": _MEAN,
    "sd": _SD,
    "std": _SD,
    "stddev": _SD,
    "se": Function("stddev_samp({0}) / sqrt(count({0}))", "the standard error of the mean", in_points=True),
    "ci95": Function(
        "",  # written by the compiler, as it needs quantiles
        "half the width of the mean's 95 % interval by Student's t: mean ± ci95; null for a single value",
        in_points=True,
    ),
    "var": Function("var_samp({0})", "the variance of a sample"),
    "median": Function("median({0})", "the median", in_points=True),
    "quantile": Function(
        "quantile_cont({0}, {1})", "`quantile(score, 0.9)`: interpolated between values", 2, 2, in_points=True
    ),
    "min": Function("min({0})", "the least", takes=None, gives=None, in_points=True),
    "max": Function("max({0})", "the greatest", takes=None, gives=None, in_points=True),
    "sum": Function("sum({0})", "the sum", in_points=True),
    "n": _N,
    "count": _N,
}

#: What makes one value of one row's.
SCALARS: dict[str, Function] = {
    "abs": Function("abs({0})", "without its sign", in_points=True),
    "round": Function("round({all})", "`round(score, 1)`: to so many digits", 1, 2, in_points=True),
    "floor": Function("floor({0})", "the whole number below", in_points=True),
    "ceil": Function("ceil({0})", "the whole number above", in_points=True),
    "sqrt": Function("CASE WHEN {0} >= 0 THEN sqrt({0}) END", "the square root; null below 0"),
    "exp": Function("exp({0})", "e to the power"),
    "ln": Function("CASE WHEN {0} > 0 THEN ln({0}) END", "the natural logarithm; null for 0 and below"),
    "log10": Function("CASE WHEN {0} > 0 THEN log10({0}) END", "the logarithm to base 10; null for 0 and below"),
    "lower": Function("lower({0})", "in lower case", takes=Kind.TEXT, gives=Kind.TEXT),
    "upper": Function("upper({0})", "in upper case", takes=Kind.TEXT, gives=Kind.TEXT),
    "length": Function("length({0})", "number of characters", takes=Kind.TEXT),
    "coalesce": Function("coalesce({all})", "the first that is not null", 2, 9, None, None, in_points=True),
}

#: What may stand without parentheses.
BARE = ("n", "count")
