"""What is planted in a synthetic marketplace: tastes, transitions, fading, the funnel, seasons and users."""

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np
import pandas as pd

from interest_lib.curves import CURVES, curve_share
from interest_lib.marketplace_catalogue import Catalogue, make_catalogue
from interest_lib.marketplace_settings import Floats, Ints, Marketplace

GENDERS: Final = ("female", "male")
AGES: Final = ("18-24", "25-34", "35-44", "45-54", "55-64", "65+")
REGIONS: Final = ("centre", "east", "north", "south", "west")
SEGMENT: Final = len(GENDERS) * len(AGES)  # segments of users within a group


@dataclass(frozen=True)
class World:
    """Everything planted.

    Attributes
    ----------
    settings, catalogue
    taste : ndarray of float, shape (2, n_segments, n_categories)
        Share of the categories by era (before and after the global change) and `segment` of users.
    transition : ndarray of float, shape (2, n_categories, n_categories)
        The planted matrix, by era.
    gender_sign, age_sign : ndarray of int, one a category
        +1 where women (the oldest) like it more, -1 where less.
    popular : int
        The category whose popularity changes.
    change_day : float
        Day of the global change.
    curve : ndarray of int, half_life_days, repeat_share, cart_share, purchase_share : ndarray of float
        One a category.
    day_factor : ndarray of float, one a day
        Weekday and year, mean 1.
    users : DataFrame
        One row per user, in the order of the ids; days count from the start of the log.
    visit_rate : float
        Mean number of visits per user and day.
    episode_rate : float
        Mean number of new episodes per user and day.
    visit_mix : ndarray of float, one a category
        Share of the visits to expect before the global change.
    """

    settings: Marketplace
    catalogue: Catalogue
    taste: Floats
    transition: Floats
    gender_sign: Ints
    age_sign: Ints
    popular: int
    change_day: float
    curve: Ints
    half_life_days: Floats
    repeat_share: Floats
    cart_share: Floats
    purchase_share: Floats
    day_factor: Floats
    users: pd.DataFrame
    visit_rate: float
    episode_rate: float
    visit_mix: Floats


def segment(group: Ints, gender: Ints, age: Ints) -> Ints:
    """Number of the segment with one taste: group, then gender, then age band."""
    return (group * len(GENDERS) + gender) * len(AGES) + age


@lru_cache(maxsize=1)
def make_world(settings: Marketplace) -> World:
    """Plant everything; the same settings give the same world in every process."""
    seeds = np.random.SeedSequence(settings.seed, spawn_key=(0,)).spawn(3)
    rng, c = np.random.default_rng(seeds[0]), settings.n_categories
    gender_sign, age_sign = (rng.permutation(np.arange(c) % 3 - 1) for _ in range(2))
    popular = int(rng.integers(c))
    taste = _tastes(settings, gender_sign, age_sign, popular, rng)
    transition = _transitions(settings, rng)
    curve, half_life_days = _fading(settings, rng)
    mix = _steady_mix(settings, taste[0], transition[0])
    per_visit, cart_share, purchase_share = _funnel(settings, mix, rng)
    users, day_factor = _make_users(settings, np.random.default_rng(seeds[1])), _day_factor(settings)
    visit_rate, episode_rate = _rates(settings, users, day_factor, mix, curve, half_life_days, per_visit)
    return World(
        settings=settings,
        catalogue=make_catalogue(settings, np.random.default_rng(seeds[2])),
        taste=taste,
        transition=transition,
        gender_sign=gender_sign,
        age_sign=age_sign,
        popular=popular,
        change_day=settings.global_change_at * settings.days if settings.global_change_at < 1 else math.inf,
        curve=curve,
        half_life_days=half_life_days,
        repeat_share=rng.permutation(np.linspace(*settings.repeat_share, c)),
        cart_share=cart_share,
        purchase_share=purchase_share,
        day_factor=day_factor,
        users=users,
        visit_rate=visit_rate,
        episode_rate=episode_rate,
        visit_mix=mix,
    )


