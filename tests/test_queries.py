"""The log as table expressions, against plain pandas, scikit-learn and the study's in-memory code."""

from collections.abc import Callable
from datetime import datetime

import ibis
import ibis.expr.types as ir
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from reference_forecasts import transition_matrix

from interest_lib import migration, quality, queries, ranking, split
from interest_lib.schema import EVENT_WEIGHTS, InputError

START, ORIGIN, END = datetime(2017, 1, 1), datetime(2017, 6, 1), datetime(2018, 1, 1)


def made_log(n_events: int = 4000, seed: int = 3) -> pd.DataFrame:
    """Two years of a shop with all that a real log has: nulls, copies, ties, robots, gaps, wrong clocks."""
    rng = np.random.default_rng(seed)
    seconds = rng.integers(0, 700 * 86_400, n_events)
    seconds -= seconds % 86_400 // 3600 * 3600 % 7200  # every other hour of the day only
    times = pd.Series(pd.Timestamp(START) + pd.to_timedelta(seconds, unit="s")).dt.floor("min")
    times = times.mask((times >= "2017-03-03") & (times < "2017-03-09"), pd.Timestamp("2017-03-10 10:00"))
    user = rng.zipf(1.6, n_events) % 60
    item = (user * 3 + rng.zipf(1.5, n_events)) % 40
    log = pd.DataFrame({"user_id": user, "item_id": [f"p{i:02d}" for i in item], "timestamp": times})
    log["event"] = rng.choice(["view", "cart", "purchase", "return"], n_events, p=[0.5, 0.2, 0.25, 0.05])
    log["basket_id"] = rng.choice(["a", "b", None], n_events) + times.dt.strftime("/%m-%d")
    log["quantity"] = rng.choice([1.0, 2.0, np.nan], n_events)
    log["weight"] = rng.choice([np.nan, 0.5, 2.0], n_events, p=[0.9, 0.05, 0.05])
    log["category"] = pd.Series(item % 7).map(lambda kind: None if kind == 6 else f"kind {kind}")
    log.loc[rng.choice(n_events, 40), "item_id"] = None
    log.loc[[5, 6], "timestamp"] = pd.Timestamp("1970-01-01")
    log.loc[[7], "timestamp"] = pd.Timestamp("2093-05-05")
    log.loc[[8], "timestamp"] = pd.NaT
    log.loc[range(60, 90), "timestamp"] = pd.Timestamp(ORIGIN)  # to the second
    robot = log.iloc[:90].assign(
        user_id=99, basket_id=None, timestamp=pd.date_range("2017-05-05 10:00", periods=90, freq="500ms")
    )
    texts = dict.fromkeys(("item_id", "event", "basket_id", "category"), "str")
    return pd.concat([log, log.iloc[:50], robot], ignore_index=True).astype(texts)


def plausible(events: ir.Table) -> ir.Table:
    return queries.clean(events, until=END)[0]


def searching(events: ir.Table) -> ir.Table:
    """Each view is a search that has still to find its item."""
    item = ibis.ifelse(events.event == "view", ibis.null("string"), events.item_id)
    event = ibis.ifelse(events.event == "view", "search", events.event)
    return plausible(events.mutate(item_id=item, event=event).drop("weight", "quantity", "basket_id"))


def recommended(events: ir.Table) -> ir.Table:
    scores = queries.interests(plausible(events), "item_id", ORIGIN, 90, EVENT_WEIGHTS)
    return queries.top_k(scores, queries.popularity(events, ORIGIN), k=5)


