"""All rungs side by side: the same bytes on one process and on two, and no look at what comes."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from interest_lib.forecasts import ShrunkShares, scored
from interest_lib.ladder import foretold, scores, squared_errors
from interest_lib.moves import Move, move_at
from interest_lib.schema import InputError
from interest_lib.share_models import ShareRegression
from interest_lib.share_rows import ShareRowStore


@pytest.fixture(scope="module")
def moves(shop: pd.DataFrame) -> list[Move]:
    log = shop.assign(category="c" + (shop["item_id"] % 12).astype(str).str.zfill(2), weight=1.0)
    start = log["timestamp"].min()
    return [move_at(log, start + pd.Timedelta(days=days), 28) for days in (84, 112)]


def rungs() -> dict[str, object]:
    store = ShareRowStore()
    return {
        "pooled": ShrunkShares(),
        "ridge": ShareRegression("ridge", store=store),
        "fast": ShrunkShares(half_life_days=7),
        "tree": ShareRegression("tree", store=store, settings={"min_samples_leaf": 20}),
    }


class Fortune:
    """Says what it is told, which nobody may be told."""

    def fit(self, moves: list[Move]) -> "Fortune":
        return self

    def predict(self, move: Move) -> np.ndarray:
        return np.zeros(move.shape) if move.future is None else move.next_shares


def test_two_processes_say_what_one_says_in_the_order_of_the_models(moves: list[Move]) -> None:
    alone, together = (foretold(rungs(), moves[:1], moves[1], n_jobs) for n_jobs in (1, 2))
    assert list(alone) == list(together) == ["pooled", "ridge", "fast", "tree"]
    for name, forecast in alone.items():
        assert forecast.tobytes() == together[name].tobytes(), name
        expected = rungs()[name].fit(moves[:1]).predict(moves[1])
        np.testing.assert_array_equal(forecast, expected, name)


def test_models_are_copied_and_see_nothing_of_the_future(moves: list[Move]) -> None:
    model = ShareRegression("ridge")
    found = foretold({"ridge": model, "fortune": Fortune()}, moves[:1], moves[1])
    assert not hasattr(model, "model_")
    assert found["fortune"].sum() == 0
    other = replace(moves[1], future=np.full(moves[1].shape, np.nan))
    np.testing.assert_array_equal(found["ridge"], foretold({"ridge": model}, moves[:1], other)["ridge"])


def test_errors_by_user_have_the_mean_that_scores_tell(moves: list[Move]) -> None:
    forecasts = {"pooled": ShrunkShares().predict(moves[1]), "even": np.full(moves[1].shape, 1 / 12)}
    errors = squared_errors(forecasts, moves[1])
    assert errors.index.equals(moves[1].user_ids.rename(None))
    table = scores(forecasts, moves[1])
    np.testing.assert_allclose(errors.mean(), table["sse1000"])
    assert table.loc["even"].to_dict() == scored(forecasts["even"], moves[1])
    place = 3
    came = moves[1].future[place] / moves[1].future[place].sum()
    assert errors["even"].iloc[place] == pytest.approx(1000 * ((1 / 12 - came) ** 2).sum())
    with pytest.raises(InputError, match="is not known"):
        squared_errors(forecasts, replace(moves[1], future=None))
