"""From households to the shop: totals, intervals, what they cover."""

from collections.abc import Sequence
from dataclasses import replace

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from demand_samples import PERIOD_DAYS, START, moves_of, sales
from scipy.stats import nbinom

from interest_lib.demand import Demand, Outlook
from interest_lib.demand_backtest import Foretold, foretell
from interest_lib.demand_checks import coverage, errors_saved, expected_changes
from interest_lib.demand_plots import change_dots, surest
from interest_lib.demand_totals import width_choices
from interest_lib.forecasts import ShrunkShares
from interest_lib.migration import shares
from interest_lib.moves import Move
from interest_lib.schema import InputError

DAYS = [140, 168, 196, 224]
MODEL = ShrunkShares(half_life_days=200, strength=10)


def fitted(moves: list[Move], **given: Sequence[float]) -> tuple[Demand, Outlook]:
    shares_foretold = [MODEL.predict(move) for move in moves]
    demand = Demand(PERIOD_DAYS, **given).fit(moves[:-1], shares_foretold[:-1])
    return demand, demand.predict(moves[-1], shares_foretold[-1])


def test_steady_demand_is_foretold_for_the_shop_and_for_its_users() -> None:
    table, expected = sales(0)
    _, outlook = fitted(moves_of(table, DAYS))
    assert outlook.expected.sum() == pytest.approx(expected.sum(), rel=0.07)
    np.testing.assert_allclose(outlook.expected.sum(axis=0), expected.sum(axis=0), rtol=0.2)
    assert np.corrcoef(outlook.expected.ravel(), expected.ravel())[0, 1] > 0.9


def test_intervals_of_users_cover_what_they_promise() -> None:
    found = []
    for seed in range(3):
        moves = moves_of(sales(seed)[0], DAYS)
        found.append(coverage(fitted(moves)[1], moves[-1].future).reset_index())
    table = pd.concat(found)
    table = table[(table["of"] != "shop") & (table["n"] >= 100)]
    for (_, level), part in table.groupby(["of", "level"]):
        reached, promised = (np.average(part[name], weights=part["n"]) for name in ("reached", "promised"))
        assert promised >= level
        assert reached == pytest.approx(promised, abs=0.03)


def test_intervals_and_promises_of_users_are_those_of_the_negative_binomial_distribution() -> None:
    expected = np.append(np.geomspace(1e-9, 300, 2000), 0.0)[None]
    for dispersion in (0.01, 0.3, 4.0):
        outlook = replace(calm_outlook(1.0), expected=expected, dispersion=dispersion)
        known = nbinom(1 / dispersion, 1 / (1 + dispersion * np.maximum(expected, 1e-12)))
        for level in (0.8, 0.95):
            low, high = outlook.of_users(level)
            np.testing.assert_array_equal(low, known.ppf((1 - level) / 2))
            np.testing.assert_array_equal(high, known.ppf((1 + level) / 2))
            promised = known.cdf(high) - known.cdf(low - 1)
            np.testing.assert_allclose(outlook.promised(low, high), promised, rtol=1e-9)


def test_intervals_of_the_shop_cover_their_level_however_restless_it_is() -> None:
    for restless in (0.0, 0.3):
        held = []
        for seed in range(5):
            moves = moves_of(sales(seed, n_interests=30, restless=restless)[0], DAYS, n_interests=30)
            held.append(coverage(fitted(moves)[1], moves[-1].future, [0.8]).loc[("shop", 0.8), "reached"])
        assert 0.7 < np.mean(held) < 0.9


