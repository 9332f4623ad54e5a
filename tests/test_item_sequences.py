"""Windows of item sequences, and what may be done to them."""

import numpy as np
import pytest
import scipy.sparse as sp

from interest_lib.item_sequences import ItemSequences, cropped, masked, reordered, sequences_of, windows
from interest_lib.schema import InputError


def some() -> ItemSequences:
    return sequences_of(sp.csr_matrix([[3, 1, 0, 2, 9], [0, 0, 0, 0, 0], [0, 0, 5, 0, 0]]))


def test_items_come_in_the_order_they_were_met() -> None:
    sequences = some()
    assert sequences.codes.tolist() == [2, 4, 1, 5, 3] and sequences.start.tolist() == [0, 4, 4, 5]
    assert sequences_of(sp.csr_matrix([[3, 1, 0], [0, 1, 2]]), np.array([1])).codes.tolist() == [2, 3]


def test_windows_end_with_the_latest_and_never_reach_into_another_user() -> None:
    shown = windows(some(), np.array([2, 0, 1]), 3)
    assert shown.tolist() == [[0, 0, 3], [4, 1, 5], [0, 0, 0]]
    assert windows(some(), np.array([0]), 3, end=np.array([2])).tolist() == [[0, 2, 4]]
    assert windows(some(), np.array([0]), 3, kept=np.array([1])).tolist() == [[0, 0, 5]]
    with pytest.raises(InputError, match="length of at least 1"):
        windows(some(), np.array([0]), 0)


def test_a_crop_is_one_piece_of_the_history() -> None:
    sequences = sequences_of(sp.csr_matrix([np.arange(1, 41)]))
    shown = cropped(sequences, np.zeros(200, dtype=int), 10, np.random.default_rng(0), share=0.2)
    kept = shown[:, 2:]
    assert (shown[:, :2] == 0).all() and (np.diff(kept, axis=1) == 1).all()
    assert kept.min() == 1 and kept.max() == 40, "from anywhere"


def test_a_mask_hides_about_its_share_and_never_padding() -> None:
    shown = np.repeat([[0, 1, 2, 3]], 2000, axis=0)
    hidden = masked(shown, 9, np.random.default_rng(0), share=0.3)
    assert (hidden[:, 0] == 0).all() and (hidden[:, 1:] == 9).mean() == pytest.approx(0.3, abs=0.03)
    assert ((hidden == shown) | (hidden == 9)).all()


def test_reordering_mixes_one_stretch_and_loses_nothing() -> None:
    shown = np.repeat([[0, 0, *range(1, 11)]], 300, axis=0)
    mixed = reordered(shown, np.random.default_rng(0), share=0.3)
    assert (np.sort(mixed, axis=1) == shown).all()
    moved = mixed != shown
    width = np.where(moved.any(axis=1), 12 - moved[:, ::-1].argmax(axis=1) - moved.argmax(axis=1), 0)
    assert width.max() == 3 and (width > 0).mean() > 0.5
    assert len(np.unique(mixed.argmax(axis=1))) == 3, "the last item moves only within a stretch"
    whole = reordered(shown, np.random.default_rng(0), share=1.0)
    assert len(np.unique(whole[:, -1])) == 10
    assert reordered(np.array([[0, 0, 7]]), np.random.default_rng(0)).tolist() == [[0, 0, 7]]
