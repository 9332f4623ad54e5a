"""Learned ways to borrow: who plays newcomers, what models see, how everything is blended and judged."""

from dataclasses import replace
from functools import partial

import ibis
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

from interest_lib import borrowed, head_start, learned_transfer, newcomer_models, queries, transfer
from interest_lib.interest_generator import Contest, InterestGenerator
from interest_lib.interest_network import Fitting, UserRows
from interest_lib.newcomer_rows import EVERYTHING, Window, baskets_of, newcomers, played_rows
from interest_lib.ranking import ranked_lists
from interest_lib.split import sample_users

PLAY = newcomer_models.Play(given=(0, 1, 2), n_products=40, n_starts=1)
QUICK = Fitting(n_epochs=2, batch_size=64)
LEARNING = learned_transfer.Learning(
    QUICK, replace(QUICK, reversal=1.0), QUICK, Contest(4, 4, 16, 20), n_factors=4, n_epochs=1, n_starts=1
)


@pytest.fixture(scope="module")
def events(shop: pd.DataFrame) -> pd.DataFrame:
    numbered = queries.baskets(ibis.memtable(shop)).to_pandas()
    return numbered.sort_values(["timestamp", "user_id", "item_id"], ignore_index=True).assign(weight=1.0)


@pytest.fixture(scope="module")
def held_out(events: pd.DataFrame) -> pd.Index:
    return sample_users(events["user_id"].unique(), 20, seed=1)


