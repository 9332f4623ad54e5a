"""What a synthetic marketplace can vary: sizes, interests, fading, changes, the funnel, seasons, items."""

from dataclasses import dataclass, fields
from datetime import date
from numbers import Integral, Real
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from interest_lib.curves import CURVES
from interest_lib.schema import InputError, nearest

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

GENERATORS: Final = ("decay", "regimes")
"""The rival models of behaviour: interest that fades, and interest that switches without fading."""

MAX_EVENTS: Final = 200_000_000
"""Largest number of events that may be expected of a marketplace."""


@dataclass(frozen=True)
class Marketplace:
    """Settings of a synthetic marketplace; the defaults are the case of the article.

    Attributes
    ----------
    n_users, n_items, n_groups, n_categories
        Sizes: users, items, groups of users with one taste, categories of items.
    days
        Length of the log in days.
    events_per_user
        Mean number of events of a user in the whole log.
    start
        First day of the log, ``YYYY-MM-DD``; times are UTC.
    generator
        One of `GENERATORS`.
    seed
        All randomness comes from it.
    warm_up_days
        Days before the log in which known users already had interests, so that the log starts in full swing.
    new_user_share
        Share of users who join during the log, evenly over it.
    activity_shape
        Shape of the gamma distribution of users' activity; its variance is ``1 / activity_shape`` at mean 1.
    focus_share
        Share of a group's taste that lies on its own categories; the rest follows general popularity.
    transition_share
        Share of new episodes whose category follows from the category before; the rest follows the taste.
    gender_log_odds
        Difference between women and men in the log-odds of the categories that differ.
    age_log_odds
        The same between the oldest and the youngest age band.
    curves
        Families of decay curves to spread over the categories, out of `curves.CURVES`.
    half_life_days
        Shortest and longest half-life of a category.
    follow_ups
        Mean number of later visits that an interest brings until it has faded away.
    sojourn_days, sojourn_shape
        Mean length of a regime, and shape of its gamma distribution (generator ``regimes``).
    regime_share
        Share of visits within a regime that go to its category; the others follow the taste.
    global_change_at
        Moment of the change that concerns everybody, as a share of the log; 1 means never.
    popularity_factor
        Factor on the odds of one category from the global change on.
    changed_rows_share
        Share of rows of the transition matrix that are drawn anew at the global change.
    moving_user_share
        Share of users whose taste becomes that of another group at some moment.
    takeover_share, takeover_rate_factor, takeover_hours
        Share of accounts taken over; from then on, the factor on their activity, and the hours by which their
        day shifts.
    search_share
        Probability that a visit begins with a search.
    views_per_visit
        Mean number of views of a visit, at least one.
    cart_share, purchase_share
        Probability, mean over categories, that a view leads to the cart, and that a carted item is bought.
    review_share, return_share
        Probability that a purchase is reviewed, and that it is sent back.
    review_delay_days, return_delay_days
        Mean delay of reviews and returns after the purchase (exponential).
    weekday_weights
        Relative frequency of visits from Monday to Sunday.
    hour_weights
        Relative frequency of visits in the 24 hours of the day.
    year_amplitude, year_peak_day
        Yearly wave of visits: its height relative to the mean, and the day of the year of its peak.
    zipf_exponent
        Popularity of the r-th item of a category is proportional to ``r ** -zipf_exponent``.
    new_item_share
        Share of items that are introduced during the log, evenly over it.
    favourites, repeat_share
        Number of favourite items of a user in a category, and the lowest and highest share, by category, of
        views that go to one of them.
    promoted_share, promotion_days
        Share of items on promotion at any time, and length of a promotion in days, a multiple of 7.
    promotion_uplift
        Factor on an item's odds of being chosen among the items of its category during its promotion.
    promotion_discount
        Lowest and highest discount of a promotion, as a share of the price.
    unknown_share
        Share of users whose age, and independently whose gender, the shop does not know.

    Raises
    ------
    InputError
        For a value out of its range, or more than `MAX_EVENTS` events.

    Examples
    --------
    >>> Marketplace(n_users=50).n_items
    10000
    >>> Marketplace(n_items=20)
    Traceback (most recent call last):
        ...
    interest_lib.schema.InputError: marketplace: n_items is 20, fewer than the 40 categories; give \
more items or fewer n_categories.
    """

    n_users: int = 1000
    n_items: int = 10_000
    n_groups: int = 10
    n_categories: int = 40
    days: int = 392
    events_per_user: float = 500.0
    start: str = "2024-01-01"
    generator: str = "decay"
    seed: int = 2017
    warm_up_days: int = 364
    new_user_share: float = 0.2
    activity_shape: float = 4.0
    focus_share: float = 0.9
    transition_share: float = 0.4
    gender_log_odds: float = 0.8
    age_log_odds: float = 0.4
    curves: tuple[str, ...] = CURVES
    half_life_days: tuple[float, float] = (3.0, 90.0)
    follow_ups: float = 3.0
    sojourn_days: float = 30.0
    sojourn_shape: float = 2.0
    regime_share: float = 0.8
    global_change_at: float = 0.6
    popularity_factor: float = 4.0
    changed_rows_share: float = 0.5
    moving_user_share: float = 0.1
    takeover_share: float = 0.02
    takeover_rate_factor: float = 3.0
    takeover_hours: int = 10
    search_share: float = 0.4
    views_per_visit: float = 2.5
    cart_share: float = 0.25
    purchase_share: float = 0.5
    review_share: float = 0.15
    return_share: float = 0.04
    review_delay_days: float = 7.0
    return_delay_days: float = 10.0
    weekday_weights: tuple[float, ...] = (0.9, 0.9, 0.95, 1.0, 1.05, 1.2, 1.0)
    hour_weights: tuple[float, ...] = (
        *(0.4, 0.2, 0.1, 0.1, 0.1, 0.2, 0.5, 0.8, 1.0, 1.1, 1.1, 1.2),
        *(1.3, 1.2, 1.1, 1.1, 1.2, 1.3, 1.5, 1.8, 2.0, 1.9, 1.5, 0.9),
    )
    year_amplitude: float = 0.2
    year_peak_day: int = 345
    zipf_exponent: float = 0.8
    new_item_share: float = 0.2
    favourites: int = 3
    repeat_share: tuple[float, float] = (0.05, 0.7)
    promoted_share: float = 0.02
    promotion_days: int = 14
    promotion_uplift: float = 3.0
    promotion_discount: tuple[float, float] = (0.1, 0.4)
    unknown_share: float = 0.05

    def __post_init__(self) -> None:
        for field in fields(self):
            given = getattr(self, field.name)
            if isinstance(given, list):  # as read from JSON or YAML; a tuple can be a key
                object.__setattr__(self, field.name, tuple(given))
            low, high = _RANGES.get(field.name, (None, None))
            if low is not None and high is not None:
                whole = isinstance(field.default, int)
                _check_number(field.name, given, low, high, whole)
        _check_names(self)
        _check_lists(self)
        _check_together(self)

    @property
    def expected_events(self) -> float:
        """Events to expect: `n_users` times `events_per_user`."""
        return self.n_users * self.events_per_user


