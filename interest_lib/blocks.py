"""A log that outgrows memory, in blocks that have no user in common.

Whatever is worked out user by user can be worked out block by block: each fits into memory, and several
processes take one each.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import pyarrow.parquet as pq

from interest_lib.engine import connect
from interest_lib.schema import InputError

BLOCK_ROWS: Final = 2_000_000
"""Events of a block: some hundreds of megabytes for what is worked out from them."""

WRITER_GIB: Final = 2.0
"""Memory that dealing out may take, in GiB."""


def blocks_of_users(files: Sequence[Path], folder: Path, block_rows: int = BLOCK_ROWS) -> list[list[Path]]:
    """Deal a log out into blocks, each with all events of its users.

    Where the statistics in the files say that users lie together, a block is some of the files as they are.
    Else, as in a log in the order of time, the events are written anew, dealt out by the user's hashed id.

    Parameters
    ----------
    files
        Parquet files with a ``user_id`` each.
    folder
        Where the events are written if they have to be: as many bytes as the files have. Must be empty then.
    block_rows
        Events of a block, about; one has at most twice as many, unless a single user has.

    Returns
    -------
    list of list of Path
        The files of each block.

    Raises
    ------
    InputError
        No file; a file without ``user_id``; the folder is needed and holds something already.

    Examples
    --------
    >>> from tempfile import mkdtemp
    >>> import pyarrow as pa
    >>> folder = Path(mkdtemp())
    >>> for number, users in enumerate(([1, 2], [5, 6], [2, 4])):
    ...     pq.write_table(pa.table({"user_id": users}), folder / f"{number}.parquet")
    >>> blocks = blocks_of_users(sorted(folder.glob("*.parquet")), folder / "blocks", block_rows=4)
    >>> [[path.name for path in block] for block in blocks]
    [['0.parquet', '2.parquet'], ['1.parquet']]
    """
    files = list(files)
    if not files:
        raise InputError("There is no file to make blocks of; give the log's Parquet files.")
    groups = _files_that_share_users(files, block_rows)
    if all(rows <= 2 * block_rows for _, rows in groups):
        return [group for group, _ in groups]
    return _dealt_out(files, folder, -(-sum(rows for _, rows in groups) // block_rows))


def _files_that_share_users(files: list[Path], block_rows: int) -> list[tuple[list[Path], int]]:
    """Files and their rows: overlapping ranges of user_id in one group, small groups put together."""
    spans = []
    for path in files:
        metadata = pq.read_metadata(path)
        if "user_id" not in metadata.schema.names:
            raise InputError(f"{path}: column user_id is missing; blocks are made by user.")
        if not metadata.num_rows:
            continue
        place = metadata.schema.names.index("user_id")
        parts = [metadata.row_group(i).column(place).statistics for i in range(metadata.num_row_groups)]
        if not all(part is not None and part.has_min_max for part in parts):
            return [(files, sum(pq.read_metadata(each).num_rows for each in files))]
        spans.append((min(p.min for p in parts), max(p.max for p in parts), metadata.num_rows, path))
    groups: list[tuple[list[Path], int]] = []
    reach = None
    for low, high, rows, path in sorted(spans):
        apart = reach is None or low > reach
        if not groups or (apart and groups[-1][1] + rows > block_rows):
            groups.append(([], 0))
        groups[-1] = ([*groups[-1][0], path], groups[-1][1] + rows)
        reach = high if reach is None else max(reach, high)
    return groups


def _dealt_out(files: list[Path], folder: Path, n_blocks: int) -> list[list[Path]]:
    if folder.is_dir() and any(folder.iterdir()):
        raise InputError(f"{folder} is not empty; give a new folder.")
    folder.mkdir(parents=True, exist_ok=True)
    con = connect(memory_gib=WRITER_GIB)
    con.raw_sql("SET preserve_insertion_order = false")
    # Half a million rows of each block would wait in memory otherwise.
    con.raw_sql("SET partitioned_write_flush_threshold = 50000")
    log = con.read_parquet([str(path) for path in files])
    dealt = log.mutate(block=(log.user_id.hash() % n_blocks).abs())
    dealt.to_parquet(folder, partition_by="block")
    con.disconnect()
    return [sorted(block.glob("*.parquet")) for block in sorted(folder.glob("block=*"))]
