"""The table of settings, the model that holds them, and what is said of a value that is not right."""

from __future__ import annotations

import math
from decimal import Decimal
from typing import Any, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from bitspec.ir.selection import PercentValue
from bitspec.ir.settings import SETTINGS, Interval, SettingRow, Settings, check_setting, setting_value
from bitspec.ir.study import Setting

NUMERIC = [row for row in SETTINGS.values() if row.numbers is not None]
WORDED = [row for row in SETTINGS.values() if row.words]


def named(row: Any) -> str:
    return row.name if isinstance(row, SettingRow) else ""


def written(row: SettingRow, number: float) -> int | float | PercentValue:
    """A number as a spec of this setting would give it."""
    assert row.numbers is not None
    if row.numbers.percent:
        return PercentValue(percent=Decimal(str(number)))
    return int(number) if row.numbers.whole else float(number)


def said(name: str, value: int | float | PercentValue | str) -> str | None:
    found = check_setting(Setting(name=name, value=value))
    return None if found is None else f"{found.code}: {found.message} | {found.help}"


# The table and the model --------------------------------------------------------------------------------


def test_the_table_and_the_model_agree() -> None:
    assert list(SETTINGS) == list(Settings.model_fields)
    assert all(name == row.name for name, row in SETTINGS.items())
    made = Settings()
    for name, row in SETTINGS.items():
        assert getattr(made, name) == row.default
        assert type(getattr(made, name)) is type(row.default)


@pytest.mark.parametrize("row", SETTINGS.values(), ids=named)
def test_words_and_types_of_the_model_are_those_of_the_table(row: SettingRow) -> None:
    annotation = Settings.model_fields[row.name].annotation
    parts = get_args(annotation)
    literals = [part for part in (annotation, *parts) if get_args(part) and all(type(w) is str for w in get_args(part))]
    words = tuple(word for literal in literals[:1] for word in get_args(literal))
    assert words == row.words
    numeric = {int, float} & {annotation, *parts}
    expected = set() if row.numbers is None else {int} if row.numbers.whole else {float}
    assert numeric == expected


@pytest.mark.parametrize("row", SETTINGS.values(), ids=named)
def test_every_default_is_right(row: SettingRow) -> None:
    value = row.default
    given_as = written(row, value) if not isinstance(value, str) else value
    assert said(row.name, given_as) is None
    assert setting_value(Setting(name=row.name, value=given_as)) == value


@pytest.mark.parametrize("row", SETTINGS.values(), ids=named)
def test_every_row_says_what_it_is(row: SettingRow) -> None:
    assert row.meaning
    assert row.takes
    assert row.meaning in (Settings.model_fields[row.name].description or "")


def test_the_defaults_are_those_of_the_design() -> None:
    assert {name: row.written_default for name, row in SETTINGS.items()} == {
        "epochs": "16",
        "batch_size": "8",
        "max_length": "128",
        "learning_rate": "1e-3",
        "optimizer": "adamw",
        "beta1": "0.9",
        "beta2": "0.999",
        "eps": "1e-6",
        "weight_decay": "0",
        "clip_norm": "1",
        "schedule": "constant",
        "warmup": "0%",
        "dropout": "config",
        "pooler": "frozen",
        "precision": "float32",
    }


def test_settings_cannot_be_changed_nor_added_to() -> None:
    made = Settings()
    with pytest.raises(ValidationError, match="frozen"):
        made.epochs = 3  # type: ignore[misc]
    with pytest.raises(ValidationError, match="Extra inputs are not permitted"):
        Settings.model_validate({"epochs": 3, "epoch": 4})


# Bounds -------------------------------------------------------------------------------------------------

TAKES = {
    "epochs": "a whole number from 1 to 10000",
    "batch_size": "a whole number from 1 to 65536",
    "max_length": "a whole number from 2 to 1048576",
    "learning_rate": "a number above 0 to 10",
    "optimizer": "`adamw`",
    "beta1": "a number from 0 to below 1",
    "beta2": "a number from 0 to below 1",
    "eps": "a number above 0 to 1",
    "weight_decay": "a number from 0 to 10",
    "clip_norm": "`off` or a number above 0 to 1000000",
    "schedule": "`constant` or `linear`",
    "warmup": "a percentage from 0% to 100%",
    "dropout": "`config` or a number from 0 to below 1",
    "pooler": "`frozen` or `trained`",
    "precision": "`float32` or `bf16`",
}


def test_what_each_setting_takes() -> None:
    assert {name: row.takes for name, row in SETTINGS.items()} == TAKES


def beside(row: SettingRow, end: float, direction: int) -> float:
    """The next number that the setting could take from an end, downwards or upwards."""
    assert row.numbers is not None
    return end + direction if row.numbers.whole else math.nextafter(end, direction * math.inf)


@pytest.mark.parametrize("row", NUMERIC, ids=named)
def test_at_inside_and_outside_each_bound(row: SettingRow) -> None:
    numbers = row.numbers
    assert numbers is not None
    for end, is_open, outwards in ((numbers.low, numbers.open_low, -1), (numbers.high, numbers.open_high, 1)):
        inside = written(row, beside(row, end, -outwards))
        outside = written(row, beside(row, end, outwards))
        assert said(row.name, inside) is None
        assert (said(row.name, written(row, end)) is None) is not is_open
        refused = said(row.name, outside)
        assert refused is not None
        assert refused.startswith(f"setting-range: `{row.name}` cannot be ")
        assert refused.endswith(f" | `{row.name}` takes {TAKES[row.name]}; its default is {row.written_default}")


