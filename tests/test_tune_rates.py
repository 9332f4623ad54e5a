"""The search for settings of rates: equal budgets, no look at the test, and a log to go on from."""

import csv
import runpy
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest

from interest_lib.schema import InputError

BENCHMARKS = Path(__file__).resolve().parents[1] / "benchmarks"
LOG = BENCHMARKS / "results" / "tune_rates.csv"


@pytest.fixture
def tuning(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """The script, with a score that any setting can have at once."""
    names = runpy.run_path(str(BENCHMARKS / "tune_rates.py"))
    inside = names["tune"].__globals__
    names["optuna"].logging.set_verbosity(names["optuna"].logging.WARNING)
    monkeypatch.setitem(inside, "model", lambda contender, items, seed, **settings: settings)
    monkeypatch.setitem(inside, "earlier_folds", lambda events: [])
    monkeypatch.setitem(inside, "scored", lambda folds, make: score(make()))
    return SimpleNamespace(**names, inside=inside)


def score(settings: dict[str, object]) -> dict[str, float]:
    found = round(sum(float(v) for v in settings.values() if not isinstance(v, str)) % 1, 6)
    return {"ndcg10.2017-11-06": found, "ndcg10.2017-10-09": found, "mean": found}


LOG_OF_NOTHING = SimpleNamespace(events=None, items=pd.DataFrame({"item_id": [], "category": []}))


def test_a_run_that_was_cut_short_goes_on_to_the_same_bytes(
    tuning: SimpleNamespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tuning.tune(LOG_OF_NOTHING, 9, 1, tmp_path / "whole.csv")

    def dying(folds: object, make: object) -> dict[str, float]:
        calls.append(1)
        if len(calls) == 27:
            raise KeyboardInterrupt
        return score(make())

    calls: list[int] = []
    with monkeypatch.context() as cut:
        cut.setitem(tuning.inside, "scored", dying)
        with pytest.raises(KeyboardInterrupt):
            tuning.tune(LOG_OF_NOTHING, 9, 1, tmp_path / "cut.csv")
    assert (tmp_path / "cut.csv").read_text().count("\n") == 1 + 26
    tuning.tune(LOG_OF_NOTHING, 9, 1, tmp_path / "cut.csv")
    assert (tmp_path / "cut.csv").read_bytes() == (tmp_path / "whole.csv").read_bytes()
    with pytest.raises(InputError, match="another seed"):
        tuning.tune(LOG_OF_NOTHING, 9, 2, tmp_path / "cut.csv")


def test_trials_stay_in_their_space_and_start_from_what_was(tuning: SimpleNamespace, tmp_path: Path) -> None:
    rows = tuning.tune(LOG_OF_NOTHING, 12, 3, tmp_path / "log.csv")
    for contender, space in tuning.SPACES.items():
        own = [row for row in rows if row["contender"] == contender]
        assert len(own) == 12
        assert {name: own[0][name] for name in space} == tuning.UNTUNED[contender]
        for name, values in space.items():
            assert all(values._contains(values.to_internal_repr(row[name])) for row in own)
            assert len({row[name] for row in own}) > 1


def test_nothing_from_the_test_origin_on_is_seen() -> None:
    names = runpy.run_path(str(BENCHMARKS / "tune_rates.py"))
    days = pd.date_range("2017-01-01 10:00", "2018-01-01 10:00", freq="D")
    log = pd.concat([pd.DataFrame({"user_id": u, "item_id": "a", "timestamp": days}) for u in range(5)])
    log = log.sort_values("timestamp", kind="stable", ignore_index=True)
    folds = names["earlier_folds"](log)
    assert [fold.label for fold in folds] == ["2017-11-06", "2017-10-09"]
    late = log.assign(item_id=log["item_id"].where(log["timestamp"] < pd.Timestamp("2017-12-04"), "b"))
    for fold, other in zip(folds, names["earlier_folds"](late), strict=True):
        pd.testing.assert_frame_equal(fold.targets, other.targets)
    with pytest.raises(AssertionError, match="test origin has moved"):
        names["earlier_folds"](log[log["timestamp"] < pd.Timestamp("2017-12-20")])


def test_the_committed_log_has_equal_budgets() -> None:
    with LOG.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    budgets = pd.Series([row["contender"] for row in rows]).value_counts()
    assert len(budgets) == 4 and budgets.nunique() == 1
    assert not any("2017-12-04" in column for column in rows[0])
    for row in rows:
        both = [float(row[name]) for name in row if name.startswith("ndcg10")]
        assert len(both) == 2 and float(row["mean"]) == pytest.approx(sum(both) / 2, abs=1e-6)
