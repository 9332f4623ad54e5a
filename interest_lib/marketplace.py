"""The synthetic marketplace: event logs of any size with known truth, written beside the log."""

import json
import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from joblib import Parallel, delayed

from interest_lib.layout import replace_folder, restore_folder, write_json
from interest_lib.marketplace_events import simulate
from interest_lib.marketplace_settings import Marketplace
from interest_lib.marketplace_tables import (
    Counts,
    count,
    detail_tables,
    events_table,
    shop_tables,
    truth_tables,
)
from interest_lib.marketplace_truth import World, make_world
from interest_lib.schema import EVENTS, InputError

__all__ = ["Marketplace", "Truth", "generate", "read_truth"]

BLOCK_EVENTS: Final = 500_000
"""Events to expect in one block of users, which is one file of the log."""

DETAIL_EVENTS: Final = 5_000_000
"""Up to so many expected events, the truth also holds every episode and every visit."""


@dataclass(frozen=True)
class Truth:
    """What is planted in a log, as written beside it.

    Attributes
    ----------
    folder
        Folder of the marketplace: `events`, `items.parquet`, `users.parquet`, `promotions.parquet`, `truth`.
    planted
        Contents of `truth.json`: the settings, and every planted number that is no table.
    """

    folder: Path
    planted: dict[str, Any]

    def table(self, name: str) -> pd.DataFrame:
        """A table of the truth: categories, tastes, transitions, users, items, promotions or days.

        For small logs also episodes and visits.

        Raises
        ------
        InputError
            If there is no such table.
        """
        for path in (self.folder / "truth" / f"{name}.parquet", self.folder / "truth" / name):
            if path.exists():
                return pd.read_parquet(path)
        raise InputError(
            f"{self.folder.name}: there is no truth about {name!r}; choose a table that docs/marketplace.md "
            f"lists (episodes and visits up to {DETAIL_EVENTS:,} expected events)."
        )


def generate(
    settings: Marketplace,
    folder: Path,
    n_jobs: int = 2,
    progress: Callable[[int, int], None] | None = None,
) -> Truth:
    """Write a synthetic event log with its truth.

    Parameters
    ----------
    settings
        Sizes and everything planted.
    folder
        Where to write. A marketplace that is there already is replaced, once the new one is complete.
    n_jobs
        Number of processes; the files are the same bytes for any number.
    progress
        Called with the number of blocks done and of all blocks.

    Returns
    -------
    Truth

    Raises
    ------
    InputError
        If the folder holds something else, or `n_jobs` is no number of processes.

    Notes
    -----
    The generative model is described in `docs/marketplace.md`.

    Examples
    --------
    >>> from tempfile import mkdtemp
    >>> small = Marketplace(n_users=20, n_items=100, events_per_user=30)
    >>> truth = generate(small, Path(mkdtemp()) / "shop", n_jobs=1)
    >>> sorted(path.name for path in truth.folder.iterdir())
    ['events', 'items.parquet', 'promotions.parquet', 'truth', 'truth.json', 'users.parquet']
    >>> list(truth.table("categories").columns[:4])
    ['category', 'department', 'curve', 'half_life_days']
    """
    if n_jobs < 1:
        raise InputError(f"marketplace: n_jobs is {n_jobs}; give the number of processes, 1 or more.")
    restore_folder(folder)
    if folder.is_file() or (folder.exists() and any(folder.iterdir()) and not _is_marketplace(folder)):
        raise InputError(f"{folder.name}: this is no marketplace and is not replaced; give another folder.")
    partial = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    (partial / "truth").mkdir(parents=True)
    (partial / "events").mkdir()
    try:
        world = make_world(settings)
        counts = _write_blocks(settings, partial, n_jobs, progress)
        for name, table in shop_tables(world).items():
            _write(table, partial / f"{name}.parquet")
        for name, table in truth_tables(world, counts).items():
            _write(table, partial / "truth" / f"{name}.parquet")
        write_json(partial / "truth.json", _facts(world, counts))
        replace_folder(partial, folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return read_truth(folder)


def read_truth(folder: Path) -> Truth:
    """The truth of a marketplace that was written before.

    Raises
    ------
    InputError
        If the folder is no marketplace.
    """
    try:
        return Truth(folder, json.loads((folder / "truth.json").read_text(encoding="utf-8")))
    except (FileNotFoundError, NotADirectoryError):
        raise InputError(
            f"{folder.name}: there is no truth.json in it; give the folder of a marketplace."
        ) from None


def _is_marketplace(folder: Path) -> bool:
    return all((folder / name).exists() for name in ("truth.json", "truth", "events"))


def _write_blocks(
    settings: Marketplace, partial: Path, n_jobs: int, progress: Callable[[int, int], None] | None
) -> Counts:
    size = int(np.clip(round(BLOCK_EVENTS / settings.events_per_user), 1, settings.n_users))
    n_blocks = -(-settings.n_users // size)
    tasks = (delayed(_write_block)(settings, partial, block, size) for block in range(n_blocks))
    total: Counts | None = None
    for done, counts in enumerate(Parallel(n_jobs=n_jobs, return_as="generator")(tasks), start=1):
        total = counts if total is None else total + counts
        if progress:
            progress(done, n_blocks)
    assert total is not None
    return total


def _write_block(settings: Marketplace, partial: Path, number: int, size: int) -> Counts:
    world = make_world(settings)
    rng = np.random.default_rng(np.random.SeedSequence(settings.seed, spawn_key=(1, number)))
    rows = slice(number * size, min((number + 1) * size, settings.n_users))
    # far more numbers than a block can have orders, so that those of two blocks cannot meet
    block = simulate(world, rows, rng, first_basket=number * 1_000_000_000 + 1)
    _write(events_table(world, block.events), partial / "events" / f"part-{number:05d}.parquet")
    if settings.expected_events <= DETAIL_EVENTS:
        for name, table in detail_tables(world, block).items():
            (partial / "truth" / name).mkdir(exist_ok=True)
            _write(table, partial / "truth" / name / f"part-{number:05d}.parquet")
    return count(world, block)


def _write(table: pa.Table, path: Path) -> None:
    texts = [field.name for field in table.schema if pa.types.is_dictionary(field.type)]
    pq.write_table(table, path, compression="zstd", compression_level=1, use_dictionary=texts)


def _facts(world: World, counts: Counts) -> dict[str, Any]:
    settings = world.settings
    hours = np.array(settings.hour_weights) / sum(settings.hour_weights)
    change = None
    if np.isfinite(world.change_day):
        change = str(
            np.datetime64(settings.start, "s") + np.timedelta64(round(world.change_day * 86_400), "s")
        )
    return {
        "settings": asdict(settings),
        "expected_events": settings.expected_events,
        "events": dict(zip(EVENTS, counts.events, strict=True)),
        "visits_per_user_and_day": world.visit_rate,
        "episodes_per_user_and_day": world.episode_rate,
        "hour_shares": hours,
        "takeover_hour_shares": np.roll(hours, settings.takeover_hours),
        "global_change": change,
        "popular_category": world.catalogue.categories[world.popular],
    }
