"""YAML of strangers: small, without anchors, with every key once and numbers as they are written."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml

from interest_lib.paths import check_file, shown
from interest_lib.schema import InputError, nearest

_LARGEST = 1_000_000  # bytes


class _Loader(yaml.SafeLoader):
    """The safe loader without aliases, of which a few expand to gigabytes, repeated keys and odd numbers."""

    def compose_node(self, parent: yaml.Node | None, index: object) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            mark = self.peek_event().start_mark  # type: ignore[no-untyped-call]
            raise yaml.MarkedYAMLError(problem="uses an alias; write its value out.", problem_mark=mark)
        return super().compose_node(parent, index)  # type: ignore[arg-type]

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[object, object]:
        seen = set()
        for key, _ in node.value:
            if key.tag == "tag:yaml.org,2002:merge":
                raise yaml.MarkedYAMLError(
                    problem="merges lines by <<; write them out.", problem_mark=key.start_mark
                )
            if (name := (key.tag, str(key.value))) in seen:
                raise yaml.MarkedYAMLError(
                    problem=f"gives the key {shown(key.value)} a second time; delete one of them.",
                    problem_mark=key.start_mark,
                )
            seen.add(name)
        return super().construct_mapping(node, deep)

    def construct_yaml_int(self, node: yaml.ScalarNode) -> int:
        """Whole numbers as they are written: 010 would become 8, and 12:30 would become 750."""
        number = super().construct_yaml_int(node)
        if str(number) != node.value:
            raise yaml.MarkedYAMLError(
                problem=f"holds {shown(node.value)}, which YAML reads as {number}; put it in quotes.",
                problem_mark=node.start_mark,
            )
        return number


_Loader.add_constructor("tag:yaml.org,2002:int", _Loader.construct_yaml_int)


def read_yaml(path: Path) -> object:
    """Read a YAML file that need not be trusted.

    Parameters
    ----------
    path
        A plain file of at most a megabyte.

    Returns
    -------
    object
        What the file says; an empty dictionary for an empty file.

    Raises
    ------
    InputError
        No such file, no plain file, too long, invalid, an alias, a key that is given twice, or a whole number
        that is not written plainly.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     path = Path(folder, "my.yml")
    ...     _ = path.write_text("event: view")
    ...     read_yaml(path)
    {'event': 'view'}
    """
    check_file(path, noun="mapping file", folder="give a mapping file in YAML.")
    try:
        if path.stat().st_size > _LARGEST:
            raise InputError(
                f"{path}: the file is longer than 1 MB; give a mapping, which is a few lines long."
            )
        loaded = yaml.load(path.read_bytes(), Loader=_Loader)
        return {} if loaded is None else loaded
    except yaml.MarkedYAMLError as error:
        row = f"row {error.problem_mark.line + 1}: " if error.problem_mark else ""
        told = error.problem if error.problem and "; " in error.problem else ""
        told = told or "this is not valid YAML; check indentation, colons and brackets."
        raise InputError(f"{path}: {row}{told}") from None
    except InputError:
        raise
    except (OSError, yaml.YAMLError, ValueError, RecursionError, LookupError, TypeError, AttributeError):
        # The last three are how PyYAML fails on explicit tags with values that do not fit them.
        raise InputError(f"{path}: this cannot be read as YAML; write it as plain UTF-8 text.") from None


def section(where: str, given: Any, known: Iterable[str] | None) -> dict[str, Any]:
    """A dictionary all of whose keys are known.

    Raises
    ------
    InputError
        Something else.

    Examples
    --------
    >>> section("my.yml", {"event": "view"}, ["event", "items"])
    {'event': 'view'}
    """
    if not isinstance(given, dict):
        raise InputError(
            f"{where}: here should be lines of the form key: value, not {shown(given)}; rewrite it."
        )
    for key in given:
        if not isinstance(key, str) or not key or (known is not None and key not in known):
            hint = nearest(shown(key)[1:-1], known or ["user_id"])
            raise InputError(f"{where}: key {shown(key)} is unknown; {hint}")
    return given


def text(where: str, given: dict[str, Any], key: str) -> str:
    """A text of a section, empty where there is none.

    Raises
    ------
    InputError
        Something else than text.

    Examples
    --------
    >>> text("my.yml", {"event": "view"}, "event")
    'view'
    """
    value = given.get(key)
    if value is not None and not isinstance(value, str):
        raise InputError(f"{where}: {key} holds {shown(value)}, which is not text; put it in quotes.")
    return value or ""


def one_of(where: str, given: dict[str, Any], key: str, known: Iterable[str]) -> str:
    """A text of a section out of those that are known, empty where there is none.

    Raises
    ------
    InputError
        Another text.

    Examples
    --------
    >>> one_of("my.yml: format", {"kind": "cvs"}, "kind", ["csv", "jsonl"])
    Traceback (most recent call last):
        ...
    interest_lib.schema.InputError: my.yml: format: kind 'cvs' is unknown; did you mean csv?
    """
    value = text(where, given, key)
    if value and value not in known:
        raise InputError(f"{where}: {key} {shown(value)} is unknown; {nearest(value, known)}")
    return value


def texts(where: str, given: Any) -> tuple[str, ...]:
    """Texts or whole numbers, one or several.

    Raises
    ------
    InputError
        Something else, or an empty list.

    Examples
    --------
    >>> texts("my.yml: where: year", [2020, "2021"])
    ('2020', '2021')
    """
    values = given if isinstance(given, list) else [given]
    for value in values:
        if not isinstance(value, str | int) or isinstance(value, bool):
            raise InputError(f"{where} holds {shown(value)}, which is not text; put it in quotes.")
    if not values:
        raise InputError(f"{where} is an empty list; write a value or delete the line.")
    try:
        return tuple(str(value) for value in values)
    except ValueError:
        raise InputError(f"{where} holds a very long number; put it in quotes.") from None
