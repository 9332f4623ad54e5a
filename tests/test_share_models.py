"""Learned forecasts of shares."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from interest_lib.forecasts import ShrunkShares, scored
from interest_lib.migration import shares
from interest_lib.moves import Move, move_at
from interest_lib.schema import InputError
from interest_lib.share_models import KINDS, ShareRegression, kind_settings
from interest_lib.share_rows import SHARE_FEATURES, ShareRowStore, lesson

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

BASE = ShrunkShares(strength=20)
START = pd.Timestamp("2017-01-01")
SMALL = {"tree": {"min_samples_leaf": 20}, "boosting": {"min_samples_leaf": 20}}


@pytest.fixture(scope="module")
def log() -> pd.DataFrame:
    """Users turn from one interest to the next every four weeks: recent baskets tell, old ones mislead."""
    rng = np.random.default_rng(5)
    n_users, n_days = 150, 140
    user, day = (a.ravel() for a in np.meshgrid(np.arange(n_users), np.arange(0, n_days, 4), indexing="ij"))
    regime = (user + (day + 7 * (user % 4)) // 28) % 8
    interest = np.where(rng.random(len(user)) < 0.6, regime, rng.integers(0, 8, len(user)))
    events = pd.DataFrame({"user_id": user, "item_id": interest * 10 + rng.integers(0, 5, len(user))})
    events["timestamp"] = START + pd.to_timedelta(day, "D")
    events["category"], events["weight"] = "c" + pd.Series(interest).astype(str), 1.0
    events["basket_id"] = np.arange(len(events))
    return events.sort_values(["timestamp", "user_id"], ignore_index=True)


@pytest.fixture(scope="module")
def moves(log: pd.DataFrame) -> list[Move]:
    return [move_at(log, START + pd.Timedelta(days=d, hours=1), 14) for d in (84, 98, 112)]


@pytest.fixture(scope="module")
def store() -> ShareRowStore:
    return ShareRowStore(BASE)


def model(kind: str, store: ShareRowStore) -> ShareRegression:
    return ShareRegression(kind, settings=SMALL.get(kind), store=store)


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_learns_what_the_base_cannot_know(
    kind: str, moves: list[Move], store: ShareRowStore
) -> None:
    forecast = model(kind, store).fit(moves[:2]).predict(moves[2])
    np.testing.assert_allclose(forecast.sum(axis=1), 1.0)
    assert (forecast > 0).all()
    simple = scored(BASE.predict(moves[2]), moves[2])
    learned = scored(forecast, moves[2])
    assert learned["sse1000"] < 0.97 * simple["sse1000"]
    assert learned["perplexity"] < simple["perplexity"]


@pytest.mark.parametrize("kind", KINDS)
def test_prediction_reads_no_future_and_repeats_itself(
    kind: str, log: pd.DataFrame, moves: list[Move]
) -> None:
    at = START + pd.Timedelta(days=112, hours=1)
    spoilt = log.copy()
    spoilt.loc[spoilt["timestamp"] >= at, ["category", "weight"]] = ["c0", 9.0]
    other = move_at(spoilt, at, 14, moves[2].user_ids, moves[2].interests)
    fitted = model(kind, ShareRowStore(BASE)).fit(moves[:2])
    forecast = fitted.predict(moves[2])
    for same in (replace(moves[2], future=None), replace(moves[2], future=-moves[2].next_shares), other):
        np.testing.assert_array_equal(forecast, fitted.predict(same))
    again = model(kind, ShareRowStore(BASE)).fit(moves[:2])
    assert again.predict(moves[2]).tobytes() == forecast.tobytes()


def test_only_the_given_columns_are_read(moves: list[Move]) -> None:
    store, columns = ShareRowStore(BASE), ["weekday_cos", "recent_14", "base"]
    learner = ShareRegression("mlp", columns, store=store).fit(moves[:2])
    assert list(learner.columns_) == columns
    assert learner.model_[-1].n_features_in_ == 3
    forecast, rows = learner.predict(moves[2]), store.rows(moves[2])
    rows.inputs[:, rows.names.get_indexer(rows.names.difference(columns))] = 9e9
    np.testing.assert_array_equal(learner.predict(moves[2]), forecast)
    weekday = rows.inputs[:, rows.names.get_loc("weekday_cos")]
    weekday[weekday < 0] /= 2  # what is negative is read, too
    assert not np.array_equal(learner.predict(moves[2]), forecast)


@pytest.mark.parametrize("n_components", [4, 50])
def test_components_are_as_many_as_asked_for_or_as_there_are(
    n_components: int, moves: list[Move], store: ShareRowStore
) -> None:
    learner = ShareRegression("ridge", n_components=n_components, store=store).fit(moves[:2])
    assert learner.model_[-1].n_features_in_ == min(n_components, len(SHARE_FEATURES))
    np.testing.assert_allclose(learner.predict(moves[2]).sum(axis=1), 1.0)


def test_rows_that_are_there_teach_and_foretell_the_same(moves: list[Move], store: ShareRowStore) -> None:
    whole = ShareRegression("ridge", store=store).fit(moves[:2]).predict(moves[2])
    parts = ShareRegression("ridge").fit_rows(lesson(moves[:2], store)).predict_rows(store.rows(moves[2]))
    np.testing.assert_array_equal(whole, parts)


def test_small_shares_are_corrected_too(moves: list[Move]) -> None:
    tiny = ShareRowStore(BASE)
    rows = tiny.rows(moves[2])
    learner = model("ridge", tiny).fit(moves[:2])
    rows.base[:, 0] = 1e-5
    ratio = np.clip(learner.model_.predict(rows.inputs), 0.1, 10).reshape(rows.base.shape)
    assert np.ptp(ratio[:, 0]) > 0.1
    np.testing.assert_allclose(learner.predict(moves[2]), shares(rows.base * ratio), rtol=1e-5)


def test_some_rows_are_drawn_by_the_seed(moves: list[Move], store: ShareRowStore) -> None:
    draws = [
        ShareRegression("ridge", max_rows=300, random_state=seed, store=store)
        .fit(moves[:2])
        .predict(moves[2])
        for seed in (0, 0, 1)
    ]
    np.testing.assert_array_equal(draws[0], draws[1])
    assert not np.array_equal(draws[0], draws[2])


def test_what_cannot_be_learned_is_said(moves: list[Move], store: ShareRowStore) -> None:
    with pytest.raises(InputError, match="did you mean boosting"):
        ShareRegression("bosting", store=store).fit(moves[:1])
    with pytest.raises(InputError, match="did you mean recent_14"):
        ShareRegression(columns=["base", "recent_41"], store=store).fit(moves[:1])
    with pytest.raises(InputError, match="with a future"):
        ShareRegression("ridge", store=store).fit([replace(moves[0], future=None)])
    with pytest.raises(InputError, match="a known future"):
        ShareRegression("ridge", store=store).fit([replace(moves[0], future=np.zeros(moves[0].shape))])


def test_settings_reach_the_step_that_has_them(moves: list[Move]) -> None:
    model = ShareRegression("svm", settings={"gamma": 0.5, "C": 0.02}, max_rows=500).fit(moves[:1])
    kernel, machine = (step for _, step in model.model_.steps[-2:])
    assert (kernel.gamma, machine.C) == (0.5, 0.02)
    assert kind_settings("svm", 30)["gamma"] == pytest.approx(0.005)
    with pytest.raises(InputError, match=r"setting 'gama' is unknown; .*gamma"):
        ShareRegression("svm", settings={"gama": 1}).fit(moves[:1])
