"""The roster of recommenders: all can be fitted, settings reach them, and winners come from a log."""

from pathlib import Path

import pandas as pd
import pytest

from interest_lib.contenders import CHANCE, contenders, winners
from interest_lib.history import history_before
from interest_lib.schema import InputError

ITEMS = pd.DataFrame(
    {
        "item_id": [f"i{n}" for n in range(12)],
        "category": ["tea", "coffee", "bread"] * 4,
        "title": [f"title {n % 5}" for n in range(12)],
    }
)
FADE = {"half_life_days": 30.0}
HEADER = "contender,trial,seed,ridge,curve,ndcg10.all,ndcg10.novel\n"


@pytest.fixture(scope="module")
def log() -> pd.DataFrame:
    """Twelve users, each with favourites of their own, for thirty weeks."""
    rows = [
        (user, f"i{(user + step) % 12}", pd.Timestamp("2017-01-02") + pd.Timedelta(days=7 * week), week + 1)
        for week in range(30)
        for user in range(12)
        for step in (0, week % 3)
    ]
    return pd.DataFrame(rows, columns=["user_id", "item_id", "timestamp", "basket_number"])


QUICK = {
    "transformer": {"n_hidden": 8, "length": 8, "reach": 4, "n_updates": 2},
    "light_gcn": {"n_factors": 4, "n_updates": 2},
    "bpr": {"n_factors": 4, "n_iterations": 2},
    **{name: {"n_factors": 4, "n_epochs": 1} for name in ("lightfm", "lightfm_decay", "lightfm_hybrid")},
    **{name: {"n_factors": 4} for name in ("als", "als_decay", "static_factors", "migrated_factors")},
}


@pytest.mark.parametrize("name", list(contenders(ITEMS, None, FADE)))
def test_every_contender_can_be_fitted_and_recommends_all_it_is_asked_for(
    name: str, log: pd.DataFrame
) -> None:
    settings = QUICK.get(name, {}) | ({"encoder": "terms"} if name == "content" else {})
    model = contenders(ITEMS, None, FADE, ease_items=10, seed=3)[name](**settings)
    history = history_before(log, pd.Timestamp("2017-07-20"), min_users_per_item=1)
    lists = model.fit(history).recommend([0, 5], k=3)
    assert lists.groupby("user_id").size().tolist() == [3, 3]
    assert model.history_.last_seen == history.last_seen


def test_settings_and_seed_reach_the_models() -> None:
    found = contenders(ITEMS, None, FADE, ease_items=7, seed=3)
    assert found["ease"](ridge=9.0).get_params() == {
        "ridge": 9.0,
        "n_items": 7,
        "half_life_days": 30.0,
        "half_life_baskets": None,
    }
    assert all(found[name]().random_state == 3 for name in CHANCE)
    assert found["blend"](ease=0.4, ridge=5.0).weights["ease"] == 0.4


def test_who_needs_what_the_log_does_not_have_does_not_compete() -> None:
    everybody = set(contenders(ITEMS, None, FADE))
    bare = pd.DataFrame({"item_id": ["a"], "category": [None], "title": [None]})
    assert everybody - set(contenders(bare, None, FADE)) == {"content", "static", "migrated"}
    without_times = set(contenders(ITEMS, None, {"half_life_baskets": 10.0}))
    assert everybody - without_times == {"static", "migrated", "static_factors", "migrated_factors"}


def test_each_slice_has_its_own_winner_and_the_first_of_equals(tmp_path: Path) -> None:
    log = tmp_path / "log.csv"
    log.write_text(
        HEADER
        + "ease,0,1,100.0,,.3,.05\nease,1,1,200.0,,.3,.06\nease,2,1,300.0,,.2,.06\n"
        + "personal_tuned,0,1,,power,.4,.04\npersonal_tuned,1,1,,linear,.3,.03\n"
        + "personal_tuned,2,1,,linear,.3,.03\npersonal_tuned,3,1,,late,.9,.9\n"  # nobody else had a fourth
    )
    assert winners(log) == {
        "all": {"ease": {"ridge": 100.0}, "personal_tuned": {"curve": "power"}},
        "novel": {"ease": {"ridge": 200.0}, "personal_tuned": {"curve": "power"}},
    }


@pytest.mark.parametrize("text", ["", "a,b\n1,2\n"])
def test_a_file_that_is_no_log_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "log.csv").write_text(text)
    with pytest.raises(InputError, match=r"log\.csv is no log of the search"):
        winners(tmp_path / "log.csv")
    with pytest.raises(InputError, match="make tune"):
        winners(tmp_path / "nowhere.csv")
