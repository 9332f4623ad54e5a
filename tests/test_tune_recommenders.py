"""The search for settings of recommenders: equal budgets, two scores lead in turns, no look at the test."""

import importlib
from functools import partial
from pathlib import Path
from types import ModuleType

import numpy as np
import optuna
import pandas as pd
import pytest

from interest_lib.contenders import Maker, contenders

BENCHMARKS = Path(__file__).resolve().parents[1] / "benchmarks"
ITEMS = pd.DataFrame({"item_id": ["a"], "category": ["tea"], "title": ["green tea"]})


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    tune = importlib.import_module("tune_recommenders")
    monkeypatch.setattr(tune, "complete_journey_promotions", lambda: None)
    return tune


def makers_of(script: ModuleType) -> dict[str, Maker]:
    return contenders(ITEMS, None, script.HALF_LIFE) | {
        "ranker": partial(script.ranker_of, ITEMS, None, {}, 1)
    }


def test_every_contender_has_a_space_that_holds_what_it_starts_from(script: ModuleType) -> None:
    makers = makers_of(script)
    assert set(script.SPACES) == set(makers)
    search = script.search_of(makers)
    for name, space in search.spaces.items():
        for setting, distribution in space.items():
            value = search.first[name][setting]
            assert distribution._contains(distribution.to_internal_repr(value)), (name, setting, value)


def test_what_is_tried_fits_the_models(script: ModuleType) -> None:
    makers = makers_of(script)
    search = script.search_of(makers)
    for name in search.spaces:
        done = [search.first[name] | {"ndcg10.all": 0.1, "ndcg10.novel": 0.1}]
        makers[name](**script.tuning.next_settings(search, name, done, seed=1))


def test_the_ranker_takes_what_is_tried(script: ModuleType) -> None:
    model = makers_of(script)["ranker"](n_trees=7, negative_share=0.2)
    assert model.settings["all"] == model.settings["novel"]
    assert (model.settings["all"]["n_trees"], model.settings["all"]["negative_share"]) == (7, 0.2)
    assert set(model.settings["all"]) == set(script.SPACES["ranker"])


def test_two_scores_lead_the_search_in_turns(script: ModuleType) -> None:
    """After twelve trials `all` leads and after thirteen `novel`: the other score changes nothing."""
    search = script.search_of(makers_of(script))
    rng = np.random.default_rng(1)
    done = [
        {"ridge": float(r), "half_life_days": 90.0, "ndcg10.all": s, "ndcg10.novel": -s}
        for r, s in zip(rng.uniform(10, 3000, 13), rng.uniform(size=13), strict=True)
    ]
    for n, silent in ((12, "ndcg10.novel"), (13, "ndcg10.all")):
        past = done[:n]
        changed = [row | {silent: rng.uniform()} for row in past]
        asked = [script.tuning.next_settings(search, "ease", rows, seed=1) for rows in (past, changed)]
        assert asked[0] == asked[1]
    loud = [row | {"ndcg10.all": rng.uniform()} for row in done[:12]]
    asked = [script.tuning.next_settings(search, "ease", rows, seed=1) for rows in (done[:12], loud)]
    assert asked[0] != asked[1]


def test_nothing_from_the_test_origin_on_is_seen(script: ModuleType) -> None:
    days = pd.date_range("2017-01-01", "2018-01-01", freq="D")
    log = pd.DataFrame({"user_id": 1, "item_id": "a", "timestamp": days})
    log = pd.concat([log.assign(user_id=n) for n in range(6)]).sort_values("timestamp", ignore_index=True)
    fold = script.validation_fold(log)
    assert fold.label == "2017-11-06" < script.TEST
    after = log["timestamp"] >= pd.Timestamp(script.TEST)
    changed = script.validation_fold(log.assign(item_id=log["item_id"].where(~after, "b")))
    pd.testing.assert_frame_equal(fold.targets, changed.targets)
