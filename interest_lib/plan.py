"""What a run consists of: which notebooks with which parameters, and which of them are up to date."""

import ast
import glob
import hashlib
import json
import re
import shlex
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from interest_lib.inputs import files_of
from interest_lib.layout import FILE_PARAMETERS, Parameter
from interest_lib.project import SET_BY_RUNNER, Project, unknown
from interest_lib.schema import InputError

STAMP = "stamp.json"
SECOND_LOG = "other_log"  # a parameter: a public log beside the study's own, used where it is at hand


@dataclass(frozen=True)
class Request:
    """What the command line asks for; see `python -m interest_lib run --help`."""

    profile: str = "full"
    dataset: str | None = None
    data: Path | None = None
    mapping: Path | None = None
    settings: tuple[str, ...] = ()
    first: str | None = None
    only: tuple[str, ...] = ()
    out: Path | None = None
    force: bool = False
    engine: str | None = None
    spark_master: str | None = None

    @property
    def command(self) -> str:
        """The command that makes the whole run, without `--from`, `--only` and `--force`."""
        options = {
            "profile": self.profile,
            "dataset": self.dataset,
            "data": self.data,
            "mapping": self.mapping,
            "engine": self.engine,
            "spark-master": self.spark_master,
        }
        words = ["python", "-m", "interest_lib", "run"]
        for name, value in options.items():
            words += [f"--{name}", str(value)] if value else []
        for setting in self.settings:
            words += ["--set", setting]
        return shlex.join([*words, *(["--out", str(self.out)] if self.out else [])])


@dataclass(frozen=True)
class Plan:
    """A run worked out: everything is checked, nothing is executed yet.

    Attributes
    ----------
    name
        Name of the run.
    out
        Folder that holds `artifacts/` and `reports/`.
    parameters
        For every notebook of the study the value of every parameter.
    wanted
        The notebooks to execute unless up to date, in order.
    """

    project: Project
    request: Request
    name: str
    out: Path
    parameters: Mapping[str, Mapping[str, Any]]
    wanted: tuple[str, ...]
    _hashes: dict[Path, str] = field(default_factory=dict, repr=False)

    @property
    def artifacts(self) -> Path:
        """Where the notebooks of this run leave what they make."""
        return self.out / "artifacts" / self.name

    def changed(self, notebook: str) -> dict[str, Any]:
        """The parameters whose value is not the default written in the notebook."""
        declared = self.project.parameters[notebook]
        return {name: v for name, v in self.parameters[notebook].items() if v != declared[name].default}

    def stamp(self, notebook: str) -> str | None:
        """Fingerprint of the last complete execution, if all that it left is still there."""
        folder = self.artifacts / notebook
        try:
            stamp = json.loads((folder / STAMP).read_text(encoding="utf-8"))
            complete = all((folder / file).is_file() for file in stamp["files"])
        except (OSError, ValueError, KeyError):
            return None
        return str(stamp["fingerprint"]) if complete else None

    def fingerprint(self, notebook: str) -> str:
        """Hash of all that the results of a notebook depend on, with its inputs as they lie there now."""
        return self._fingerprint(notebook, {name: self.stamp(name) for name in self.project.inputs[notebook]})

    def stale(self) -> list[str]:
        """The notebooks that a complete run would execute."""
        fresh: dict[str, str | None] = {}
        for name, inputs in self.project.inputs.items():
            fresh[name] = self._fingerprint(name, {needed: fresh[needed] for needed in inputs})
        return [name for name, fingerprint in fresh.items() if self.stamp(name) != fingerprint]

    @property
    def _on_default_data(self) -> bool:
        return not self.request.data and self.request.dataset in (None, self.project.default_dataset)

    def _fingerprint(self, notebook: str, inputs: Mapping[str, str | None]) -> str:
        parameters = {name: value for name, value in self.parameters[notebook].items() if name != "out"}
        if "dataset" in parameters:
            files = files_of(*(parameters.get(name, "") for name in ("dataset", *FILE_PARAMETERS)))
            parameters["files"] = [[file.name, self._hash(file)] for file in files]
        if SECOND_LOG in parameters and self._on_default_data:
            files = _files_at_hand(parameters[SECOND_LOG])
            parameters[f"{SECOND_LOG}.files"] = [[file.name, self._hash(file)] for file in files]
        for name in FILE_PARAMETERS:
            if parameters.get(name):
                parameters[name] = Path(parameters[name]).name
        own_files = [
            self.project.root / text for text in parameters.values() if text and isinstance(text, str)
        ]
        cells = json.loads(self.project.notebook(notebook).read_text(encoding="utf-8"))["cells"]
        parts = {
            "cells": [[c["cell_type"], c["metadata"].get("tags", []), "".join(c["source"])] for c in cells],
            "parameters": parameters,
            "library": {file.name: self._hash(file) for file in _modules(cells, self.project.library)},
            "style": {f.name: self._hash(f) for f in sorted(self.project.root.glob("notebooks/*.mplstyle"))},
            "own_files": [[file.name, self._hash(file)] for file in own_files if file.is_file()],
            "lock": self._hash(self.project.root / "requirements.lock"),
            "python": sys.version_info[:2],
            "inputs": inputs,
        }
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()

    def _hash(self, path: Path) -> str:
        if path not in self._hashes:
            with path.open("rb") as file:
                self._hashes[path] = hashlib.file_digest(file, "sha256").hexdigest()
        return self._hashes[path]


