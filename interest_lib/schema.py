"""The contract of an event log: names and types of its columns, and the checks that a log has to pass."""

from collections.abc import Iterable
from difflib import get_close_matches
from typing import Final

EVENT_COLUMNS: Final[dict[str, str]] = {
    "user_id": "id",
    "item_id": "id",
    "timestamp": "time",
    "event": "event",
    "basket_id": "id",
    "basket_number": "order",
    "quantity": "number",
    "value": "number",
    "discount_value": "number",
    "coupon_value": "number",
    "n_campaigns": "number",
    "query": "text",
    "rating": "number",
    "weight": "number",
}
"""Columns of the events table in their order, one row per event.

Ids are int64 or text, times UTC without a zone, numbers float64, events one of `EVENTS`. `basket_number` is
int64: 1 for the first basket of the user, 2 for the next. A log that knows only the order of baskets has
it in place of `timestamp`. Only a search may be without an item.

Money is in the log's currency: `value` is what was paid, `discount_value` what offers of the shop had taken
off before, `coupon_value` what coupons had. `n_campaigns` counts the shop's campaigns that run for the user
at the time of the event.
"""

ITEM_COLUMNS: Final[dict[str, str]] = {
    "item_id": "id",
    "category": "text",
    "department": "text",
    "subcategory": "text",
    "title": "text",
    "price": "number",
    "brand": "text",
}
"""Columns of the items table in their order, one row per item."""

USER_COLUMNS: Final[dict[str, str]] = {"user_id": "id"}
"""The one fixed column of the users table, one row per user; any further column is an attribute and text."""

REQUIRED: Final = ("user_id", "item_id")
"""Columns without which there is no event log; `timestamp` or `basket_number` has to be there, too."""

EVENTS: Final = ("view", "search", "cart", "purchase", "review", "return")
"""What an event can be."""

GOALS: Final = ("purchase", "review", "cart", "view", "search")
"""Kinds of events by how much they commit a user; what the study predicts is the first that a log has."""

EVENT_WEIGHTS: Final = {
    "view": 0.1,
    "search": 0.1,
    "cart": 0.3,
    "purchase": 1.0,
    "review": 1.0,
    "return": -1.0,
}
"""How much an event says about interest, in purchases, before anything is learned from the log."""


class InputError(ValueError):
    """A problem that the user can mend, told in one sentence: what is wrong, where, and what to do.

    Examples
    --------
    >>> raise InputError("my.csv: row 3: user_id is empty; fill it in or delete the row.")
    Traceback (most recent call last):
        ...
    interest_lib.schema.InputError: my.csv: row 3: user_id is empty; fill it in or delete the row.
    """


def nearest(word: object, known: Iterable[str]) -> str:
    """End of a sentence about an unknown name: the nearest known one, or a choice where none is near.

    Examples
    --------
    >>> nearest("colums", ["columns", "timezone"])
    'did you mean columns?'
    >>> nearest("x", ["columns", "timezone"])
    'choose one of columns, timezone.'
    """
    names = list(known)
    found = get_close_matches(str(word).lower(), names, n=1)
    if found:
        return f"did you mean {found[0]}?"
    return f"choose one of {', '.join(names)}." if len(names) <= 20 else "check its spelling."


def check_log(name: str, *, users: int, items: int, span_days: float | None, horizon_days: int) -> None:
    """Refuse a log from which nothing can be learned.

    Parameters
    ----------
    name
        What to call the log in the message.
    users, items
        Number of distinct users and items.
    span_days
        Days between the first and the last event; None for a log without times.
    horizon_days
        Length of a period; a log needs one period of history and one to predict.

    Raises
    ------
    InputError
        One user, one item, or less than two periods.

    Examples
    --------
    >>> check_log("my.csv", users=2, items=2, span_days=56, horizon_days=28)
    >>> check_log("my.csv", users=2, items=2, span_days=55.5, horizon_days=28)
    Traceback (most recent call last):
        ...
    interest_lib.schema.InputError: my.csv: column timestamp spans 55.5 days, less than two periods of 28 \
days; give a longer log or a smaller horizon_days.
    """
    for count, noun, column in ((users, "user", "user_id"), (items, "item", "item_id")):
        if count < 2:
            raise InputError(
                f"{name}: column {column} holds {count} {noun} only; give a log of at least two {noun}s, "
                f"or map {column} to another column."
            )
    if span_days is not None and span_days < 2 * horizon_days:
        raise InputError(
            f"{name}: column timestamp spans {span_days:.1f} days, less than two periods of "
            f"{horizon_days} days; give a longer log or a smaller horizon_days."
        )
