"""Every learned way to borrow, for one draw of new users: fitted, blended in one way, and judged."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar

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
    diversity : Diversity
        Of the generator.
    starts : list of HeadStart
    seconds : dict of str to float
        Processor time of the training by method: for `timing.json`, as it differs from run to run.
    """

    ndcg: pd.DataFrame
    networks: dict[str, Trained]
    diversity: Diversity
    starts: list[HeadStart]
    seconds: dict[str, float]


def learned_transfer(
    task: NewUserTask,
    play: Play,
    how: Learning,
    given: Sequence[int],
    strengths: Sequence[float],
    k: int = 10,
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

    Returns
    -------
    Learned
    """
    seconds: dict[str, float] = {}
    networks = {
        "multitask": _timed(seconds, "multitask", lambda: multi_task(task, play, how.tasks)),
        "single_task": _timed(seconds, "single_task", lambda: multi_task(task, play, how.tasks, True)),
        "reversal": _timed(seconds, "reversal", lambda: adversarial(task, play, how.groups)),
    }
    without = replace(how.groups, reversal=0.0)
    networks["no_reversal"] = _timed(seconds, "no_reversal", lambda: adversarial(task, play, without))
    rows, judge = playing(task, play)
    generator = InterestGenerator(how.contest, play.seed)
    _timed(seconds, "generator", lambda: generator.fit(rows))
    factors = FactorModel(play, how.n_factors, how.n_epochs)
    _timed(seconds, "lightfm", lambda: factors.fit(task))
    n = play.n_products

    def shares(method: str, n_given: int) -> Floats:
        if method in networks:
            return network_shares(networks[method], task, n_given, n)
        made = {
            "popularity": lambda: popular_shares(task, n),
            "generator": lambda: generator.shares(newcomers(task, n_given, n), seed=play.seed),
            "lightfm": lambda: factors.shares(task, n_given),
        }
        return made[method]()

    tables = []
    for method in ("popularity", "lightfm", *networks, "generator"):
        for n_given in given:
            # with no basket there is nothing to blend with, and every strength gives the same list
            tried = (np.inf, *strengths) if n_given else (np.inf,)
            values = blended_ndcg(task, n_given, shares(method, n_given), tried, k)
            tables.append(values.assign(method=method, baskets=n_given))
    starts = [
        head_start(task, networks["multitask"], n, how.start, play.seed + seed)
        for seed in range(how.n_starts)
    ]
    table = pd.concat(tables, ignore_index=True)
    return Learned(table, networks, generator.diversity(judge, play.seed), starts, seconds)


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
    means = known.groupby(["method", "baskets", "strength"])["ndcg"].mean()
    return {
        str(method): float(each.groupby("strength").mean().idxmax())
        for method, each in means.groupby("method", sort=True)
    }