def _tastes(
    settings: Marketplace, gender_sign: Ints, age_sign: Ints, popular: int, rng: np.random.Generator
) -> Floats:
    groups, c = settings.n_groups, settings.n_categories
    general = rng.dirichlet(np.full(c, 5.0))
    own = np.zeros((groups, c))
    own[np.arange(c) % groups, rng.permutation(c)] = rng.uniform(0.5, 1.5, c)
    taste = settings.focus_share * own / own.sum(axis=1, keepdims=True) + (1 - settings.focus_share) * general
    gender = settings.gender_log_odds * np.array([0.5, -0.5])[:, None] * gender_sign
    age = settings.age_log_odds * np.linspace(-0.5, 0.5, len(AGES))[:, None] * age_sign
    shift = np.exp(gender[:, None, :] + age)
    by_era = np.stack([np.ones(c), np.where(np.arange(c) == popular, settings.popularity_factor, 1.0)])
    odds = by_era[:, None, None, None, :] * taste[:, None, None, :] * shift
    return (odds / odds.sum(axis=-1, keepdims=True)).reshape(2, groups * SEGMENT, c)


def _transitions(settings: Marketplace, rng: np.random.Generator) -> Floats:
    """Rows with three successors each (0.5, 0.3, 0.1); the remaining tenth is spread over all categories."""
    c = settings.n_categories
    before, after = (_successors(c, rng) for _ in range(2))
    changed = rng.permutation(c) < round(settings.changed_rows_share * c)
    return np.stack([before, np.where(changed[:, None], after, before)])


def _successors(c: int, rng: np.random.Generator) -> Floats:
    matrix = np.full((c, c), 0.1 / c)
    for share in (0.5, 0.3, 0.1):  # a permutation each, so that no category is left out
        matrix[np.arange(c), rng.permutation(c)] += share
    return matrix


def _fading(settings: Marketplace, rng: np.random.Generator) -> tuple[Ints, Floats]:
    """Curves in turn along the half-lives, so that every family has short and long ones."""
    c = settings.n_categories
    families = np.array([CURVES.index(curve) for curve in settings.curves])
    order = rng.permutation(c)
    return families[order % len(families)], np.geomspace(*settings.half_life_days, c)[order]


def _steady_mix(settings: Marketplace, taste: Floats, transition: Floats) -> Floats:
    share = taste
    for _ in range(60):
        share = settings.transition_share * share @ transition + (1 - settings.transition_share) * taste
    if settings.generator == "regimes":
        share = settings.regime_share * share + (1 - settings.regime_share) * taste
    return share.mean(axis=0)


def _funnel(settings: Marketplace, mix: Floats, rng: np.random.Generator) -> tuple[float, Floats, Floats]:
    """Events per visit, and the probabilities of cart and purchase by category."""
    c = settings.n_categories
    cart = np.minimum(settings.cart_share * rng.permutation(np.linspace(0.6, 1.4, c)), 1.0)
    purchase = np.minimum(settings.purchase_share * rng.permutation(np.linspace(0.8, 1.2, c)), 1.0)
    later = [
        share * _in_time(delay_days / settings.days)
        for share, delay_days in (
            (settings.review_share, settings.review_delay_days),
            (settings.return_share, settings.return_delay_days),
        )
    ]
    bought = cart * purchase * (1 + sum(later))
    return settings.search_share + settings.views_per_visit * float(mix @ (1 + cart + bought)), cart, purchase


def _in_time(delay: float) -> float:
    """Share of what follows purchases that comes before the end of the log; the mean delay in its lengths."""
    return 1 + delay * math.expm1(-1 / delay)