@pytest.fixture(scope="module")
def tables(events: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    users = pd.DataFrame({"user_id": np.sort(events["user_id"].unique())})
    users["age"] = np.where(users["user_id"] % 2 == 0, "young", "old")
    items = pd.DataFrame({"item_id": np.sort(events["item_id"].unique())})
    items["category"] = "c" + (items["item_id"] % 5).astype(str)
    return users, items.assign(department=None)


@pytest.fixture(scope="module")
def task(events: pd.DataFrame, held_out: pd.Index, tables: tuple) -> transfer.NewUserTask:
    return transfer.new_user_task(events, held_out, *tables)


def test_who_plays_a_newcomer_is_known_as_one(task: transfer.NewUserTask, events: pd.DataFrame) -> None:
    """The first window is the beginning of the log: the same rows as counted from the log itself."""
    rows = played_rows(task, [Window(2, 5, 20)], n_products=60, n_starts=1)
    own = events[events["user_id"].isin(task.source.user_ids)]
    for n, matrix in (
        (own["basket_number"] <= 2, rows.interests),
        (own["basket_number"].between(6, 25), None),
    ):
        pairs = own[n].groupby(["user_id", "item_id"]).size().unstack(fill_value=0)
        pairs = pairs.reindex(
            index=task.source.user_ids, columns=task.source.item_ids, fill_value=0
        ).to_numpy()
        found = rows.labels["products"] if matrix is None else matrix[:, : len(task.source.item_ids)]
        np.testing.assert_array_equal(found.toarray(), pairs > 0 if matrix is None else pairs)


def test_what_is_foretold_is_never_among_what_is_known(task: transfer.NewUserTask) -> None:
    """A log of which every basket has a product of its own shows which baskets are in a row."""
    n_users, n_baskets = 6, 40
    user, basket = np.repeat(np.arange(n_users), n_baskets), np.tile(np.arange(n_baskets), n_users)
    source = replace(
        task.source,
        user_ids=pd.Index(range(n_users)),
        item_ids=pd.Index(range(n_baskets)),
        popularity=np.ones(n_baskets),
        rows=user,
        cols=basket,
        weights=np.ones(len(user)),
        is_goal=np.ones(len(user), dtype=bool),
        age_baskets=(n_baskets - 1 - basket).astype(float),
    )
    nothing = replace(
        task, source=source, user_features=sp.csr_matrix((26, 0)), item_features=sp.csr_matrix((n_baskets, 0))
    )
    assert (baskets_of(source) == n_baskets).all()
    rows = played_rows(nothing, [Window(3, 5, 20), Window(EVERYTHING, 0, 20)], n_baskets, n_starts=4)
    known, wanted = rows.interests.toarray() > 0, rows.labels["products"].toarray() > 0
    last_known = np.where(known.any(axis=1), n_baskets - 1 - known[:, ::-1].argmax(axis=1), -1)
    assert (wanted.argmax(axis=1) > last_known).all() and wanted.any(axis=1).all()
    assert "categories" not in rows.labels
    assert len({tuple(row) for row in known}) > 6  # windows do start at different places


def test_scores_do_not_depend_on_later_baskets(
    events: pd.DataFrame, held_out: pd.Index, tables: tuple, task: transfer.NewUserTask
) -> None:
    later = events["user_id"].isin(held_out) & (events["basket_number"] > 2)
    corrupted = events.assign(item_id=events["item_id"].where(~later, 3))
    other = transfer.new_user_task(corrupted, held_out, *tables)
    rows = [newcomer_models.playing(each, PLAY)[0] for each in (task, other)]
    made = [InterestGenerator(LEARNING.contest).fit(part) for part in rows]
    for shares in (
        lambda each: newcomer_models.network_shares(
            newcomer_models.multi_task(each, PLAY, QUICK), each, 2, 40
        ),
        lambda each: newcomer_models.network_shares(
            newcomer_models.adversarial(each, PLAY, LEARNING.groups), each, 2, 40
        ),
        lambda each: borrowed.FactorModel(PLAY, 4, 1).fit(each).shares(each, 2),
        lambda each: made[each is other].shares(newcomers(each, 2, 40)),
    ):
        one, two = shares(task), shares(other)
        assert one.shape == (20, 40) and (one >= 0).all()
        np.testing.assert_allclose(one.sum(axis=1), 1.0)
        np.testing.assert_array_equal(one, two)


def test_lightfm_without_a_purchase_speaks_from_attributes_alone(task: transfer.NewUserTask) -> None:
    model = borrowed.FactorModel(PLAY, 4, 2).fit(task)
    shares, young = model.shares(task, 0), task.user_ids % 2 == 0
    assert (shares[young] == shares[young][0]).all() and (shares[~young] == shares[~young][0]).all()
    assert (shares[young][0] != shares[~young][0]).any()
    assert len(np.unique(model.shares(task, 2), axis=0)) > 2


def test_labels_of_the_newcomers_of_the_past_are_not_read(
    events: pd.DataFrame,
    held_out: pd.Index,
    tables: tuple,
    task: transfer.NewUserTask,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen: list[UserRows] = []

    def kept(head: str, rows: UserRows, judge: UserRows, how: Fitting, seed: int) -> newcomer_models.Trained:
        seen.append(rows)
        return trained(head, rows, judge, how, seed)

    trained = newcomer_models.train
    monkeypatch.setattr(newcomer_models, "train", kept)
    found = newcomer_models.adversarial(task, PLAY, LEARNING.groups)
    rows = seen[0]
    assert rows.group is not None and set(rows.group) == {0, 1}
    assert rows.labels["products"][rows.group == 1].nnz == 0
    assert rows.labels["products"][rows.group == 0].nnz > 0
    assert 0.0 <= found.told_apart <= 1.0


def test_a_blend_ends_in_own_purchases_and_in_what_is_borrowed(task: transfer.NewUserTask) -> None:
    popular = borrowed.popular_shares(task, 40)
    lists = borrowed.blended_lists(task, 2, popular, [0.0, 2.0, np.inf], k=5)
    own = task.own_counts(2).toarray()
    for user, shown in lists[0.0].groupby("user_id"):
        row = own[task.user_ids.get_loc(user)]
        np.testing.assert_array_equal(shown["score"], np.sort(row)[::-1][:5])
    assert (lists[np.inf].groupby("rank")["item_id"].nunique() == 1).all()
    middle = lists[2.0].set_index(["user_id", "item_id"])["score"]
    columns = task.source.item_ids.get_indexer(middle.index.get_level_values("item_id"))
    rows = task.user_ids.get_indexer(middle.index.get_level_values("user_id"))
    whole = own + 2.0 * np.pad(popular, ((0, 0), (0, own.shape[1] - 40)))
    np.testing.assert_allclose(middle, whole[rows, columns])
    assert (whole[rows, columns].reshape(-1, 5).min(axis=1) >= np.sort(whole, axis=1)[:, -5] - 1e-12).all()


def test_blends_are_ranked_as_if_every_product_had_been_scored(task: transfer.NewUserTask) -> None:
    shares = np.random.default_rng(1).integers(0, 3, (len(task.user_ids), 40)) / 60.0  # with ties, and zeros
    own = task.own_counts(2).toarray()
    assert own[:, 40:].any(), "some bought what nothing can be borrowed of"
    for strength, lists in borrowed.blended_lists(task, 2, shares, [0.0, 5.0, 60.0, np.inf], k=8).items():
        weights = (0.0, 1.0) if np.isinf(strength) else (1.0, strength)
        whole = weights[0] * own + weights[1] * np.pad(shares, ((0, 0), (0, own.shape[1] - 40)))
        pd.testing.assert_frame_equal(lists, ranked_lists(task.user_ids, whole, task.source.item_ids, 8))


def test_the_generator_makes_up_what_is_varied_and_depends_on_what_is_known() -> None:
    rng = np.random.default_rng(0)
    taste = rng.integers(0, 2, 600)
    bag, wanted = np.zeros((600, 20)), np.zeros((600, 20))
    bag[np.arange(600), 10 * taste + rng.integers(0, 10, 600)] = 3.0
    wanted[np.arange(600)[:, None], 10 * taste[:, None] + rng.integers(0, 10, (600, 4))] = 1.0
    rows = UserRows(sp.csr_matrix(bag), sp.csr_matrix((600, 0)), {"products": sp.csr_matrix(wanted)})
    made = InterestGenerator(Contest(4, 4, 32, 400)).fit(rows)
    shares = made.shares(rows)
    own_half = np.where(taste == 0, shares[:, :10].sum(axis=1), shares[:, 10:].sum(axis=1))
    assert own_half.mean() > 0.8
    diversity = made.diversity(rows)
    assert 0.4 < diversity.spread < 2.0 and diversity.spread_of_one > 0.1
    np.testing.assert_array_equal(shares, made.shares(rows))
    assert (made.draw(rows, 2, seed=0)[0] != made.draw(rows, 2, seed=0)[1]).any()


def test_epochs_to_a_level_and_when_it_pays_off() -> None:
    losses = {
        "nothing": [5.0, 3.0, 2.0, 4.0],
        "representation": [4.0, 2.0, 3.0, 3.0],
        "everything": [2.0, 1.0],
    }
    run = head_start.HeadStart(losses, n_rows=10)
    assert [run.rows_to_level(start) for start in losses] == [20.0, 10.0, 0.0]
    assert head_start.saved([run, run], "representation", seed=0).value == 0.5
    assert head_start.pays_off_after([run], "representation", n_rows_before=100) == 10.0
    never = head_start.HeadStart({**losses, "representation": [9.0, 9.0, 9.0, 9.0]}, n_rows=10)
    assert head_start.saved([never], "representation", seed=0).value == 1.5
    assert head_start.pays_off_after([never], "representation", 100) == np.inf


def test_starts_carry_over_what_they_say(task: transfer.NewUserTask) -> None:
    source = newcomer_models.multi_task(task, PLAY, QUICK)
    run = head_start.head_start(task, source, 40, replace(QUICK, n_epochs=1), seed=0)
    assert {name: len(losses) for name, losses in run.losses.items()} == dict.fromkeys(run.losses, 2)
    assert run.losses["everything"][0] != run.losses["representation"][0] != run.losses["nothing"][0]


@pytest.mark.parametrize("bare", [False, True])
def test_a_draw_is_judged_by_all_methods(
    bare: bool, events: pd.DataFrame, held_out: pd.Index, tables: tuple, task: transfer.NewUserTask
) -> None:
    """Also where the log has no times, no attributes, and no categories; twice the same."""
    if bare:
        users, items = tables[0][["user_id"]], tables[1].assign(category=None)
        ordered = events.drop(columns="timestamp").sort_values(
            ["user_id", "basket_number"], ignore_index=True
        )
        task = transfer.new_user_task(ordered, held_out, users, items)
    runs = [learned_transfer.learned_transfer(task, PLAY, LEARNING, [0, 1], [10.0, 40.0]) for _ in range(2)]
    pd.testing.assert_frame_equal(runs[0].ndcg, runs[1].ndcg)
    assert runs[0].diversity == runs[1].diversity and runs[0].starts == runs[1].starts
    assert runs[0].ndcg.groupby(["method", "baskets", "strength"]).ngroups == 7 * (1 + 3)


def test_two_halves_are_the_same_as_all_at_once(task: transfer.NewUserTask) -> None:
    learn = partial(learned_transfer.learned_transfer, task, PLAY, LEARNING, [0, 1], [10.0])
    whole = learn()
    halves = learned_transfer.joined([learn(methods=methods) for methods in learned_transfer.HALVES])
    pd.testing.assert_frame_equal(whole.ndcg, halves.ndcg)
    assert list(whole.networks) == list(halves.networks) and set(whole.seconds) == set(halves.seconds)
    assert whole.starts == halves.starts and len(whole.starts) > 0
    assert halves.diversity is not None and whole.diversity is not None
    assert vars(halves.diversity) == pytest.approx(vars(whole.diversity), rel=1e-9)


def test_own_history_is_left_out_where_it_only_misleads() -> None:
    """Judged where there is some: without any basket all strengths are the same."""
    rows = [("a", 0, np.inf, 0.9), ("a", 1, 2.0, 0.3), ("a", 1, np.inf, 0.2)]
    rows += [("b", 0, np.inf, 0.1), ("b", 1, 2.0, 0.1), ("b", 1, np.inf, 0.2)]
    tuning = pd.DataFrame(rows, columns=["method", "baskets", "strength", "ndcg"])
    assert learned_transfer.blended_best(tuning) == {"a": 2.0, "b": np.inf}
