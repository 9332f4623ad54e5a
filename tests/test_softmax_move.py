"""The softmax of low rank: gradients, what it contains, what it may read, and what it finds."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from interest_lib.forecasts import ShrunkShares
from interest_lib.migration import forecast_errors, perplexity
from interest_lib.move_rows import N_OWN, Rows, batches, rows_of
from interest_lib.moves import Move, move_at
from interest_lib.schema import InputError
from interest_lib.share_network import ShareHead
from interest_lib.softmax_move import SoftmaxMove

NAMES = [f"c{i}" for i in range(6)]
START = pd.Timestamp("2020-01-01")
BASE = ShrunkShares(half_life_days=20.0, strength=5.0)


def migrating(n_users: int = 150, seed: int = 0) -> pd.DataFrame:
    """Interest i is followed by interest i + 1: users stay in one for 28 days, then all go on."""
    draw = np.random.default_rng(seed)
    user = np.repeat(np.arange(n_users), 48)
    day = np.tile(np.arange(48) * 3.5, n_users)
    interest = (draw.integers(0, 6, n_users)[user] + day.astype(int) // 28) % 6
    astray = draw.random(len(user)) < 0.3
    interest = np.where(astray, draw.integers(0, 6, len(user)), interest)
    log = pd.DataFrame(
        {"user_id": user, "category": np.array(NAMES)[interest], "basket_id": np.arange(len(user))}
    )
    log["timestamp"] = START + pd.to_timedelta(day, "D")
    return log.assign(weight=1.0).sort_values("timestamp", ignore_index=True)


def moves_of(log: pd.DataFrame, days: tuple[int, ...] = (56, 84, 112, 140)) -> list[Move]:
    names = pd.Index(NAMES, name="category")
    return [move_at(log, START + pd.Timedelta(days=day), 28, interests=names) for day in days]


def made_rows(n: int = 3, n_interests: int = 4) -> Rows:
    draw = torch.Generator().manual_seed(1)
    log_base = torch.randn(n, n_interests, generator=draw).double().log_softmax(dim=1)
    own = torch.randn(n, n_interests, N_OWN, generator=draw).double()
    came = torch.rand(n, n_interests, generator=draw).double()
    number = torch.zeros(n, dtype=torch.int64)
    return Rows(
        log_base, log_base.flip(1), own, came / came.sum(dim=1, keepdim=True), torch.ones(n).double(), number
    )


@pytest.mark.parametrize("gate", [False, True])
def test_gradients_are_those_of_finite_differences(gate: bool) -> None:
    torch.manual_seed(0)
    head, rows = ShareHead(5, 4, 2, own=True, gate=gate).double(), made_rows()
    names, values = zip(*head.named_parameters(), strict=True)
    values = tuple((value + 0.3 * torch.randn_like(value)).detach().requires_grad_() for value in values)
    state = torch.randn(3, 5).double().requires_grad_()

    def loss(state: torch.Tensor, *values: torch.Tensor) -> torch.Tensor:
        log_shares = torch.func.functional_call(head, dict(zip(names, values, strict=True)), (rows, state))
        return -(rows.shares * log_shares).sum()

    assert torch.autograd.gradcheck(loss, (state, *values))


def test_the_product_is_what_is_written() -> None:
    torch.manual_seed(0)
    head, rows = ShareHead(5, 4, 2, own=False, gate=False).double(), made_rows()
    torch.nn.init.normal_(head.right)
    state = torch.randn(3, 5).double()
    q = (head.left @ head.right).detach()
    logits = rows.log_base + torch.stack([torch.stack([h1 @ q[:, j] for j in range(4)]) for h1 in state])
    assert torch.allclose(
        head(rows, state).detach(), torch.log(logits.exp() / logits.exp().sum(1, keepdim=True))
    )


def test_with_nothing_learned_the_forecast_is_the_base() -> None:
    earlier, now = moves_of(migrating(), (56, 84))
    found = SoftmaxMove(BASE, learning_rate=0.0, n_epochs=1).fit([earlier]).predict(now)
    np.testing.assert_allclose(found, BASE.predict(now), atol=1e-6)


@pytest.mark.parametrize("gate", [False, True])
def test_planted_migration_is_found_and_its_rank_matters(gate: bool) -> None:
    *earlier, now = moves_of(migrating())

    def misfit(model: SoftmaxMove | ShrunkShares) -> float:
        forecast = model.fit(earlier).predict(now)
        np.testing.assert_allclose(forecast.sum(axis=1), 1.0)
        assert forecast.shape == now.shape and (forecast > 0).all()
        return perplexity(forecast_errors(forecast, now.future))

    learned = SoftmaxMove(BASE, own=False, gate=gate, half_lives_days=(10.0,))
    stays, moves = misfit(BASE), misfit(learned)
    assert moves < 0.75 * stays
    assert misfit(learned.set_params(rank=0)) > 1.2 * moves, "without Q nothing can move"


def test_the_bare_model_needs_no_base_and_finds_it_too() -> None:
    *earlier, now = moves_of(migrating())
    bare = SoftmaxMove(None, own=False, half_lives_days=(10.0,)).fit(earlier).predict(now)
    assert perplexity(forecast_errors(bare, now.future)) < 0.75 * perplexity(
        forecast_errors(BASE.predict(now), now.future)
    )


def test_the_population_stays_where_the_base_has_it() -> None:
    log = migrating()
    season = log[(log["timestamp"] >= START + pd.Timedelta(days=84)) & (log["user_id"] < 100)]
    many = pd.concat([log, season.assign(category="c0", basket_id=season["basket_id"] + 10**6)])
    *earlier, now = moves_of(many.sort_values("timestamp", ignore_index=True), (56, 84))
    found = SoftmaxMove(BASE).fit(earlier).predict(now)
    np.testing.assert_allclose(found.mean(axis=0), BASE.predict(now).mean(axis=0), rtol=1e-3)


def test_neither_the_future_nor_the_order_of_rows_is_read_and_the_same_input_gives_the_same_bytes() -> None:
    *earlier, now = moves_of(migrating())
    model = SoftmaxMove(BASE, n_epochs=4)
    found = model.fit(earlier).predict(now)
    drawn = np.random.default_rng(0)
    corrupt = replace(now, future=drawn.random(now.shape) * 100)
    assert model.predict(corrupt).tobytes() == found.tobytes()
    torch.manual_seed(99)
    assert SoftmaxMove(BASE, n_epochs=4).fit(earlier).predict(now).tobytes() == found.tobytes()
    assert (
        SoftmaxMove(BASE, n_epochs=4, random_state=1).fit(earlier).predict(now).tobytes() != found.tobytes()
    )
    mixed = replace(now, events=now.events.sample(frac=1, random_state=0))
    assert model.predict(mixed).tobytes() == found.tobytes()


def test_where_nothing_fades_the_order_of_visits_tells_a_state_nothing() -> None:
    *earlier, now = moves_of(migrating())
    model = SoftmaxMove(ShrunkShares(strength=5.0), own=False, half_lives_days=(None,), n_epochs=4).fit(
        earlier
    )
    ages = now.signs.groupby("user")["age_days"].transform(lambda each: each.to_numpy()[::-1])
    turned = replace(now, signs=now.signs.assign(age_days=ages))
    np.testing.assert_allclose(model.predict(turned), model.predict(now), atol=1e-9)


def test_own_history_tells_about_one_user_not_about_all() -> None:
    moves = moves_of(migrating(), (56, 84))
    rows = rows_of(moves, [BASE.predict(move) for move in moves])
    assert rows.own.shape == (300, 6, N_OWN) and rows.move.tolist() == [0] * 150 + [1] * 150
    assert float(rows.own[:150].mean(dim=0).abs().max()) < 1e-5
    assert float(rows.own[150:].std()) > 0.1
    places = np.array([3, 200])
    assert torch.equal(rows[places].shares, rows.shares[[3, 200]])
    came = torch.from_numpy(moves[1].next_shares).float()
    assert torch.allclose(rows.shares[150:], came)


def test_batches_hold_everybody_once() -> None:
    sizes = np.random.default_rng(0).integers(0, 50, 103)
    parts = list(batches(np.arange(103), sizes, 10, np.random.default_rng(1)))
    assert sorted(np.concatenate(parts)) == list(range(103))
    assert np.mean([np.ptp(sizes[part]) for part in parts]) < 25 < np.ptp(sizes)


def test_what_cannot_be_learned_from_is_refused() -> None:
    earlier, now = moves_of(migrating(20), (56, 84))
    with pytest.raises(InputError, match="no moves"):
        SoftmaxMove(BASE).fit([])
    with pytest.raises(InputError, match="not known"):
        SoftmaxMove(BASE).fit([replace(earlier, future=None)])
    other = replace(now, interests=now.interests[::-1])
    with pytest.raises(InputError, match="other interests"):
        SoftmaxMove(BASE, n_epochs=1).fit([earlier]).predict(other)
    few = earlier.of_users(np.arange(1))
    assert SoftmaxMove(BASE, n_epochs=1).fit([few]).predict(now).shape == now.shape
