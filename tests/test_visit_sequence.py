"""Visits in order and the LSTM over them: what is read and what is not, gradients, and order that matters."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from interest_lib.forecasts import ShrunkShares
from interest_lib.migration import forecast_errors, perplexity
from interest_lib.move_rows import rows_of
from interest_lib.moves import Move, move_at
from interest_lib.schema import InputError
from interest_lib.visit_network import VisitData, VisitNetwork
from interest_lib.visit_sequence import VisitForecast
from interest_lib.visit_table import VISIT_FEATURES, kinds_of, visits_of

NAMES = [f"c{i}" for i in range(6)]
START = pd.Timestamp("2020-01-01")
BASE = ShrunkShares(strength=5.0)


def ordered(n_users: int = 150, seed: int = 0) -> pd.DataFrame:
    """Three interests in a drawn order, one a fortnight: the one after the last is what comes in the next."""
    draw = np.random.default_rng(seed)
    user = np.repeat(np.arange(n_users), 40)
    day = np.tile(np.arange(40) * 3.5, n_users)
    first, step = draw.integers(0, 6, n_users), draw.choice([1, 5], n_users)
    interest = (first[user] + step[user] * (day.astype(int) // 14)) % 6
    log = pd.DataFrame(
        {"user_id": user, "category": np.array(NAMES)[interest], "basket_id": np.arange(len(user))}
    )
    log["timestamp"] = START + pd.to_timedelta(day, "D")
    log["event"] = np.where(draw.random(len(log)) < 0.7, "purchase", "view")
    return log.assign(weight=1.0, item_id=interest).sort_values("timestamp", ignore_index=True)


def moves_of(log: pd.DataFrame, days: tuple[int, ...] = (42, 70, 98)) -> list[Move]:
    names, users = pd.Index(NAMES, name="category"), pd.Index(np.sort(log["user_id"].unique()))
    return [move_at(log, START + pd.Timedelta(days=day), 14, users, names) for day in days]


def network(n_kinds: int = 2, gate: bool = True) -> VisitNetwork:
    torch.manual_seed(0)
    start = torch.full((6,), -1.8)
    made = VisitNetwork(len(VISIT_FEATURES) + n_kinds, n_kinds, start, 3, True, gate, 4, 5, 0.5)
    torch.nn.init.normal_(made.head.right)
    return made


def written() -> Move:
    log = pd.DataFrame(
        {
            "user_id": [1, 1, 1, 1, 2],
            "basket_id": [1, 1, 1, 2, 3],
            "item_id": [7, 7, 8, 7, 7],
            "category": ["tea", "tea", "milk", "tea", "tea"],
            "event": ["view", "purchase", "purchase", "purchase", "purchase"],
            "timestamp": pd.to_datetime(
                [
                    "2020-01-06 06:00",
                    "2020-01-06 06:30",
                    "2020-01-06 06:40",
                    "2020-01-09 12:00",
                    "2020-01-09 12:00",
                ]
            ),
            "quantity": [np.nan, 1.0, 2.0, 1.0, 1.0],
            "value": [np.nan, 4.0, 3.0, 2.0, 4.0],
            "weight": 1.0,
        }
    )
    return move_at(
        log, pd.Timestamp("2020-01-10"), 0, pd.Index([0, 1, 2]), pd.Index(["milk", "tea"], name="category")
    )


def test_visits_are_what_happened() -> None:
    move = written()
    kinds = kinds_of([move])
    visits = visits_of(move, 10, kinds)
    assert kinds == ["purchase", "view"]
    assert visits.length.tolist() == [0, 2, 1] and visits.start.tolist() == [0, 0, 2]
    assert visits.interest.tolist() == [0, 1, 1, 1, 1] and visits.kind.tolist() == [0, 0, 1, 0, 0]
    assert visits.cell_start.tolist() == [0, 3, 4, 5]
    table = pd.DataFrame(visits.features, columns=[*VISIT_FEATURES, *kinds])
    assert np.expm1(table["value"]).round(6).tolist() == [7, 2, 4]
    assert np.expm1(table["quantity"]).round(6).tolist() == [3, 1, 1]
    assert np.expm1(table["purchase"]).round(6).tolist() == [2, 1, 1]
    assert np.expm1(table["view"]).round(6).tolist() == [1, 0, 0]
    assert table["discount"].tolist() == [0, 1, 0], "a price of 2 where 4 is usual"
    assert np.expm1(table["gap"]).round(2).tolist() == [0, 3.25, 0]
    assert np.expm1(table["age"]).round(2).tolist() == [3.75, 0.5, 0.5]
    assert table["hour_sin"].round(6).tolist() == [1, 0, 0] and table["weekday_cos"].round(6)[0] == 1


def test_the_newest_visits_are_kept_and_logs_without_prices_or_kinds_have_visits() -> None:
    move = written()
    last = visits_of(move, 1, kinds_of([move]))
    assert last.length.tolist() == [0, 1, 1] and np.expm1(last.features[:, 1]).round(2).tolist() == [0.5, 0.5]
    plain = replace(move, events=move.events.drop(columns=["value", "quantity", "event", "item_id"]))
    visits = visits_of(plain, 10, kinds_of([plain]))
    assert visits.length.tolist() == [0, 2, 1] and np.isfinite(visits.features).all()
    nothing = visits_of(replace(move, events=move.events.iloc[:0]), 10, ["purchase"])
    assert nothing.length.tolist() == [0, 0, 0] and nothing.features.shape == (0, len(VISIT_FEATURES) + 1)


def test_padding_changes_nothing_and_users_without_visits_have_a_state() -> None:
    move = written()
    data, rows = VisitData([visits_of(move, 10, kinds_of([move]))]), rows_of([move], [BASE.predict(move)])
    torch.manual_seed(0)
    made = VisitNetwork(len(VISIT_FEATURES) + 2, 2, torch.zeros(2), 3, True, True, 4, 5, 0.5).eval()
    together = made(rows, data[np.arange(3)])[0]
    alone = [made(rows[np.array([i])], data[np.array([i])])[0] for i in range(3)]
    assert torch.allclose(together, torch.cat(alone), atol=1e-6) and together.isfinite().all()


@pytest.mark.parametrize("gate", [False, True])
def test_gradients_reach_every_parameter_and_are_those_of_finite_differences(gate: bool) -> None:
    moves = moves_of(ordered(4), (42,))
    places = np.arange(4)
    visits = VisitData([visits_of(moves[0], 6, ["purchase", "view"])])[places]
    made, rows = network(gate=gate).double(), rows_of(moves, [BASE.predict(moves[0])])
    columns = ("log_base", "log_population", "own", "shares", "weight")
    rows = replace(rows, **{name: getattr(rows, name).double() for name in columns})
    names = ("features", "amount", "last")
    visits = replace(visits, **{name: getattr(visits, name).double() for name in names})
    log_shares, side = made(rows, visits)
    loss = -(rows.shares * log_shares).sum() + side
    loss.backward()
    step = 1e-6
    for name, value in made.named_parameters():
        if name == "head.gate" and not gate:
            continue
        assert value.grad is not None and value.grad.abs().max() > 0, name
        place = int(value.grad.abs().argmax())
        shifted = []
        for sign in (1, -1):
            with torch.no_grad():
                value.view(-1)[place] += sign * step
                again, more = made(rows, visits)
                shifted.append(float(-(rows.shares * again).sum() + more))
                value.view(-1)[place] -= sign * step
        expected = (shifted[0] - shifted[1]) / (2 * step)
        assert float(value.grad.view(-1)[place]) == pytest.approx(expected, rel=1e-4), name


def test_a_visit_is_foretold_from_the_visits_before_it_alone() -> None:
    moves = moves_of(ordered(4), (42,))
    visits = VisitData([visits_of(moves[0], 6, ["purchase", "view"])])[np.arange(4)]
    made, rows = network(), rows_of(moves, [BASE.predict(moves[0])])
    last = visits.step == visits.length[visits.row] - 1
    assert last.sum() == 4
    changed = replace(visits, features=visits.features + 3.0 * last[:, None])
    (shares, side), (others, same) = made(rows, visits), made(rows, changed)
    assert torch.equal(side, same) and not torch.equal(shares, others)
    earlier = replace(visits, features=visits.features + 3.0 * (~last)[:, None])
    assert not torch.equal(made(rows, earlier)[1], side)


def small(**settings: object) -> VisitForecast:
    return VisitForecast(BASE, **{"n_last": 30, "n_hidden": 24, "n_networks": 1, "n_epochs": 25, **settings})


def test_order_is_learned_where_only_order_tells() -> None:
    *earlier, now = moves_of(ordered(400))
    model = small(own=False, n_epochs=40, patience=8).fit(earlier)
    found = model.predict(now)
    np.testing.assert_allclose(found.sum(axis=1), 1.0)
    stays = perplexity(forecast_errors(BASE.predict(now), now.future))
    assert perplexity(forecast_errors(found, now.future)) < 0.5 * stays
    ages = now.events.groupby("user")["age_days"].transform(lambda each: each.to_numpy()[::-1])
    turned = replace(now, events=now.events.assign(age_days=ages))
    assert perplexity(forecast_errors(model.predict(turned), now.future)) > stays, (
        "another order, another end"
    )


def test_a_coupon_that_tells_what_comes_is_read_and_not_where_it_is_left_out() -> None:
    draw = np.random.default_rng(1)
    user, day = np.repeat(np.arange(150), 30), np.tile(np.arange(30) * 4.0, 150)
    has_coupon = draw.random((150, 9)) < 0.5  # in each fortnight; it tells of the next one
    fortnight = (day // 14).astype(int)
    told = has_coupon[user, np.maximum(fortnight - 1, 0)].astype(int)
    log = pd.DataFrame(
        {"user_id": user, "category": np.array(NAMES)[told], "basket_id": np.arange(len(user))}
    )
    log["timestamp"] = START + pd.to_timedelta(day, "D")
    log["coupon_value"] = np.where(has_coupon[user, fortnight], 0.5, 0.0)
    log = log.assign(weight=1.0, item_id=told, event="purchase").sort_values("timestamp", ignore_index=True)
    *earlier, now = moves_of(log)
    errors = [
        perplexity(forecast_errors(small(without=without).fit(earlier).predict(now), now.future))
        for without in ((), ("coupons",))
    ]
    assert errors[0] < 1.3 and errors[1] > 1.9, errors


def test_the_future_is_not_read_and_the_same_input_gives_the_same_bytes() -> None:
    *earlier, now = moves_of(ordered(60))
    model = small(n_epochs=3)
    found = model.fit(earlier).predict(now)
    assert found.shape == now.shape and (found > 0).all()
    np.testing.assert_allclose(found.mean(axis=0), BASE.predict(now).mean(axis=0), rtol=1e-3)
    corrupt = replace(now, future=np.random.default_rng(0).random(now.shape) * 100)
    assert model.predict(corrupt).tobytes() == found.tobytes()
    torch.manual_seed(99)
    assert small(n_epochs=3).fit(earlier).predict(now).tobytes() == found.tobytes()
    assert small(n_epochs=3, random_state=1).fit(earlier).predict(now).tobytes() != found.tobytes()
    new_kind = now.events.assign(event=now.events["event"].where(now.events["event"] != "view", "review"))
    assert np.isfinite(model.predict(replace(now, events=new_kind))).all(), "kinds never seen are left out"
    with pytest.raises(InputError, match="other interests"):
        model.predict(replace(now, interests=now.interests[::-1]))
    mixed = replace(now, events=now.events.sample(frac=1, random_state=0))
    assert model.predict(mixed).tobytes() == found.tobytes()
