"""Who competes: every recommender of the study by name, and the settings that a search found for it."""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, Final

import pandas as pd

from interest_lib.basket_models import TIFUKNN, UPCF
from interest_lib.blends import Blend
from interest_lib.content import ContentInterest
from interest_lib.ease import EASE
from interest_lib.factorisation import ALS, BPR, LightFMWarp
from interest_lib.item_neighbours import ItemNeighbours
from interest_lib.light_gcn import LightGCN
from interest_lib.migrated import MigratedInterest
from interest_lib.migrated_factors import MigratedFactors
from interest_lib.paced_frequency import PacedFrequency
from interest_lib.recommend import NearestUsers, PersonalFrequency, RecentPopularity, Recommender
from interest_lib.schema import InputError
from interest_lib.text import item_texts
from interest_lib.transformer_recommender import SequenceRecommender

Maker = Callable[..., Recommender]
Settings = dict[str, Any]

SLICES: Final = ("all", "novel")
CHANCE: Final = (
    *("als", "als_decay", "bpr", "lightfm", "lightfm_decay", "lightfm_hybrid", "light_gcn", "transformer"),
    *("static_factors", "migrated_factors"),
)
"""Those whose training draws numbers: another seed gives another list."""


def contenders(
    items: pd.DataFrame,
    users: pd.DataFrame | None = None,
    half_life: Mapping[str, float | None] | None = None,
    ease_items: int | None = None,
    seed: int = 0,
) -> dict[str, Maker]:
    """Makers of all recommenders with settings; called without any they give what they start from.

    Parameters
    ----------
    items : pandas.DataFrame
        ``item_id`` and what is known of items; who needs what is not there does not compete.
    users : pandas.DataFrame or None
        ``user_id`` and what is known of users.
    half_life : mapping, or None
        What those that fade start from, such as ``{"half_life_days": 90}``.
    ease_items : int or None
        Only so many items enter EASE, those with most users; None: see `ease.EASE`.
    seed : int
        Of all that is drawn in training.

    Returns
    -------
    dict of str to callable
        ``found["ease"](ridge=300.0)`` is an unfitted recommender.

    Examples
    --------
    >>> found = contenders(pd.DataFrame({"item_id": ["a"]}), half_life={"half_life_days": 90.0})
    >>> found["personal_tuned"](half_life_days=60.0)
    PersonalFrequency(half_life_days=60.0)
    """
    fade: Settings = dict(half_life or {})
    drawn: Settings = {"random_state": seed}
    fading: Settings = {"weights": "counts", **fade, **drawn}
    found: dict[str, Maker] = {
        "personal_tuned": partial(PersonalFrequency, **fade),
        "paced": PacedFrequency,
        "up_cf": UPCF,
        "tifu_knn": TIFUKNN,
        "neighbours": partial(NearestUsers, **fade),
        "item_neighbours": partial(ItemNeighbours, **fade),
        "ease": partial(EASE, n_items=ease_items, **fade),
        "als": partial(ALS, **drawn),
        "als_decay": partial(ALS, **fading),
        "bpr": partial(BPR, **drawn),
        "lightfm": partial(LightFMWarp, **drawn),
        "lightfm_decay": partial(LightFMWarp, **fading),
        "lightfm_hybrid": partial(LightFMWarp, items=items, users=users, **fading),
        "light_gcn": partial(LightGCN, **fading),
        "transformer": partial(SequenceRecommender, n_items=min(ease_items or 4000, 4000), **drawn),
        "blend": partial(_blend, fade, ease_items),
    }
    if "half_life_days" in fade:  # a move needs periods
        found["static_factors"] = partial(MigratedFactors, migrates=False, **drawn)
        found["migrated_factors"] = partial(MigratedFactors, **drawn)
        category = items.set_index("item_id")["category"] if "category" in items else pd.Series(dtype=str)
        if category.notna().any():
            found["static"] = partial(MigratedInterest, category, "none")
            found["migrated"] = partial(MigratedInterest, category, "markov")
    with suppress(InputError):  # nothing is written about any item
        found["content"] = partial(ContentInterest, item_texts(items), popularity_weight=0.05, **fade)
    return found


def _blend(
    fade: Settings,
    ease_items: int | None,
    ease: float = 0.3,
    popularity: float = 0.05,
    ridge: float = 100.0,
) -> Blend:
    """The best of repetition, of what products go together, and of what is popular, by weighted scores."""
    parts: dict[str, Recommender] = {
        "neighbours": NearestUsers(**fade),
        "ease": EASE(ridge, n_items=ease_items, **fade),
        "popularity": RecentPopularity(),
    }
    return Blend(parts, {"neighbours": 1.0, "ease": ease, "popularity": popularity})


def winners(log: Path) -> dict[str, dict[str, Settings]]:
    """The settings of every contender's best trial in a log of `make tune`, for each slice.

    Parameters
    ----------
    log : pathlib.Path
        A csv with ``contender``, ``trial``, ``seed``, a column for each setting (empty where a contender does
        not have it) and the scores ``ndcg10.all`` and ``ndcg10.novel`` on an earlier origin. Only trials that
        all contenders have had count.

    Returns
    -------
    dict of str to dict
        ``found["novel"]["ease"]`` are keyword arguments for the maker; of equals the one tried first.

    Raises
    ------
    InputError
        If the file is not there or is no such log.

    Examples
    --------
    >>> from tempfile import mkdtemp
    >>> log = Path(mkdtemp()) / "log.csv"
    >>> _ = log.write_text("contender,trial,seed,ridge,ndcg10.all,ndcg10.novel\\n"
    ...                    "ease,0,1,100.0,.30,.05\\nease,1,1,500.0,.29,.06\\n")
    >>> winners(log)
    {'all': {'ease': {'ridge': 100.0}}, 'novel': {'ease': {'ridge': 500.0}}}
    """
    try:
        trials = pd.read_csv(log, dtype=str, keep_default_na=False)
        settings = list(trials.columns.drop(["contender", "trial", "seed", *(f"ndcg10.{s}" for s in SLICES)]))
    except (OSError, KeyError, ValueError) as problem:  # a file without columns is a ValueError
        raise InputError(f"{log.name} is no log of the search; 'make tune' writes one") from problem
    trials = trials[trials["trial"].astype(int) < trials["contender"].value_counts().min()]
    found: dict[str, dict[str, Settings]] = {}
    for which in SLICES:
        best = trials[f"ndcg10.{which}"].astype(float).groupby(trials["contender"], sort=False).idxmax()
        found[which] = {str(name): _settings(trials.loc[row, settings]) for name, row in best.items()}
    return found


def _settings(row: pd.Series) -> Settings:
    return {str(name): _value(text) for name, text in row.items() if text}


def _value(text: str) -> Any:
    """Numbers, True and None as they were written; all else is text."""
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text
