"""What a cleaned log can support: which parts of the study will run, and what is missing for the others."""

from typing import Final, TypedDict

import pandas as pd

from interest_lib.group_labels import group_splits
from interest_lib.history import goal, is_goal
from interest_lib.migration import active_users, purchases
from interest_lib.prepare import CleanLog, span_days
from interest_lib.split import quarters, rolling_origins

MIN_USERS = 40  # fewer than that, and intervals over users say nothing
MIN_EVENTS = 50  # of a user with a profile to speak of
MIN_TEXTS = 20  # distinct descriptions of items; fewer are soon compared
MIN_REPEATS = 0.01  # share of goal events; with fewer, own counts foretell nothing

PARTS: Final = {
    "times": "03 and 06 what hangs on the hour of events",
    "categories": "02, 03 and 04 interests by category",
    "texts": "02 what the words of items say",
    "event_types": "03 what views, carts and the like add to purchases",
    "baskets": "05 and 06 repeat purchases",
    "repeats": "02, 03, 05 and 06 what own repeats foretell",
    "demographics": "05 what age, income and the like tell of new users",
    "validation": "03 and 06 settings chosen on an earlier period",
    "profiles": "02 groups of taste and latent interests",
    "held_out_weeks": "02 how many latent interests foretell best",
    "months": "04 from month to month",
    "quarters": "04 the next quarter",
    "new_users": "05 new users",
    "groups": "05 transfer between groups of users, sequence networks, new items",
}
"""What each capability is for: the notebooks' cells that need it carry the tag `needs:<capability>`."""


class Support(TypedDict):
    """Whether the log supports a part of the study, and why, as a full sentence."""

    part: str
    supported: bool
    why: str


def support(
    clean: CleanLog, horizon_days: int = 28, period_days: int = 91, min_baskets: int = 30
) -> dict[str, Support]:
    """What the log can support, and why, in sentences that a reader can be shown.

    Parameters
    ----------
    clean
        From `prepare.clean`.
    horizon_days
        Days that a recommendation looks ahead. `validation` needs three such periods, whole: one of history,
        one to tune on and one to test on; without times, enough users with three baskets. `months` needs
        four, with users active in each.
    period_days
        Length of a quarter in days. `quarters` needs three and a half: the fourth takes the rest of the log
        (quarter = min(day // period_days, 3)), and with less than half of it there is little to forecast. As
        in `months`, enough users have to be active in each.
    min_baskets
        Baskets of a user who can play a new one and has later baskets to foretell.

    Returns
    -------
    dict
        For every capability in `PARTS`: `part` (what it is for), `supported` and `why`.

    Examples
    --------
    >>> from interest_lib import datasets, engine, prepare
    >>> log = prepare.clean(datasets.load(engine.connect()), max_users=100)
    >>> support(log, min_baskets=200)["new_users"]["why"]
    '2 users have 200 baskets or more, and 40 are needed.'
    """
    events, items = clean.events, clean.items
    told = {
        **_about_columns(clean),
        **_about_length(clean, horizon_days, period_days),
        "profiles": _enough_users(
            int((_categorised(events, items).groupby("user_id").size() >= MIN_EVENTS).sum()),
            f"have {MIN_EVENTS} or more events with a category",
        ),
        "new_users": _enough_users(
            int((events.groupby("user_id")["basket_number"].max() >= min_baskets).sum()),
            f"have {min_baskets} baskets or more",
        ),
        "groups": _about_groups(clean),
    }
    return {
        name: Support(part=part, supported=told[name][0], why=told[name][1]) for name, part in PARTS.items()
    }


def _about_columns(clean: CleanLog) -> dict[str, tuple[bool, str]]:
    """What follows from the columns that the log has."""
    events, items, users = clean.events, clean.items, clean.users
    kinds = sorted(events["event"].unique())
    categories = items["category"].nunique()
    n_texts = _distinct_texts(items)
    attributes = [name for name in users.columns if name != "user_id" and users[name].nunique() > 1]
    baskets = events.loc[is_goal(events), "basket_id"].nunique()
    repeats = float(events[is_goal(events)].duplicated(["user_id", "item_id"]).mean())
    return {
        "times": _told(
            "timestamp" in events,
            "Every event has its time.",
            "The log knows the order of baskets but no times; decay is counted in baskets.",
        ),
        "categories": _told(
            categories > 1,
            f"The items of the log fall into {categories} categories.",
            "The log names one category only." if categories else "The log names no categories.",
        ),
        "texts": _told(
            n_texts >= MIN_TEXTS,
            f"The items of the log have {n_texts} distinct descriptions.",
            f"The items of the log have {n_texts} distinct descriptions in words; {MIN_TEXTS} are needed.",
        ),
        "event_types": _told(
            len(kinds) > 1,
            f"The log tells apart {', '.join(kinds)}; what is predicted is the {goal(events)}.",
            f"All events are of one kind ({kinds[0]}).",
        ),
        "baskets": _told(
            baskets > events["user_id"].nunique(),
            clean.baskets or f"The log names {baskets} baskets.",
            "No user of the log comes back for a second basket.",
        ),
        "repeats": _told(
            repeats >= MIN_REPEATS,
            f"{repeats:.1%} of what is predicted repeats an item of the same user.",
            f"Only {repeats:.1%} of what is predicted repeats an item of the same user, so that own counts "
            "foretell nothing.",
        ),
        "demographics": _told(
            bool(attributes),
            f"The log tells users apart by {', '.join(attributes)}.",
            "The log has no attributes that tell users apart.",
        ),
    }