EXPRESSIONS: dict[str, tuple[Callable[[ir.Table], ir.Table], list[str]]] = {
    "clean": (plausible, ["user_id", "item_id", "timestamp", "event", "basket_id", "quantity", "weight"]),
    "clean counts": (lambda log: queries.clean(log, until=END)[1], []),
    "sample_users": (lambda log: queries.sample_users(plausible(log), 20, seed=1).distinct(), ["all"]),
    "searched_items": (lambda log: queries.searched_items(searching(log)), ["all"]),
    "baskets": (lambda log: queries.baskets(plausible(log)), ["all"]),
    "baskets of purchases": (lambda log: queries.baskets(plausible(log), "purchase"), ["all"]),
    "sessions": (lambda log: queries.sessions(plausible(log)), ["all"]),
    "history": (lambda log: queries.split(plausible(log), ORIGIN, 28)[0], ["all"]),
    "targets": (lambda log: queries.split(plausible(log), ORIGIN, 28)[1], ["user_id", "item_id"]),
    "profile": (lambda log: queries.interests(log, "category"), ["user_id", "category"]),
    "decayed": (
        lambda log: queries.interests(plausible(log), "item_id", ORIGIN, 30, EVENT_WEIGHTS),
        ["user_id", "item_id"],
    ),
    "transitions": (
        lambda log: queries.transitions(plausible(log), "category", START),
        ["interest", "next_interest"],
    ),
    "popularity": (lambda log: queries.popularity(log, ORIGIN), ["item_id"]),
    "top_k": (recommended, ["user_id", "rank"]),
    "repeats": (quality.repeats, []),
    "inhuman_rates": (lambda log: quality.inhuman_rates(log, 20, 85), ["user_id"]),
    "recording_gaps": (lambda log: quality.recording_gaps(plausible(log)), []),
    "clock_shifts": (lambda log: quality.clock_shifts(plausible(log)), ["month"]),
    "returned_ids": (lambda log: quality.returned_ids(plausible(log), sleep_days=30), ["user_id"]),
    "funnel": (lambda log: quality.funnel(plausible(log), ["view", "cart", "purchase"]), ["step"]),
    "repeat_share": (lambda log: quality.repeat_share(plausible(log)), ["category"]),
}
"""Every public expression by name: what to run on the made log, and the columns that tell its rows apart."""


def test_every_public_expression_is_compared_between_engines() -> None:
    public = {
        name
        for module in (queries, quality)
        for name, thing in vars(module).items()
        if callable(thing)
        and not name.startswith("_")
        and getattr(thing, "__module__", "") == module.__name__
        and "ir.Table" in thing.__annotations__["return"]
    }
    used = {"history", "targets", "profile", "decayed", "clean counts", "baskets of purchases"}
    assert public - set(EXPRESSIONS) == {"split", "interests"}
    assert set(EXPRESSIONS) - public == used


@pytest.fixture(scope="module")
def log() -> pd.DataFrame:
    return made_log()


@pytest.fixture(scope="module")
def events(log: pd.DataFrame) -> ir.Table:
    return ibis.memtable(log)


@pytest.fixture(scope="module")
def kept(log: pd.DataFrame) -> pd.DataFrame:
    possible = log[(log["timestamp"] >= "1990-01-01") & (log["timestamp"] < pd.Timestamp(END))]
    return possible.drop_duplicates(ignore_index=True)


def rows(table: ir.Table, *by: str) -> pd.DataFrame:
    return table.order_by(list(by)).to_pandas() if by else table.to_pandas()


def test_cleaning_keeps_each_plausible_row_once_and_counts_the_others(events, log, kept) -> None:
    clean, counts = queries.clean(events, until=END)
    columns = list(log.columns)
    found = rows(clean, *columns)[columns]
    expected = kept.sort_values(columns, ignore_index=True)[columns]
    pd.testing.assert_frame_equal(found.sort_values(columns, ignore_index=True), expected, check_dtype=False)
    counted = counts.to_pandas().iloc[0]
    late = int((log["timestamp"] >= pd.Timestamp(END)).sum())
    assert counted[["rows", "too_late", "kept"]].tolist() == [len(log), late, len(kept)]
    # rows 5 to 8 are among those that the log repeats
    assert counted[["too_early", "timeless"]].tolist() == [4, 2]
    assert counted["duplicates"] == len(log) - 6 - late - len(kept) > 10
    assert queries.clean(events)[1].to_pandas().iloc[0]["too_late"] == 0


def test_cleaning_works_on_a_log_of_ordered_baskets_and_on_an_empty_one(events) -> None:
    ordered = ibis.memtable({"user_id": [1, 1], "item_id": [2, 2], "basket_number": [1, 1]})
    assert queries.clean(ordered, until=END)[1].to_pandas().iloc[0]["kept"] == 1
    nothing = queries.clean(events.limit(0), until=END)[1].to_pyarrow().to_pylist()[0]
    assert set(nothing.values()) == {0}


