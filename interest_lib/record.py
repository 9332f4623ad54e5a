"""The notebook's side of a run: its parameters, what it reads, what it leaves behind.

A notebook starts a book behind its parameters cell, writes into it, and saves it in its last cell. Until then
everything lies in a hidden `.NN_name.partial` folder, so that a notebook that breaks leaves the results of
its last complete execution untouched.
"""

import contextlib
import json
import math
import os
import re
import shutil
import sys
import threading
import time
import uuid
from collections.abc import Mapping, Sequence
from importlib import metadata
from numbers import Integral, Real
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import psutil
from threadpoolctl import threadpool_limits

from interest_lib.layout import (
    FILE_PARAMETERS,
    ONE_THREAD,
    notebook_parameters,
    project_root,
    replace_folder,
    write_json,
)
from interest_lib.schema import InputError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

VERDICTS = ("supported", "not supported", "mixed", "not testable here")
DATA_NOTEBOOK = "01_data_prep"
_VERSIONED = (
    "numpy",
    "pandas",
    "scipy",
    "scikit-learn",
    "implicit",
    "rectools-lightfm",
    "duckdb",
    "ibis-framework",
)
_OWNER = ".owner"


def start(notebook: str, namespace: Mapping[str, Any]) -> "Book":
    """Open the book of a notebook; the first line behind its parameters cell.

    Parameters
    ----------
    notebook
        Its name without the ending, for example `"03_interest_decay"`.
    namespace
        `globals()` of the notebook. The names of the parameters are read from the stored notebook, their
        values from here, so that the parameters cell is the only place that lists them.

    Raises
    ------
    InputError
        If the notebook cannot be found or its parameters cell was not executed.
    """
    # Sums over several threads differ in their last digits from machine to machine. The variables are for
    # the processes that fit models side by side; the runner has set them before this process started.
    os.environ.update(dict.fromkeys(ONE_THREAD, "1"))
    threadpool_limits(limits=1)
    root = project_root()
    names = notebook_parameters(root / "notebooks" / f"{notebook}.ipynb")
    missing = [name for name in names if name not in namespace]
    if missing:
        raise InputError(f"{notebook}: '{missing[0]}' has no value; execute the parameters cell first")
    parameters = {name: namespace[name] for name in names}
    out = root / str(parameters.get("out", ""))
    return Book(notebook, parameters, out / "artifacts" / str(parameters.get("run", "tutorial")))


