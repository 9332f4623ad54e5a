"""How users of a synthetic marketplace act: episodes of interest or regimes, and the visits they bring."""

from typing import Final

import numpy as np

from interest_lib.curves import curve_age, curve_share
from interest_lib.marketplace_settings import Floats, Ints
from interest_lib.marketplace_truth import World, segment

DAY: Final = 86_400  # seconds
Table = dict[str, np.ndarray]


def act(world: World, rows: slice, rng: np.random.Generator) -> tuple[Table, Table]:
    """Episodes and visits of the users in the given rows of `World.users`.

    Returns
    -------
    episodes
        user_id, chain (who acts in the account), start and end (days), category, era, segment, and before:
        the category of the episode before, or -1.
    visits
        user_id, chain, episode (row in `episodes`), category, seconds since the start of the log, age_days
        since the start of the episode.
    """
    chains = _chains(world, rows)
    episodes = _episodes(world, chains, rng)
    if world.settings.generator == "decay":
        visits = _fading_visits(world, episodes, rng)
    else:
        visits = _regime_visits(world, chains, episodes, rng)
    return episodes, _in_season(world, chains, visits, rng)


def _chains(world: World, rows: slice) -> Table:
    """Who acts, from when to when: the owner of each account, and after a take-over somebody else."""
    users, days = world.users.iloc[rows], float(world.settings.days)
    taken = np.minimum(users["takeover_day"].to_numpy(), days)
    stolen = np.flatnonzero(taken < days)
    who = np.concatenate([np.arange(len(users)), stolen])
    intruder = np.arange(len(who)) >= len(users)
    part = {
        name: users[name].to_numpy()[who] for name in ("user_id", "gender", "age", "activity", "move_day")
    }
    factor = np.where(intruder, world.settings.takeover_rate_factor, 1.0)
    return {
        **part,
        "intruder": intruder,
        "group": np.where(intruder, users["takeover_group"].to_numpy()[who], users["group"].to_numpy()[who]),
        "group_after": np.where(
            intruder, users["takeover_group"].to_numpy()[who], users["group_after"].to_numpy()[who]
        ),
        "start": np.where(intruder, taken[who], users["joined"].to_numpy()[who]),
        "end": np.where(intruder, days, taken[who]),
        "rate": part["activity"] * factor,
    }


def _episodes(world: World, chains: Table, rng: np.random.Generator) -> Table:
    if world.settings.generator == "decay":
        count = rng.poisson(world.episode_rate * chains["rate"] * (chains["end"] - chains["start"]))
        chain = np.repeat(np.arange(len(count)), count)
        chance = rng.random(len(chain))
        start = chains["start"][chain] + chance * (chains["end"] - chains["start"])[chain]
    else:
        chain, start = _sojourns(world, chains, rng)
    order = np.lexsort((start, chain))
    chain, start = chain[order], start[order]
    after = np.append(start[1:], np.inf)
    last = np.append(chain[1:] != chain[:-1], True)
    seg = _segment_at(chains, chain, start)
    era = (start >= world.change_day).astype(np.int64)
    category, before = _walk(world, chain, seg, era, rng)
    return {
        "user_id": chains["user_id"][chain],
        "chain": chain,
        "start": start,
        "end": np.where(last | (world.settings.generator == "decay"), chains["end"][chain], after),
        "category": category,
        "before": before,
        "era": era,
        "segment": seg,
    }


def _sojourns(world: World, chains: Table, rng: np.random.Generator) -> tuple[Ints, Floats]:
    """Starts of regimes: one after the other, each as long as a draw from the gamma distribution."""
    settings = world.settings
    chain, start = np.arange(len(chains["start"])), chains["start"]
    found = []
    while len(chain):
        found.append((chain, start))
        mean = settings.sojourn_days / settings.sojourn_shape
        start = start + rng.gamma(settings.sojourn_shape, mean, len(chain))
        goes_on = start < chains["end"][chain]
        chain, start = chain[goes_on], start[goes_on]
    return np.concatenate([c for c, _ in found]), np.concatenate([s for _, s in found])


def _segment_at(chains: Table, chain: Ints, day: Floats) -> Ints:
    moved = day >= chains["move_day"][chain]
    group = np.where(moved, chains["group_after"][chain], chains["group"][chain])
    return segment(group, chains["gender"][chain], chains["age"][chain])


def _cumulated_rows(shares: Floats) -> Floats:
    """Rows of shares as one flat table for `_drawn`."""
    flat = np.cumsum(shares.reshape(-1, shares.shape[-1]), axis=1)
    return (flat / flat[:, -1:] + np.arange(len(flat))[:, None]).ravel()


def _draw_category(shares: Floats, rows: Ints, rng: np.random.Generator) -> Ints:
    return _drawn(_cumulated_rows(shares), shares.shape[-1], rows, _chances(len(rows), rng))


def _chances(count: int, rng: np.random.Generator) -> Floats:
    """Numbers in [0, 1), so far below 1 that a whole number before the point does not round them up."""
    return np.minimum(rng.random(count), 1 - 1e-9)


