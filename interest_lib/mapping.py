"""The mapping file: which of a shop's own columns plays which part in the contract of `schema`."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from interest_lib.schema import EVENT_COLUMNS, EVENTS, ITEM_COLUMNS, InputError, nearest


@dataclass(frozen=True)
class TablePart:
    """A file, and its column for each of our names; None where the file uses our names."""

    data: Path
    columns: dict[str, str] | None = None


@dataclass(frozen=True)
class ColumnMapping:
    """A mapping file that has been checked.

    Attributes
    ----------
    label
        What messages call it, empty without a mapping file.
    columns
        Column of the events file for each of our names; None when the file uses ours.
    timezone
        Zone of times that carry none.
    event
        What every event is when no column says so; empty when the mapping does not say either.
    items, users
        Further files.
    """

    label: str = ""
    columns: dict[str, str] | None = None
    timezone: str = "UTC"
    event: str = ""
    items: TablePart | None = None
    users: TablePart | None = None


def read_mapping(path: Path) -> ColumnMapping:
    """Read and check a mapping file.

    Parameters
    ----------
    path
        YAML with the keys columns (ours: theirs), timezone, event, items and users, all optional::

            columns: {user_id: customer, item_id: sku, timestamp: when, category: group}
            timezone: Europe/Berlin
            event: view
            items: {data: products.csv, columns: {item_id: sku, category: group}}
            users: {data: people.csv, columns: {user_id: customer, age: age}}

        Relative file names count from the folder of the mapping file.

    Returns
    -------
    ColumnMapping

    Raises
    ------
    InputError
        No such file, invalid YAML, an unknown key, or a value of the wrong kind.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     path = Path(folder, "my.yml")
    ...     _ = path.write_text("columns: {user_id: who, item_id: what, timestamp: when}")
    ...     read_mapping(path).columns
    {'user_id': 'who', 'item_id': 'what', 'timestamp': 'when'}
    """
    label = str(path)
    given = _section(label, _parse(path), ("columns", "timezone", "event", "items", "users"))
    has_items = given.get("items") is not None
    columns = _columns(
        f"{label}: columns", given, EVENT_COLUMNS if has_items else {**EVENT_COLUMNS, **ITEM_COLUMNS}
    )
    zone, event = _text(label, given, "timezone") or "UTC", _text(label, given, "event")
    if event and event not in EVENTS:
        raise InputError(f"{label}: event {event} is unknown; {nearest(event, EVENTS)}")
    if event and columns and "event" in columns:
        raise InputError(f"{label}: event is given both as a constant and under columns; delete one of them.")
    items = _part(path, given, "items", ITEM_COLUMNS)
    return ColumnMapping(label, columns, zone, event, items, _part(path, given, "users", None))


def _parse(path: Path) -> Any:
    try:
        return yaml.safe_load(path.read_bytes()) or {}
    except FileNotFoundError:
        raise InputError(f"{path}: there is no such mapping file; check the path.") from None
    except IsADirectoryError:
        raise InputError(f"{path}: this is a folder; give a mapping file in YAML.") from None
    except yaml.MarkedYAMLError as error:
        row = f"row {error.problem_mark.line + 1}: " if error.problem_mark else ""
        raise InputError(
            f"{path}: {row}this is not valid YAML; check indentation, colons and brackets."
        ) from None
    except (OSError, yaml.YAMLError, ValueError, RecursionError):
        raise InputError(f"{path}: this cannot be read as YAML; write it as plain UTF-8 text.") from None


def _section(where: str, given: Any, known: Iterable[str] | None) -> dict[str, Any]:
    """A dictionary all of whose keys are known."""
    if not isinstance(given, dict):
        raise InputError(
            f"{where}: here should be lines of the form key: value, not {str(given)[:40]!r}; rewrite it."
        )
    for key in given:
        if not isinstance(key, str) or not key or (known is not None and key not in known):
            raise InputError(
                f"{where}: key {str(key)[:40]!r} is unknown; {nearest(key, known or ['user_id'])}"
            )
    return given


def _text(where: str, given: dict[str, Any], key: str) -> str:
    value = given.get(key)
    if value is not None and not isinstance(value, str):
        raise InputError(f"{where}: {key} holds {str(value)[:40]!r}, which is not text; put it in quotes.")
    return value or ""


def _columns(where: str, given: dict[str, Any], known: Iterable[str] | None) -> dict[str, str] | None:
    """The part `columns` of a section: ours to theirs."""
    if given.get("columns") is None:
        return None
    names = _section(where, given["columns"], known)
    columns = {ours: _text(where, names, ours) for ours in names}
    for ours, theirs in columns.items():
        if not theirs:
            raise InputError(f"{where}: {ours} names no column; write the column's name or delete the line.")
    return columns


def _part(path: Path, given: dict[str, Any], key: str, known: Iterable[str] | None) -> TablePart | None:
    if given.get(key) is None:
        return None
    where = f"{path}: {key}"
    section = _section(where, given[key], ("data", "columns"))
    data = _text(where, section, "data")
    if not data:
        raise InputError(f"{where}: data is missing; name the file that holds the {key}.")
    return TablePart(path.parent / data, _columns(f"{where}: columns", section, known))
