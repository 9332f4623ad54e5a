"""The synthetic marketplace: what is planted comes out again, each number within its sampling error.

A sum over users has the error that its spread over users gives, since what one user does belongs together.
"""

import hashlib
import re
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from scipy import optimize, stats
from sklearn.cluster import KMeans
from sklearn.metrics import adjusted_rand_score

from interest_lib import marketplace
from interest_lib.curves import CURVES, curve_age, curve_share, curve_value
from interest_lib.marketplace import Marketplace, Truth, generate, read_truth
from interest_lib.marketplace_events import Block
from interest_lib.marketplace_truth import World
from interest_lib.schema import EVENT_COLUMNS, EVENTS, ITEM_COLUMNS, InputError

START = pd.Timestamp("2024-01-01")
DAYS = 392
SIGMAS = 4.5  # of one number among some dozens: chance exceeds it in seven of a million


@dataclass(frozen=True)
class Shop:
    truth: Truth
    events: pd.DataFrame
    items: pd.DataFrame
    users: pd.DataFrame
    visits: pd.DataFrame
    episodes: pd.DataFrame


def days(times: pd.Series) -> pd.Series:
    return (times - START) / pd.Timedelta(days=1)


def opened(truth: Truth) -> Shop:
    events = pd.read_parquet(truth.folder / "events")
    items = pd.read_parquet(truth.folder / "items.parquet")
    users = pd.read_parquet(truth.folder / "users.parquet")
    category = items.set_index("item_id")["category"]
    events["category"] = category.reindex(events["item_id"]).to_numpy()
    visits, episodes = truth.table("visits"), truth.table("episodes")
    return Shop(truth, events, items, users, visits, episodes)


