"""The search for settings of rates: equal budgets, no look at the test, and a log to go on from."""

import csv
import importlib
from pathlib import Path
from types import ModuleType, SimpleNamespace

import optuna
import pandas as pd
import pytest

from interest_lib.schema import InputError

BENCHMARKS = Path(__file__).resolve().parents[1] / "benchmarks"
LOG = BENCHMARKS / "results" / "tune_rates.csv"


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return importlib.import_module("tune_rates")


@pytest.fixture
def quick(script: ModuleType, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The script, with a score that any setting can have at once."""
    monkeypatch.setattr(script, "model", lambda contender, items, seed, **settings: settings)
    monkeypatch.setattr(script, "earlier_folds", lambda events: [])
    monkeypatch.setattr(script, "scored", lambda folds, make: score(make()))
    return script


def score(settings: dict[str, object]) -> dict[str, float]:
    found = round(sum(float(v) for v in settings.values() if not isinstance(v, str)) % 1, 6)
    return {"ndcg10.2017-11-06": found, "ndcg10.2017-10-09": found, "mean": found}


LOG_OF_NOTHING = SimpleNamespace(events=None, items=pd.DataFrame({"item_id": [], "category": []}))


def test_a_run_that_was_cut_short_goes_on_to_the_same_bytes(
    quick: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    quick.tune(LOG_OF_NOTHING, 9, 1, tmp_path / "whole.csv")

    def dying(folds: object, make: object) -> dict[str, float]:
        calls.append(1)
        if len(calls) == 27:
            raise KeyboardInterrupt
        return score(make())

    calls: list[int] = []
    with monkeypatch.context() as cut:
        cut.setattr(quick, "scored", dying)
        with pytest.raises(KeyboardInterrupt):
            quick.tune(LOG_OF_NOTHING, 9, 1, tmp_path / "cut.csv")
    assert (tmp_path / "cut.csv").read_text().count("\n") == 1 + 26
    quick.tune(LOG_OF_NOTHING, 9, 1, tmp_path / "cut.csv")
    assert (tmp_path / "cut.csv").read_bytes() == (tmp_path / "whole.csv").read_bytes()
    with pytest.raises(InputError, match="another seed"):
        quick.tune(LOG_OF_NOTHING, 9, 2, tmp_path / "cut.csv")


def test_trials_stay_in_their_space_and_start_from_what_was(quick: ModuleType, tmp_path: Path) -> None:
    rows = quick.tune(LOG_OF_NOTHING, 12, 3, tmp_path / "log.csv")
    for contender, space in quick.SPACES.items():
        own = [row for row in rows if row["contender"] == contender]
        assert len(own) == 12
        assert {name: own[0][name] for name in space} == quick.UNTUNED[contender]
        for name, values in space.items():
            assert all(values._contains(values.to_internal_repr(row[name])) for row in own)
            assert len({row[name] for row in own}) > 1


def test_nothing_from_the_test_origin_on_is_seen(script: ModuleType) -> None:
    days = pd.date_range("2017-01-01 10:00", "2018-01-01 10:00", freq="D")
    log = pd.concat([pd.DataFrame({"user_id": u, "item_id": "a", "timestamp": days}) for u in range(5)])
    log = log.sort_values("timestamp", kind="stable", ignore_index=True)
    folds = script.earlier_folds(log)
    assert [fold.label for fold in folds] == ["2017-11-06", "2017-10-09"]
    late = log.assign(item_id=log["item_id"].where(log["timestamp"] < pd.Timestamp("2017-12-04"), "b"))
    for fold, other in zip(folds, script.earlier_folds(late), strict=True):
        pd.testing.assert_frame_equal(fold.targets, other.targets)
    with pytest.raises(AssertionError, match="test origin has moved"):
        script.earlier_folds(log[log["timestamp"] < pd.Timestamp("2017-12-20")])


def test_the_committed_log_has_equal_budgets() -> None:
    with LOG.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    budgets = pd.Series([row["contender"] for row in rows]).value_counts()
    assert len(budgets) == 4 and budgets.nunique() == 1
    assert not any("2017-12-04" in column for column in rows[0])
    for row in rows:
        both = [float(row[name]) for name in row if name.startswith("ndcg10")]
        assert len(both) == 2 and float(row["mean"]) == pytest.approx(sum(both) / 2, abs=1e-6)


def test_the_committed_log_is_read_and_goes_on(script: ModuleType, tmp_path: Path) -> None:
    rows = script.tuning.read(script.SEARCH, LOG, seed=2017)
    script.tuning.write(script.SEARCH, tmp_path / "log.csv", rows)
    assert (tmp_path / "log.csv").read_bytes() == LOG.read_bytes()
    for contender in script.SPACES:
        own = [row for row in rows if row["contender"] == contender]
        for number, row in enumerate(own):  # what was tried is what would be tried today
            asked = script.tuning.next_settings(script.SEARCH, contender, own[:number], seed=2017)
            assert asked == {name: row[name] for name in script.SPACES[contender]}
