"""The online state in a file: written whole or not at all, restored to the last bit, refused when damaged."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any, Final

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from interest_lib.layout import written_whole
from interest_lib.online import InterestState
from interest_lib.schema import InputError

_KEY: Final = b"interest_state"
_VERSION: Final = 1


def save_state(state: InterestState, path: Path) -> None:
    """Write a state to a Parquet file that any tool can read: one row for each user and interest.

    The rows are sorted, so equal states give equal bytes. The file is written beside its place and renamed,
    so that a crash leaves the old one.

    Parameters
    ----------
    state : InterestState
    path : Path
        In a folder that exists.

    Examples
    --------
    >>> from datetime import datetime
    >>> from tempfile import mkdtemp
    >>> state = InterestState(half_life_days=30)
    >>> state.update(7, "a", datetime(2017, 1, 1))
    >>> path = Path(mkdtemp()) / "state.parquet"
    >>> save_state(state, path)
    >>> load_state(path).interests(7, datetime(2017, 1, 31))
    {'a': 0.5}
    """
    sums = state.sums().sort_values(["user_id", state.by], ignore_index=True)
    settings: dict[str, Any] = {
        "version": _VERSION,
        "by": state.by,
        "half_life_days": state.half_life_days,
        "by_interest": sorted(state.by_interest.items()),
    }
    settings["sha256"] = _fingerprint(sums, settings)
    table = pa.Table.from_pandas(sums, preserve_index=False)
    table = table.replace_schema_metadata({_KEY: json.dumps(settings)})
    with written_whole(path) as beside:
        pq.write_table(table, beside, write_page_checksum=True)


def load_state(path: Path) -> InterestState:
    """Read a state that `save_state` has written.

    Parameters
    ----------
    path : Path

    Returns
    -------
    InterestState

    Raises
    ------
    InputError
        There is no such file, it is none of `save_state`, or it has changed since.
    """
    if not path.is_file():
        raise InputError(f"{path} does not exist: give a file that save_state has written.")
    try:
        table = pq.read_table(pa.py_buffer(path.read_bytes()), page_checksum_verification=True)
        settings = json.loads((table.schema.metadata or {})[_KEY])
        expected = settings.pop("sha256")
        sums = table.replace_schema_metadata(None).to_pandas()
        intact = settings["version"] != _VERSION or _fingerprint(sums, settings) == expected
    except (pa.ArrowException, OSError, ValueError, KeyError, TypeError, AttributeError) as problem:
        raise InputError(
            f"{path} is no state of save_state, or is damaged: restore it, or build the state from the log."
        ) from problem
    if not intact:
        raise InputError(
            f"{path} has changed since it was saved: restore it, or build the state from the log."
        )
    if settings["version"] != _VERSION:
        raise InputError(f"{path} is of version {settings['version']}, not {_VERSION}: save the state anew.")
    state = InterestState(settings["half_life_days"], settings["by"], dict(settings["by_interest"]))
    state.add_sums(sums)
    return state


def _fingerprint(sums: pd.DataFrame, settings: dict[str, Any]) -> str:
    """What changes when any id, number, time or setting does."""
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode())
    for name in ("user_id", settings["by"]):
        digest.update(json.dumps([name, sums[name].tolist()]).encode())
    for name, kind in (("events", "int64"), ("value", "float64"), ("time", "datetime64[us]")):
        digest.update(sums[name].to_numpy(kind).tobytes())
    return digest.hexdigest()
