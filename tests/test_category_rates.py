"""Half-lives of categories by the likelihood of return."""

import numpy as np
import pandas as pd
import pytest
from return_samples import fading_log

from interest_lib.category_rates import CategoryDecay, category_rates
from interest_lib.decay import decayed_counts
from interest_lib.history import history_before, history_but_baskets
from interest_lib.schema import InputError
from interest_lib.windows import training_windows

ORIGIN = pd.Timestamp("2017-09-08")


@pytest.fixture(scope="module")
def log() -> tuple[pd.DataFrame, pd.Series]:
    return fading_log(0)


def test_what_fades_fast_and_what_fades_slowly_are_told_apart(log: tuple[pd.DataFrame, pd.Series]) -> None:
    events, category = log
    model = CategoryDecay(category, n_origins=4).fit(history_before(events, ORIGIN, 1))
    fast, slow = model.rates_.loc["fast", "half_life"], model.rates_.loc["slow", "half_life"]
    assert 4 < fast < 9 and 80 < slow < 180  # truly 6 and 120
    assert fast <= model.rates_["global"].iloc[0] <= slow


def test_a_category_without_returns_takes_what_is_common(log: tuple[pd.DataFrame, pd.Series]) -> None:
    events, _ = log
    windows = training_windows(history_before(events, ORIGIN, 1), 4, 28.0, None)
    category_of_item = np.zeros(20, dtype=np.int64)
    category_of_item[-1] = 1
    for window in windows:
        assert window.returned is not None
        window.returned[window.cells % 20 == 19] = False
    found = category_rates(windows, category_of_item)
    assert found["n_returned"].iloc[1] == 0
    # nothing came back, so the half-life is that of all and the weight is pulled down from that of all
    assert found["half_life"].iloc[1] == pytest.approx(found["half_life"].iloc[0], rel=0.3)
    assert 0 < found["weight"].iloc[1] < found["weight"].iloc[0]


def test_the_best_weight_is_returns_over_interest(log: tuple[pd.DataFrame, pd.Series]) -> None:
    events, _ = log
    windows = training_windows(history_before(events, ORIGIN, 1), 2, 28.0, None)
    found = category_rates(windows, np.zeros(20, dtype=np.int64), (30.0,))
    background = found["background"].iloc[0]
    interest = sum((w.sums([30.0])[w.active] + background).sum() for w in windows)
    returned = sum(w.returned[w.active].sum() for w in windows)
    assert found["weight"].iloc[0] == pytest.approx(returned / interest)


@pytest.mark.parametrize("half_life", [15.0, np.inf])
def test_one_rate_without_weights_is_the_decayed_count(
    log: tuple[pd.DataFrame, pd.Series], half_life: float
) -> None:
    events, category = log
    history = history_before(events, ORIGIN, 1)
    model = CategoryDecay(category, rates=False, weights=False, half_life=half_life).fit(history)
    expected = decayed_counts(history, None if np.isinf(half_life) else half_life)
    assert (model.interest_ != expected).nnz == 0


def test_weights_multiply_the_interest_of_their_category(log: tuple[pd.DataFrame, pd.Series]) -> None:
    events, category = log
    history = history_before(events, ORIGIN, 1)
    plain, weighted = (
        CategoryDecay(category, rates=False, weights=on, half_life=30.0).fit(history) for on in (False, True)
    )
    of_item = weighted.rates_.loc[category.loc[history.item_ids]]
    expected = plain.interest_.copy()
    expected.data += of_item["background"].to_numpy()[expected.indices]
    expected.data *= of_item["weight"].to_numpy()[expected.indices]
    np.testing.assert_allclose(weighted.interest_.data, expected.data)
    assert weighted.rates_["weight"].nunique() == 2


def test_a_log_without_times_is_counted_in_baskets(log: tuple[pd.DataFrame, pd.Series]) -> None:
    events, category = log
    history = history_but_baskets(events.drop(columns="timestamp"), 1, 1)
    model = CategoryDecay(category, horizon_days=None, horizon_baskets=3).fit(history)
    assert model.rates_.loc["fast", "half_life"] < model.rates_.loc["slow", "half_life"]
    assert len(model.recommend([0, 1], k=5)) == 10


def test_pooling_draws_weights_together(log: tuple[pd.DataFrame, pd.Series]) -> None:
    history = history_before(log[0], ORIGIN, 1)
    apart, drawn, usual, given = (
        CategoryDecay(log[1], **settings).fit(history).rates_
        for settings in ({"pooling_returns": 1e-6}, {"pooling_returns": 1e9}, {}, {"pooling_returns": 50.0})
    )
    assert drawn["weight"].max() == pytest.approx(drawn["weight"].min(), rel=1e-3)
    assert apart["weight"].max() > usual["weight"].max() > usual["weight"].min() > apart["weight"].min()
    pd.testing.assert_frame_equal(usual, given, check_exact=True)
    with pytest.raises(InputError, match="pooling_returns is 0: give"):
        CategoryDecay(log[1], pooling_returns=0).fit(history)


def test_without_a_background_a_fast_category_looks_slower(log: tuple[pd.DataFrame, pd.Series]) -> None:
    history = history_before(log[0], ORIGIN, 1)
    with_it, without = (
        CategoryDecay(log[1], n_origins=4, background=on).fit(history) for on in (True, False)
    )
    assert with_it.rates_.loc["fast", "background"] > 0 and (without.rates_["background"] == 0).all()
    assert without.rates_.loc["fast", "half_life"] > 1.2 * with_it.rates_.loc["fast", "half_life"]
