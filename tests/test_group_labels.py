"""Who belongs to which group."""

import pandas as pd
import pytest

from interest_lib import group_labels


@pytest.fixture
def users() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "user_id": range(60),
            "gender": ["M"] * 40 + ["F"] * 20,
            "shop": ["a"] * 60,
            "age": ["young", "old", None] * 20,
        }
    )


def test_attributes_that_are_asked_for_come_alone_and_others_where_there_are_none(
    users: pd.DataFrame,
) -> None:
    assert set(group_labels.group_splits(users, ["age", "income"], min_users=10)) == {"age"}
    assert set(group_labels.group_splits(users, ["income"], min_users=10)) == {"gender", "age"}


def test_a_group_that_is_too_small_is_no_group(users: pd.DataFrame) -> None:
    assert "gender" not in group_labels.group_splits(users, min_users=21)


def test_users_who_met_too_little_are_in_no_group(users: pd.DataFrame) -> None:
    events = pd.DataFrame(
        {"user_id": list(range(50)) * 5, "item_id": [i for i in range(5) for _ in range(50)]}
    )
    splits = group_labels.group_splits(users, ["gender"], events.assign(event="purchase"), min_users=5)
    assert splits["gender"].index.max() == 49


def test_dealing_labels_keeps_the_sizes(users: pd.DataFrame) -> None:
    labels = users.set_index("user_id")["gender"] == "M"
    dealt = group_labels.shuffled_labels(labels, seed=3)
    assert dealt.sum() == 40 and not dealt.equals(labels)
    pd.testing.assert_series_equal(group_labels.shuffled_labels(labels, seed=3), dealt)
    assert not group_labels.shuffled_labels(labels, seed=4).equals(dealt)