def _about_groups(clean: CleanLog) -> tuple[bool, str]:
    """Whether an attribute parts the users into two groups from which some can be held out."""
    splits = group_splits(clean.users, (), clean.events)
    return _told(
        bool(splits),
        f"Both groups by {', '.join(splits)} are large enough to hold out users.",
        "No attribute of users parts them into two groups of 70 who met five items or more.",
    )


def _distinct_texts(items: pd.DataFrame) -> int:
    """Descriptions in words, by category and subcategory, or by title where there are none."""
    kinds = items[["category", "subcategory"]].fillna("").astype(str).agg(" ".join, axis=1).str.strip()
    texts = kinds if (kinds != "").any() else items["title"].fillna("").astype(str)
    return int(texts[texts.str.contains(r"[^\W\d_]{2}", regex=True)].nunique())


def _about_length(clean: CleanLog, horizon_days: int, period_days: int) -> dict[str, tuple[bool, str]]:
    """What follows from the time that the log spans, or from the number of baskets."""
    events = clean.events
    span = span_days(events)
    if span is None:
        thrice = int((events.groupby("user_id")["basket_number"].max() >= 3).sum())
        no_times = (False, "The log has no times.")
        enough = _enough_users(thrice, "have three baskets or more: to learn from, to tune on and to test on")
        return {"validation": enough, "held_out_weeks": no_times, "months": no_times, "quarters": no_times}
    spans = f"The log spans {span:.1f} days"
    told = _told(
        len(rolling_origins(events, horizon_days, 2)) == 2,
        f"{spans}, enough to tune on one period of {horizon_days} days and test on the next.",
        f"{spans}, and history, tuning and test need at least {3 * horizon_days} days.",
    )
    monthly, quarterly = _regular_users(clean, horizon_days, period_days)
    return {
        "validation": told,
        "held_out_weeks": told,
        "months": _told(
            span >= 4 * horizon_days + 1 and monthly >= MIN_USERS,
            f"{monthly} users are active in each of the last four periods of {horizon_days} days.",
            f"{spans}, and {monthly} users are active in each of four periods of {horizon_days} days; "
            f"{MIN_USERS} are needed.",
        ),
        "quarters": _told(
            span >= 3.5 * period_days and quarterly >= MIN_USERS,
            f"{quarterly} users are active in each of four periods of {period_days} days.",
            f"{spans}, and {quarterly} users are active in each of four periods of {period_days} days; "
            f"{3.5 * period_days:g} days and {MIN_USERS} such users are needed.",
        ),
    }


def _categorised(events: pd.DataFrame, items: pd.DataFrame) -> pd.DataFrame:
    """Events of items that have a category, with it."""
    return events.merge(items.loc[items["category"].notna(), ["item_id", "category"]], on="item_id")


def _enough_users(n_users: int, what: str) -> tuple[bool, str]:
    enough = n_users >= MIN_USERS
    return enough, f"{n_users} users {what}{'.' if enough else f', and {MIN_USERS} are needed.'}"


def _regular_users(clean: CleanLog, month_days: int, quarter_days: int) -> tuple[int, int]:
    """Users active in each of the last four months, and in all quarters.

    Active means 5 categories in baskets in every period, and 20 in the last quarter, which is forecast.
    """
    events = _categorised(clean.events[is_goal(clean.events)], clean.items)
    if events.empty:
        return 0, 0
    end = clean.events["timestamp"].max().normalize()
    start = end - pd.Timedelta(days=4 * month_days)
    recent = events[events["timestamp"].between(start, end, inclusive="left")]
    monthly = purchases(recent, quarters(recent["timestamp"], month_days, start=start))
    quarterly = purchases(events, quarters(events["timestamp"], quarter_days))
    return len(active_users(monthly, [5, 5, 5, 5])), len(active_users(quarterly, [5, 5, 5, 20]))


def _told(supported: bool, yes: str, no: str) -> tuple[bool, str]:
    return bool(supported), yes if supported else no
