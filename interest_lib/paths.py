"""Which files a path, a folder or a pattern stands for, and whether they may be opened at all."""

import glob
import os
import re
import stat
from pathlib import Path
from typing import Final

from interest_lib.schema import InputError

_CONTROL: Final = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
_ADDRESS: Final = re.compile(r"^[A-Za-z][A-Za-z0-9+.-]+:/")
_COMPRESSED: Final = {".gz", ".zst"}
_MOST_FILES: Final = 10_000

DATA_SUFFIXES: Final = {
    **dict.fromkeys((".csv", ".tsv", ".tab", ".dat"), "csv"),
    **dict.fromkeys((".jsonl", ".ndjson", ".json"), "jsonl"),
    **dict.fromkeys((".parquet", ".pq"), "parquet"),
}
"""By which names a folder's data files are known, and their kind."""

_NO_DATA: Final = (
    ".md",
    ".rst",
    ".html",
    ".pdf",
    ".yml",
    ".yaml",
    ".py",
    ".ipynb",
    ".md5",
    ".sha256",
    ".crc",
)
_NO_DATA_NAMES: Final = ("readme", "license", "licence", "changes", "changelog", "citation")


def shown(value: object, limit: int = 40) -> str:
    """A value for a message: quoted, on one line and not too long.

    Examples
    --------
    >>> shown("two\\nlines")
    "'two\\\\nlines'"
    """
    try:
        text = value if isinstance(value, str) else str(value)
    except ValueError:  # an integer of thousands of digits
        text = "a very long number"
    return repr(text if len(text) <= limit else text[: limit - 3] + "...")


def plain(name: str) -> str:
    """A name from a file for a message, without quotes, on one line and not too long."""
    name = _CONTROL.sub("?", name)
    return name if len(name) <= 80 else name[:77] + "..."


def check_name(path: Path) -> None:
    """Refuse a name that no message could show.

    Raises
    ------
    InputError
        The name holds line ends or other control characters.
    """
    if _CONTROL.search(str(path)):
        raise InputError(
            f"{str(path)!r}: the name holds control characters; rename the file.".encode(
                "ascii", "backslashreplace"
            ).decode()
        )


def check_file(path: Path, noun: str = "file", folder: str = "give a file.") -> None:
    """Refuse what is not a plain file: reading a device or a pipe might never end.

    Parameters
    ----------
    path
        The file.
    noun
        What to call it.
    folder
        What to do when it is a folder.

    Raises
    ------
    InputError
        No such file, an address, a folder, a device, a pipe or a socket.

    Examples
    --------
    >>> check_file(Path("/dev/zero"))
    Traceback (most recent call last):
        ...
    interest_lib.schema.InputError: /dev/zero: this is a device or a pipe; give a plain file.
    """
    check_name(path)
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        if _ADDRESS.match(str(path)):
            raise InputError(f"{path}: this is an address; download the file and give its path.") from None
        raise InputError(f"{path}: there is no such {noun}; check the path.") from None
    except (OSError, ValueError):
        raise InputError(f"{path}: the file cannot be opened; check its name and permissions.") from None
    if stat.S_ISDIR(mode):
        raise InputError(f"{path}: this is a folder; {folder}")
    if not stat.S_ISREG(mode) or str(path.resolve()).startswith(("/proc/", "/sys/")):
        raise InputError(f"{path}: this is a device or a pipe; give a plain file.")


def mapped_files(path: Path, kind: str = "") -> list[Path]:
    """The files behind a file, a folder or a pattern.

    Parameters
    ----------
    path
        A file; a folder, which stands for all data files in it; or a pattern with ``*``, ``?`` and ``[...]``.
    kind
        What the mapping says about the format. If it says nothing, a folder's data files are those that are
        called so (``.csv``, ``.tsv``, ``.tab``, ``.dat``, ``.json``, ``.jsonl``, ``.ndjson``, ``.parquet``,
        ``.pq``, with ``.gz`` or ``.zst`` behind or not); if it names a kind, they are all files that are not
        documentation. Names that begin with a dot or an underscore never count.

    Returns
    -------
    list[Path]
        At least one plain file, sorted by name.

    Raises
    ------
    InputError
        Nothing there, no plain file, or a folder of which it is not clear what belongs to the data.

    Examples
    --------
    >>> mapped_files(Path("no-*.csv"))
    Traceback (most recent call last):
        ...
    interest_lib.schema.InputError: no-*.csv: no file has such a name; check the pattern.
    """
    check_name(path)
    try:
        if path.is_dir():
            found = _in_folder(path, kind)
        elif not path.exists() and glob.has_magic(str(path)):
            found = _matching(path)
        else:
            found = [path]
    except InputError:
        raise
    except PermissionError:
        raise InputError(f"{path}: this folder cannot be read; check its permissions.") from None
    except (OSError, ValueError):  # told by check_file
        found = [path]
    if not found:
        raise InputError(f"{path}: no file has such a name; check the pattern.")
    if len(found) > _MOST_FILES:
        raise InputError(f"{path}: these are {len(found)} files; join them into at most {_MOST_FILES}.")
    for name in found:
        check_file(name)
    return sorted(found)


def suffix(path: Path) -> str:
    """End of a file's name in small letters, without that of the compression.

    Examples
    --------
    >>> suffix(Path("log.CSV.gz"))
    '.csv'
    """
    last = path.suffix.lower()
    return path.with_suffix("").suffix.lower() if last in _COMPRESSED else last


def _matching(pattern: Path) -> list[Path]:
    """All files of a pattern; a folder that may hold some and cannot be read is an error."""
    if "**" in str(pattern):
        raise InputError(f"{pattern}: ** is not understood; write */ for each level of folders.")
    for parent in pattern.parents:
        for folder in map(Path, glob.iglob(str(parent))):  # noqa: PTH207 - Path.glob takes hidden files, too
            if folder.is_dir() and not os.access(folder, os.R_OK | os.X_OK):
                raise InputError(f"{folder}: this folder cannot be read; check its permissions.")
    names = glob.iglob(str(pattern))  # noqa: PTH207
    return [name for name in map(Path, names) if not name.is_dir()]


def _in_folder(folder: Path, kind: str) -> list[Path]:
    """All data files of a folder; what might be data and is not taken is an error."""
    found = []
    for path in sorted(folder.iterdir()):
        check_name(path)
        if path.name.startswith((".", "_")):
            continue
        documentation = suffix(path) in _NO_DATA or path.name.lower().startswith(_NO_DATA_NAMES)
        if path.is_dir():
            raise InputError(
                f"{folder}: folder {path.name} stands in it; give a pattern such as {folder}/*/*.csv instead."
            )
        if kind or suffix(path) in DATA_SUFFIXES:
            found += [] if documentation and suffix(path) not in DATA_SUFFIXES else [path]
        elif not documentation:
            raise InputError(
                f"{folder}: {path.name} is no data file by its name; move it, or name the kind under format."
            )
    if not found:
        raise InputError(f"{folder}: no data files are in this folder; give the folder of the log.")
    kinds = {DATA_SUFFIXES.get(suffix(path), "") for path in found}
    if not kind and len(kinds) > 1:
        raise InputError(
            f"{folder}: this folder holds files of different kinds ({' and '.join(sorted(kinds))}); "
            f"give one file or a pattern such as {folder}/*.csv."
        )
    return found