def test_samples_are_nested_and_do_not_depend_on_the_order_of_rows(events, log) -> None:
    def drawn(table: ir.Table, n: int, seed: int = 1) -> set[int]:
        return set(queries.sample_users(table, n, seed).user_id.to_pandas())

    turned = ibis.memtable(log.iloc[::-1])
    assert len(drawn(events, 20)) == 20
    assert drawn(events, 20) == drawn(turned, 20)
    assert drawn(events, 10) < drawn(events, 20)
    assert drawn(events, 20) != drawn(events, 20, seed=2)


def test_a_search_stands_for_what_the_user_turns_to_next(events) -> None:
    found = rows(queries.searched_items(searching(events), max_minutes=600), "user_id", "timestamp", "event")
    log = searching(events).to_pandas()
    items = log[log["event"] != "search"].dropna(subset="item_id")
    answers = 0
    for search in found[found["event"] == "search"].itertuples():
        ahead = items[(items["user_id"] == search.user_id) & (items["timestamp"] >= search.timestamp)]
        ahead = ahead[ahead["timestamp"] <= search.timestamp + pd.Timedelta(minutes=600)]
        if ahead.empty:
            assert pd.isna(search.item_id)
            continue
        first = ahead[ahead["timestamp"] == ahead["timestamp"].min()]
        assert search.item_id == first["item_id"].min()
        answers += 1
    assert len(found) == len(log) and 100 < answers < len(log) / 3
    others = found[found["event"] != "search"]
    assert others["item_id"].isna().sum() == log.loc[log["event"] != "search", "item_id"].isna().sum()


def test_baskets_are_named_and_numbered_by_their_first_event(events, kept) -> None:
    found = rows(queries.baskets(plausible(events)), *events.columns)
    named = kept["basket_id"].fillna(
        kept["user_id"].astype(str) + "/" + kept["timestamp"].dt.strftime("%Y-%m-%d")
    )
    firsts = kept.assign(basket_id=named).groupby(["user_id", "basket_id"])["timestamp"].min().reset_index()
    firsts = firsts.sort_values(["user_id", "timestamp", "basket_id"])
    firsts["basket_number"] = firsts.groupby("user_id").cumcount() + 1
    numbers = found.groupby(["user_id", "basket_id"])["basket_number"].agg(["min", "max"]).reset_index()
    merged = numbers.merge(firsts, on=["user_id", "basket_id"], validate="one_to_one")
    assert len(found) == len(kept)
    assert len(merged) == len(firsts) == len(numbers)
    assert (merged["min"] == merged["basket_number"]).all()
    assert (merged["max"] == merged["basket_number"]).all()


def test_a_view_belongs_to_the_basket_that_it_precedes() -> None:
    log = pd.DataFrame(
        [
            (1, "a", "01-01", "view"),
            (2, "z", "01-01", "view"),  # never buys
            (1, "b", "01-02", "purchase"),
            (1, "b", "01-02", "purchase"),
            (1, "b", "01-02", "view"),  # at the moment of the basket: too late to foretell it
            (1, "c", "01-03", "view"),
            (1, "d", "01-04", "purchase"),
            (1, "e", "01-05", "view"),
        ],
        columns=["user_id", "basket_id", "timestamp", "event"],
    )
    log["timestamp"] = pd.to_datetime("2020-" + log["timestamp"])
    found = queries.baskets(ibis.memtable(log.reset_index()), "purchase").order_by("index").to_pandas()
    assert found["basket_number"].tolist() == [1, 1, 1, 1, 2, 2, 2, 3]


def test_baskets_that_the_log_brings_are_left_alone() -> None:
    whole = ibis.memtable({"user_id": [1, 1], "basket_id": [8, 7], "timestamp": [START, ORIGIN]})
    assert queries.baskets(whole).order_by("timestamp").to_pandas()["basket_id"].tolist() == [8, 7]
    ordered = ibis.memtable({"user_id": [1, 1], "basket_number": [4, 2]})
    assert set(queries.baskets(ordered).basket_id.to_pandas()) == {"1/4", "1/2"}


@pytest.mark.parametrize("gap", [30, 600])
def test_sessions_split_at_long_pauses_whatever_ties_there_are(events, kept, gap) -> None:
    found = rows(queries.sessions(plausible(events), gap), "user_id", "timestamp", "session_number")
    ordered = kept.sort_values(["user_id", "timestamp"], ignore_index=True)
    pause = ordered.groupby("user_id")["timestamp"].diff() > pd.Timedelta(minutes=gap)
    expected = pause.groupby(ordered["user_id"]).cumsum() + 1
    assert found["session_number"].tolist() == expected.tolist()
    assert found["session_number"].max() > 20


