"""Planted half-lives beside those that are found."""

from dataclasses import replace

from interest_lib.marketplace import Marketplace
from interest_lib.recovery import marketplace_misfit, recovery


def test_recovery_puts_planted_and_found_side_by_side() -> None:
    small = Marketplace(n_users=150, n_items=100, n_categories=4, n_groups=2, events_per_user=300)
    larger = replace(small, seed=1, events_per_user=400)  # begun first, but told in the order asked for
    table = recovery([small, larger], n_resamples=9)
    assert table["seed"].tolist() == [2017] * 4 + [1] * 4
    assert table["events_per_user"].tolist() == [300] * 4 + [400] * 4
    assert (table["low_if_told"] < table["high_if_told"]).all()
    assert set(table["planted_half_life_days"]) >= {3.0, 90.0}


def test_the_misfit_is_quiet_where_interest_fades_and_loud_where_it_switches() -> None:
    small = Marketplace(n_users=300, n_items=400, n_categories=20, events_per_user=300)
    quiet = marketplace_misfit(small)["others_z"].abs().max()
    loud = marketplace_misfit(replace(small, generator="regimes"))["others_z"].abs().max()
    assert quiet < 4
    assert loud > 5