_SHARES = (
    *(
        "new_user_share",
        "focus_share",
        "transition_share",
        "regime_share",
        "global_change_at",
        "changed_rows_share",
    ),
    *("moving_user_share", "takeover_share", "search_share", "cart_share", "purchase_share", "review_share"),
    *("return_share", "new_item_share", "promoted_share", "unknown_share"),
)
_RANGES: Final[dict[str, tuple[float, float]]] = {
    "n_users": (2, 20_000_000),
    "n_items": (2, 1_000_000),
    "n_groups": (2, 100),
    "n_categories": (2, 500),
    "days": (28, 3660),
    "events_per_user": (1, 100_000),
    "seed": (0, 2**63 - 1),
    "warm_up_days": (0, 3660),
    "activity_shape": (0.1, 1000),
    "gender_log_odds": (0, 5),
    "age_log_odds": (0, 5),
    "follow_ups": (0, 1000),
    "sojourn_days": (1, 3660),
    "sojourn_shape": (0.1, 1000),
    "popularity_factor": (0.01, 100),
    "takeover_rate_factor": (0.1, 100),
    "takeover_hours": (0, 23),
    "views_per_visit": (1, 100),
    "review_delay_days": (0.01, 3660),
    "return_delay_days": (0.01, 3660),
    "year_amplitude": (0, 0.95),
    "year_peak_day": (1, 366),
    "zipf_exponent": (0, 5),
    "favourites": (1, 1000),
    "promotion_days": (7, 3660),
    "promotion_uplift": (1, 1000),
    **dict.fromkeys(_SHARES, (0, 1)),
}


