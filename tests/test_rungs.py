"""Rungs of the ladder that learn: what they are made of."""

import pytest

from interest_lib import rungs
from interest_lib.forecasts import ShrunkShares
from interest_lib.markov_forecast import MarkovForecast
from interest_lib.share_models import KINDS
from interest_lib.share_rows import ShareRowStore

BASE = ShrunkShares(strength=20)


def test_all_rungs_correct_the_same_forecast_and_share_their_rows() -> None:
    learned = rungs.learners(BASE, random_state=7, n_epochs=3)
    assert tuple(learned) == rungs.LEARNED
    for name in ("loglinear", "softmax", "lstm"):
        settings = learned[name].get_params()
        assert settings["base"] is BASE
        assert (settings["n_epochs"], settings["patience"], settings["n_networks"]) == (3, rungs.PATIENCE, 1)
        assert settings["random_state"] == 7
    stores = {id(learned[kind].store) for kind in KINDS}
    assert len(stores) == 1 and learned["ridge"].store.base is BASE
    assert learned["loglinear"].rank == 0 < learned["softmax"].rank
    assert learned["markov_raw"].shrinkage == 0 < learned["markov"].shrinkage


@pytest.mark.parametrize("name", rungs.LEARNED)
def test_what_is_tuned_is_what_is_taken(name: str) -> None:
    assert rungs.TUNED[name], name
    model = rungs.learners(BASE)[name]
    taken = model.settings if name in KINDS else model.get_params()
    assert {key: taken[key] for key in rungs.TUNED[name]} == dict(rungs.TUNED[name])


def test_other_settings_win_over_what_is_fixed() -> None:
    chain = rungs.learner("markov", {"shrinkage": 3.0}, ShareRowStore(BASE))
    assert isinstance(chain, MarkovForecast) and chain.shrinkage == 3.0
    assert (
        rungs.learner("lstm", {"n_epochs": 2}, ShareRowStore(BASE), n_epochs=9).get_params()["n_epochs"] == 2
    )
