"""Every pair of user and interest has a place, found in the same time however many there are."""

from __future__ import annotations

from array import array
from itertools import count, repeat
from typing import Any, Final

import numpy as np
import pandas as pd

from interest_lib.history import Ints
from interest_lib.schema import InputError

Id = int | str

# A pair's key is the user's number times this, plus that of the interest. It is larger than there can be
# interests, and odd: with a power of two, the keys of all users would crowd into the same places of a
# dictionary.
_STEP: Final = 6_364_136_223


class Pairs:
    """Places 0, 1, 2, ... of the pairs of user and interest, in the order in which they came.

    Parameters
    ----------
    user, interest : str
        What messages call an id of each.

    Attributes
    ----------
    user_ids, interest_ids : list of int or str
        All users and interests in the order in which they came: the position is their number.

    Notes
    -----
    A dictionary leads from a pair to its place. The pairs of one user form a chain: each knows the one before
    it. Numbers lie in arrays of the standard library: a single one is read and written several times faster
    than in NumPy's, and NumPy works on the same memory in bulk.

    Examples
    --------
    >>> pairs = Pairs("user_id", "category")
    >>> [pairs.place(7, "tea"), pairs.place(8, "tea"), pairs.place(7, "milk"), pairs.place(7, "tea")]
    [0, 1, 2, 0]
    >>> pairs.of_user(7)
    array([0, 2])
    >>> users, interests = factorized([8, 7, 8], "user_id"), factorized(["milk", "tea", "milk"], "category")
    >>> pairs.places(*users, *interests)
    (array([3, 0]), array([0, 1, 0]))
    """

    def __init__(self, user: str, interest: str) -> None:
        self._user, self._interest = user, interest
        self.user_ids: list[Id] = []
        self.interest_ids: list[Id] = []
        self._users: dict[Id, int] = {}
        self._interests: dict[Id, int] = {}
        self._places: dict[int, int] = {}
        self._keys = array("q")  # by place
        self._before = array("q")  # by place: that of the user's pair before it, or -1
        self._latest = array("q")  # by user: the place that came last, or -1

    def __len__(self) -> int:
        return len(self._keys)

    def place(self, user: Id, interest: Id) -> int:
        """Place of one pair, a new one if it has none.

        Raises
        ------
        InputError
            An id is neither an int64 nor text, or the ids of a kind are mixed.
        """
        user_code, code = self._users.get(user), self._interests.get(interest)
        if user_code is None or code is None:
            user_code, code = self._user_code(user), self._interest_code(interest)
        key = user_code * _STEP + code
        place = self._places.get(key)
        if place is None:
            place = self._places[key] = len(self._keys)
            self._keys.append(key)
            self._before.append(self._latest[user_code])
            self._latest[user_code] = place
        return place

    def places(
        self, user_codes: Ints, user_ids: list[Any], codes: Ints, interest_ids: list[Any]
    ) -> tuple[Ints, Ints]:
        """Places of many pairs, new ones for those that have none.

        Parameters
        ----------
        user_codes, codes : ndarray of int, shape (n,)
            Positions in the lists of ids.
        user_ids, interest_ids : list
            Different ids.

        Returns
        -------
        places : ndarray of int, shape (n_pairs,)
            Places of the different pairs.
        position : ndarray of int, shape (n,)
            Position there of each of the `n`.

        Raises
        ------
        InputError
            As `place`.
        """
        users = np.array([self._user_code(user) for user in user_ids], dtype=np.int64)
        interests = np.array([self._interest_code(interest) for interest in interest_ids], dtype=np.int64)
        group, keys = pd.factorize(users[user_codes] * _STEP + interests[codes])
        found = np.fromiter(map(self._places.get, keys.tolist(), repeat(-1)), np.int64, len(keys))
        new = np.flatnonzero(found < 0)
        if len(new):
            # ordered by user, the pairs of one follow each other, as the chain wants them
            new = new[np.argsort(keys[new] // _STEP, kind="stable")]
            found[new] = np.arange(len(self), len(self) + len(new))
            self._append(keys[new], found[new])
        return found, group

    def of_user(self, user: Id) -> Ints:
        """Places of a user's pairs, in the order in which they came."""
        chain: list[int] = []
        place = self._latest[self._users[user]] if user in self._users else -1
        while place >= 0:
            chain.append(place)
            place = self._before[place]
        return np.array(chain[::-1], dtype=np.int64)

    def codes(self, places: Ints | slice = slice(None)) -> tuple[Ints, Ints]:
        """Numbers of user and interest at places, all by default."""
        users, interests = np.divmod(np.asarray(self._keys)[places], _STEP)
        return users, interests

    def _append(self, keys: Ints, places: Ints) -> None:
        """New pairs, ordered by user."""
        users = keys // _STEP
        latest = np.asarray(self._latest)
        begins = np.diff(users, prepend=-1) != 0
        self._before.frombytes(np.where(begins, latest[users], places - 1).tobytes())
        latest[users] = places  # the last one of each user is what stays
        self._places.update(zip(keys.tolist(), count(len(self))))
        self._keys.frombytes(keys.tobytes())

    def _user_code(self, user: Any) -> int:
        code = self._users.get(user)
        if code is None:
            code = _number(self._users, self.user_ids, self._user, user)
            self._latest.append(-1)
        return code

    def _interest_code(self, interest: Any) -> int:
        code = self._interests.get(interest)
        if code is None:
            code = _number(self._interests, self.interest_ids, self._interest, interest)
        return code


def factorized(values: Any, name: str) -> tuple[Ints, list[Any]]:
    """Position of each value in the list of the different ones, -1 where there is none; and that list.

    Raises
    ------
    InputError
        The values are no list, array or column.

    Examples
    --------
    >>> factorized(["b", "a", "b", None], "category")
    (array([ 0,  1,  0, -1]), ['b', 'a'])
    """
    if np.ndim(values) != 1:
        raise InputError(f"{name} is no list of ids: give one for each event.")
    found, ids = pd.factorize(pd.Index(values))
    return found.astype(np.int64), ids.tolist()


def known_id(value: Any, name: str) -> Id:
    """An id as an int of 64 bits or as text.

    Raises
    ------
    InputError
        It is neither.

    Examples
    --------
    >>> known_id(np.int64(7), "user_id"), known_id("7", "user_id")
    (7, '7')
    """
    number = isinstance(value, (int, np.integer)) and not isinstance(value, bool)
    # a column of whole numbers in which some are missing arrives as floats
    number = number or (isinstance(value, float) and value.is_integer() and abs(value) < 2**53)
    if not number and not isinstance(value, str):
        raise InputError(f"{name} is {value!r}: give an int or a text.")
    if not number:
        return str(value)
    if not -(2**63) <= int(value) < 2**63:
        raise InputError(f"{name} is {value}, which does not fit into 64 bits: give it as text.")
    return int(value)


def _number(codes: dict[Id, int], ids: list[Id], name: str, value: Any) -> int:
    """Enter an id under the next number; all ids of a column are of one kind."""
    found = known_id(value, name)
    if ids and type(ids[0]) is not type(found):
        raise InputError(f"{name} is {found!r}, and another one is {ids[0]!r}: give only ints or only texts.")
    codes[found] = len(ids)
    ids.append(found)
    return codes[found]
