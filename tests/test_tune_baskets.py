"""The search for settings of next baskets: equal budgets, one half at a time, and a log to go on from."""

import csv
import importlib
from pathlib import Path
from types import ModuleType

import optuna
import pandas as pd
import pytest

from interest_lib import next_basket

BENCHMARKS = Path(__file__).resolve().parents[1] / "benchmarks"
LOG = BENCHMARKS / "results" / "tune_baskets.csv"


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return importlib.import_module("tune_baskets")


@pytest.fixture
def asked(script: ModuleType, monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int, dict[str, object]]]:
    """What the script wants scored: model, how many users, settings; with a score that is there at once."""
    calls: list[tuple[str, int, dict[str, object]]] = []

    def maker(name: str) -> object:
        return lambda **settings: (name, settings)

    def scored(fold: object, model: tuple[str, dict[str, object]], users: pd.Index, k: int) -> pd.DataFrame:
        calls.append((model[0], len(users), model[1]))
        numbers = [float(value) for value in model[1].values() if not isinstance(value, str)]
        value = (sum(numbers) + (0.5 if len(users) % 2 else 0.0)) % 1
        return pd.DataFrame({"recall": [value], "ndcg": [value / 2]})

    monkeypatch.setattr(next_basket, "MODELS", {name: maker(name) for name in next_basket.MODELS})
    monkeypatch.setattr(next_basket, "scored", scored)
    return calls


@pytest.fixture(scope="module")
def log() -> pd.DataFrame:
    """Two baskets of 21 users: halves of 10 and 11."""
    return pd.DataFrame({"user_id": [*range(21)] * 2, "item_id": "a", "basket_number": [1] * 21 + [2] * 21})


def test_each_half_has_a_search_of_its_own(
    script: ModuleType, asked: list[tuple[str, int, dict[str, object]]], log: pd.DataFrame, tmp_path: Path
) -> None:
    rows = script.tune(log, 8, 1, tmp_path / "log.csv")
    counts = pd.Series([row["contender"] for row in rows]).value_counts()
    assert set(counts.index) == set(script.CONTENDERS) and (counts == 8).all()
    half_of = {10: "first", 11: "second"}
    scored_on = {(name, half_of[n]) for name, n, _ in asked}
    assert scored_on == set(script.CONTENDERS.values())
    for contender, (name, half) in script.CONTENDERS.items():
        own = [row for row in rows if row["contender"] == contender]
        assert {setting: own[0][setting] for setting in script.MODEL_SPACES[name]} == {
            setting: script.FIRST[name][setting] for setting in script.MODEL_SPACES[name]
        }
        tried = [settings for model, n, settings in asked if model == name and half_of[n] == half]
        assert tried == [{setting: row[setting] for setting in script.MODEL_SPACES[name]} for row in own]


def test_a_run_that_was_cut_short_goes_on_to_the_same_bytes(
    script: ModuleType, asked: list[object], log: pd.DataFrame, tmp_path: Path
) -> None:
    script.tune(log, 7, 1, tmp_path / "whole.csv")
    script.tune(log, 3, 1, tmp_path / "cut.csv")
    script.tune(log, 7, 1, tmp_path / "cut.csv")
    assert (tmp_path / "cut.csv").read_bytes() == (tmp_path / "whole.csv").read_bytes()


def test_the_committed_log_has_equal_budgets_and_its_winners_are_in_the_library(script: ModuleType) -> None:
    with LOG.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    budgets = pd.Series([row["contender"] for row in rows]).value_counts()
    assert set(budgets.index) == set(script.CONTENDERS) and budgets.nunique() == 1
    winners = script.tuning.winners(script.SEARCH, LOG)
    told = {contender: next_basket.TUNED[name][half] for contender, (name, half) in script.CONTENDERS.items()}
    assert told == winners


def test_the_committed_log_goes_on(script: ModuleType, tmp_path: Path) -> None:
    rows = script.tuning.read(script.SEARCH, LOG, seed=next_basket.HALVES_SEED)
    script.tuning.write(script.SEARCH, tmp_path / "log.csv", rows)
    assert (tmp_path / "log.csv").read_bytes() == LOG.read_bytes()
    for contender in script.CONTENDERS:
        own = [row for row in rows if row["contender"] == contender]
        for number in (0, len(own) - 1):  # what was tried is what would be tried today
            asked = script.tuning.next_settings(
                script.SEARCH, contender, own[:number], seed=next_basket.HALVES_SEED
            )
            assert asked == {name: own[number][name] for name in script.SEARCH.spaces[contender]}