def test_a_split_keeps_history_and_targets_apart(events, kept) -> None:
    history, targets = queries.split(plausible(events), ORIGIN, 28)
    before, origin = kept[kept["timestamp"] < pd.Timestamp(ORIGIN)], pd.Timestamp(ORIGIN)
    after = kept[kept["timestamp"].between(origin, origin + pd.Timedelta(days=28), inclusive="left")]
    known = set(zip(before["user_id"], before["item_id"], strict=True))
    pairs = after.dropna(subset="item_id")[["user_id", "item_id"]].drop_duplicates()
    expected = {pair: pair not in known for pair in pairs.itertuples(index=False, name=None)}
    found = targets.to_pandas()
    assert history.count().execute() == len(before)
    assert (
        dict(zip(zip(found["user_id"], found["item_id"], strict=True), found["novel"], strict=True))
        == expected
    )
    assert set(expected.values()) == {True, False}


def shares_written_out(events: pd.DataFrame, at: datetime, half_life: float | None) -> pd.DataFrame:
    known = events[events["timestamp"] < at].dropna(subset="category")
    age_days = (at - known["timestamp"]) / pd.Timedelta(days=1)
    weighted = known.assign(weight=0.5 ** (age_days / half_life) if half_life else 1.0)
    profile = weighted.groupby(["user_id", "category"])["weight"].sum().reset_index()
    return profile.assign(share=profile["weight"] / profile.groupby("user_id")["weight"].transform("sum"))


@pytest.mark.parametrize("half_life", [None, 30.0])
def test_interests_are_decayed_weights_and_shares_that_add_up(events, kept, half_life) -> None:
    plain = kept.drop(columns=["event", "weight"])
    found = rows(
        queries.interests(plausible(events).drop("event", "weight"), "category", ORIGIN, half_life),
        "user_id",
        "category",
    )
    expected = shares_written_out(plain, ORIGIN, half_life)
    assert found[["user_id", "category"]].values.tolist() == expected[["user_id", "category"]].values.tolist()
    np.testing.assert_allclose(found[["weight", "share"]], expected[["weight", "share"]], rtol=1e-12)
    np.testing.assert_allclose(found.groupby("user_id")["share"].sum(), 1.0)


def test_an_event_weighs_what_its_row_says_else_its_type_else_one(kept) -> None:
    log = ibis.memtable(
        {
            "user_id": [1, 1, 1, 2],
            "item_id": ["a", "a", "b", "a"],
            "event": ["view", "view", "odd", "return"],
            "weight": [None, 5.0, None, None],
        }
    )
    table = rows(queries.interests(log, weights={"view": 0.1, "return": -1}), "user_id", "item_id")
    assert table["weight"].tolist() == [5.1, 1.0, 0.0]
    assert table["events"].tolist() == [2, 1, 1]
    assert table["share"].round(3).tolist()[:2] == [0.836, 0.164]
    assert table["share"].isna().tolist() == [False, False, True], "what was returned leaves no interest"


@pytest.mark.parametrize(("at", "half_life"), [(ORIGIN, 0), (ORIGIN, -1.0), (None, 30)])
def test_a_half_life_has_to_be_positive_and_have_a_moment(events, at, half_life) -> None:
    with pytest.raises(InputError, match="half_life_days is"):
        queries.interests(events, "item_id", at, half_life)


def test_transitions_follow_the_leading_interest_and_its_ties(events, kept) -> None:
    known = kept[(kept["timestamp"] >= pd.Timestamp(START)) & kept["category"].notna()]
    period = (known["timestamp"] - pd.Timestamp(START)) // pd.Timedelta(days=28)
    counts = (
        known.assign(period=period).groupby(["user_id", "period", "category"]).size().reset_index(name="n")
    )
    counts["overall"] = counts.groupby("category")["n"].transform("sum")
    order = ["user_id", "period", "n", "overall", "category"]
    leading = counts.sort_values(order, ascending=[True, True, False, False, True])
    leading = leading.drop_duplicates(["user_id", "period"]).set_index(["user_id", "period"])["category"]
    ahead = leading.rename(index=lambda number: number - 1, level="period").rename("next")
    expected = pd.concat([leading, ahead], axis=1, join="inner").value_counts().to_dict()
    found = queries.transitions(plausible(events), "category", START).to_pandas()
    pairs = zip(found["interest"], found["next_interest"], strict=True)
    assert dict(zip(pairs, found["transitions"], strict=True)) == expected
    assert sum(expected.values()) > 100


