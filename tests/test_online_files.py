"""The online state on disk: whole, to the last bit, or not at all."""

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from interest_lib.online import InterestState
from interest_lib.online_files import load_state, save_state
from interest_lib.schema import InputError

AT = datetime(2018, 1, 1)


def made(ids: Any = str, by: str = "category", **settings: Any) -> InterestState:
    rng = np.random.default_rng(0)
    state = InterestState(by=by, **settings)
    for user, interest, day in rng.integers(0, [7, 5, 300], (100, 3)).tolist():
        time = datetime(2017, 1, 1, 0, 0, 0, 123457) + timedelta(days=day)
        state.update(ids(user), ids(interest), time, rng.normal())
    return state


def in_order(state: InterestState) -> pd.DataFrame:
    return state.sums().sort_values(["user_id", state.by], ignore_index=True)


@pytest.mark.parametrize(
    "state",
    [
        made(half_life_days=1 / 3),
        made(int, by="item_id"),
        made(lambda n: (n - 3) * 2**60, half_life_days=90, by_interest={0: 0.1, -(2**60): 1e9}),
        made(lambda n: f"né\n\0 {n}", by_interest={"né\n\0 1": 2.5, "": 3}),
        InterestState(30.0),
    ],
    ids=["text", "ints", "large ints", "odd text", "empty"],
)
def test_a_state_comes_back_to_the_last_bit(state: InterestState, tmp_path: Path) -> None:
    path = tmp_path / "state.parquet"
    save_state(state, path)
    back = load_state(path)
    assert (back.by, back.half_life_days, back.by_interest) == (
        state.by,
        state.half_life_days,
        state.by_interest,
    )
    pd.testing.assert_frame_equal(
        in_order(back), in_order(state), check_exact=True, check_dtype=len(state) > 0
    )
    assert [entry.name for entry in tmp_path.iterdir()] == ["state.parquet"]
    save_state(back, tmp_path / "again.parquet")
    assert (tmp_path / "again.parquet").read_bytes() == path.read_bytes()


def test_what_came_back_goes_on_as_if_nothing_had_been(tmp_path: Path) -> None:
    state = made(half_life_days=10)
    save_state(state, tmp_path / "state.parquet")
    back = load_state(tmp_path / "state.parquet")
    for either in (state, back):
        either.update("3", "new", AT)
        either.update("3", "1", AT)
    pd.testing.assert_frame_equal(back.table(AT), state.table(AT), check_exact=True)
    back.merge(state)


def test_no_flipped_bit_goes_unnoticed(tmp_path: Path) -> None:
    state, path = made(half_life_days=10, by_interest={"1": 3}), tmp_path / "state.parquet"
    save_state(state, path)
    content, refused = path.read_bytes(), 0
    for place in range(0, len(content), 7):
        damaged = bytearray(content)
        damaged[place] ^= 1 << place % 8
        path.write_bytes(damaged)
        try:
            back = load_state(path)
        except InputError as problem:
            refused += 1
            assert "restore it" in str(problem) or "save the state anew" in str(problem)
        else:  # some bytes, such as the name of the program that wrote the file, mean nothing
            pd.testing.assert_frame_equal(in_order(back), in_order(state), check_exact=True)
            assert (back.half_life_days, back.by_interest) == (10, {"1": 3})
    assert refused > len(content) / 7 / 2


def test_a_setting_that_was_changed_by_hand_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "state.parquet"
    save_state(made(half_life_days=10), path)
    table = pq.read_table(path)
    metadata = table.schema.metadata[b"interest_state"].replace(b"10.0", b"11.0")
    pq.write_table(table.replace_schema_metadata({b"interest_state": metadata}), path)
    with pytest.raises(InputError, match="has changed since it was saved"):
        load_state(path)
    metadata = metadata.replace(b'"version": 1', b'"version": 2')
    pq.write_table(table.replace_schema_metadata({b"interest_state": metadata}), path)
    with pytest.raises(InputError, match="of version 2, not 1"):
        load_state(path)


def test_files_that_are_no_state_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "state.parquet"
    with pytest.raises(InputError, match="does not exist"):
        load_state(path)
    save_state(made(), path)
    whole = path.read_bytes()
    pq.write_table(pa.table({"user_id": [1]}), tmp_path / "other.parquet")
    for content in (b"", b"user_id,item_id\n", whole[:-9], whole[: len(whole) // 2], b"PAR1" * 50):
        path.write_bytes(content)
        with pytest.raises(InputError, match="is no state of save_state, or is damaged"):
            load_state(path)
    with pytest.raises(InputError, match=r"other.parquet is no state"):
        load_state(tmp_path / "other.parquet")


def test_a_crash_while_writing_leaves_the_old_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, old = tmp_path / "state.parquet", made(half_life_days=10)
    save_state(old, path)

    def crash(table: pa.Table, where: Path, **options: Any) -> None:
        where.write_bytes(b"PAR1")
        raise OSError("No space left on device")

    monkeypatch.setattr(pq, "write_table", crash)
    with pytest.raises(OSError, match="No space"):
        save_state(made(half_life_days=20), path)
    pd.testing.assert_frame_equal(in_order(load_state(path)), in_order(old), check_exact=True)
