"""What is one visit."""

import numpy as np
import pandas as pd
import pytest

from interest_lib.moves import move_at
from interest_lib.schema import InputError
from interest_lib.visits import visits_before, visits_to_interests


def test_events_close_together_are_one_visit() -> None:
    times = pd.to_datetime(["2024-01-01 08:00", "2024-01-01 08:20", "2024-01-01 09:00", "2024-01-01 09:10"])
    log = pd.DataFrame({"user_id": 1, "timestamp": times, "category": ["tea", "tea", "tea", "ham"]})
    visits = visits_to_interests(log)
    assert visits.interests[visits.interest].tolist() == ["tea", "tea", "ham"]
    with pytest.raises(InputError, match="No event"):
        visits_to_interests(log.assign(category=None))


def test_the_visits_of_a_move_are_those_of_the_log_before_it(shop: pd.DataFrame) -> None:
    log = shop.assign(category="c" + (shop["item_id"] % 12).astype(str), weight=1.0)
    at = log["timestamp"].min() + pd.Timedelta(days=112)
    move = move_at(log, at, 28)
    known = log[(log["timestamp"] < at) & log["user_id"].isin(move.user_ids)]
    of_log, of_move = visits_to_interests(known, interests=move.interests), visits_before(move)
    np.testing.assert_array_equal(move.user_ids[of_move.user_ids], of_log.user_ids)
    np.testing.assert_array_equal(of_move.interest, of_log.interest)
    np.testing.assert_allclose(of_move.day - (of_log.start - at) / pd.Timedelta(days=1), of_log.day)
    np.testing.assert_array_equal(of_move.last[:-1] + 1, of_move.first[1:])
    assert of_move.last[-1] == len(of_move.user) - 1


def test_shuffled_visits_are_the_same_at_the_same_times(shop: pd.DataFrame) -> None:
    visits = visits_to_interests(shop.assign(category="c" + (shop["item_id"] % 12).astype(str)))
    shuffled = visits.shuffled(seed=1)
    np.testing.assert_array_equal(shuffled.counts, visits.counts)
    assert shuffled.day is visits.day and shuffled.user is visits.user
    assert (shuffled.interest != visits.interest).mean() > 0.5
    np.testing.assert_array_equal(shuffled.interest, visits.shuffled(seed=1).interest)