def test_a_restless_interest_gets_a_wider_interval() -> None:
    table, _ = sales(1)
    month = ((table["timestamp"] - table["timestamp"].min()).dt.days // 28).to_numpy()
    rng = np.random.default_rng(0)
    kept = (table["category"] != 0) | (rng.random(len(table)) < np.where(month % 2, 0.2, 1.0))
    moves = moves_of(table[kept].reset_index(drop=True), DAYS)
    shop = fitted(moves)[1].of_shop([0.8])
    width = np.log(shop["high80"] / shop["low80"])
    assert width.idxmax() == 0
    assert width[0] > 2 * width[1:].median()


def test_totals_follow_the_last_weeks_where_the_mix_of_the_shop_wanders() -> None:
    tried = {"mix_shares": (0.0, 0.25, 0.5, 0.75, 1.0), "level_shares": (0.0,)}
    calm, _ = fitted(moves_of(sales(2)[0], DAYS), **tried)
    restless, outlook = fitted(moves_of(sales(2, restless=0.3)[0], DAYS), **tried)
    assert calm.choices_["mix_share"] < restless.choices_["mix_share"]
    move = moves_of(sales(2, restless=0.3)[0], DAYS)[-1]
    total = move.future.sum(axis=0)
    followed = np.abs(outlook.expected.sum(axis=0) - total).sum()
    restless.choices_["mix_share"] = 0.0
    plain = restless.predict(move, MODEL.predict(move))
    assert followed < np.abs(plain.expected.sum(axis=0) - total).sum()
    restless.choices_["mix_share"] = 0.5
    halfway = restless.predict(move, MODEL.predict(move))
    assert halfway.expected.sum() == pytest.approx(plain.expected.sum(), rel=1e-9)


def test_everything_is_chosen_on_the_moves_that_are_given() -> None:
    """A setting that comes out worse on them is not chosen, whatever it is called."""
    moves = moves_of(sales(8, restless=0.3)[0], DAYS)
    forecasts = [MODEL.predict(move) for move in moves]
    lists = {
        "half_lives_days": (60, 5),
        "priors_days": (8, 10_000),
        "mix_shares": (0.75, -3.0),
    }
    names = ["half_life_days", "prior_days", "mix_share"]
    for turn in (1, -1):
        tried = {name: values[::turn] for name, values in lists.items()}
        demand = Demand(PERIOD_DAYS, **tried).fit(moves[:-1], forecasts[:-1])
        assert demand.choices_[names].tolist() == [60, 8, 0.75]


def test_widths_follow_what_made_misses_probable() -> None:
    rng = np.random.default_rng(0)
    total = np.geomspace(10, 10_000, 400)
    noise = np.exp(rng.normal(0, 1, (7, 400)) / np.sqrt(total))
    restless = np.where(np.arange(400) % 2, 0.5, 0.02)
    wild = np.exp(rng.normal(0, restless, (7, 400)))
    for came, size_counts, own_counts in ((noise, True, False), (wild, False, True)):
        known = [total], [total * came[0]], [total * came[1:]]
        tried = width_choices(*known, [1, 1000], [0.0, 100.0]).set_index(["own_weight", "common"])
        found = tried["log_likelihood"]
        assert (found[1, 100.0] > found[1000, 100.0]) or not own_counts
        assert (found[1000, 0.0] > found[1000, 100.0]) == size_counts
        assert (found.idxmax()[0] == 1) == own_counts


def test_the_level_of_a_shop_that_grows_is_that_of_the_last_month() -> None:
    table, _ = sales(2)
    day = (table["timestamp"] - table["timestamp"].min()).dt.days
    grows = table[np.random.default_rng(0).random(len(table)) < 2.0 ** ((day - 280) / 56)]
    demand, outlook = fitted(moves_of(grows, DAYS))
    assert demand.choices_["level_share"] == 1
    last = moves_of(grows, DAYS)[-1].decayed(None, 28).sum()
    assert outlook.expected.sum() == pytest.approx(last)
    _, lags = fitted(moves_of(grows, DAYS), level_shares=(0.0,))
    assert lags.expected.sum() < 0.95 * last
    moves = moves_of(grows, DAYS)
    twice = Demand(2 * PERIOD_DAYS, level_shares=(1.0,)).fit(moves[:1], [MODEL.predict(moves[0])])
    longer = twice.predict(moves[-1], MODEL.predict(moves[-1]))
    assert longer.expected.sum() == pytest.approx(2 * last)


def test_the_future_and_later_events_are_not_read() -> None:
    moves = moves_of(sales(3)[0], DAYS)
    demand, outlook = fitted(moves)
    forecast = MODEL.predict(moves[-1])
    spoilt = replace(moves[-1], future=np.full_like(moves[-1].future, 9.0))
    for other in (spoilt, replace(moves[-1], future=None)):
        np.testing.assert_array_equal(demand.predict(other, forecast).expected, outlook.expected)


def test_interests_that_were_not_there_before_are_in_the_outlook() -> None:
    table = sales(4)[0]
    early = moves_of(table[table["category"] < 10], DAYS[:-1], n_interests=10)
    demand = Demand(PERIOD_DAYS).fit(early, [MODEL.predict(move) for move in early])
    move = moves_of(table, DAYS)[-1]
    shop = demand.predict(move, MODEL.predict(move)).of_shop()
    assert shop.index.tolist() == list(range(12))
    assert (shop["expected"] > 0).all() and np.isfinite(shop).all(axis=None)


def test_the_same_input_gives_the_same_bytes() -> None:
    moves = moves_of(sales(5)[0], DAYS)
    one, two = (fitted(moves)[1] for _ in range(2))
    assert one.of_shop().to_csv() == two.of_shop().to_csv()


def test_what_is_missing_is_said() -> None:
    moves = moves_of(sales(6)[0], DAYS)
    with pytest.raises(InputError, match="at least one"):
        Demand(PERIOD_DAYS).fit([], [])
    with pytest.raises(InputError, match="not known"):
        Demand(PERIOD_DAYS).fit([replace(moves[0], future=None)], [shares(moves[0].decayed())])


def calm_outlook(misses: float) -> Outlook:
    expected = np.array([[30.0, 100.0, 60.0, 2.0]])
    usual = np.full(4, 0.1)
    return Outlook(pd.Index([1]), pd.Index(list("abcd")), expected, 0.1, usual, np.array([misses]))


def test_changes_are_ordered_by_how_sure_they_are_and_beside_what_came() -> None:
    last, came = np.array([60.0, 100, 30, 9]), np.array([20.0, 110, 90, 2])
    table = expected_changes(calm_outlook(1.0), last, came)
    assert table.index.tolist() == ["a", "b", "c"]  # d is too rare
    assert table.loc["a", ["change", "came_change"]].round(6).tolist() == [-50, pytest.approx(-200 / 3)]
    assert (table["sureness"].abs() > 1).tolist() == [True, False, True]
    off_zero = (table["low"] > 0) | (table["high"] < 0)
    assert off_zero.tolist() == [True, False, True]
    assert table["right"].tolist() == [True, False, True]
    unsure = expected_changes(calm_outlook(20.0), last)
    assert (unsure["sureness"].abs() < 1).all()
    assert "came" not in unsure


def test_coverage_counts_what_was_held() -> None:
    outlook = calm_outlook(1.0)
    held = coverage(outlook, outlook.expected.round(), [0.8])
    missed = coverage(outlook, outlook.expected.round() * 9, [0.8])
    assert held.loc[("shop", 0.8), "reached"] == 1
    assert missed.loc[("shop", 0.8), "reached"] == 0
    assert missed.loc[("5 or more", 0.8), ["reached", "n"]].tolist() == [0, 3]


def test_what_is_saved_is_counted_by_hand() -> None:
    outlook, came = calm_outlook(1.0), np.array([[20.0, 110.0, 60.0, 0.0]])
    known = Foretold(outlook, Demand(28), {"last 28 days": came[:, ::-1]}, came, 0.0)
    saved = errors_saved(known, seed=0, n_resamples=50)
    shop, users = (saved.loc[(of, "last 28 days")] for of in ("shop", "users"))
    assert shop["error"] == pytest.approx((10 + 10 + 0 + 2) / 190)
    assert shop["other"] == pytest.approx((20 + 50 + 50 + 20) / 190)
    assert shop["saved"] == pytest.approx(1 - 22 / 140)
    assert users[["error", "other"]].tolist() == [100 + 100 + 4, 400 + 2500 + 2500 + 400]
    assert shop["low"] <= shop["saved"] <= shop["high"]


def test_every_moment_is_foretold_by_what_was_known_then() -> None:
    table = sales(7, n_days=200)[0]
    origins = [START + pd.Timedelta(days=day) for day in (140, 168)]
    found = foretell(table, origins, PERIOD_DAYS, MODEL)
    late = table["timestamp"] >= origins[0]
    spoilt = table.assign(category=np.where(late, 0, table["category"]))
    again = foretell(spoilt, origins, PERIOD_DAYS, MODEL)
    first, last = found
    np.testing.assert_array_equal(found[first].outlook.expected, again[first].outlook.expected)
    assert found[first].outlook.of_shop().equals(again[first].outlook.of_shop())
    assert not np.array_equal(found[last].outlook.expected, again[last].outlook.expected)


def test_moments_hold_what_came_and_what_the_rivals_say() -> None:
    table = sales(7, n_days=200)[0]
    origin = START + pd.Timedelta(days=140)
    found = foretell(table, [origin], 56, MODEL)["2017-05-21"]
    after = table[table["timestamp"].between(origin, origin + pd.Timedelta(days=56), "left")]
    assert found.came.sum() == len(after)
    assert found.new == pytest.approx(0)
    assert list(found.last) == ["last 56 days", "last 28 days", "all past"]
    ages = origin - table["timestamp"]
    for name, days in (("last 56 days", 56), ("last 28 days", 28)):
        near = (ages > pd.Timedelta(0)) & (ages <= pd.Timedelta(days=days))
        assert found.last[name].sum() == pytest.approx(near.sum() * 56 / days)


def test_what_newcomers_buy_is_not_foretold_and_said() -> None:
    table = sales(7, n_days=200)[0]
    origin = START + pd.Timedelta(days=140)
    early = table[(table["user_id"] >= 15) | (table["timestamp"] >= origin)]
    found = foretell(early, [origin], PERIOD_DAYS, MODEL)["2017-05-21"]
    after = table[table["timestamp"].between(origin, origin + pd.Timedelta(days=PERIOD_DAYS), "left")]
    assert found.came.shape[0] == 135
    assert found.new == pytest.approx((after["user_id"] < 15).mean())


def test_views_tell_what_but_are_not_counted() -> None:
    table = sales(9, n_days=200)[0]
    views = table.assign(event="view", weight=0.1, basket_id=table["basket_id"] + 1_000_000)
    both = pd.concat([table, views]).sort_values("timestamp", kind="stable", ignore_index=True)
    origin = START + pd.Timedelta(days=140)
    plain, mixed = (foretell(log, [origin], PERIOD_DAYS, MODEL)["2017-05-21"] for log in (table, both))
    np.testing.assert_array_equal(plain.came, mixed.came)
    assert mixed.new == pytest.approx(0)
    for name, last in plain.last.items():
        np.testing.assert_allclose(mixed.last[name], last)


@pytest.mark.parametrize("day", [60, 190])
def test_a_log_that_is_too_short_on_either_side_is_refused_in_one_sentence(day: int) -> None:
    table = sales(7, n_days=200)[0]
    with pytest.raises(
        InputError, match=r"^To judge 28 days from .* 84 days before: give a longer log .*\.$"
    ):
        foretell(table, [START + pd.Timedelta(days=day)], PERIOD_DAYS, MODEL)


def test_the_picture_shows_the_surest_and_what_came() -> None:
    table = expected_changes(calm_outlook(1.0), np.array([60.0, 100, 30, 9]), np.array([20.0, 110, 20, 2]))
    shown = surest(table, 1)
    assert shown.index.tolist() == ["c", "a"]
    figure, ax = plt.subplots()
    drawn = {line.get_label(): list(line.get_xdata()) for line in change_dots(ax, shown).lines}
    assert drawn["expected, with interval"] == pytest.approx([2.0, 0.5])
    assert drawn["came, that way"] == pytest.approx([1 / 3])
    assert drawn["came, the other way"] == pytest.approx([2 / 3])
    assert [label.get_text() for label in ax.get_yticklabels()] == ["C", "A"]
    plt.close(figure)
    with pytest.raises(InputError, match="sells enough"):
        surest(table.iloc[:0])
