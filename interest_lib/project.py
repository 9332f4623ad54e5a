"""The study as a whole: what `study.yml` and the parameters cells of the notebooks say."""

import difflib
from collections.abc import Iterable
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

from interest_lib.layout import Parameter, notebook_parameters
from interest_lib.schema import InputError

EVERY_NOTEBOOK = ("run", "out")  # parameters that each of them needs
SET_BY_RUNNER = {
    "run": "--profile, --dataset or --data",
    "out": "--out",
    "engine": "--engine",
    "spark_master": "--spark-master",
}


class Project:
    """The folder of a study: `study.yml`, `notebooks/`, `requirements.lock`, and the library they use.

    Parameters
    ----------
    root
        Folder with `study.yml`.
    library
        Folder of the package `interest_lib`.

    Raises
    ------
    InputError
        If `study.yml` is missing or contradicts itself.
    """

    def __init__(self, root: Path, library: Path | None = None) -> None:
        self.root = root.resolve()
        self.library = library or Path(__file__).resolve().parent
        content = self._load()
        self.default_dataset: str = content["default_dataset"]
        self.profiles: dict[str, dict[str, dict[str, Any]]] = content["profiles"]
        self.inputs = _in_order({name: tuple(inputs or ()) for name, inputs in content["notebooks"].items()})

    def _load(self) -> dict[str, Any]:
        try:
            content = yaml.safe_load((self.root / "study.yml").read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise InputError(
                f"there is no study.yml in {self.root.name}/; change into a clone first"
            ) from None
        except yaml.YAMLError as error:
            raise InputError(f"study.yml is no valid YAML: {' '.join(str(error).split())}") from None
        for key, kind in {"default_dataset": str, "notebooks": dict, "profiles": dict}.items():
            if not isinstance(content, dict) or not isinstance(content.get(key), kind):
                shape = "a text" if kind is str else "keys with values"
                raise InputError(f"study.yml has no '{key}:' with {shape}; add it")
        return dict(content)

    def notebook(self, name: str) -> Path:
        """Where the stored notebook lies."""
        return self.root / "notebooks" / f"{name}.ipynb"

    def find(self, selector: str) -> str:
        """The notebook that is meant by its name or number.

        Raises
        ------
        InputError
            If there is none.
        """
        number = selector.zfill(2)
        for name in self.inputs:
            if selector == name or number == name.partition("_")[0]:
                return name
        known = ", ".join(name.partition("_")[0] for name in self.inputs)
        raise InputError(f"there is no notebook '{selector}'; the study has {known}")

    @cached_property
    def parameters(self) -> dict[str, dict[str, Parameter]]:
        """The declared parameters of every notebook."""
        found = {name: notebook_parameters(self.notebook(name)) for name in self.inputs}
        for name, parameters in found.items():
            for needed in EVERY_NOTEBOOK:
                if needed not in parameters:
                    raise InputError(
                        f"{name}.ipynb has no parameter '{needed}: str'; every notebook needs it"
                    )
        return found


def _in_order(inputs: dict[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
    """Sorted so that inputs come first, and otherwise as listed."""
    ordered: dict[str, tuple[str, ...]] = {}
    while len(ordered) < len(inputs):
        ready = [name for name, needs in inputs.items() if name not in ordered and set(needs) <= set(ordered)]
        if not ready:
            stuck = next(name for name in inputs if name not in ordered)
            missing = [name for name in inputs[stuck] if name not in inputs]
            why = f"'{missing[0]}', which is not listed" if missing else "one that needs it in turn"
            raise InputError(f"study.yml: the inputs of {stuck} cannot be met, because it needs {why}")
        ordered[ready[0]] = inputs[ready[0]]
    return ordered


def unknown(what: str, name: object, known: Iterable[str], where: str) -> InputError:
    """The error for a name that nobody knows, with the nearest one that somebody does.

    Examples
    --------
    >>> print(unknown("parameter", "half_life", ["half_life_days", "seed"], "--set"))
    --set: there is no parameter 'half_life'; did you mean 'half_life_days'?
    """
    names = sorted(known)
    near = difflib.get_close_matches(str(name), names, n=1)
    hint = f"did you mean '{near[0]}'?" if near else f"known are {', '.join(names)}"
    return InputError(f"{where}: there is no {what} '{name}'; {hint}")
