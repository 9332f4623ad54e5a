"""The search for settings of forecasts of shares: equal budgets, no look at the test, a log to go on from."""

import csv
import importlib
from pathlib import Path
from types import ModuleType

import numpy as np
import optuna
import pandas as pd
import pytest
from joblib.externals.loky import get_reusable_executor

from interest_lib import rungs
from interest_lib.schema import InputError

BENCHMARKS = Path(__file__).resolve().parents[1] / "benchmarks"
LOG = BENCHMARKS / "results" / "tune_moves.csv"
Scores = tuple[str, dict[str, float]]


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return importlib.import_module("tune_moves")


@pytest.fixture
def quick(script: ModuleType, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The script, with a score that any settings have at once."""
    monkeypatch.setattr(script, "earlier_tasks", lambda events: {})
    monkeypatch.setattr(script, "tried", score)
    return script


def score(path: Path, contender: str, seed: int, settings: dict[str, object]) -> Scores:
    numbers = [float(v) for v in settings.values() if isinstance(v, int | float)]
    return contender, {"sse1000": round(sum(numbers) % 1, 6), "month.sse1000": 1.0}


@pytest.fixture(scope="module")
def year() -> pd.DataFrame:
    """Baskets of three among 24 products in 8 categories: 30 households come all year, 6 until autumn."""
    rng = np.random.default_rng(4)
    rows = []
    for user in range(36):
        taste = rng.dirichlet(np.full(24, 0.4))
        days = np.sort(rng.choice(np.arange(1, 273 if user >= 30 else 365), 70, replace=False))
        items = [rng.choice(24, 3, replace=False, p=taste * 0.9 + 0.1 / 24) for _ in days]
        rows += [(user, item, day) for day, basket in zip(days, items, strict=True) for item in basket]
    log = pd.DataFrame([(0, 0, 0), *rows], columns=["user_id", "item_id", "day"])
    log["timestamp"] = pd.Timestamp("2017-01-01 09:00") + pd.to_timedelta(log.pop("day"), unit="D")
    log["basket_id"] = log["user_id"].astype(str) + log["timestamp"].dt.strftime("/%m-%d")
    log["category"] = "c" + (log["item_id"] % 8).astype(str)
    log["department"] = "d" + (log["item_id"] % 2).astype(str)
    log = log.assign(event="purchase", quantity=1.0, value=2.0, weight=1.0)
    return log.sort_values(["timestamp", "user_id", "item_id"], ignore_index=True)


def spoilt(log: pd.DataFrame, day: int) -> pd.DataFrame:
    """All from a day on turned into something else, but for how many categories are in whose baskets."""
    late = (log["timestamp"] >= log["timestamp"].min() + pd.Timedelta(days=day)).to_numpy()
    changed = log.copy()
    changed.loc[late, "item_id"] += 1000
    changed.loc[late, "category"] = "spoilt " + changed.loc[late, "category"].str[::-1]
    changed.loc[late, "department"] = "spoilt"
    changed.loc[late, ["quantity", "value", "weight"]] = 99.0
    changed.loc[late, "timestamp"] = changed["timestamp"].max() + pd.Timedelta(days=30)
    return changed


def test_what_comes_after_the_cut_changes_nothing(
    script: ModuleType, year: pd.DataFrame, tmp_path: Path
) -> None:
    changed = spoilt(year, script.TEST_DAY)
    assert script.TEST_DAY == 273 and not changed.equals(year)
    for name, log in (("one", year), ("other", changed)):
        script.tune(log, 1, 5, tmp_path / name)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "other").read_bytes()
    tasks = [script.earlier_tasks(log)[""] for log in (year, spoilt(year, script.TEST_DAY - 1))]
    assert tasks[0].judge.future.sum() > tasks[1].judge.future.sum()


def test_tasks_are_those_of_p2_and_end_before_its_test(script: ModuleType, year: pd.DataFrame) -> None:
    assert script.households(year).tolist() == list(range(30))
    tasks = script.earlier_tasks(year)
    first = year["timestamp"].min()
    for prefix, days in (("", 91), (script.MONTH, 28)):
        task = tasks[prefix]
        assert task.asked.future is None and len(task.learn) == 1
        begins = [pd.Timestamp(move.label) for move in (*task.learn, task.judge)]
        assert begins[1] - begins[0] == pd.Timedelta(days=days)
        assert begins[1] + pd.Timedelta(days=days) <= first + pd.Timedelta(days=273)
        assert set(task.judge.user_ids) <= set(range(30))
    assert pd.Timestamp(tasks[script.MONTH].judge.label) + pd.Timedelta(days=28) == pd.Timestamp(
        tasks[""].judge.label
    ), "the month must have none of the purchases that decide"
    third = year["timestamp"].between(
        first + 182 * pd.Timedelta(days=1), first + 273 * pd.Timedelta(days=1), "left"
    )
    counted = year[third & (year["user_id"] < 30)][["user_id", "basket_id", "category"]].drop_duplicates()
    assert tasks[""].judge.future.sum() == len(counted)


def test_two_processes_write_the_same_log(script: ModuleType, year: pd.DataFrame, tmp_path: Path) -> None:
    get_reusable_executor().shutdown(wait=True)  # processes of other tests do not know where the script is
    few = {name: script.SPACES[name] for name in ("dirichlet", "markov", "ridge")}
    search = script.tuning.Search(few, script.SEARCH.first, "sse1000", maximise=False)
    with pytest.MonkeyPatch.context() as fewer:
        fewer.setattr(script, "SEARCH", search)
        for n_jobs in (1, 2):
            script.tune(year, 2, 5, tmp_path / str(n_jobs), n_jobs)
    assert (tmp_path / "1").read_bytes() == (tmp_path / "2").read_bytes()


def test_a_turn_that_was_cut_short_goes_on_to_the_same_bytes(
    quick: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    quick.tune(None, 8, 1, tmp_path / "whole.csv")

    def dying(*given: object) -> Scores:
        calls.append(1)
        if len(calls) == 31:
            raise KeyboardInterrupt
        return score(*given)

    calls: list[int] = []
    with monkeypatch.context() as cut:
        cut.setattr(quick, "tried", dying)
        with pytest.raises(KeyboardInterrupt):
            quick.tune(None, 8, 1, tmp_path / "cut.csv")
    assert (tmp_path / "cut.csv").read_text().count("\n") == 1 + 30  # two turns and a half
    quick.tune(None, 8, 1, tmp_path / "cut.csv")
    assert (tmp_path / "cut.csv").read_bytes() == (tmp_path / "whole.csv").read_bytes()
    with pytest.raises(InputError, match="another seed"):
        quick.tune(None, 8, 2, tmp_path / "cut.csv")


def test_budgets_are_equal_and_typed_values_survive(quick: ModuleType, tmp_path: Path) -> None:
    rows = quick.tune(None, 7, 3, tmp_path / "log.csv")
    read = quick.tuning.read(quick.SEARCH, tmp_path / "log.csv", 3)
    for contender, space in quick.SPACES.items():
        own, again = ([row for row in some if row["contender"] == contender] for some in (rows, read))
        assert len(own) == 7 and again == own
        for row, same in zip(own, again, strict=True):
            assert {name: type(row[name]) for name in space} == {name: type(same[name]) for name in space}
        assert {name: own[0][name] for name in space} == quick.untuned(contender)
        for name, values in space.items():
            assert all(values._contains(values.to_internal_repr(row[name])) for row in own)
            assert len({row[name] for row in own}) > 1
    assert {type(row["max_features"]) for row in read if row["contender"] == "tree"} == {type(None), float}
    assert {type(row["half_lives_days"]) for row in read if row["contender"] == "softmax"} == {tuple}


def test_winners_have_the_smallest_error(quick: ModuleType, tmp_path: Path) -> None:
    rows = quick.tune(None, 7, 3, tmp_path / "log.csv")
    for contender, won in quick.tuning.winners(quick.SEARCH, tmp_path / "log.csv").items():
        own = [row for row in rows if row["contender"] == contender]
        best = min(own, key=lambda row: row["sse1000"])
        assert won == {name: best[name] for name in quick.SPACES[contender]}


def test_a_log_of_another_search_is_refused(quick: ModuleType, tmp_path: Path) -> None:
    quick.tune(None, 1, 3, tmp_path / "log.csv")
    text = (tmp_path / "log.csv").read_text()
    (tmp_path / "log.csv").write_text(text.replace("neighbour_share", "share_of_neighbours"))
    with pytest.raises(InputError, match="other contenders or settings"):
        quick.tune(None, 2, 3, tmp_path / "log.csv")


def test_the_committed_log_has_equal_budgets() -> None:
    with LOG.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    budgets = pd.Series([row["contender"] for row in rows]).value_counts()
    assert len(budgets) == 12 and budgets.nunique() == 1 and budgets.iloc[0] >= 20
    assert {row["seed"] for row in rows} == {"2017"}


def test_the_study_takes_what_won(script: ModuleType) -> None:
    won = script.tuning.winners(script.SEARCH, LOG)
    assert {name: won[name] for name in rungs.LEARNED} == rungs.TUNED
