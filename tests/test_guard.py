"""Plugins at arm's length: what they print, how long they take, and whom Ctrl-C is for."""

from __future__ import annotations

import threading

import pytest

from bitspec import plugins, registry
from bitspec.guard import guarded
from tests.installed import Site, site
from tests.test_registry import GOOD, RULES, fault

__all__ = ["site"]


def test_what_it_prints_goes_to_the_other_output(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    site.install("loud", {RULES: {"first": "PLUGIN"}}, "print('hello')\nprint('there', end='')\n" + GOOD)
    registry.find(plugins.Rule, "first")
    out, err = capsys.readouterr()
    assert out == ""
    assert err == (
        "warning: the rule `first` of loud 1.0 prints to the standard output, which is for results; it says:\n"
        "  hello\n"
        "  there\n"
    )


def test_what_hangs_is_stopped(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "LOADING", 0.2)
    site.install(
        "slow",
        {RULES: {"first": "PLUGIN"}},
        "while True:\n    try:\n        pass\n    except Exception:\n        pass\n",
    )
    assert "took more than 0.2 seconds to be imported, and was stopped" in fault().message


def test_beside_the_main_thread_nothing_is_timed(site: Site) -> None:
    site.install("good-rules", {RULES: {"first": "PLUGIN"}}, GOOD)
    found: list[plugins.Rule] = []
    thread = threading.Thread(target=lambda: found.append(registry.find(plugins.Rule, "first")))
    thread.start()
    thread.join()
    assert [one.version for one in found] == ["3"]


def test_ctrl_c_stays_ctrl_c(site: Site) -> None:
    site.install("good-rules", {RULES: {"first": "PLUGIN"}}, GOOD)
    with pytest.raises(KeyboardInterrupt), guarded(registry.of_package("rule", "first"), "work"):
        raise KeyboardInterrupt