class Book:
    """What one execution of a notebook reads and leaves behind; `start` makes one.

    Parameters
    ----------
    notebook
        Name of the notebook without the ending.
    parameters
        Its parameters with their values.
    folder
        The folder of the run, `artifacts/<run>`, with a folder for each notebook.

    Examples
    --------
    >>> from tempfile import mkdtemp
    >>> book = Book("01_data_prep", {"run": "tutorial", "seed": 2017}, Path(mkdtemp()))
    >>> book.write("events", pd.DataFrame({"user_id": [1, 2]}))
    >>> book.write_json("data", {"dataset": "made_up", "sha256": "0" * 64})
    >>> book.metric("data.users", 2)
    >>> book.save()
    '1 metric, 1 table'
    """

    def __init__(self, notebook: str, parameters: Mapping[str, Any], folder: Path) -> None:
        self.notebook = notebook
        self.parameters = dict(parameters)
        self._run = folder
        self._partial = folder / f".{notebook}.partial"
        self._metrics: dict[str, Any] = {}
        self._claims: list[dict[str, Any]] = []
        self._upstream: set[str] = set()
        self._started = time.perf_counter()
        self._memory = _PeakMemory()
        shutil.rmtree(self._partial, ignore_errors=True)
        (self._partial / "figures").mkdir(parents=True)
        self._token = uuid.uuid4().hex
        (self._partial / _OWNER).write_text(self._token)

    def read(self, notebook: str, name: str) -> pd.DataFrame:
        """The table `name` that another notebook wrote in this run.

        Raises
        ------
        InputError
            If it is not there: names the file and the command that makes it.
        """
        return pd.read_parquet(self._input(notebook, f"{name}.parquet"))

    def read_json(self, notebook: str, name: str) -> Any:
        """The object `name` that another notebook wrote in this run; raises as `read` does."""
        return json.loads(self._input(notebook, f"{name}.json").read_text(encoding="utf-8"))

    def results(self, notebook: str) -> dict[str, Any]:
        """The recorded results of another notebook in this run; its metrics may be evidence for claims."""
        found: dict[str, Any] = self.read_json(notebook, "results")
        self._upstream.update(found["metrics"])
        return found

    def write(self, name: str, frame: pd.DataFrame) -> None:
        """Leave a table as `name.parquet`.

        Raises
        ------
        ValueError
            If its index carries information: the index is not stored.
        """
        if not isinstance(frame.index, pd.RangeIndex):
            raise ValueError(f"table '{name}' has an index that would be lost; call reset_index() first")
        frame.to_parquet(self._target(f"{name}.parquet"), index=False)

    def write_json(self, name: str, content: object) -> None:
        """Leave a small object as `name.json`."""
        write_json(self._target(f"{name}.json"), content)

    def path(self, file: str) -> Path:
        """Where a file of a kind of its own, such as the weights of a network, is to be left.

        Examples
        --------
        >>> from tempfile import mkdtemp
        >>> Book("05_interest_transfer", {}, Path(mkdtemp())).path("network.safetensors").name
        'network.safetensors'
        """
        return self._target(file)

    def figure(self, figure: "Figure", name: str) -> None:
        """Leave a picture as `figures/NN_name.png`, with nothing in it that changes from run to run."""
        number = self.notebook.partition("_")[0]
        target = self._target(f"figures/{number}_{name}.png")
        figure.savefig(target, dpi=110, bbox_inches="tight", metadata={"Software": None})

    def metric(
        self,
        key: str,
        value: float,
        low: float | None = None,
        high: float | None = None,
        n: int | None = None,
    ) -> None:
        """Record a number, with the ends of its interval and the number of units behind it where there are.

        Raises
        ------
        ValueError
            If the key is taken, a number is not finite, or the interval is upside down.
        """
        if key in self._metrics:
            raise ValueError(f"metric '{key}' is recorded twice; every key must be its own")
        given = {"value": value, "low": low, "high": high, "n": n}
        entry = {part: _number(key, number) for part, number in given.items() if number is not None}
        if "value" not in entry:
            raise ValueError(f"metric '{key}' has no value")
        if entry.get("low", -math.inf) > entry.get("high", math.inf):
            raise ValueError(f"metric '{key}': the interval from {low} to {high} is upside down")
        self._metrics[key] = entry if len(entry) > 1 else entry["value"]

    def claim(
        self, id: str, *, statement: str, verdict: str, effect: object, evidence: Sequence[str], limits: str
    ) -> None:
        """Record the verdict on a claim of the study.

        Parameters
        ----------
        id
            Number of the claim, for example `"C10"`.
        statement
            The claim in one sentence.
        verdict
            `"supported"`, `"not supported"`, `"mixed"` or `"not testable here"`.
        effect
            The size of the effect: a text, or numbers.
        evidence
            Keys of metrics recorded here, or in results read by `results`; checked by `save`.
        limits
            What the evidence does not show, in one sentence.

        Raises
        ------
        ValueError
            If the verdict is none of these or the claim has one already.
        """
        if verdict not in VERDICTS:
            raise ValueError(f"claim {id}: verdict '{verdict}' is none of {', '.join(VERDICTS)}")
        if any(claim["id"] == id for claim in self._claims):
            raise ValueError(f"claim {id} has a verdict already")
        if isinstance(evidence, str):
            raise ValueError(f"claim {id}: evidence must be a list of metric keys")
        self._claims.append(
            {
                "id": id,
                "statement": statement,
                "verdict": verdict,
                "effect": effect,
                "evidence": list(evidence),
                "limits": limits,
            }
        )

    def save(self) -> str:
        """Write `results.json` and `timing.json`, and make the whole folder visible at once.

        Returns
        -------
        str
            What was recorded, for example `"23 metrics, 2 claims, 3 figures, 1 table"`.

        Raises
        ------
        ValueError
            If a claim names evidence that nobody recorded.
        """
        known = self._upstream | set(self._metrics)
        for claim in self._claims:
            for key in claim["evidence"]:
                if key not in known:
                    raise ValueError(f"claim {claim['id']}: nobody recorded its evidence '{key}'")
        write_json(self._target("results.json"), self._results())
        timing = {
            "seconds": round(time.perf_counter() - self._started, 2),
            "peak_memory_mib": round(self._memory.peak_bytes / 2**20),
        }
        write_json(self._target("timing.json"), timing)
        figures, tables = (len(list(self._partial.glob(p))) for p in ("figures/*.png", "*.parquet"))
        self._require_own()
        (self._partial / _OWNER).unlink()
        replace_folder(self._partial, self._run / self.notebook)
        counts = {
            "metric": len(self._metrics),
            "claim": len(self._claims),
            "figure": figures,
            "table": tables,
        }
        parts = [f"{count} {word}{'s' * (count != 1)}" for word, count in counts.items() if count]
        return ", ".join(parts) or "nothing recorded"

    def _results(self) -> dict[str, Any]:
        data = self._data()
        # the same results in whatever folder the study runs: no path gets in
        parameters = {name: value for name, value in self.parameters.items() if name != "out"}
        for name in FILE_PARAMETERS:
            if parameters.get(name):
                parameters[name] = Path(str(parameters[name])).name
        return {
            "schema": 1,
            "notebook": self.notebook,
            "run": self.parameters.get("run", "tutorial"),
            "dataset": data["dataset"],
            "data_sha256": data["sha256"],
            "parameters": parameters,
            "seed": self.parameters.get("seed"),
            "versions": _versions(),
            "metrics": self._metrics,
            "claims": self._claims,
        }

    def _data(self) -> dict[str, Any]:
        if self.notebook != DATA_NOTEBOOK:
            found: dict[str, Any] = self.read_json(DATA_NOTEBOOK, "data")
            return found
        own = self._partial / "data.json"
        if not own.exists():
            raise ValueError(f"{DATA_NOTEBOOK} has to write_json('data', {{'dataset': ..., 'sha256': ...}})")
        return dict(json.loads(own.read_text(encoding="utf-8")))

    def _input(self, notebook: str, file: str) -> Path:
        path = self._run / notebook / file
        if path.is_file():
            return path
        run, number = self._run.name, notebook.partition("_")[0]
        profile = f" --profile {run}" if run in ("tutorial", "full") else ""
        hint = "" if profile else f" with the other options of the run '{run}'"
        raise InputError(
            f"artifacts/{run}/{notebook}/{file} does not exist; "
            f"'python -m interest_lib run{profile} --only {number}'{hint} makes it"
        )

    def _target(self, file: str) -> Path:
        if not re.fullmatch(r"[A-Za-z0-9_]+", name := Path(file).stem):
            raise ValueError(f"'{name}' is no name for an artifact: use letters, digits and underscores")
        self._require_own()
        return self._partial / file

    def _require_own(self) -> None:
        """Refuse to write when somebody has started the same notebook again meanwhile.

        A kernel outlives its runner for a moment when only the runner is killed: it must not write into
        the folder of the next run.
        """
        owner = self._partial / _OWNER
        if not owner.is_file() or owner.read_text() != self._token:
            raise RuntimeError(f"this book of {self.notebook} is closed; run the notebook again from the top")


class _PeakMemory:
    """Highest memory of this process and its children together, looked at twice a second.

    The system's own figure would leave out the processes that fit models side by side. Pages that
    processes share count for each, so it is an upper bound.
    """

    def __init__(self) -> None:
        self.peak_bytes = 0
        threading.Thread(target=self._watch, daemon=True).start()

    def _watch(self) -> None:
        own = psutil.Process()
        while True:
            with contextlib.suppress(psutil.Error):  # a child may end while it is looked at
                resident = sum(p.memory_info().rss for p in (own, *own.children(recursive=True)))
                self.peak_bytes = max(self.peak_bytes, resident)
            time.sleep(0.5)


def _number(key: str, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, Real):
        raise ValueError(f"metric '{key}': {value!r} is not a number")
    if isinstance(value, Integral):
        return int(value)
    if not math.isfinite(value):
        raise ValueError(f"metric '{key}' is {value}; record finite numbers only")
    return float(value)


def _versions() -> dict[str, str]:
    """Versions of what the numbers depend on; a package that is not installed is left out."""
    found = {"python": f"{sys.version_info.major}.{sys.version_info.minor}"}
    for package in _VERSIONED:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found