@pytest.mark.parametrize("row", NUMERIC, ids=named)
def test_no_setting_takes_what_is_no_number(row: SettingRow) -> None:
    numbers = row.numbers
    assert numbers is not None
    assert math.nan not in numbers
    assert math.inf not in numbers
    assert -math.inf not in numbers


@pytest.mark.parametrize("row", SETTINGS.values(), ids=named)
def test_each_word_is_right_and_any_other_is_not(row: SettingRow) -> None:
    for word in row.words:
        assert said(row.name, word) is None
        assert setting_value(Setting(name=row.name, value=word)) == word
    refused = said(row.name, "zzz")
    assert refused == (
        f"setting-value: `{row.name}` cannot be `zzz` | `{row.name}` takes {TAKES[row.name]}; "
        f"its default is {row.written_default}"
    )


@pytest.mark.parametrize("row", [row for row in WORDED if row.numbers is None], ids=named)
@pytest.mark.parametrize("value", [1, 0.5, PercentValue(percent=Decimal(5))])
def test_words_are_not_numbers(row: SettingRow, value: float) -> None:
    assert (said(row.name, value) or "").startswith(f"setting-value: `{row.name}` cannot be ")


@pytest.mark.parametrize("row", [row for row in NUMERIC if row.numbers and row.numbers.whole], ids=named)
def test_whole_numbers(row: SettingRow) -> None:
    assert (said(row.name, 3.5) or "").startswith(f"setting-value: `{row.name}` cannot be 3.5: it is a whole number | ")
    for value in (3, 3.0):  # `1e3` is a whole number, too
        assert said(row.name, value) is None
        found = setting_value(Setting(name=row.name, value=value))
        assert found == 3
        assert type(found) is int


def test_there_is_one_zero() -> None:
    assert str(setting_value(Setting(name="weight_decay", value=-0.0))) == "0.0"


def test_a_fraction_is_taken_for_the_percentage_that_it_means() -> None:
    assert (said("warmup", 0.06) or "").endswith("| write 6%")


@pytest.mark.parametrize("row", [row for row in NUMERIC if row.numbers and not row.numbers.percent], ids=named)
def test_only_percentages_take_a_percent_sign(row: SettingRow) -> None:
    value = PercentValue(percent=Decimal("0.50"))
    assert (said(row.name, value) or "").startswith(f"setting-value: `{row.name}` cannot be 0.5% | ")


def test_a_percentage_needs_its_sign() -> None:
    assert said("warmup", 6) == "setting-value: `warmup` cannot be 6: it needs a percent sign | write 6%"
    assert said("warmup", 0) is None
    assert setting_value(Setting(name="warmup", value=0)) == 0.0
    found = setting_value(Setting(name="warmup", value=PercentValue(percent=Decimal("6.5"))))
    assert found == 6.5
    assert type(found) is float


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("lr", "did you mean `learning_rate`?"),
        ("learning_rat", "did you mean `learning_rate`?"),
        ("max_seq_length", "did you mean `max_length`?"),
        ("wd", "did you mean `weight_decay`?"),
        ("zzz", "the settings are `epochs`, `batch_size`, `max_length`, "),
    ],
)
def test_an_unknown_setting(name: str, hint: str) -> None:
    found = said(name, 1)
    assert found is not None
    assert found.startswith(f"unknown-setting: there is no setting called `{name}` | {hint}")


def test_what_other_tools_call_a_setting_leads_to_one_that_exists() -> None:
    from bitspec.ir.settings import _ELSEWHERE

    assert set(_ELSEWHERE.values()) <= SETTINGS.keys()
    assert not _ELSEWHERE.keys() & SETTINGS.keys()


def test_near_words() -> None:
    assert said("schedule", "lineer") == (
        "setting-value: `schedule` cannot be `lineer` | did you mean `linear`? "
        "`schedule` takes `constant` or `linear`; its default is constant"
    )


@settings(deadline=None)
@given(st.sampled_from(NUMERIC), st.data())
def test_what_is_right_makes_settings_and_what_is_not_is_told(row: SettingRow, data: st.DataObject) -> None:
    assert row.numbers is not None
    number = data.draw(st.integers() if row.numbers.whole else st.floats(allow_nan=False, allow_infinity=False))
    value = written(row, number)
    if said(row.name, value) is None:
        made = Settings.model_validate({row.name: setting_value(Setting(name=row.name, value=value))})
        assert getattr(made, row.name) == number
        assert number in row.numbers
    else:
        assert number not in row.numbers


def test_intervals_read_as_they_are() -> None:
    assert str(Interval(0, 1, open_low=True)) == "a number above 0 to 1"
    assert str(Interval(0, 1e-5)) == "a number from 0 to 1e-5"
    assert str(Interval(0.25, 7e-4 + 1)) == "a number from 0.25 to 1.0007"