def make_plan(project: Project, request: Request) -> Plan:
    """Work out and check a run.

    Raises
    ------
    InputError
        If the request names a notebook, profile, parameter or file that is not there, or a value is wrong.
    """
    if request.profile not in project.profiles:
        raise unknown("profile", request.profile, project.profiles, "study.yml")
    if (request.data or request.mapping) and request.dataset:
        raise InputError("--dataset excludes --data and --mapping; give a name or files, not both")
    name = _run_name(project, request)
    out = (request.out or project.root).resolve()
    common = {"run": name, "out": "" if out == project.root else str(out)}
    for option in ("dataset", "engine", "spark_master", *FILE_PARAMETERS):
        if value := getattr(request, option):
            common[option] = str(_file(option, value)) if option in FILE_PARAMETERS else value
    parameters = {
        notebook: {parameter.name: parameter.default for parameter in declared.values()}
        for notebook, declared in project.parameters.items()
    }
    _apply_profile(project, request.profile, parameters)
    for values in parameters.values():
        values.update({key: value for key, value in common.items() if key in values})
    for setting in request.settings:
        _apply_setting(project, setting, parameters)
    return Plan(project, request, name, out, parameters, _wanted(project, request))


def _run_name(project: Project, request: Request) -> str:
    """A profile names the run on the default dataset; other data give it their own name."""
    if log := request.data or request.mapping:  # a mapping can name the log itself
        # Of a pattern like shop/*/*.csv the folder has the name.
        names = (
            re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-.") for name in (log.stem, *log.parts[-2::-1])
        )
        own = next(filter(None, names), "")
    elif request.dataset and request.dataset != project.default_dataset:
        own = request.dataset
    else:
        return request.profile
    if own in project.profiles or not re.fullmatch(r"[A-Za-z0-9_-][A-Za-z0-9._-]*", own):
        raise InputError(f"the reports are named after the data, and '{own}' cannot be used; rename the data")
    return own if request.profile == "full" else f"{own}-{request.profile}"


def _file(option: str, path: Path) -> Path:
    # A log may be a folder or a pattern, too.
    there = path.is_file() if option == "mapping" else path.exists() or glob.has_magic(str(path))
    if not there:
        raise InputError(f"--{option}: there is no file {path}; give the path of an existing file")
    return path.absolute()


def _wanted(project: Project, request: Request) -> tuple[str, ...]:
    names = list(project.inputs)
    if request.first:
        names = names[names.index(project.find(request.first)) :]
    if request.only:
        chosen = {project.find(selector) for selector in request.only}
        names = [name for name in names if name in chosen]
    if not names:
        raise InputError("--from and --only leave no notebook to run; give one of them")
    return tuple(names)