def _day_factor(settings: Marketplace) -> Floats:
    days = pd.date_range(settings.start, periods=settings.days)
    week = np.array(settings.weekday_weights)[days.day_of_week]
    wave = np.cos(2 * np.pi * (days.day_of_year.to_numpy() - settings.year_peak_day) / 365.25)
    factor = week * (1 + settings.year_amplitude * wave)
    return factor / factor.mean()


def _make_users(settings: Marketplace, rng: np.random.Generator) -> pd.DataFrame:
    n, groups, days = settings.n_users, settings.n_groups, settings.days
    group = rng.permutation(n) % groups
    joined = np.where(
        rng.random(n) < settings.new_user_share, rng.uniform(0, days, n), -1.0 * settings.warm_up_days
    )
    left = days - np.maximum(joined, 0)
    move, takeover = (days - left * rng.uniform(0.3, 0.7, n) for _ in range(2))
    return pd.DataFrame(
        {
            "user_id": np.arange(1, n + 1),
            "group": group,
            "gender": rng.integers(len(GENDERS), size=n),
            "age": rng.integers(len(AGES), size=n),
            "region": rng.integers(len(REGIONS), size=n),
            "joined": joined,
            "activity": rng.gamma(settings.activity_shape, 1 / settings.activity_shape, n),
            "move_day": np.where(rng.random(n) < settings.moving_user_share, move, np.inf),
            "group_after": (group + rng.integers(1, groups, n)) % groups,
            "takeover_day": np.where(rng.random(n) < settings.takeover_share, takeover, np.inf),
            "takeover_group": (group + rng.integers(1, groups, n)) % groups,
            "knows_gender": rng.random(n) >= settings.unknown_share,
            "knows_age": rng.random(n) >= settings.unknown_share,
        }
    )


def _rates(
    settings: Marketplace,
    users: pd.DataFrame,
    factor: Floats,
    mix: Floats,
    curve: Ints,
    half_life_days: Floats,
    per_visit: float,
) -> tuple[float, float]:
    """Visits and new episodes per user and day that give the mean number of events asked for.

    Of episodes begun at s, ``follow_ups`` times ``F(days - s) - F(-s)`` later visits fall into the log; its
    integral over s comes from the integral of F. Who comes late has seen part of the seasons only.
    """
    visits = settings.events_per_user / per_visit
    joined, days = users["joined"].to_numpy(), settings.days
    taken = np.minimum(users["takeover_day"].to_numpy(), days)
    begun, end = np.maximum(joined, 0), np.full(len(users), float(days))
    season = _mean_factor(factor, begun, taken)
    season_after = settings.takeover_rate_factor * _mean_factor(factor, taken, end)
    lengths = season * (taken - begun) + season_after * (end - taken)
    if settings.generator == "regimes":
        return visits / float(lengths.mean()), 1 / settings.sojourn_days
    grid = np.linspace(0, settings.warm_up_days + days, 4001)
    middle = (grid[1:] + grid[:-1]) / 2
    shares = [
        curve_share(np.full(len(middle), family), middle / half_life)
        for family, half_life in zip(curve, half_life_days, strict=True)
    ]
    reached = np.concatenate([[0.0], np.cumsum(mix @ np.array(shares) * np.diff(grid))])

    def integral(length: Floats) -> Floats:
        return np.interp(length, grid, reached)

    owner = integral(taken - joined) - integral(np.maximum(-joined, 0))
    follow_ups = season * owner + season_after * integral(end - taken)
    per_rate = lengths / factor.max() + settings.follow_ups * follow_ups
    rate = visits / float(per_rate.mean())
    return rate * (1 / factor.max() + settings.follow_ups), rate


def _mean_factor(factor: Floats, begin: Floats, end: Floats) -> Floats:
    """Mean of the days' factors over periods in days from the start of the log; 0 where one is empty."""
    days, reached = np.arange(len(factor) + 1), np.concatenate([[0.0], np.cumsum(factor)])
    return (np.interp(end, days, reached) - np.interp(begin, days, reached)) / np.maximum(end - begin, 1e-9)