def test_a_period_without_the_user_breaks_the_chain() -> None:
    times = [datetime(2017, 1, 1), datetime(2017, 3, 15)]
    log = ibis.memtable({"user_id": [1, 1], "timestamp": times, "category": ["tea", "milk"]})
    assert queries.transitions(log, "category", START).count().execute() == 0


def test_top_k_ranks_by_score_popularity_and_id_and_fills_up_like_the_study(events, kept) -> None:
    known = queries.interests(plausible(events), "item_id", ORIGIN, None, EVENT_WEIGHTS).to_pandas()
    popular = queries.popularity(events, ORIGIN).to_pandas().set_index("item_id")["popularity"]
    items = pd.Index(np.sort(kept["item_id"].dropna().unique()), name="item_id")
    popular = popular.reindex(items, fill_value=0).sort_values(ascending=False, kind="stable")
    user_ids = pd.Index([*np.sort(kept["user_id"].unique()), 1001], name="user_id")
    wide = known.pivot(index="user_id", columns="item_id", values="weight")
    wide = wide.reindex(index=user_ids, columns=popular.index).fillna(0.0)
    expected = ranking.ranked_lists(user_ids, sp.csr_matrix(wide), popular.index, k=5)
    everyone = ibis.memtable({"user_id": [*user_ids, *user_ids]})
    table = queries.top_k(ibis.memtable(known), ibis.memtable(popular.reset_index()), k=5, users=everyone)
    found = rows(table, "user_id", "rank")
    columns = ["user_id", "item_id", "rank"]
    assert found[columns].values.tolist() == expected[columns].values.tolist()
    np.testing.assert_allclose(found["score"], expected["score"], rtol=1e-12)
    own = (wide > 0).sum(axis=1)
    assert (own == 0).any() and own.between(1, 4).any() and (own > 5).any(), "all three kinds of users"
    best_two = wide.apply(lambda row: row.nlargest(2).tolist(), axis=1)
    assert any(first == second > 0 for first, second in best_two), "the log has no ties to break"


def test_lists_end_where_nothing_is_left_to_fill_them_with() -> None:
    scores = ibis.memtable({"user_id": [1, 1], "item_id": ["a", "b"], "weight": [1.0, -1.0]})
    popular = ibis.memtable({"item_id": ["a", "b"], "popularity": [3, 2]})
    found = rows(queries.top_k(scores, popular, k=4), "rank")
    assert found[["item_id", "rank", "score"]].values.tolist() == [["a", 1, 1.0], ["b", 2, 0.0]]


def test_splits_popularity_and_transitions_are_those_of_the_study(kept) -> None:
    """The same log, coded in memory by `split` and `migration`, gives what the expressions give."""
    bought = kept[(kept["event"] == "purchase") & kept["item_id"].notna()]
    bought = bought.drop(columns=["event", "weight"]).sort_values("timestamp", ignore_index=True)
    fold = split.fold_at(bought, pd.Timestamp(ORIGIN), 28, min_users_per_item=1)
    log, columns = ibis.memtable(bought), ["user_id", "item_id", "novel"]
    targets = rows(queries.split(log, ORIGIN, 28)[1], "user_id", "item_id")
    seen = targets[targets["item_id"].isin(fold.history.item_ids)]
    assert seen[columns].values.tolist() == fold.targets[columns].values.tolist()
    assert len(targets) == len(seen) + fold.n_targets_dropped > 20

    popular = queries.popularity(log, ORIGIN).to_pandas().set_index("item_id")["popularity"]
    assert popular.to_dict() == {
        item: users
        for item, users in zip(fold.history.item_ids, fold.history.popularity, strict=True)
        if users
    }

    # Every row is a basket of its own, so that baskets with a category are events with it.
    known = bought.dropna(subset="category").assign(basket_id=lambda t: range(len(t)))
    known = known[known["timestamp"] < pd.Timestamp(START) + pd.Timedelta(days=4 * 28)]
    month = split.quarters(known["timestamp"], 28, 4, start=pd.Timestamp(START))
    counts, regulars, interests = migration.period_counts(known, month, min_per_period=1)
    common_first = np.argsort(-counts.sum(axis=(0, 1)), kind="stable")
    leading = counts[:, :, common_first].argmax(axis=2)
    expected = transition_matrix(leading[:-1].ravel(), leading[1:].ravel(), len(interests))
    always = ibis.memtable(known[known["user_id"].isin(regulars)])
    found = queries.transitions(always, "category", START).to_pandas()
    names = interests[common_first]
    moves = np.zeros(expected.shape)
    moves[names.get_indexer(found["interest"]), names.get_indexer(found["next_interest"])] = found[
        "transitions"
    ]
    np.testing.assert_allclose(migration.shares(moves), expected, rtol=1e-12)