def _apply_profile(project: Project, profile: str, parameters: dict[str, dict[str, Any]]) -> None:
    where = f"profile '{profile}' in study.yml"
    sections = project.profiles[profile] or {}
    for notebook in sorted(sections, key=lambda name: name != "common"):  # what is said of one notebook wins
        if notebook not in (*project.inputs, "common"):
            raise unknown("notebook", notebook, [*project.inputs, "common"], where)
        targets = list(project.inputs) if notebook == "common" else [notebook]
        for name, value in (sections[notebook] or {}).items():
            known = {each for target in targets for each in project.parameters[target]}
            if name in SET_BY_RUNNER or name not in known:
                raise unknown("parameter", name, known - set(SET_BY_RUNNER), f"{where}, {notebook}")
            for target in targets:
                if declared := project.parameters[target].get(name):
                    parameters[target][name] = _checked(declared, value, f"{where}, {target}")


def _apply_setting(project: Project, setting: str, parameters: dict[str, dict[str, Any]]) -> None:
    """Apply one `--set 03.half_life_days=90`."""
    match = re.fullmatch(r"(\w+)\.(\w+)=(.*)", setting, re.DOTALL)
    if not match:
        raise InputError(f"--set {setting} is not of the form NN.name=value, such as 03.half_life_days=90")
    notebook, name, text = project.find(match[1]), match[2], match[3]
    declared = project.parameters[notebook]
    if name in SET_BY_RUNNER:
        raise InputError(f"--set {setting}: '{name}' is set by the runner; use {SET_BY_RUNNER[name]}")
    if name not in declared:
        known = set(declared) - set(SET_BY_RUNNER)
        raise unknown("parameter", name, known, f"--set {setting}: {notebook}")
    value = text if declared[name].kind == "str" else _literal(text)
    parameters[notebook][name] = _checked(declared[name], value, f"--set {setting}")
    if name in FILE_PARAMETERS and value:
        raise InputError(f"--set {setting}: use --{name} for files, so that the run gets a name of its own")


def _files_at_hand(dataset: str) -> list[Path]:
    """The files of a public log, fetched if need be; none where they are not there and cannot be had."""
    try:
        return files_of(dataset)
    except InputError:
        return []


def _literal(text: str) -> Any:
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text


def _checked(parameter: Parameter, value: Any, where: str) -> Any:
    """The value, if it has the type in the annotation of the parameters cell; whole numbers pass as float."""
    if parameter.kind == "float" and type(value) is int:
        return float(value)
    kinds = {"int": int, "float": float, "str": str, "bool": bool, "list": list}
    kind, _, entry = parameter.kind.removesuffix("]").partition("[")
    fits = type(value) is kinds.get(kind)
    if fits and entry:
        fits = all(
            type(item) is kinds.get(entry) or (entry == "float" and type(item) is int) for item in value
        )
    if not fits:
        raise InputError(f"{where}: '{parameter.name}' has to be {parameter.kind}, and {value!r} is not")
    return value


def _modules(cells: Iterable[Mapping[str, Any]], library: Path) -> list[Path]:
    """The files of the library that a notebook imports, directly or through others."""
    code = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    lines = [line for cell in code for line in cell.splitlines() if not line.lstrip().startswith(("%", "!"))]
    waiting, found = _imported("\n".join(lines), library), {library / "__init__.py"}
    while waiting:
        file = waiting.pop()
        if file not in found:
            found.add(file)
            waiting |= _imported(file.read_text(encoding="utf-8"), library)
    return sorted(file for file in found if file.is_file())


def _imported(source: str, library: Path) -> set[Path]:
    try:
        nodes = list(ast.walk(ast.parse(source)))
    except SyntaxError:  # the kernel will tell; until then the whole library counts
        return set(library.glob("*.py"))
    names: set[str] = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:  # the library is flat, so a dot means the library itself
                base = f"{library.name}.{base}".rstrip(".")
            names |= {base, *(f"{base}.{alias.name}" for alias in node.names)}
    parts = (name.split(".") for name in names)
    files = {library / f"{part[1]}.py" for part in parts if part[0] == library.name and len(part) > 1}
    return {file for file in files if file.is_file()}