def _drawn(table: Floats, width: int, rows: Ints, chances: Floats) -> Ints:
    """The columns that the chances hit in the given rows of a table from `_cumulated_rows`."""
    return np.searchsorted(table, rows + chances, side="right") - rows * width


def _walk(world: World, chain: Ints, seg: Ints, era: Ints, rng: np.random.Generator) -> tuple[Ints, Ints]:
    """Categories of episodes in the order of each chain, and those before them.

    The first follows the taste. Each further one follows the planted matrix with the probability
    `transition_share` and the taste otherwise; where the matrix leads is looked up step by step, for all
    users at once.
    """
    n_segments = world.taste.shape[1]
    taste = _draw_category(world.taste, era * n_segments + seg, rng)
    first = np.flatnonzero(np.append(True, chain[1:] != chain[:-1]) if len(chain) else [])
    count = np.diff(np.append(first, len(chain)))
    chances = _chances(len(chain), rng)
    by_matrix = rng.random(len(chain)) < world.settings.transition_share
    table, width = _cumulated_rows(world.transition), world.transition.shape[-1]
    category, before = taste.copy(), np.full(len(chain), -1)
    longest_first = np.argsort(-count, kind="stable")
    first, count = first[longest_first], count[longest_first]
    for step in range(1, int(count.max(initial=0))):
        here = first[: np.searchsorted(-count, -step)] + step
        before[here] = category[here - 1]
        moves = here[by_matrix[here]]
        rows = era[moves] * width + before[moves]
        category[moves] = _drawn(table, width, rows, chances[moves])
    return category, before


def _fading_visits(world: World, episodes: Table, rng: np.random.Generator) -> Table:
    """The visit that starts each episode, and follow-ups that fade along the curve of its category."""
    start, category = episodes["start"], episodes["category"]
    curve, half_life = world.curve[category], world.half_life_days[category]
    low = curve_share(curve, np.maximum(-start, 0) / half_life)
    high = curve_share(curve, np.maximum(episodes["end"] - start, 0) / half_life)
    peak = world.day_factor.max()
    count = rng.poisson(world.settings.follow_ups * peak * np.maximum(high - low, 0))
    episode = np.repeat(np.arange(len(start)), count)
    share = low[episode] + rng.random(len(episode)) * (high - low)[episode]
    age = curve_age(curve[episode], share) * half_life[episode]
    begun = np.flatnonzero(start >= 0)
    episode = np.concatenate([begun, episode])
    age = np.concatenate([np.zeros(len(begun)), age])
    return {
        "chain": episodes["chain"][episode],
        "episode": episode,
        "category": category[episode],
        "day": start[episode] + age,
        "age_days": age,
    }


def _regime_visits(world: World, chains: Table, episodes: Table, rng: np.random.Generator) -> Table:
    """Visits at a constant rate, most of them to the category of the regime."""
    begin = np.maximum(episodes["start"], 0)
    length = np.maximum(episodes["end"] - begin, 0)
    rate = world.visit_rate * chains["rate"][episodes["chain"]] * world.day_factor.max()
    count = rng.poisson(rate * length)
    episode = np.repeat(np.arange(len(begin)), count)
    day = begin[episode] + rng.random(len(episode)) * length[episode]
    chain = episodes["chain"][episode]
    rows = (day >= world.change_day) * world.taste.shape[1] + _segment_at(chains, chain, day)
    by_regime = rng.random(len(episode)) < world.settings.regime_share
    return {
        "chain": chain,
        "episode": episode,
        "category": np.where(
            by_regime, episodes["category"][episode], _draw_category(world.taste, rows, rng)
        ),
        "day": day,
        "age_days": day - episodes["start"][episode],
    }


def _in_season(world: World, chains: Table, visits: Table, rng: np.random.Generator) -> Table:
    """Thin the visits by weekday and year, and bend each day so that its hours have their planted shares."""
    whole = np.floor(visits["day"])
    kept = np.flatnonzero((whole >= 0) & (whole < world.settings.days))
    chance = world.day_factor / world.day_factor.max()
    kept = kept[rng.random(len(kept)) < chance[whole[kept].astype(np.int64)]]
    visits = {name: values[kept] for name, values in visits.items()}
    whole, chain = whole[kept], visits["chain"]
    hours = np.array(world.settings.hour_weights)
    moment = np.empty(len(kept))
    for intruder in (False, True):
        there = chains["intruder"][chain] == intruder
        weights = np.roll(hours, world.settings.takeover_hours) if intruder else hours
        reached = np.concatenate([[0.0], np.cumsum(weights) / weights.sum()])
        moment[there] = np.interp((visits["day"] - whole)[there], reached, np.arange(25) / 24)
    seconds = (whole * DAY + np.minimum(moment * DAY, DAY - 1)).astype(np.int64)
    return {"user_id": chains["user_id"][chain], "seconds": seconds, **visits}