@pytest.fixture(scope="module", params=["decay", "regimes"])
def shop(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Shop:
    settings = Marketplace(n_users=1500, generator=request.param, takeover_share=0.05)
    return opened(generate(settings, tmp_path_factory.mktemp("shop") / request.param, n_jobs=1))


@pytest.fixture(scope="module")
def fading(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    """A log made by fading interest, with nothing else that changes."""
    settings = Marketplace(n_users=1500, seed=7, takeover_share=0, moving_user_share=0, global_change_at=1)
    return opened(generate(settings, tmp_path_factory.mktemp("shop") / "fading", n_jobs=1))


def sigmas(counts: pd.DataFrame, expected: pd.DataFrame | np.ndarray) -> np.ndarray:
    """Deviation of column sums from those expected, in errors by their spread over users, the rows."""
    left = counts.to_numpy() - np.asarray(expected)
    return left.sum(axis=0) / np.sqrt((left**2).sum(axis=0))


# ---------------------------------------------------------------------------------------- the log itself


def test_the_log_keeps_the_contract(shop: Shop) -> None:
    assert [name for name in EVENT_COLUMNS if name in shop.events] == list(shop.events.columns[:-1])
    assert list(shop.items.columns) == list(ITEM_COLUMNS)
    assert set(shop.events["event"]) == set(EVENTS)
    assert (shop.events["item_id"].isna() == (shop.events["event"] == "search")).all()
    assert (shop.events["query"].notna() == (shop.events["event"] == "search")).all()
    assert (shop.events["rating"].notna() == (shop.events["event"] == "review")).all()
    assert shop.events["rating"].dropna().isin([1, 2, 3, 4, 5]).all()
    for column in ("basket_id", "value"):
        assert (shop.events[column].notna() == (shop.events["event"] == "purchase")).all()
    assert shop.users["user_id"].tolist() == list(range(1, 1501))
    assert shop.items["item_id"].tolist() == list(range(1, 10_001))
    assert not shop.items["title"].duplicated().any()


def test_other_readers_see_text_and_times(shop: Shop) -> None:
    found = duckdb.sql(f"describe select * from '{shop.truth.folder}/events/*.parquet'").fetchall()
    kinds = {name: kind for name, kind, *_ in found}
    assert kinds["timestamp"] == "TIMESTAMP"
    assert kinds["event"] == kinds["query"] == "VARCHAR"
    assert kinds["user_id"] == kinds["item_id"] == kinds["basket_id"] == "BIGINT"


def test_all_events_lie_in_the_span_in_order_and_after_the_introduction(shop: Shop) -> None:
    for path in (shop.truth.folder / "events").iterdir():
        assert pd.read_parquet(path, columns=["timestamp"])["timestamp"].is_monotonic_increasing
    assert shop.events["timestamp"].between(START, START + pd.Timedelta(days=DAYS), inclusive="left").all()
    introduced = shop.truth.table("items").set_index("item_id")["introduced"].dropna()
    new = shop.events[shop.events["item_id"].isin(introduced.index)]
    assert len(new) > 10_000
    assert (new["timestamp"] >= introduced.reindex(new["item_id"]).to_numpy()).all()
    assert introduced.min() < START + pd.Timedelta(days=2)
    assert introduced.max() > START + pd.Timedelta(days=DAYS - 2)
    assert abs(len(introduced) - 0.2 * 9960) < SIGMAS * np.sqrt(9960 * 0.2 * 0.8)


def test_an_order_is_one_users_at_one_time_at_the_price_of_the_day(shop: Shop) -> None:
    bought = shop.events[shop.events["event"] == "purchase"].copy()
    orders = bought.groupby("basket_id")
    assert (orders["user_id"].nunique() == 1).all()
    assert (orders["timestamp"].max() - orders["timestamp"].min()).max() < pd.Timedelta(minutes=1)
    assert shop.events.duplicated().sum() < 10  # but for visits that cross
    assert (orders.size() > 1).any()
    promotions = pd.read_parquet(shop.truth.folder / "promotions.parquet")
    bought["row"] = np.arange(len(bought))
    on = bought[["row", "item_id", "timestamp"]].merge(promotions, on="item_id")
    on = on[(on["timestamp"] >= on["start"]) & (on["timestamp"] < on["end"])].set_index("row")
    assert on.index.is_unique
    assert len(on) > 500
    discount = on["discount"].reindex(bought["row"], fill_value=0).to_numpy()
    price = shop.items.set_index("item_id")["price"].reindex(bought["item_id"]).to_numpy()
    assert np.allclose(bought["value"], (price * (1 - discount)).round(2) * bought["quantity"], atol=0.011)


def test_a_search_says_what_is_looked_at_next(shop: Shop) -> None:
    log = shop.events.sort_values(["user_id", "timestamp"], kind="stable")
    log = log[log["event"].isin(["view", "search"])]
    after = log["category"].shift(-1)
    search = (log["event"] == "search") & (log["user_id"] == log["user_id"].shift(-1))
    search &= after.notna()
    hits = [category in query for category, query in zip(after[search], log["query"][search], strict=True)]
    assert np.mean(hits) > 0.98  # two visits at once may cross


# ------------------------------------------------------------------------------------- counts and seasons


LATE = {"review_share": 0.9, "return_share": 0.9, "review_delay_days": 200.0, "return_delay_days": 200.0}
RISING = {"start": "2024-07-01", "days": 168, "year_amplitude": 0.95, "takeover_share": 1.0}


@pytest.mark.parametrize("generator", ["decay", "regimes"])
@pytest.mark.parametrize("case", [{}, LATE, RISING], ids=["default", "late", "rising"])
def test_as_many_events_as_asked_for(generator: str, case: dict[str, Any], tmp_path: Path) -> None:
    """Within four sigmas, and one in a hundred for categories whose share is known for steady times only.

    Also where reviews and returns come after the end, and where the season falls to those who come late.
    """
    settings = Marketplace(**{"n_users": 1500, "generator": generator, "activity_shape": 1000, **case})
    truth = generate(settings, tmp_path / "shop", n_jobs=1)
    of_user = (
        pd.read_parquet(truth.folder / "events")["user_id"].value_counts().reindex(range(1, 1501)).fillna(0)
    )
    assert sum(truth.planted["events"].values()) == of_user.sum()
    assert abs(of_user.mean() - 500) < 4 * of_user.std() / np.sqrt(1500) + 5


def test_hours_have_their_shares(shop: Shop) -> None:
    takeover = shop.truth.table("users").set_index("user_id")["takeover"]
    since = shop.visits["timestamp"] - takeover.reindex(shop.visits["user_id"]).to_numpy()
    owner = ~(since >= pd.Timedelta(days=-1))  # hours move within their day
    for there, planted in (
        (owner, "hour_shares"),
        (since > pd.Timedelta(days=1), "takeover_hour_shares"),
    ):
        visits = shop.visits[there]
        counts = pd.crosstab(visits["user_id"], visits["timestamp"].dt.hour)
        share = np.array(shop.truth.planted[planted])[counts.columns]
        expected = counts.sum(axis=1).to_numpy()[:, None] * share
        assert np.abs(sigmas(counts, expected)).max() < SIGMAS
    swapped = (
        counts.sum(axis=1).to_numpy()[:, None] * np.array(shop.truth.planted["hour_shares"])[counts.columns]
    )
    assert np.abs(sigmas(counts, swapped)).max() > SIGMAS


def test_sessions_of_the_log_are_the_visits(shop: Shop) -> None:
    """But for a few visits of one user that lie within half an hour of each other."""
    log = shop.events[shop.events["event"].isin(["view", "search"])].sort_values(["user_id", "timestamp"])
    goes_on = (log["user_id"] == log["user_id"].shift()) & (log["timestamp"].diff() < pd.Timedelta("30min"))
    sessions = log[~goes_on]
    assert 0.97 < len(sessions) / len(shop.visits) <= 1
    shares = [part["timestamp"].dt.hour.value_counts(normalize=True) for part in (sessions, shop.visits)]
    assert np.abs(shares[0] - shares[1]).max() < 0.003


def test_the_season_is_a_week_times_a_wave(shop: Shop) -> None:
    factor = shop.truth.table("days").set_index("day")["factor"]
    assert factor.mean() == pytest.approx(1)
    weekday = pd.Series([0.9, 0.9, 0.95, 1.0, 1.05, 1.2, 1.0])
    wave = factor / weekday.reindex(factor.index.day_of_week).to_numpy()
    assert wave.max() / wave.min() == pytest.approx(1.2 / 0.8, rel=1e-3)
    assert wave.loc["2024"].idxmax() == pd.Timestamp("2024-12-10")


def test_weekdays_have_their_shares(shop: Shop) -> None:
    factor = shop.truth.table("days").set_index("day")["factor"]
    planted = factor.groupby(factor.index.day_of_week).mean() / 7
    counts = pd.crosstab(shop.visits["user_id"], shop.visits["timestamp"].dt.day_of_week)
    z = sigmas(counts, counts.sum(axis=1).to_numpy()[:, None] * planted.to_numpy())
    assert np.abs(z).max() < SIGMAS
    assert (
        np.abs(sigmas(counts, counts.sum(axis=1).to_numpy()[:, None] * np.full(7, 1 / 7))).max() > 3 * SIGMAS
    )


def test_visits_per_day_follow_from_the_episodes(fading: Shop) -> None:
    """Given the episodes, visits of a day are Poisson; chi-square of 392 days within five of its sigmas."""
    truth, factor = fading.truth, fading.truth.table("days")["factor"].to_numpy()
    known = truth.table("categories").set_index("category")
    part = fading.episodes[fading.episodes["user_id"] <= 400]
    own = known.loc[part["category"]]
    curve = own["curve"].map(CURVES.index).to_numpy(dtype=np.int64)
    start, half_life = days(part["start"]).to_numpy(), own["half_life_days"].to_numpy()
    age = np.maximum(np.arange(DAYS + 1) - start[:, None], 0) / half_life[:, None]
    reached = curve_share(np.repeat(curve, DAYS + 1), age.ravel()).reshape(age.shape)
    first = np.bincount(np.floor(start[start >= 0]).astype(int), minlength=DAYS) / factor.max()
    expected = factor * (first + truth.planted["settings"]["follow_ups"] * np.diff(reached).sum(axis=0))
    visits = fading.visits[fading.visits["user_id"] <= 400]
    counts = np.bincount(days(visits["timestamp"]).astype(int), minlength=DAYS)
    assert abs(counts.sum() - expected.sum()) < SIGMAS * np.sqrt(expected.sum())
    chi_square = ((counts - expected) ** 2 / expected).sum()
    assert abs(chi_square - DAYS) < 5 * np.sqrt(2 * DAYS)
    flat = expected / factor
    assert ((counts - flat) ** 2 / flat).sum() > DAYS + 20 * np.sqrt(2 * DAYS)


# ------------------------------------------------------------------------------------------------ funnel


@pytest.mark.parametrize(
    ("before", "after", "share"), [("view", "cart", "cart_share"), ("cart", "purchase", "purchase_share")]
)
def test_steps_of_the_funnel_have_their_probabilities(
    shop: Shop, before: str, after: str, share: str
) -> None:
    planted = shop.truth.table("categories").set_index("category")[share]
    counts = pd.crosstab(shop.events["category"], shop.events["event"]).reindex(planted.index)
    expected = counts[before] * planted
    z = (counts[after] - expected) / np.sqrt(expected * (1 - planted))
    assert np.abs(z).max() < SIGMAS
    assert (z**2).sum() < stats.chi2.ppf(1 - 1e-5, len(z))
    alike = counts[before] * planted.mean()
    assert (np.abs(counts[after] - alike) / np.sqrt(alike)).max() > SIGMAS


def test_visits_searches_reviews_and_returns_have_their_numbers(shop: Shop) -> None:
    events, visits = shop.truth.planted["events"], len(shop.visits)
    assert abs(events["search"] - 0.4 * visits) < SIGMAS * np.sqrt(visits * 0.4 * 0.6)
    assert abs(events["view"] - 2.5 * visits) < SIGMAS * np.sqrt(visits * 1.5)
    bought = shop.events.loc[shop.events["event"] == "purchase", "timestamp"]
    for event, share, delay in (("review", 0.15, 7), ("return", 0.04, 10)):
        chance = share * (1 - np.exp(-(DAYS - days(bought)) / delay))  # the others come after the end
        assert abs(events[event] - chance.sum()) < SIGMAS * np.sqrt((chance * (1 - chance)).sum())


# ---------------------------------------------------------------------------------------- fading interest


@pytest.mark.parametrize("curve", CURVES)
def test_curves_fall_to_a_half_at_the_half_life_and_their_shares_are_integrals(curve: str) -> None:
    age = np.linspace(0, 40, 400_001)
    height = curve_value(curve, age)
    assert height[0] == 1
    assert curve_value(curve, np.array([1.0]))[0] == pytest.approx(0.5, abs=1e-12)
    codes = np.full(3, CURVES.index(curve))
    total = np.trapezoid(height, age)
    share = curve_share(codes, np.array([0.5, 1.0, 40.0]))
    integral = np.array([np.trapezoid(height[:until], age[:until]) for until in (5001, 10_001)]) / total
    assert np.allclose(share[:2] / share[2], integral, atol=1e-5)
    assert curve_share(codes[:1], np.array([1e9]))[0] == pytest.approx(1, abs=1e-6)
    assert np.allclose(
        curve_age(codes, np.array([0.0, 0.3, 0.9])), np.sort(curve_age(codes, np.array([0.9, 0.0, 0.3])))
    )
    assert np.allclose(
        curve_share(codes, curve_age(codes, np.array([0.01, 0.3, 0.9]))), [0.01, 0.3, 0.9], atol=1e-6
    )


def spread_of_ages(shop: Shop, family: str, assumed: str) -> float:
    """Kolmogorov-Smirnov distance of follow-ups' ages to an assumed curve, times the root of their number.

    Each follow-up counts the inverse of its day's factor, which undoes the season.
    """
    known = shop.truth.table("categories").set_index("category")
    known = known[known["curve"] == family]
    later = shop.visits[(shop.visits["age_days"] > 0) & shop.visits["category"].isin(known.index)]
    start = days(later["timestamp"]).to_numpy() - later["age_days"].to_numpy()
    half_life = known["half_life_days"].reindex(later["category"]).to_numpy()
    codes = np.full(len(later), CURVES.index(assumed))
    low = curve_share(codes, np.maximum(-start, 0) / half_life)
    high = curve_share(codes, (DAYS - start) / half_life)
    place = (curve_share(codes, later["age_days"].to_numpy() / half_life) - low) / np.maximum(
        high - low, 1e-12
    )
    factor = shop.truth.table("days")["factor"].to_numpy()
    weight = 1 / factor[days(later["timestamp"]).astype(int)]
    order = np.argsort(place)
    reached = np.cumsum(weight[order]) / weight.sum()
    return float(np.abs(reached - place[order]).max() * weight.sum() / np.sqrt((weight**2).sum()))


@pytest.mark.parametrize("family", CURVES)
def test_follow_ups_fade_along_the_curve_of_their_category(fading: Shop, family: str) -> None:
    """Kolmogorov's statistic exceeds 2.2 once in 8,000 times; any other family is far away."""
    assert spread_of_ages(fading, family, family) < 2.2
    assert all(spread_of_ages(fading, family, other) > 4 for other in CURVES if other != family)


def test_half_lives_can_be_read_from_the_log_alone(fading: Shop) -> None:
    """From lags between visits of one user to one category, by least deviance over all pairs."""
    known = fading.truth.table("categories").set_index("category")
    views = fading.events[fading.events["event"] == "view"].sort_values(["user_id", "category", "timestamp"])
    same = (views["user_id"] == views["user_id"].shift()) & (views["category"] == views["category"].shift())
    visits = views[~same | (views["timestamp"].diff() > pd.Timedelta("30min"))].assign(
        day=days(views["timestamp"])
    )
    edges = np.concatenate([[0], np.geomspace(0.5, 300, 40)])
    chosen = known.sort_values("half_life_days").iloc[::3]
    found = [
        half_life_from_lags(visits.loc[visits["category"] == category, ["user_id", "day"]], edges, curve)
        for category, curve in chosen["curve"].items()
    ]
    assert stats.spearmanr(found, chosen["half_life_days"]).statistic > 0.75
    short = (chosen["half_life_days"] < 30).to_numpy()  # longer ones and steady taste look alike in 392 days
    error = np.log(np.array(found) / chosen["half_life_days"].to_numpy())[short]
    assert np.abs(error).max() < np.log(1.6)
    assert np.abs(np.median(error)) < np.log(1.1)


def half_life_from_lags(visits: pd.DataFrame, edges: np.ndarray, curve: str) -> float:
    pairs = visits.merge(visits, on="user_id")
    lag = pairs["day_y"] - pairs["day_x"]
    counts, _ = np.histogram(lag[lag > 0], edges)
    middle = (edges[1:] + edges[:-1]) / 2
    exposure = np.diff(edges) * (DAYS - middle)
    # of two visits of one episode, one is the first, or both are follow-ups
    age = np.linspace(0, 100, 8001)
    height = curve_value(curve, age)
    height /= height.sum() * age[1]
    spectrum = np.fft.rfft(height, 2 * len(age))
    both = np.fft.irfft(np.abs(spectrum) ** 2)[: len(age)] * age[1]
    kernel = height / 1.4 + 3 * both

    def deviance(at: np.ndarray) -> float:
        rate = exposure * (np.exp(at[1]) + np.exp(at[2]) * np.interp(middle / np.exp(at[0]), age, kernel))
        return float((rate - counts * np.log(rate)).sum())

    steady = np.log(counts[-5:].sum() / exposure[-5:].sum())
    starts = [np.array([np.log(days_), steady, steady]) for days_ in (4.0, 15.0, 50.0)]
    fits = [optimize.minimize(deviance, at, method="Nelder-Mead", options={"maxiter": 600}) for at in starts]
    return float(np.exp(min(fits, key=lambda fit: fit.fun).x[0]))


def test_regimes_do_not_fade(shop: Shop) -> None:
    """Within a regime visits are even; with fading interest the early part has more."""
    matched = shop.visits.merge(shop.episodes, on=["user_id", "episode"])
    own = matched["category_x"].astype(str) == matched["category_y"].astype(str)
    ended = shop.episodes[(shop.episodes["start"] >= START) & (days(shop.episodes["end"]) < DAYS)]
    if shop.truth.planted["settings"]["generator"] == "decay":
        early = shop.visits["age_days"] < 10
        assert early.mean() > 0.5
        assert own.all()
        return
    assert 0.81 < own.mean() < 0.87  # four in five by the regime, and some of the others by taste
    visits = shop.visits.merge(ended[["user_id", "episode", "start", "end"]], on=["user_id", "episode"])
    length = days(visits["end"]) - days(visits["start"])
    place = visits["age_days"] / length
    factor = shop.truth.table("days")["factor"].to_numpy()
    weight = 1 / factor[days(visits["timestamp"]).astype(int)]
    assert abs(np.average(place, weights=weight) - 0.5) < SIGMAS * np.sqrt(1 / 12 / len(place)) * 1.2
    lengths = days(ended["end"]) - days(ended["start"])
    short = ended[days(ended["start"]) < 100]  # of these next to none is cut off
    lengths = days(short["end"]) - days(short["start"])
    assert stats.kstest(lengths, stats.gamma(2, scale=15).cdf).statistic * np.sqrt(len(lengths)) < 3
    assert len(lengths) > 1000


# ------------------------------------------------------------------------------- tastes and transitions


def sources(shop: Shop, part: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Shares of the categories that the matrix and the taste of the user give to each of the episodes."""
    names = shop.truth.table("categories")["category"]
    users = shop.truth.table("users").set_index("user_id").loc[part["user_id"], ["gender", "age"]]
    tastes = shop.truth.table("tastes").pivot_table(
        index=["era", "group", "gender", "age"], columns="category", values="share", observed=True
    )[names]
    keys = pd.MultiIndex.from_arrays([part["era"], part["group"], users["gender"], users["age"]])
    taste = tastes.to_numpy()[tastes.index.get_indexer(keys)]
    matrix = shop.truth.table("transitions").pivot_table(
        index=["era", "before"], columns="after", values="planted", observed=True
    )[names]
    rows = matrix.index.get_indexer(pd.MultiIndex.from_arrays([part["era"], part["before"]]))
    return matrix.to_numpy()[rows], taste


def expected_shares(shop: Shop, part: pd.DataFrame) -> np.ndarray:
    share = shop.truth.planted["settings"]["transition_share"]
    matrix, taste = sources(shop, part)
    return share * matrix + (1 - share) * taste


def test_transitions_have_the_planted_probabilities(shop: Shop) -> None:
    names = shop.truth.table("categories")["category"]
    part = shop.episodes[shop.episodes["before"].notna() & (shop.episodes["start"] >= START)]
    frame = pd.DataFrame(expected_shares(shop, part), columns=names)
    keys = [part["era"].to_numpy(), part["before"].astype(str).to_numpy()]
    expected = frame.groupby(keys).sum()
    counts = pd.crosstab(keys, part["category"].astype(str).to_numpy())
    counts = counts.reindex(index=expected.index, columns=names, fill_value=0)
    there = expected.to_numpy() >= 5
    chi_square = (((counts - expected) ** 2 / expected).to_numpy()[there]).sum()
    assert chi_square < there.sum() + 5 * np.sqrt(2 * there.sum())
    table = shop.truth.table("transitions")
    table[["before", "after"]] = table[["before", "after"]].astype(str)
    told = table.set_index(["era", "before", "after"])
    assert told["count"].sum() == len(part)
    ours = expected.div(expected.sum(axis=1), axis=0).stack()
    assert np.allclose(told.loc[ours.index, "expected"], ours)
    changed = told["planted"].loc[0] - told["planted"].loc[1]
    assert (changed.groupby("before").agg(lambda row: row.abs().max()) > 0.05).sum() in range(18, 21)


def test_the_share_of_transitions_is_the_most_likely_one(shop: Shop) -> None:
    """One step of Newton from the planted share must not lead far, in errors by the information."""
    part = shop.episodes[shop.episodes["before"].notna() & (shop.episodes["start"] >= START)]
    names = shop.truth.table("categories")["category"]
    place = pd.Index(names).get_indexer(part["category"].astype(str))
    matrix, taste = (shares[np.arange(len(part)), place] for shares in sources(shop, part))
    score = (matrix - taste) / (0.4 * matrix + 0.6 * taste)
    assert abs(score.sum()) < SIGMAS * np.sqrt((score**2).sum())
    assert 1 / np.sqrt((score**2).sum()) < 0.01


def test_groups_are_found_in_views_by_k_means(shop: Shop) -> None:
    views = shop.events[shop.events["event"] == "view"]
    counts = pd.crosstab(views["user_id"], views["category"])
    users = shop.truth.table("users").set_index("user_id").loc[counts.index]
    stayed = users["moved"].isna() & users["takeover"].isna() & (counts.sum(axis=1) >= 100)
    shares = np.sqrt(counts.div(counts.sum(axis=1), axis=0))[stayed]
    found = KMeans(10, n_init=20, random_state=0).fit_predict(shares)
    assert stayed.sum() > 800
    assert adjusted_rand_score(users["group"][stayed], found) > 0.97


def test_women_and_the_old_differ_as_planted(shop: Shop) -> None:
    tastes = shop.truth.table("tastes")
    known = shop.truth.table("categories").set_index("category")
    for column, name, high, low in (
        ("women_log_odds", "gender", "female", "male"),
        ("oldest_log_odds", "age", "65+", "18-24"),
    ):
        keys = ["era", "group", *({"gender", "age"} - {name}), "category"]
        table = tastes.pivot_table(index=keys, columns=name, values="share", observed=True)
        ratio = np.log(table[high] / table[low]).unstack("category")[known.index]
        neutral = known[column] == 0
        shift = ratio.sub(ratio.loc[:, neutral].mean(axis=1), axis=0)
        assert np.allclose(shift, known[column].to_numpy())
        assert known[column].abs().max() == {"gender": 0.8, "age": 0.4}[name]


def test_the_difference_of_genders_shows_in_episodes_and_that_of_places_is_none(shop: Shop) -> None:
    part = shop.episodes[shop.episodes["before"].notna()]
    known = shop.truth.table("categories").set_index("category")
    told = expected_shares(shop, part)
    seen = (part["category"].astype(str).to_numpy()[:, None] == known.index.to_numpy()).astype(float)
    users = shop.truth.table("users").set_index("user_id")
    region = shop.users.set_index("user_id")["region"]
    women = (users["gender"] == "female").reindex(part["user_id"]).to_numpy()
    for group in (women, ~women):
        z = (seen - told)[group].sum(axis=0) / np.sqrt((told * (1 - told))[group].sum(axis=0))
        assert np.abs(z).max() < SIGMAS
    liked = (known["women_log_odds"] > 0).to_numpy()
    by_user = pd.DataFrame(
        {"user": part["user_id"].to_numpy(), "liked": seen[:, liked].sum(axis=1), "n": 1.0}
    )
    by_user = by_user.groupby("user").sum()
    share = by_user["liked"].sum() / by_user["n"].sum()
    rest = by_user[["liked"]] - share * by_user[["n"]].to_numpy()
    assert sigmas(rest[users["gender"].reindex(rest.index) == "female"], 0)[0] > SIGMAS
    for place in region.unique():
        assert abs(sigmas(rest[region.reindex(rest.index) == place], 0)[0]) < SIGMAS


def test_migration_shows_in_the_log_of_regimes(shop: Shop) -> None:
    """Where a user's leading category of a fortnight goes, off the diagonal, correlates with the planted."""
    names = shop.truth.table("categories")["category"]
    views = shop.events[shop.events["event"] == "view"]
    period = (days(views["timestamp"]) // 14).astype(int)
    counts = views.groupby([views["user_id"], period, views["category"]]).size()
    leading = (
        counts.sort_values().groupby(level=[0, 1]).tail(1).reset_index().sort_values(["user_id", "timestamp"])
    )
    follows = (leading["user_id"] == leading["user_id"].shift()) & (leading["timestamp"].diff() == 1)
    pairs = pd.crosstab(leading["category"].shift()[follows], leading["category"][follows])
    table = (
        shop.truth.table("transitions").groupby(["before", "after"], observed=True)["count"].sum().unstack()
    )
    off = ~np.eye(len(names), dtype=bool)
    found = [t.reindex(index=names, columns=names, fill_value=0).to_numpy()[off] for t in (pairs, table)]
    least = 0.7 if shop.truth.planted["settings"]["generator"] == "regimes" else 0.4
    assert np.corrcoef(np.sqrt(found[0]), np.sqrt(found[1]))[0, 1] > least


# ------------------------------------------------------------------------------------------------ changes


def test_one_category_becomes_popular(shop: Shop) -> None:
    popular, change = (
        shop.truth.planted["popular_category"],
        pd.Timestamp(shop.truth.planted["global_change"]),
    )
    assert days(pd.Series([change]))[0] == pytest.approx(0.6 * DAYS, abs=1e-4)
    tastes = shop.truth.table("tastes").pivot_table(
        index=["group", "gender", "age", "category"], columns="era", values="share", observed=True
    )
    odds = (tastes / (1 - tastes)).loc[(slice(None), slice(None), slice(None), popular), :]
    assert np.allclose(odds[1] / odds[0], 4)
    views = shop.events[shop.events["event"] == "view"]
    late = views["timestamp"] >= change
    counts = pd.crosstab(views["user_id"], [views["category"] == popular, late])
    share = counts[True] / counts.T.groupby(level=1).sum().T
    gain = (share[True] - share[False]).dropna()
    assert gain.mean() > SIGMAS * gain.std() / np.sqrt(len(gain))


def test_accounts_taken_over_act_otherwise(shop: Shop) -> None:
    users = shop.truth.table("users").set_index("user_id")
    taken = users[users["takeover"].notna()]
    assert abs(len(taken) - 0.05 * 1500) < SIGMAS * np.sqrt(1500 * 0.05 * 0.95)
    part = shop.episodes[shop.episodes["user_id"].isin(taken.index)]
    own = taken.loc[part["user_id"]]
    after = part["start"].to_numpy() >= own["takeover"].to_numpy()
    assert (part["group"].to_numpy()[after] == own["takeover_group"].to_numpy()[after]).all()
    assert (taken["takeover_group"] != taken["group"]).all()
    visits = shop.visits[shop.visits["user_id"].isin(taken.index)]
    late = visits["timestamp"].to_numpy() >= taken.loc[visits["user_id"], "takeover"].to_numpy()
    factor = shop.truth.table("days")["factor"].to_numpy()
    season = np.interp(days(taken["takeover"]), np.arange(DAYS + 1), np.append(0, np.cumsum(factor)))
    rate = shop.truth.planted["visits_per_user_and_day"] * taken["activity"]
    expected = 3 * rate * (factor.sum() - season)
    counts = visits["user_id"][late].value_counts().reindex(taken.index, fill_value=0)
    if shop.truth.planted["settings"]["generator"] == "regimes":
        assert abs((counts - expected).sum()) < SIGMAS * np.sqrt(expected.sum())
    else:  # fading interest needs time to build up in the new hands
        assert 0.7 < counts.sum() / expected.sum() < 1


def test_users_who_move_belong_to_the_new_group_from_then_on(shop: Shop) -> None:
    users = shop.truth.table("users").set_index("user_id")
    moved = users[users["moved"].notna() & users["takeover"].isna()]
    assert abs(users["moved"].notna().sum() - 150) < SIGMAS * np.sqrt(1500 * 0.1 * 0.9)
    part = shop.episodes[shop.episodes["user_id"].isin(moved.index)]
    own = moved.loc[part["user_id"]]
    late = part["start"].to_numpy() >= own["moved"].to_numpy()
    group = np.where(late, own["group_after"], own["group"])
    assert (part["group"].to_numpy() == group).mean() > 0.999  # seconds are rounded
    assert (moved["group_after"] != moved["group"]).all()


def test_new_users_come_all_the_time(shop: Shop) -> None:
    joined = days(shop.truth.table("users")["joined"])
    new = joined[joined >= 0]
    assert abs(len(new) - 300) < SIGMAS * np.sqrt(1500 * 0.2 * 0.8)
    assert stats.kstest(new / DAYS, "uniform").pvalue > 1e-4
    first = days(shop.events.groupby("user_id")["timestamp"].min())
    assert (first >= np.floor(joined.to_numpy()[first.index - 1])).all()
    known = shop.users[["gender", "age"]].notna().mean()
    assert (np.abs(known - 0.95) < SIGMAS * np.sqrt(0.05 * 0.95 / 1500)).all()


# ------------------------------------------------------------------------------------------------- choice


def test_promotions_lift_views_as_planted(shop: Shop) -> None:
    table = pd.read_parquet(shop.truth.folder / "promotions.parquet").merge(shop.truth.table("promotions"))
    table = table.merge(shop.items[["item_id", "category"]])
    views = shop.events[shop.events["event"] == "view"]
    period = (days(views["timestamp"]) // 14).astype(int)
    of_item = views.groupby([views["item_id"], period]).size()
    of_category = views.groupby([views["category"], period]).size()
    when = (days(table["start"]) // 14).astype(int)
    seen = of_item.reindex(pd.MultiIndex.from_arrays([table["item_id"], when]), fill_value=0).to_numpy()
    total = of_category.reindex(pd.MultiIndex.from_arrays([table["category"], when]), fill_value=0).to_numpy()
    assert (table["uplift"] == 3).all()
    assert table["share_factor"].between(1, 3).all()
    left = seen - total * table["view_share"]
    assert abs(left.sum() / np.sqrt((left**2).sum())) < SIGMAS
    without = seen - total * table["view_share"] / table["share_factor"]
    assert without.sum() / np.sqrt((without**2).sum()) > 2 * SIGMAS


def test_items_are_seen_by_popularity(shop: Shop) -> None:
    """Among items from before the log, whose shares differ by promotion only: slope one in logarithms."""
    known = shop.truth.table("items").merge(shop.items[["item_id", "category"]])
    counts = shop.events.loc[shop.events["event"] == "view", "item_id"].value_counts()
    known["views"] = counts.reindex(known["item_id"]).fillna(0).to_numpy()
    known["total"] = known.groupby("category")["views"].transform("sum")
    old = known[known["introduced"].isna()]
    expected = old["popularity"] * old["total"]
    top = expected > 50
    slope = np.polyfit(np.log(expected[top]), np.log(old["views"][top].clip(lower=0.5)), 1)[0]
    assert abs(slope - 1) < 0.1
    assert known.groupby("category")["popularity"].sum().round(9).eq(1).all()


def test_categories_differ_in_repetition_as_planted(shop: Shop) -> None:
    """Two views of a user in a category meet at one item by favourites with r^2/3, and by popularity."""
    known = shop.truth.table("categories").set_index("category")["repeat_share"]
    views = shop.events[shop.events["event"] == "view"]
    counts = views.groupby(["category", "user_id", "item_id"]).size()
    pairs = (counts * (counts - 1)).groupby("category").sum()
    total = counts.groupby(level=[0, 1]).sum()
    met = (pairs / (total * (total - 1)).groupby("category").sum()).reindex(known.index)
    popularity = shop.truth.table("items").merge(shop.items[["item_id", "category"]])
    chance = (popularity["popularity"] ** 2).groupby(popularity["category"]).sum().reindex(known.index)
    found = np.sqrt(((met - chance).clip(lower=0)) / (1 - chance) * 3)
    assert np.abs(found - known).max() < 0.16
    assert np.corrcoef(found, known)[0, 1] > 0.97


# --------------------------------------------------------------------------------- files, settings, errors


def fingerprints(folder: Path) -> dict[str, str]:
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}


def test_one_process_and_two_write_the_same_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(marketplace, "BLOCK_EVENTS", 2_000)
    settings = Marketplace(n_users=200, n_items=400, events_per_user=60)
    steps: list[tuple[int, int]] = []
    one = generate(settings, tmp_path / "one", 1, progress=lambda done, of: steps.append((done, of)))
    two = generate(settings, tmp_path / "two", 2)
    assert steps == [(block, 7) for block in range(1, 8)]
    assert len(list((one.folder / "events").iterdir())) == 7
    assert fingerprints(one.folder) == fingerprints(two.folder)
    other = generate(Marketplace(n_users=200, n_items=400, events_per_user=60, seed=1), tmp_path / "two", 1)
    assert fingerprints(other.folder) != fingerprints(one.folder)
    baskets = [
        pd.read_parquet(path)["basket_id"].dropna().unique() for path in (one.folder / "events").iterdir()
    ]
    assert len(np.unique(np.concatenate(baskets))) == sum(map(len, baskets))


def test_every_block_has_randomness_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(marketplace, "BLOCK_EVENTS", 100)
    states, simulate = [], marketplace.simulate

    def spy(world: World, rows: slice, rng: np.random.Generator, first_basket: int) -> Block:
        states.append(rng.bit_generator.state["state"]["state"])
        return simulate(world, rows, rng, first_basket)

    monkeypatch.setattr(marketplace, "simulate", spy)
    generate(Marketplace(n_users=30, n_items=50, events_per_user=20), tmp_path / "shop", n_jobs=1)
    assert len(set(states)) == len(states) == 6


def test_two_million_events_come_in_blocks_and_without_details(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(marketplace, "DETAIL_EVENTS", 1_999_999)
    settings = Marketplace(n_users=20_000, n_items=100_000, events_per_user=100)
    truth = generate(settings, tmp_path / "shop", n_jobs=1)
    files = sorted((truth.folder / "events").iterdir())
    assert [path.name for path in files] == [f"part-{block:05d}.parquet" for block in range(4)]
    assert sum(truth.planted["events"].values()) == pytest.approx(2_000_000, rel=0.03)
    assert sum(pq.read_metadata(path).num_rows for path in files) == sum(truth.planted["events"].values())
    with pytest.raises(InputError, match="episodes"):
        truth.table("episodes")


def test_every_setting_and_every_table_is_explained(shop: Shop) -> None:
    explained = (Marketplace.__doc__ or "").split("----------")[1]
    assert not [field.name for field in fields(Marketplace) if not re.search(rf"\b{field.name}\b", explained)]
    page = (Path(__file__).parents[1] / "docs" / "marketplace.md").read_text(encoding="utf-8")
    assert not [path.stem for path in (shop.truth.folder / "truth").iterdir() if f"`{path.stem}`" not in page]


def test_settings_can_be_read_back_from_the_truth(tmp_path: Path) -> None:
    settings = Marketplace(n_users=20, n_items=50, events_per_user=20, curves=("power",))
    truth = generate(settings, tmp_path / "shop", 1)
    assert Marketplace(**read_truth(tmp_path / "shop").planted["settings"]) == settings
    assert set(truth.table("categories")["curve"]) == {"power"}
    with pytest.raises(InputError, match="no truth about 'weather'"):
        truth.table("weather")


def test_an_interrupted_run_leaves_what_was_there(tmp_path: Path) -> None:
    small = Marketplace(n_users=20, n_items=50, events_per_user=20)
    generate(small, tmp_path / "shop", 1)
    before = fingerprints(tmp_path)

    def stop(done: int, of: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        generate(Marketplace(n_users=30, n_items=50, events_per_user=20), tmp_path / "shop", 1, progress=stop)
    assert fingerprints(tmp_path) == before


def test_other_folders_are_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "own.txt").write_text("mine")
    with pytest.raises(InputError, match="no marketplace"):
        generate(Marketplace(n_users=20, n_items=50, events_per_user=20), tmp_path, 1)
    assert [path.name for path in tmp_path.iterdir()] == ["own.txt"]
    with pytest.raises(InputError, match="n_jobs is 0"):
        generate(Marketplace(n_users=20, n_items=50, events_per_user=20), tmp_path / "shop", 0)
    with pytest.raises(InputError, match=r"no truth\.json"):
        read_truth(tmp_path)


@pytest.mark.parametrize(
    "settings",
    [
        {"n_users": 300, "n_items": 40, "events_per_user": 1},
        {"n_items": 40, "n_users": 30, "new_item_share": 1.0},
        {"n_users": 30, "promoted_share": 0.0, "new_user_share": 1.0, "takeover_share": 1.0},
        {"n_users": 30, "n_groups": 2, "n_categories": 2, "days": 30, "warm_up_days": 0},
        {
            "n_users": 30,
            "n_categories": 90,
            "transition_share": 1.0,
            "moving_user_share": 1.0,
            "seed": 2**63 - 1,
        },
        {"n_users": 30, "generator": "regimes", "days": 28, "purchase_share": 0.0, "follow_ups": 0.0},
        {"n_users": 30, "follow_ups": 0.0, "search_share": 0.0, "views_per_visit": 1.0, "focus_share": 1.0},
    ],
)
def test_extreme_settings_work(settings: dict[str, object], tmp_path: Path) -> None:
    truth = generate(Marketplace(**{"events_per_user": 100, **settings}), tmp_path / "shop", 1)  # type: ignore[arg-type]
    events = pd.read_parquet(truth.folder / "events")
    assert 0.3 < len(events) / truth.planted["expected_events"] < 3
    assert not truth.table("tastes")["share"].isna().any()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"generator": "decays"}, "generator 'decays' is unknown; did you mean decay"),
        ({"curves": ("cubic",)}, "curve 'cubic' in curves is unknown"),
        ({"curves": ()}, "curves is"),
        ({"n_items": 20}, "n_items is 20, fewer than the 40 categories"),
        ({"n_groups": 50}, "n_categories is 40, fewer than the 50 groups"),
        ({"n_users": -1}, "n_users is -1; give a whole number from 2"),
        ({"n_users": 10.5}, "n_users is 10.5; give a whole number"),
        ({"n_users": True}, "n_users is True"),
        ({"n_users": "many"}, "n_users is 'many'"),
        ({"cart_share": 1.2}, "cart_share is 1.2; give a number from 0 to 1"),
        ({"cart_share": float("nan")}, "cart_share is nan"),
        (
            {"n_users": 400_001},
            "n_users times events_per_user is 200,000,500 events; give at most 200,000,000",
        ),
        ({"start": "2024-13-01"}, "start is '2024-13-01'"),
        ({"start": "20240101"}, "start is '20240101'"),
        ({"start": 2024}, "start is 2024"),
        ({"half_life_days": (90, 3)}, "half_life_days is (90, 3); give the lower number first"),
        ({"half_life_days": (0, 3)}, "half_life_days is (0, 3); give 2 numbers from 0.5"),
        ({"weekday_weights": (1, 1)}, "weekday_weights is (1, 1); give 7 numbers"),
        ({"hour_weights": None}, "hour_weights is None"),
        ({"promotion_days": 10}, "promotion_days is 10; give a multiple of 7"),
    ],
)
def test_settings_that_make_no_sense_are_refused(settings: dict[str, object], message: str) -> None:
    with pytest.raises(InputError) as caught:
        Marketplace(**settings)  # type: ignore[arg-type]
    assert str(caught.value).startswith("marketplace: ")
    assert message in str(caught.value)
    assert str(caught.value).endswith((".", "?"))
