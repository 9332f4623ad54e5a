"""Explanations are faithful: what is told happens when the evidence is taken away."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from interest_lib import explain_checks
from interest_lib.ease import EASE
from interest_lib.explain import explain
from interest_lib.explain_changes import told_changes, with_evidence
from interest_lib.explain_checks import faithfulness, removal_trial, without_evidence
from interest_lib.explain_parts import OTHERS
from interest_lib.factorisation import ALS
from interest_lib.history import History, history_before
from interest_lib.item_neighbours import ItemNeighbours
from interest_lib.recommend import NearestUsers, PersonalFrequency, ScoringRecommender
from interest_lib.schema import InputError

MODELS: dict[str, ScoringRecommender] = {
    "personal": PersonalFrequency(30.0),
    "neighbours": NearestUsers(30.0, n_neighbours=10, own_weight=0.7),
    "ease": EASE(ridge=10.0, half_life_days=30.0, n_items=40),
    "items": ItemNeighbours("bm25", n_neighbours=20, half_life_days=30.0),
    "items_once": ItemNeighbours(n_neighbours=20, binary=True),
}


@pytest.fixture(scope="module")
def history(shop: pd.DataFrame) -> History:
    return history_before(shop, pd.Timestamp("2017-05-20"))


@pytest.mark.parametrize("name", MODELS)
def test_one_reason_taken_away_takes_its_amount(history: History, name: str) -> None:
    model = MODELS[name].fit(history)
    told = explain(model, model.recommend([7], k=1), n_reasons=None).iloc[0]
    row = history.user_ids.get_indexer([7])
    source = (
        history.user_ids.get_indexer([told.source_user]),
        history.item_ids.get_indexer([told.source_item]),
    )
    col = history.item_ids.get_loc(told.item_id)
    before = model._scores(row)
    after = with_evidence(model, without_evidence(history, *source))._scores(row)
    assert told.amount > 0.01
    assert before[0, col] - after[0, col] == pytest.approx(told.amount, abs=1e-9)
    assert np.allclose(before - after, told_changes(model, row, *source).toarray(), rtol=0, atol=1e-9)
    assert np.array_equal(model._scores(row), before), "the model itself has changed"


@pytest.mark.parametrize("name", MODELS)
def test_ranks_are_those_foretold_while_the_weights_stay(history: History, name: str) -> None:
    model = MODELS[name].fit(history)
    cases = removal_trial(model, model.recommend(history.user_ids), random_state=2, n_cases=60)
    assert (cases["rank"] <= 10).all()
    assert (cases["rank_same_weights"] == cases["rank_told"]).all()
    assert (cases["rank_told"] > cases["rank"]).mean() > 0.5
    found = faithfulness(cases)
    assert found["dropped_named"] > found["dropped_other"]
    assert found["fall_named"] > found["fall_other"]


def test_ranks_before_are_those_of_the_lists(history: History) -> None:
    model = MODELS["neighbours"].fit(history)
    lists = model.recommend(history.user_ids)
    cases = removal_trial(model, lists, reason=OTHERS)
    listed = cases.merge(lists, on=["user_id", "item_id"])
    assert (listed["rank_x"] == listed["rank_y"]).all()
    assert np.allclose(listed["score_x"], listed["score_y"])
    assert set(cases["reason"]) == {OTHERS}
    assert not cases["user_id"].duplicated().any()


def test_personal_counts_are_exact_after_fitting_anew(history: History) -> None:
    cases = removal_trial(MODELS["personal"].fit(history), MODELS["personal"].recommend(history.user_ids))
    assert faithfulness(cases)[["same_weights", "refit", "dropped_named"]].tolist() == [1.0, 1.0, 1.0]
    assert np.allclose(cases["score"] - cases["score_refit"], cases["amount"])


def test_wrong_amounts_are_found_out(history: History, monkeypatch: pytest.MonkeyPatch) -> None:
    def halved(*args: object) -> object:
        return told_changes(*args) / 2

    model = MODELS["ease"].fit(history)
    monkeypatch.setattr(explain_checks, "told_changes", halved)
    cases = removal_trial(model, model.recommend(history.user_ids), n_cases=60)
    assert faithfulness(cases)["same_weights"] < 0.6


def test_the_control_takes_something_else_of_the_same_user(history: History) -> None:
    rows, cols = np.array([3, 5]), np.array([1, 2])
    others = explain_checks.other_items(history, rows, cols, np.random.default_rng(0))
    cells = set(zip(history.rows, history.cols, strict=True))
    assert (others != cols).all()
    assert all(cell in cells for cell in zip(rows, others, strict=True))
    one_item = replace(history, rows=np.zeros(2, int), cols=np.ones(2, int))
    assert explain_checks.other_items(one_item, np.array([0]), np.array([1]), np.random.default_rng(0)) == [1]


def test_a_history_without_evidence_keeps_everything_else(history: History) -> None:
    row, col = history.rows[0], history.cols[0]
    less = without_evidence(history, np.array([row]), np.array([col]))
    gone = (history.rows == row) & (history.cols == col)
    assert less.shape == history.shape
    assert less.item_ids.equals(history.item_ids)
    assert np.array_equal(less.age_days, history.age_days[~gone])
    assert len(less.rows) == len(history.rows) - gone.sum()


def test_what_cannot_be_foretold_is_said(history: History) -> None:
    als = ALS(n_factors=4).fit(history)
    with pytest.raises(InputError, match="do not tell what happens"):
        removal_trial(als, als.recommend([3]))
    with pytest.raises(InputError, match="No recommendation has a reason 'gossip'"):
        removal_trial(MODELS["ease"].fit(history), MODELS["ease"].recommend([3]), reason="gossip")