def _check_number(name: str, value: object, low: float, high: float, whole: bool) -> None:
    kind = "a whole number" if whole else "a number"
    if not _is_number(value, Integral if whole else Real) or not low <= value <= high:  # type: ignore[operator]
        raise InputError(f"marketplace: {name} is {value!r}; give {kind} from {low:g} to {high:g}.")


def _is_number(value: object, kind: type = Real) -> bool:
    return isinstance(value, kind) and not isinstance(value, bool)


def _check_names(given: Marketplace) -> None:
    if given.generator not in GENERATORS:
        raise InputError(
            f"marketplace: generator {given.generator!r} is unknown; {nearest(given.generator, GENERATORS)}"
        )
    if not isinstance(given.curves, tuple) or not given.curves:
        raise InputError(f"marketplace: curves is {given.curves!r}; give a tuple out of {', '.join(CURVES)}.")
    for curve in given.curves:
        if curve not in CURVES:
            raise InputError(f"marketplace: curve {curve!r} in curves is unknown; {nearest(curve, CURVES)}")
    try:
        if date.fromisoformat(given.start).isoformat() != given.start or not "1900" <= given.start < "2200":
            raise ValueError
    except (TypeError, ValueError):
        raise InputError(
            f"marketplace: start is {given.start!r}; give a day from 1900 to 2199 as YYYY-MM-DD."
        ) from None


def _check_lists(given: Marketplace) -> None:
    for name, length, low, high in (
        ("weekday_weights", 7, 1e-3, 1e3),
        ("hour_weights", 24, 1e-3, 1e3),
        ("half_life_days", 2, 0.5, 3660.0),
        ("repeat_share", 2, 0.0, 1.0),
        ("promotion_discount", 2, 0.0, 0.95),
    ):
        values = getattr(given, name)
        if not _is_list(values, length, low, high):
            raise InputError(
                f"marketplace: {name} is {values!r}; give {length} numbers from {low:g} to {high:g}."
            )
        if length == 2 and values[0] > values[1]:
            raise InputError(f"marketplace: {name} is {values!r}; give the lower number first.")


def _is_list(values: object, length: int, low: float, high: float) -> bool:
    if not isinstance(values, tuple) or len(values) != length:
        return False
    return all(_is_number(value) and low <= value <= high for value in values)


def _check_together(given: Marketplace) -> None:
    if given.n_categories < given.n_groups:
        raise InputError(
            f"marketplace: n_categories is {given.n_categories}, fewer than the {given.n_groups} groups; "
            "give more categories or fewer n_groups."
        )
    if given.n_items < given.n_categories:
        raise InputError(
            f"marketplace: n_items is {given.n_items}, fewer than the {given.n_categories} categories; "
            "give more items or fewer n_categories."
        )
    if given.promotion_days % 7:
        raise InputError(f"marketplace: promotion_days is {given.promotion_days}; give a multiple of 7.")
    if given.expected_events > MAX_EVENTS:
        raise InputError(
            f"marketplace: n_users times events_per_user is {given.expected_events:,.0f} events; "
            f"give at most {MAX_EVENTS:,}."
        )


def read_settings(text: str) -> Marketplace:
    """Settings written in one line, as the command line takes them.

    Parameters
    ----------
    text
        ``name=value`` and more, parted by commas; the others keep their defaults. Lists cannot be given so.

    Returns
    -------
    Marketplace

    Raises
    ------
    InputError
        A name is unknown, or its value is of the wrong kind or cannot be.

    Examples
    --------
    >>> read_settings("n_users=50, generator=regimes").n_users
    50
    """
    kinds: dict[str, Any] = {field.name: field.type for field in fields(Marketplace)}
    given: dict[str, Any] = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        name, _, value = (word.strip() for word in part.partition("="))
        if name not in kinds:
            raise InputError(f"marketplace: setting {name[:40]!r} is unknown; {nearest(name, kinds)}")
        if kinds[name] not in (int, float, str):
            raise InputError(f"marketplace: {name} is a list; set it in Python, by Marketplace({name}=...).")
        try:
            given[name] = kinds[name](value)
        except ValueError:
            wanted = "a whole number" if kinds[name] is int else "a number"
            raise InputError(f"marketplace: {name} is {value[:40]!r}; give {wanted}.") from None
    return Marketplace(**given)
