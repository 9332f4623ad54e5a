"""Lists made anew every week against lists left alone."""

import pandas as pd
import pytest

from interest_lib import feedback_weeks
from interest_lib.feedback_weeks import refresh_gain, weekly_scores
from interest_lib.history import History
from interest_lib.metrics import ndcg_at_k
from interest_lib.recommend import PersonalFrequency
from interest_lib.schema import InputError
from interest_lib.split import fold_at

ORIGINS = list(pd.to_datetime(["2017-04-20", "2017-05-18"]))


@pytest.fixture(scope="module")
def drifting(shop: pd.DataFrame) -> pd.DataFrame:
    """The made-up shop, in which everybody's favourites are other items every four weeks."""
    period = (shop["timestamp"] - shop["timestamp"].min()).dt.days // 28
    return shop.assign(item_id=(shop["item_id"] + 7 * period) % 60)


@pytest.fixture(scope="module")
def scores(drifting: pd.DataFrame) -> pd.DataFrame:
    return weekly_scores(PersonalFrequency(7.0), drifting, ORIGINS, n_jobs=1)


def test_the_first_week_is_the_same_and_matches_a_plain_fold(
    drifting: pd.DataFrame, scores: pd.DataFrame
) -> None:
    first = scores[(scores["week"] == 0) & (scores["origin"] == "2017-05-18")].set_index("user_id")
    assert (first["left_alone"] == first["refreshed"]).all()
    fold = fold_at(drifting, ORIGINS[1], 7)
    lists = PersonalFrequency(7.0).fit(fold.history).recommend(fold.user_ids)
    expected = ndcg_at_k(lists, fold.targets)
    assert first.loc[expected.index, "left_alone"].tolist() == expected.tolist()


def test_fresh_lists_win_where_interests_move(scores: pd.DataFrame) -> None:
    gain = refresh_gain(scores, seed=1)
    assert gain.loc["all", "low"] > 0.1
    assert gain.loc[3, "value"] > gain.loc[1, "value"]
    assert list(gain.index) == [0, 1, 2, 3, "all"]


def test_both_are_judged_by_the_same_targets(scores: pd.DataFrame) -> None:
    assert scores[["left_alone", "refreshed"]].notna().all(axis=None)
    assert not scores.duplicated(["origin", "week", "user_id"]).any()
    assert sorted(scores["origin"].unique()) == ["2017-04-20", "2017-05-18"]


def test_no_model_sees_the_week_it_is_judged_in(drifting: pd.DataFrame) -> None:
    seen: list[tuple[str, str]] = []

    class Watching(PersonalFrequency):
        def _learn(self, history: History) -> None:
            seen.append((history.label, history.last_seen))
            super()._learn(history)

    weekly_scores(Watching(7.0), drifting, ORIGINS[:1], n_weeks=3, n_jobs=1)
    assert [label for label, _ in seen] == ["2017-04-20", "2017-04-27", "2017-05-04"]
    assert all(last < label for label, last in seen)


def test_what_happens_later_changes_nothing(drifting: pd.DataFrame, scores: pd.DataFrame) -> None:
    end = ORIGINS[0] + pd.Timedelta(days=28)
    later = drifting["timestamp"] >= end
    corrupt = drifting.assign(item_id=drifting["item_id"].where(~later, 59 - drifting["item_id"]))
    again = weekly_scores(PersonalFrequency(7.0), corrupt, ORIGINS[:1], n_jobs=1)
    expected = scores[scores["origin"] == "2017-04-20"].reset_index(drop=True)
    pd.testing.assert_frame_equal(again, expected)


def test_a_log_without_times_is_refused() -> None:
    log = pd.DataFrame({"user_id": [1], "item_id": [1], "basket_number": [1]})
    with pytest.raises(InputError, match="no times"):
        feedback_weeks.weekly_scores(PersonalFrequency(), log, ORIGINS)
