"""A log in blocks: no user in two, no event lost, and files copied only where they have to be."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from interest_lib.blocks import blocks_of_users
from interest_lib.schema import InputError


def write(folder: Path, *parts: pd.DataFrame) -> list[Path]:
    folder.mkdir(exist_ok=True)
    paths = [folder / f"part-{number}.parquet" for number in range(len(parts))]
    for part, path in zip(parts, paths, strict=True):
        part.to_parquet(path)
    return paths


def by_time(n_events: int = 4000) -> pd.DataFrame:
    rng = np.random.default_rng(1)
    return pd.DataFrame({"user_id": rng.integers(0, 100, n_events), "event_id": np.arange(n_events)})


def test_files_that_hold_their_users_alone_stay_as_they_are(tmp_path: Path) -> None:
    log = by_time().sort_values("user_id")
    bounds = [25, 50, 75]
    parts = [log[np.digitize(log["user_id"], bounds) == place] for place in range(4)]
    files = write(tmp_path / "log", *parts)
    assert blocks_of_users(files, tmp_path / "blocks", block_rows=1000) == [[file] for file in files]
    assert blocks_of_users(files, tmp_path / "blocks", block_rows=10_000) == [files]
    assert not (tmp_path / "blocks").exists()


@pytest.mark.parametrize("ids", [int, str])
def test_a_log_in_the_order_of_time_is_dealt_out_by_user(tmp_path: Path, ids: type) -> None:
    log = by_time().astype({"user_id": ids})
    files = write(tmp_path / "log", log[:1500], log[1500:])
    blocks = [
        pd.concat(pd.read_parquet(file, partitioning=None) for file in block)
        for block in blocks_of_users(files, tmp_path / "blocks", block_rows=500)
    ]
    whole = pd.concat(blocks)
    assert whole.sort_values("event_id", ignore_index=True).equals(log)
    assert sum(block["user_id"].nunique() for block in blocks) == log["user_id"].nunique()
    assert len(blocks) == 8 and max(map(len, blocks)) <= 1000


def test_a_file_without_rows_or_statistics_is_no_obstacle(tmp_path: Path) -> None:
    log = by_time(1000)
    empty, full = write(tmp_path / "log", log[:0], log)
    assert blocks_of_users([empty, full], tmp_path / "blocks") == [[full]]
    log.to_parquet(full, write_statistics=False)
    blocks = blocks_of_users([full], tmp_path / "blocks", block_rows=100)
    assert sum(len(pd.read_parquet(file)) for block in blocks for file in block) == 1000


def test_what_cannot_be_dealt_out_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no file to make blocks of"):
        blocks_of_users([], tmp_path)
    files = write(tmp_path / "log", by_time().rename(columns={"user_id": "customer"}))
    with pytest.raises(InputError, match="column user_id is missing"):
        blocks_of_users(files, tmp_path / "blocks")
    files = write(tmp_path / "log", by_time())
    with pytest.raises(InputError, match="is not empty; give a new folder"):
        blocks_of_users(files, tmp_path / "log", block_rows=100)
