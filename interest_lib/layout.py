"""Where the files of a study lie, what a parameters cell says, and how a file gets to its place whole."""

import ast
import atexit
import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

from interest_lib.schema import InputError

# Threads within a sum change its last digits; work is spread over processes instead.
ONE_THREAD = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")
FILE_PARAMETERS = ("data", "mapping")  # parameters that name files of the user


@dataclass(frozen=True)
class Parameter:
    """One line `name: kind = default` of a parameters cell; `kind` is the annotation as written."""

    name: str
    kind: str
    default: Any


def project_root() -> Path:
    """The folder with `study.yml`: the working directory, one above it, or the checkout of this library.

    Raises
    ------
    InputError
        If there is none.
    """
    here = Path.cwd()
    for folder in (here, *here.parents, Path(__file__).resolve().parents[1]):
        if (folder / "study.yml").is_file():
            return folder
    raise InputError(
        f"no study.yml in {here.name or here} or above it; change into a clone of the study first"
    )


def scratch_folder(purpose: str) -> Path:
    """A new folder in ``data/cache`` that lasts as long as the process.

    Within the project, because the workers of a cluster have to see it.

    Examples
    --------
    >>> list(scratch_folder("example").iterdir())
    []
    """
    cache = project_root() / "data" / "cache"
    cache.mkdir(parents=True, exist_ok=True)
    folder = Path(mkdtemp(prefix=f"{purpose}-", dir=cache))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def notebook_parameters(path: Path) -> dict[str, Parameter]:
    """Read the parameters of a notebook out of its cell tagged `parameters`, in the order written.

    Parameters
    ----------
    path
        A notebook file (nbformat 4).

    Raises
    ------
    InputError
        If the notebook is missing or no notebook, has no such cell, or a line in it is not
        `name: kind = literal`.

    Examples
    --------
    >>> from tempfile import mkdtemp
    >>> path = Path(mkdtemp()) / "03_decay.ipynb"
    >>> cell = {"metadata": {"tags": ["parameters"]}, "source": "half_life_days: int = 90  # days"}
    >>> _ = path.write_text(json.dumps({"cells": [cell]}))
    >>> notebook_parameters(path)
    {'half_life_days': Parameter(name='half_life_days', kind='int', default=90)}
    """
    try:
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    except FileNotFoundError:
        raise InputError(f"notebook {path.name} does not exist in {path.parent.name}/") from None
    except (ValueError, KeyError, TypeError):
        raise InputError(f"{path.name} is not a notebook (nbformat 4); restore it from git") from None
    for cell in cells:
        if "parameters" in cell.get("metadata", {}).get("tags", []):
            # stored notebooks hold a list of lines, nbformat objects one string
            return _parse_parameters("".join(cell["source"]), path.name)
    raise InputError(f"{path.name} has no cell tagged 'parameters'; tag the one that sets its parameters")


def _parse_parameters(source: str, where: str) -> dict[str, Parameter]:
    found = {}
    for statement in ast.parse(source).body:
        if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant):
            continue  # a docstring
        try:
            if not isinstance(statement, ast.AnnAssign) or statement.value is None:
                raise ValueError
            name, kind = ast.unparse(statement.target), ast.unparse(statement.annotation)
            found[name] = Parameter(name, kind, ast.literal_eval(statement.value))
        except ValueError:
            line = ast.unparse(statement)
            raise InputError(
                f"{where}: '{line}' in the parameters cell is not of the form 'name: kind = literal'"
            ) from None
    return found


def write_json(path: Path, content: object) -> None:
    """Write JSON the way the study does: sorted keys, indent 1, floats to 6 digits, a newline at the end.

    Raises
    ------
    ValueError
        If there is a NaN or an infinite number in it.

    Examples
    --------
    >>> from tempfile import mkdtemp
    >>> path = Path(mkdtemp()) / "support.json"
    >>> write_json(path, {"b": 0.12345678, "a": 1})
    >>> path.read_text()
    '{\\n "a": 1,\\n "b": 0.123457\\n}\\n'
    """
    text = json.dumps(_plain(content), sort_keys=True, indent=1, ensure_ascii=False, allow_nan=False)
    with written_whole(path) as beside:
        beside.write_text(text + "\n", encoding="utf-8")


@contextmanager
def written_whole(path: Path) -> Iterator[Path]:
    """A place beside a file to write to, put in the file's place at the end: a crash leaves the earlier one.

    Examples
    --------
    >>> from tempfile import mkdtemp
    >>> path = Path(mkdtemp()) / "note.txt"
    >>> with written_whole(path) as beside:
    ...     _ = beside.write_text("done")
    ...     path.exists()
    False
    >>> path.read_text()
    'done'
    """
    beside = path.with_name(f".{path.name}.new")
    yield beside
    beside.replace(path)


def _plain(value: Any) -> Any:
    """Plain Python values, floats rounded: what NumPy and pandas return is no JSON."""
    if isinstance(value, Mapping):
        return {str(key): _plain(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(entry) for entry in value]
    if hasattr(value, "tolist"):  # NumPy scalars and arrays, pandas Series
        return _plain(value.tolist())
    if isinstance(value, float):
        return round(value, 6) + 0.0  # no negative zero
    return value


def replace_folder(new: Path, final: Path) -> None:
    """Put the folder `new` in the place of `final`, by renames only.

    A crash between the two renames leaves the previous folder whole under a hidden name, from where
    `restore_folder` takes it back.
    """
    restore_folder(final)
    if final.exists():
        final.rename(_old(final))
    new.rename(final)
    shutil.rmtree(_old(final), ignore_errors=True)


def restore_folder(final: Path) -> None:
    """Undo or finish what a crash inside `replace_folder` left half done."""
    if _old(final).exists() and not final.exists():
        _old(final).rename(final)
    shutil.rmtree(_old(final), ignore_errors=True)


def _old(final: Path) -> Path:
    return final.with_name(f".{final.name}.old")