def test_popularity_counts_users_of_the_window_once(kept, events) -> None:
    window = kept["timestamp"].between(pd.Timestamp("2017-05-22"), pd.Timestamp(ORIGIN), inclusive="left")
    expected = kept[window].groupby("item_id")["user_id"].nunique()
    found = queries.popularity(events, ORIGIN, popularity_days=10).to_pandas().set_index("item_id")
    assert found["popularity"].to_dict() == expected.to_dict()


def test_repeats_tell_copies_from_contradictions(events, log) -> None:
    found = quality.repeats(events).to_pandas().iloc[0]
    moments = log.drop_duplicates().groupby(
        ["user_id", "item_id", log["timestamp"].dt.floor("s")], dropna=False
    )
    assert found["rows"] == len(log)
    assert found["duplicates"] == log.duplicated().sum() > 40
    assert found["same_second"] == (moments.size() - 1).sum() > 0


def test_robots_are_found_and_large_baskets_are_not() -> None:
    second = [datetime(2017, 1, 1, 10, 0, i % 60) for i in range(100)]
    robot = pd.DataFrame({"user_id": 1, "item_id": range(100), "timestamp": second, "basket_id": None})
    basket = pd.DataFrame({"user_id": 2, "item_id": range(100), "timestamp": START, "basket_id": "x"})
    slow = pd.DataFrame(
        {
            "user_id": 3,
            "item_id": range(200),
            "basket_id": None,
            "timestamp": pd.date_range(START, periods=200, freq="5min"),
        }
    )
    log = ibis.memtable(pd.concat([robot, basket, slow]).astype({"basket_id": "str"}))
    found = quality.inhuman_rates(log, max_per_minute=60, max_per_day=199).to_pandas()
    assert found.values.tolist() == [[3, 200, 1, 200], [1, 100, 100, 100]]
    order = basket.drop(columns="basket_id").assign(user_id=4, event="purchase")
    seen = order.assign(user_id=5, event="view")
    found = quality.inhuman_rates(ibis.memtable(pd.concat([order, seen]))).to_pandas()
    assert found.values.tolist() == [[5, 100, 100, 100]], "an order without a basket_id is one act"


def test_gaps_in_recording_are_measured_in_days(events) -> None:
    found = quality.recording_gaps(plausible(events)).to_pandas().iloc[0]
    assert found["longest_gap_days"] == 6
    assert str(found["gap_begins"])[:10] == "2017-03-03"
    assert found["days_missing"] >= 6
    assert found["days"] == 365
    assert found["hours_never_seen"] == 12
    everything = quality.recording_gaps(ibis.memtable({"timestamp": [START, START]})).to_pandas().iloc[0]
    assert everything[["days", "days_missing", "longest_gap_days"]].tolist() == [1, 0, 0]
    assert pd.isna(everything["gap_begins"])


def test_a_clock_that_was_set_wrong_shows_in_its_months() -> None:
    rng = np.random.default_rng(0)
    day = pd.Series(pd.date_range("2017-01-01", "2017-12-31 23:00", freq="15min"))
    times = day[rng.random(len(day)) < 0.05 + 0.5 * np.exp(-((day.dt.hour - 18) ** 2) / 8)]
    late = times.dt.month.isin([4, 5])
    times = times.mask(late, times + pd.Timedelta(hours=5)).mask(
        times.dt.month == 9, times - pd.Timedelta(hours=3)
    )
    times = times[times.dt.year == 2017]
    found = quality.clock_shifts(ibis.memtable({"timestamp": times.tolist()})).to_pandas()
    assert found["shift_hours"].tolist() == [0, 0, 0, 5, 5, 0, 0, 0, -3, 0, 0, 0]
    assert (found["similarity"] > 0.95).all()
    assert found["similarity_unshifted"][3] < 0.8
    assert quality.clock_shifts(ibis.memtable({"timestamp": [START, START]})).count().execute() == 0


