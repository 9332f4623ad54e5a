"""Places of pairs, one by one and many at once."""

import numpy as np
import pytest

from interest_lib.pairs import Pairs, factorized, known_id
from interest_lib.schema import InputError


def test_single_and_many_give_the_same_places_and_chains() -> None:
    rng = np.random.default_rng(0)
    users, interests = rng.integers(0, 20, 600), rng.integers(0, 30, 600)
    pairs, known = Pairs("user_id", "item_id"), {}
    for start in range(0, 600, 60):
        part = slice(start, start + 60)
        if start % 120:
            found = [pairs.place(int(u), int(i)) for u, i in zip(users[part], interests[part], strict=True)]
        else:
            places, position = pairs.places(
                *factorized(users[part], "user_id"), *factorized(interests[part], "item_id")
            )
            assert len(np.unique(places)) == len(places)
            found = places[position].tolist()
        for pair, place in zip(zip(users[part], interests[part], strict=True), found, strict=True):
            assert known.setdefault(pair, place) == place
    assert sorted(known.values()) == list(range(len(pairs)))
    user_codes, codes = pairs.codes()
    for (user, interest), place in known.items():
        assert (pairs.user_ids[user_codes[place]], pairs.interest_ids[codes[place]]) == (user, interest)
    for user in range(20):
        assert pairs.of_user(user).tolist() == sorted(p for (u, _), p in known.items() if u == user)
    assert pairs.of_user(99).tolist() == []


@pytest.mark.parametrize("value", [None, 1.5, True, float("nan"), ("a",), b"a", 2**63])
def test_an_id_is_a_number_of_64_bits_or_a_text(value: object) -> None:
    with pytest.raises(InputError, match=r"^item_id is .*: give"):
        known_id(value, "item_id")


def test_ids_of_a_column_are_of_one_kind() -> None:
    pairs = Pairs("user_id", "item_id")
    pairs.place("7", 7)
    with pytest.raises(InputError, match="user_id is 7, and another one is '7'"):
        pairs.place(7, 7)
    with pytest.raises(InputError, match="item_id is no list"):
        factorized("abc", "item_id")
    assert len(pairs) == 1
