"""Every learned way to borrow, for one draw of new users: fitted, blended in one way, and judged."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Final, TypeVar

import numpy as np
import pandas as pd

from interest_lib.borrowed import FactorModel, blended_ndcg, popular_shares
from interest_lib.head_start import HeadStart, head_start
from interest_lib.history import Floats
from interest_lib.interest_generator import Contest, Diversity, InterestGenerator
from interest_lib.interest_network import Fitting
from interest_lib.newcomer_models import Play, Trained, adversarial, multi_task, network_shares, playing
from interest_lib.newcomer_rows import newcomers
from interest_lib.transfer import NewUserTask

_T = TypeVar("_T")

HALVES: Final = (
    ("lightfm", "reversal", "no_reversal", "generator"),
    ("popularity", "multitask", "single_task"),
)
"""All methods, in two parts that take about as long: the first somewhat longer."""

_ORDER: Final = ("popularity", "lightfm", "multitask", "single_task", "reversal", "no_reversal", "generator")


@dataclass(frozen=True)
class Learning:
    """How the learned ways to borrow are trained.

    Attributes
    ----------
    tasks, groups, start : Fitting
        Of the multi-task network, of the adversarial ones (with the reversal of the one that has it), and of
        networks for newcomers alone.
    contest : Contest
        Of the generator.
    n_factors, n_epochs : int
        Of LightFM.
    n_starts : int
        Seeds of the experiment on how much training is saved.
    """

    tasks: Fitting = field(default_factory=lambda: Fitting(n_epochs=8))
    groups: Fitting = field(default_factory=lambda: Fitting(n_epochs=10, batch_size=128, reversal=3.0))
    start: Fitting = field(default_factory=lambda: Fitting(n_epochs=10, batch_size=64, learning_rate=2e-3))
    contest: Contest = field(default_factory=Contest)
    n_factors: int = 32
    n_epochs: int = 3
    n_starts: int = 3


@dataclass(frozen=True)
class Learned:
    """What came of one draw.

    Attributes
    ----------
    ndcg : pandas.DataFrame
        ``method``, ``baskets``, ``strength``, ``user_id``, ``ndcg``; infinite strength: alone.
    networks : dict of str to Trained
        ``multitask``, ``single_task``, ``reversal``, ``no_reversal``.
    diversity : Diversity or None
        Of the generator, where it is among the methods.
    starts : list of HeadStart
    seconds : dict of str to float
        Processor time of the training by method: for `timing.json`, as it differs from run to run.
    """

    ndcg: pd.DataFrame
    networks: dict[str, Trained]
    diversity: Diversity | None
    starts: list[HeadStart]
    seconds: dict[str, float]


def learned_transfer(
    task: NewUserTask,
    play: Play,
    how: Learning,
    given: Sequence[int],
    strengths: Sequence[float],
    k: int = 10,
    methods: Collection[str] = _ORDER,
) -> Learned:
    """Fit every learned way to borrow on a draw's source, and judge all of them on its new users.

    Parameters
    ----------
    task : NewUserTask
    play : Play
    how : Learning
    given : sequence of int
        Numbers of first baskets that are known.
    strengths : sequence of float
        Tried for every method alike; infinity is added.
    k : int
        Length of the lists.
    methods : collection of str
        Some of them, for parts that are worked on side by side: see `HALVES` and `joined`. What training is
        saved is measured beside ``multitask``.

    Returns
    -------
    Learned
    """
    seconds: dict[str, float] = {}
    networks = {
        name: _timed(seconds, name, partial(_network, name, task, play, how))
        for name in _ORDER[2:-1]
        if name in methods
    }
    n, diversity = play.n_products, None
    shares: dict[str, Callable[[int], Floats]] = {"popularity": lambda _: popular_shares(task, n)}
    if "generator" in methods:
        rows, judge = playing(task, play)
        generator = InterestGenerator(how.contest, play.seed)
        _timed(seconds, "generator", lambda: generator.fit(rows))
        shares["generator"] = lambda n_given: generator.shares(newcomers(task, n_given, n), seed=play.seed)
        diversity = generator.diversity(judge, play.seed)
    if "lightfm" in methods:
        factors = FactorModel(play, how.n_factors, how.n_epochs)
        _timed(seconds, "lightfm", lambda: factors.fit(task))
        shares["lightfm"] = lambda n_given: factors.shares(task, n_given)
    for name, network in networks.items():
        shares[name] = partial(network_shares, network, task, n_products=n)
    tables = [_judged(task, name, shares[name], given, strengths, k) for name in _ORDER if name in methods]
    starts = [
        head_start(task, networks["multitask"], n, how.start, play.seed + seed)
        for seed in range(how.n_starts if "multitask" in methods else 0)
    ]
    return Learned(pd.concat(tables, ignore_index=True), networks, diversity, starts, seconds)


def _network(name: str, task: NewUserTask, play: Play, how: Learning) -> Trained:
    if name in ("multitask", "single_task"):
        return multi_task(task, play, how.tasks, one_task=name == "single_task")
    return adversarial(task, play, how.groups if name == "reversal" else replace(how.groups, reversal=0.0))


def _judged(
    task: NewUserTask,
    method: str,
    shares: Callable[[int], Floats],
    given: Sequence[int],
    strengths: Sequence[float],
    k: int,
) -> pd.DataFrame:
    tables = []
    for n_given in given:
        # with no basket there is nothing to blend with, and every strength gives the same list
        tried = (np.inf, *strengths) if n_given else (np.inf,)
        values = blended_ndcg(task, n_given, shares(n_given), tried, k)
        tables.append(values.assign(method=method, baskets=n_given))
    return pd.concat(tables, ignore_index=True)


def joined(parts: Sequence[Learned]) -> Learned:
    """The parts of one draw, by different methods, as if they had been worked on together."""
    tables = pd.concat([part.ndcg for part in parts])
    place = tables["method"].map({name: number for number, name in enumerate(_ORDER)})
    ndcg = tables.iloc[np.argsort(place.to_numpy(), kind="stable")].reset_index(drop=True)
    networks = {name: network for part in parts for name, network in part.networks.items()}
    diversity = [part.diversity for part in parts if part.diversity is not None]
    return Learned(
        ndcg,
        {name: networks[name] for name in _ORDER if name in networks},
        diversity[0] if diversity else None,
        [start for part in parts for start in part.starts],
        {name: taken for part in parts for name, taken in part.seconds.items()},
    )


def _timed(seconds: dict[str, float], name: str, work: Callable[[], _T]) -> _T:
    started = time.process_time()
    done = work()
    seconds[name] = time.process_time() - started
    return done


def blended_best(tuning: pd.DataFrame) -> dict[str, float]:
    """The strength of every method that is best on a tuning draw, all numbers of baskets taken together.

    An infinite one, nothing of the own history, is chosen where nothing is bought twice.

    Examples
    --------
    >>> rows = [("a", 1, 2.0, 0.1), ("a", 1, 4.0, 0.3), ("a", 1, float("inf"), 0.2)]
    >>> blended_best(pd.DataFrame(rows, columns=["method", "baskets", "strength", "ndcg"]))
    {'a': 4.0}
    """
    known = tuning[tuning["baskets"] > 0]  # without any basket there is nothing to weigh against
    by_baskets = known.groupby(["method", "strength", "baskets"])["ndcg"].mean()
    best = by_baskets.groupby(["method", "strength"]).mean().unstack("method").idxmax()
    return {str(method): float(strength) for method, strength in best.items()}
