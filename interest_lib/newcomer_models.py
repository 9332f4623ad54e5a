"""Networks that foretell what newcomers will want: several tasks, and groups made indistinguishable."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch

from interest_lib.history import Bools, Floats
from interest_lib.interest_network import Fitting, InterestNetwork, UserRows, fit, foretold, told_apart
from interest_lib.newcomer_rows import EVERYTHING, Window, baskets_of, newcomers, played_rows, stacked
from interest_lib.transfer import NewUserTask


@dataclass(frozen=True)
class Play:
    """How source users play newcomers.

    Attributes
    ----------
    given : tuple of int
        Numbers of first baskets that are known.
    n_products : int
        Products that are read and foretold.
    n_starts : int
        Places in a user's log where such a window begins.
    n_skipped, n_foretold : int
        Baskets before those to be foretold, counted from the start of the window, and how many those are.
    judging_share : float
        Share of the source users who only judge.
    seed : int
    """

    given: tuple[int, ...] = (0, 1, 2, 5, 10)
    n_products: int = 2000
    n_starts: int = 2
    n_skipped: int = 5
    n_foretold: int = 20
    judging_share: float = 0.1
    seed: int = 0


@dataclass(frozen=True)
class Trained:
    """A network for new users, and what its training took.

    Attributes
    ----------
    network : InterestNetwork
    head : str
        The task that speaks for new users.
    losses : list of float
        Loss of those who judge, before the first epoch and after each.
    n_rows : int
        Rows that were read in training, over all epochs.
    told_apart : float
        Balanced accuracy of a fresh discriminator of newcomers and existing users, none of whom was learned
        from; 0.5 is chance, and not a number where no groups were told apart.
    """

    network: InterestNetwork
    head: str
    losses: list[float]
    n_rows: int
    told_apart: float = float("nan")


def multi_task(task: NewUserTask, play: Play, how: Fitting, one_task: bool = False) -> Trained:
    """A shared representation with a head for new users, one for existing users, and one for categories.

    Parameters
    ----------
    task : NewUserTask
    play : Play
    how : Fitting
    one_task : bool
        The head for new users alone, to see what the other tasks bring.

    Returns
    -------
    Trained

    References
    ----------
    Caruana (1997), Multitask Learning.
    """
    judges = _judges(task, play)
    rows, judge = (_all_heads(task, play, users, one_task) for users in (~judges, judges))
    return train("new", rows, judge, how, play.seed)


def _judges(task: NewUserTask, play: Play) -> Bools:
    """Some source users, at least four, who are not learned from."""
    n = task.source.shape[0]
    return np.asarray(np.random.default_rng(play.seed).permutation(n) < max(round(play.judging_share * n), 4))


def playing(task: NewUserTask, play: Play) -> tuple[UserRows, UserRows]:
    """Source users who play newcomers, with the label ``products``: those to learn from, those who judge."""
    judges = _judges(task, play)
    rows = [
        played_rows(task, _short(play), play.n_products, play.n_starts, users, play.seed)
        for users in (~judges, judges)
    ]
    return rows[0], rows[1]


def _short(play: Play) -> list[Window]:
    return [Window(n, max(n, play.n_skipped), play.n_foretold) for n in play.given]


def _all_heads(task: NewUserTask, play: Play, users: Bools, one_task: bool) -> UserRows:
    """Short histories for the head ``new``, full ones for ``existing``, categories for both."""
    new = played_rows(task, _short(play), play.n_products, play.n_starts, users, play.seed)
    if one_task:
        return replace(new, labels={"new": new.labels["products"]})
    return stacked([_renamed(new, "new"), _renamed(_existing(task, play, users, play.n_starts), "existing")])


def _existing(task: NewUserTask, play: Play, users: Bools, n_starts: int) -> UserRows:
    """Users with all that they did up to some time, and what they bought next."""
    window = Window(EVERYTHING, 0, play.n_foretold)
    return played_rows(task, [window], play.n_products, n_starts, users, play.seed)


def _renamed(rows: UserRows, head: str) -> UserRows:
    return replace(rows, labels={head if name == "products" else name: v for name, v in rows.labels.items()})


def train(head: str, rows: UserRows, judge: UserRows, how: Fitting, seed: int) -> Trained:
    """A network of the size that the rows ask for, trained on them and judged by one head.

    Parameters
    ----------
    head : str
        The task that is judged.
    rows, judge : UserRows
    how : Fitting
    seed : int
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        n_classes = {name: label.shape[1] for name, label in rows.labels.items()}
        network = InterestNetwork(rows.interests.shape[1], rows.attributes.shape[1], n_classes)
    network.start_heads(rows)
    losses = fit(network, rows, judge, replace(how, judged_task=head), seed)
    return Trained(network, head, losses, (len(losses) - 1) * len(rows))


def adversarial(task: NewUserTask, play: Play, how: Fitting, unlabelled: float = 0.25) -> Trained:
    """Existing users with full histories and labels, newcomers without labels, made indistinguishable.

    Existing users are those with at least as many baskets as half of the source. Some source users are the
    newcomers of the past: their first baskets are read, what they bought later is not. The discriminator is
    judged on the held-out users and on existing users who are not learned from.

    Parameters
    ----------
    task : NewUserTask
    play : Play
    how : Fitting
        ``reversal=0`` is the same network without the reversed gradient. It makes all its epochs, as those
        who judge are existing users, for whom the reversal only does harm.
    unlabelled : float
        Share of the source users who are the newcomers of the past.

    Returns
    -------
    Trained

    References
    ----------
    Ganin et al. (2016), Domain-Adversarial Training of Neural Networks.
    """
    judges = _judges(task, play)
    past = ~judges & (np.random.default_rng(play.seed + 1).random(len(judges)) < unlabelled)
    n_baskets = baskets_of(task.source)
    regular = n_baskets >= np.median(n_baskets)
    existing = _existing(task, play, ~judges & ~past & regular, 2 * play.n_starts)
    judge = _existing(task, play, judges & regular, play.n_starts)
    given = [n for n in play.given if n > 0]  # somebody of whom nothing is known looks like nobody
    windows = [Window(n, n, play.n_foretold) for n in given]
    new = replace(played_rows(task, windows, play.n_products, play.n_starts, past, play.seed), labels={})
    rows = stacked([_grouped(existing, 0), _grouped(new, 1)])
    found = train("products", rows, judge, replace(how, patience=0), play.seed)
    held_out = [_grouped(newcomers(task, n, play.n_products), 1) for n in given]
    unseen = stacked([_grouped(judge, 0), *held_out])
    return replace(found, told_apart=told_apart(found.network, rows, unseen, play.seed))


def _grouped(rows: UserRows, group: int) -> UserRows:
    return replace(rows, group=np.full(len(rows), group))


def network_shares(trained: Trained, task: NewUserTask, n_given: int, n_products: int) -> Floats:
    """What a network foretells for the held-out users of a task.

    Parameters
    ----------
    trained : Trained
    task : NewUserTask
    n_given : int
        First baskets that are known.
    n_products : int
        As in `Play`.

    Returns
    -------
    ndarray of float, shape (n_held_out, n_products)
        Rows sum to one; the other products are foretold for nobody.
    """
    return foretold(trained.network, newcomers(task, n_given, n_products), trained.head)
