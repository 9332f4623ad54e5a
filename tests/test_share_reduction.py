"""What learned forecasts of shares lose and save by reading fewer numbers."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from interest_lib.forecasts import ShrunkShares, scored
from interest_lib.moves import Move, move_at
from interest_lib.schema import InputError
from interest_lib.share_models import ShareRegression
from interest_lib.share_reduction import (
    INPUTS,
    compare_share_inputs,
    important_share_columns,
    selected_share_columns,
)
from interest_lib.share_rows import SHARE_FEATURES, ShareRowStore

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

START = pd.Timestamp("2017-01-01")
RECENT = {"recent_7", "recent_14", "recent_30", "recent_60", "since_days", "trend"}
KEPT = ["recent_7", "since_days", "base"]


@pytest.fixture(scope="module")
def moves() -> list[Move]:
    """Users turn from one interest to the next every four weeks: recent baskets tell, old ones mislead."""
    rng = np.random.default_rng(5)
    user, day = (a.ravel() for a in np.meshgrid(np.arange(200), np.arange(0, 140, 4), indexing="ij"))
    regime = (user + (day + 7 * (user % 4)) // 28) % 8
    interest = np.where(rng.random(len(user)) < 0.6, regime, rng.integers(0, 8, len(user)))
    log = pd.DataFrame({"user_id": user, "item_id": interest * 10, "basket_id": np.arange(len(user))})
    log = log.assign(category="c" + pd.Series(interest).astype(str), weight=1.0)
    log["timestamp"] = START + pd.to_timedelta(day, "D")
    log = log.sort_values(["timestamp", "user_id"], ignore_index=True)
    return [move_at(log, START + pd.Timedelta(days=d, hours=1), 14) for d in (84, 98, 112)]


@pytest.fixture(scope="module")
def store() -> ShareRowStore:
    return ShareRowStore(ShrunkShares(strength=20))


@pytest.fixture(scope="module")
def compared(moves: list[Move], store: ShareRowStore) -> pd.DataFrame:
    return compare_share_inputs(
        moves[:2], moves[2], store, KEPT, n_components=5, kinds=["ridge", "tree"], n_resamples=50
    )


def test_what_tells_is_found_important(moves: list[Move], store: ShareRowStore) -> None:
    rise = important_share_columns(moves[:2], store, random_state=0)
    assert list(rise) == sorted(rise, reverse=True)
    assert set(rise.index) == set(SHARE_FEATURES)
    assert RECENT & set(rise.index[:3])
    assert abs(rise["department"]) < 1e-12  # the same in all rows


def test_the_smallest_selection_that_is_enough_is_chosen(moves: list[Move], store: ShareRowStore) -> None:
    sizes = selected_share_columns(moves[:2], store, random_state=0, sizes=(10, 1, 6, 999))
    assert list(sizes.index) == [0, 1, 6, 10, len(SHARE_FEATURES)]
    ranked = list(important_share_columns(moves[:2], store, random_state=0).index)
    assert all(columns == ranked[:n] for n, columns in sizes["columns"].items())
    gain = sizes["deviance"][0] - sizes["deviance"]
    assert gain.max() > 0
    assert list(sizes.index[sizes["chosen"]]) == [min(gain.index[gain >= 0.95 * gain.max()])]
    assert not sizes.loc[gain.idxmax(), "chosen"]  # a few columns more would gain next to nothing


def test_every_cell_is_the_model_on_these_inputs(
    compared: pd.DataFrame, moves: list[Move], store: ShareRowStore
) -> None:
    assert list(compared.index) == [(kind, name) for kind in ("ridge", "tree") for name in INPUTS]
    n_all = len(SHARE_FEATURES)
    assert compared.loc["ridge", "columns"].tolist() == [n_all, 5, 3]
    assert compared.loc["ridge", "columns_made"].tolist() == [n_all, n_all, 3]
    for name, how in (("all", {}), ("components", {"n_components": 5}), ("selected", {"columns": KEPT})):
        alone = ShareRegression("ridge", store=store, **how).fit(moves[:2]).predict(moves[2])
        found = compared.loc[("ridge", name)]
        assert found["sse1000"] == pytest.approx(scored(alone, moves[2])["sse1000"])
        assert found["low"] < found["sse1000"] < found["high"]
    assert (compared["seconds"] >= 0).all()


def test_the_difference_is_over_all_columns_of_the_same_kind(compared: pd.DataFrame) -> None:
    assert (
        compared.xs("all", level="input")[["above", "above_low", "above_high", "p_holm"]]
        .isna()
        .all(axis=None)
    )
    for kind in ("ridge", "tree"):
        level, table = compared.loc[(kind, "all"), "sse1000"], compared.loc[kind].drop(index="all")
        np.testing.assert_allclose(table["above"], table["sse1000"] / level - 1)
        assert ((table["above_low"] < table["above"]) & (table["above"] < table["above_high"])).all()


def test_two_processes_say_the_same_as_one(
    compared: pd.DataFrame, moves: list[Move], store: ShareRowStore
) -> None:
    again = compare_share_inputs(
        moves[:2],
        replace(moves[2]),
        store,
        KEPT,
        n_components=5,
        kinds=["ridge", "tree"],
        n_resamples=50,
        n_jobs=2,
    )
    timed = ["seconds", "cost"]
    pd.testing.assert_frame_equal(again.drop(columns=timed), compared.drop(columns=timed), check_exact=True)


def test_all_inputs_learn_from_the_same_drawn_rows(moves: list[Move], store: ShareRowStore) -> None:
    few = compare_share_inputs(
        moves[:2], moves[2], store, KEPT, max_rows=200, kinds=["ridge"], n_resamples=9, random_state=3
    )
    alone = ShareRegression("ridge", KEPT, max_rows=200, store=store, random_state=3).fit(moves[:2])
    expected = scored(alone.predict(moves[2]), moves[2])["sse1000"]
    assert few.loc[("ridge", "selected"), "sse1000"] == pytest.approx(expected)


def test_what_cannot_be_compared_is_said(moves: list[Move], store: ShareRowStore) -> None:
    with pytest.raises(InputError, match="too few users"):
        important_share_columns([moves[0].of_users([0])], store, random_state=0)
    with pytest.raises(InputError, match="with a future"):
        compare_share_inputs(moves[:1], replace(moves[2], future=None), store, KEPT, kinds=["ridge"])
    with pytest.raises(InputError, match="did you mean recent_7"):
        compare_share_inputs(moves[:1], moves[2], store, ["recent_77"], kinds=["ridge"])