def test_a_clock_that_goes_wrong_for_good_leaves_the_months_before_it_as_they_are() -> None:
    hour = pd.Series(pd.date_range("2017-01-01", "2017-12-31 23:00", freq="1h"))
    clock = hour.dt.hour.to_numpy()
    rate = 2 + 8 * np.exp(-((clock - 11) ** 2) / 8) + 12 * np.exp(-((clock - 19) ** 2) / 8)
    times = hour.repeat(rate.round().astype(int))
    times = times.mask(times.dt.month >= 8, times + pd.Timedelta(hours=5))
    few = pd.Series([datetime(year, month, 1, 3) for year in (2014, 2015, 2016) for month in range(1, 13)])
    found = quality.clock_shifts(ibis.memtable({"timestamp": [*few, *times]})).to_pandas()
    assert found["shift_hours"].tolist()[36:48] == [0] * 7 + [5] * 5, "months with few events say nothing"


def test_an_id_that_wakes_up_as_somebody_else_is_dissimilar() -> None:
    days = [0, 1, 2, 300, 301] * 2 + [0, 100, 200]
    log = ibis.memtable(
        {
            "user_id": [1] * 5 + [2] * 5 + [3] * 3,
            "timestamp": [pd.Timestamp(START) + pd.Timedelta(days=day) for day in days],
            "category": ["tea"] * 3 + ["milk"] * 2 + ["tea"] * 5 + ["tea", "milk", "tea"],
        }
    )
    found = quality.returned_ids(log).to_pandas()
    assert found["user_id"].tolist() == [1, 2]
    assert found["days_away"].tolist() == [298, 298]
    assert found[["events_before", "events_after"]].values.tolist() == [[3, 2], [3, 2]]
    np.testing.assert_allclose(found["similarity"], [0.0, 1.0])
    assert str(found["returned"][0])[:10] == "2017-10-28"


def test_the_funnel_counts_users_who_go_on_and_not_those_who_went_before() -> None:
    log = pd.DataFrame(
        [
            (1, "a", "view", 1), (1, "a", "cart", 2), (1, "b", "view", 3),
            (2, "a", "cart", 1), (2, "a", "view", 2),
            (3, "c", "view", 1),
            (4, "c", "view", 1), (4, "c", "cart", 1), (4, "c", "purchase", 5),
            (5, "c", "return", 1),
        ],
        columns=["user_id", "item_id", "event", "day"],
    )  # fmt: skip
    log["timestamp"] = pd.Timestamp(START) + pd.to_timedelta(log["day"], unit="D")
    found = quality.funnel(ibis.memtable(log), ["view", "cart", "purchase"]).to_pandas()
    assert found[["step", "events", "users", "items"]].values.tolist() == [
        [1, 5, 4, 3],
        [2, 3, 3, 2],
        [3, 1, 1, 1],
    ]
    assert found["users_going_on"].round(3).fillna(-1).tolist() == [0.5, 0.333, -1]
    assert found["pairs_going_on"].round(3).fillna(-1).tolist() == [0.4, 0.333, -1]
    log.loc[log["event"] == "view", "item_id"] = None
    found = quality.funnel(ibis.memtable(log), ["view", "cart", "purchase"]).to_pandas()
    assert found["users_going_on"].round(3).fillna(-1).tolist() == [0.5, 0.333, -1]
    assert found["pairs_going_on"].round(3).fillna(-1).tolist() == [-1, 0.333, -1], "no item, no pair"


def test_repeats_of_a_category_are_items_had_at_an_earlier_time(events, kept) -> None:
    known = kept.dropna(subset=["item_id", "category"])
    first = known.groupby(["user_id", "item_id"])["timestamp"].transform("min")
    groups = known.assign(again=known["timestamp"] > first).groupby("category")
    expected = groups.agg(
        events=("again", "size"), users=("user_id", "nunique"), repeat_share=("again", "mean")
    )
    expected = expected.reset_index().sort_values(["events", "category"], ascending=[False, True])
    found = quality.repeat_share(plausible(events)).to_pandas()
    pd.testing.assert_frame_equal(found, expected.reset_index(drop=True), check_dtype=False)
