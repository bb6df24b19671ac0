"""The settings of a trial: one table that the checker, the messages and the reference docs share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from pydantic import Field

from bitspec.diagnostics import Diagnostic, did_you_mean, error, listed
from bitspec.ir.base import Noun
from bitspec.ir.selection import PercentValue
from bitspec.ir.study import Setting


def written_number(number: float) -> str:
    """A number as a person would write it in a spec: 7e-4, not 0.0007 or 7e-04; 1048576, not 1.04858e+06."""
    if number == int(number):
        return f"{number:.0f}"
    if abs(number) >= 1e-2:
        return f"{number:g}"
    mantissa, exponent = f"{number:e}".split("e")
    return f"{mantissa.rstrip('0').rstrip('.')}e{int(exponent)}"


@dataclass(frozen=True)
class Interval:
    """The numbers that a setting takes; an end is either inside or, when open, just outside."""

    low: float
    high: float
    open_low: bool = False
    open_high: bool = False
    whole: bool = False
    percent: bool = False

    def __contains__(self, number: float) -> bool:
        above = number > self.low if self.open_low else number >= self.low
        below = number < self.high if self.open_high else number <= self.high
        return above and below

    def __str__(self) -> str:
        noun = "a percentage" if self.percent else "a whole number" if self.whole else "a number"
        sign = "%" if self.percent else ""
        low = f"{'above' if self.open_low else 'from'} {written_number(self.low)}{sign}"
        high = f"{'to below' if self.open_high else 'to'} {written_number(self.high)}{sign}"
        return f"{noun} {low} {high}"


@dataclass(frozen=True)
class SettingRow:
    """A row of the table: what a setting takes (words, numbers or both), its default, unit and meaning."""

    name: str
    default: int | float | str
    meaning: str
    unit: str = ""
    words: tuple[str, ...] = ()
    numbers: Interval | None = None

    @property
    def takes(self) -> str:
        """What it takes, as a phrase: `a whole number from 1 to 10000`."""
        phrases = [listed(self.words)] if self.words else []
        return " or ".join([*phrases, str(self.numbers)] if self.numbers else phrases)

    @property
    def written_default(self) -> str:
        """The default as a spec would write it."""
        if isinstance(self.default, str):
            return self.default
        return written_number(self.default) + ("%" if self.numbers and self.numbers.percent else "")


_ROWS = (
    SettingRow("epochs", 16, "how long to train", "passes over the training set", (), Interval(1, 10_000, whole=True)),
    SettingRow("batch_size", 8, "examples in one step", "examples", (), Interval(1, 65_536, whole=True)),
    SettingRow("max_length", 128, "longer examples are cut to this", "tokens", (), Interval(2, 1_048_576, whole=True)),
    SettingRow(
        "learning_rate",
        1e-3,
        "the optimizer's rate; with a schedule, its peak",
        "per step",
        (),
        Interval(0, 10, open_low=True),
    ),
    SettingRow("optimizer", "adamw", "AdamW with bias correction", words=("adamw",)),
    SettingRow("beta1", 0.9, "decay of AdamW's first moment", numbers=Interval(0, 1, open_high=True)),
    SettingRow("beta2", 0.999, "decay of AdamW's second moment", numbers=Interval(0, 1, open_high=True)),
    SettingRow("eps", 1e-6, "added to the root of AdamW's second moment", numbers=Interval(0, 1, open_low=True)),
    SettingRow(
        "weight_decay",
        0.0,
        "decoupled decay of the trained values",
        "per step, times the rate",
        (),
        Interval(0, 10),
    ),
    SettingRow(
        "clip_norm",
        1.0,
        "largest norm of the gradient over all trained values",
        "2-norm",
        ("off",),
        Interval(0, 1e6, open_low=True),
    ),
    SettingRow(
        "schedule",
        "constant",
        "the rate after the warm-up: constant, or falling to 0",
        words=("constant", "linear"),
    ),
    SettingRow(
        "warmup",
        0.0,
        "the rate rises from 0 over this part of the training",
        "of all steps",
        (),
        Interval(0, 100, percent=True),
    ),
    SettingRow(
        "dropout",
        "config",
        "one probability everywhere, or those of the model's own config",
        "probability",
        ("config",),
        Interval(0, 1, open_high=True),
    ),
    SettingRow(
        "pooler",
        "frozen",
        "`trained`: the pooler is trained with the head, uncounted",
        words=("frozen", "trained"),
    ),
    SettingRow(
        "precision",
        "float32",
        "arithmetic of the forward and backward pass",
        words=("float32", "bf16"),
    ),
)

#: What other tools call a setting.
_ELSEWHERE = {
    "lr": "learning_rate",
    "rate": "learning_rate",
    "bs": "batch_size",
    "batch": "batch_size",
    "num_train_epochs": "epochs",
    "max_seq_length": "max_length",
    "max_grad_norm": "clip_norm",
    "grad_clip": "clip_norm",
    "decay": "weight_decay",
    "wd": "weight_decay",
    "adam_epsilon": "eps",
    "lr_scheduler_type": "schedule",
    "warmup_ratio": "warmup",
    "betas": "beta1",
    "dtype": "precision",
}

#: Every setting by name, in the order in which the docs show them.
SETTINGS: dict[str, SettingRow] = {row.name: row for row in _ROWS}


def _field(name: str) -> Any:  # Any, as pydantic's own Field() has it, so that it can be a class default
    row = SETTINGS[name]
    return Field(default=row.default, description=f"{row.meaning}; takes {row.takes}")


class Settings(Noun):
    """All settings of one trial, defaults filled in. `warmup` is in percent."""

    epochs: int = _field("epochs")
    batch_size: int = _field("batch_size")
    max_length: int = _field("max_length")
    learning_rate: float = _field("learning_rate")
    optimizer: Literal["adamw"] = _field("optimizer")
    beta1: float = _field("beta1")
    beta2: float = _field("beta2")
    eps: float = _field("eps")
    weight_decay: float = _field("weight_decay")
    clip_norm: float | Literal["off"] = _field("clip_norm")
    schedule: Literal["constant", "linear"] = _field("schedule")
    warmup: float = _field("warmup")
    dropout: float | Literal["config"] = _field("dropout")
    pooler: Literal["frozen", "trained"] = _field("pooler")
    precision: Literal["float32", "bf16"] = _field("precision")


def check_setting(setting: Setting) -> Diagnostic | None:
    """What is wrong with a setting, or None when it is right."""
    row = SETTINGS.get(setting.name)
    if row is None:
        return error(
            "unknown-setting",
            f"there is no setting called `{setting.name}`",
            setting.span,
            help=_near(setting.name) or f"the settings are {listed(SETTINGS, 'and')}",
        )
    value, numbers = setting.value, row.numbers
    takes = f"`{row.name}` takes {row.takes}; its default is {row.written_default}"
    wrong = f"`{row.name}` cannot be {_written(value)}"
    if isinstance(value, str):
        if value in row.words:
            return None
        near = did_you_mean(value, row.words)
        return error("setting-value", wrong, setting.span, help=f"{near} {takes}" if near else takes)
    if numbers is None:
        return error("setting-value", wrong, setting.span, help=takes)
    number = _number(value)
    if numbers.percent and not isinstance(value, PercentValue) and value != 0:
        return error(
            "setting-value",
            f"{wrong}: it needs a percent sign",
            setting.span,
            help=f"write {written_number(number * 100 if number < 1 else number)}%",
        )
    if isinstance(value, PercentValue) and not numbers.percent:
        return error("setting-value", wrong, setting.span, help=takes)
    if numbers.whole and not float(number).is_integer():
        return error("setting-value", f"{wrong}: it is a whole number", setting.span, help=takes)
    if number not in numbers:
        return error("setting-range", wrong, setting.span, help=takes)
    return None


def _near(name: str) -> str | None:
    return f"did you mean `{_ELSEWHERE[name]}`?" if name in _ELSEWHERE else did_you_mean(name, SETTINGS)


def setting_value(setting: Setting) -> int | float | str:
    """The value of a right setting as `Settings` takes it; a percentage becomes its number."""
    value = setting.value
    if isinstance(value, str):
        return value
    numbers = SETTINGS[setting.name].numbers
    # Adding 0 makes one zero of -0.0 and 0.0, which would have different keys.
    return int(_number(value)) if numbers and numbers.whole else float(_number(value)) + 0.0


def _number(value: int | float | PercentValue) -> float | int:
    return float(value.percent) if isinstance(value, PercentValue) else value


def _written(value: int | float | PercentValue | str) -> str:
    if isinstance(value, str):
        return f"`{value}`"
    if isinstance(value, PercentValue):
        return f"{written_number(_number(value))}%"
    is_whole = isinstance(value, float) and value.is_integer() and abs(value) < 1e6
    return f"{value:.1f}" if is_whole else written_number(value)
