"""environment.yml is the one list of dependencies, and requirements.lock is made from it."""

import ast
import runpy
import sys
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]
LOCK = runpy.run_path(str(ROOT / ".ci" / "lock.py"))
WANTED = [Requirement(line) for line in LOCK["pip_part"]()]
SPARK = [
    Requirement(line)
    for line in (ROOT / "requirements-spark.txt").read_text().splitlines()
    if not line.startswith("#")
]


def locked() -> dict[str, str]:
    lines = (ROOT / "requirements.lock").read_text().splitlines()
    return dict(line.split("==") for line in lines if not line.startswith("#"))


@pytest.mark.parametrize("wanted", WANTED, ids=lambda wanted: wanted.name)
def test_every_dependency_is_locked_within_its_range(wanted):
    version = locked().get(canonicalize_name(wanted.name))
    assert version, f"{wanted.name} is not in requirements.lock; run `make lock`"
    assert wanted.specifier, f"{wanted.name} has no range in environment.yml"
    assert wanted.specifier.contains(version), f"{version} is locked, {wanted} is wanted; run `make lock`"


def test_the_lock_was_made_from_this_list():
    text = (ROOT / "requirements.lock").read_text()
    assert text.startswith(LOCK["header"]() + "\n"), "environment.yml was changed; run `make lock`"
    assert "://" not in text
    assert "--hash" not in text


def test_nothing_but_the_list_names_dependencies():
    text = (ROOT / "pyproject.toml").read_text()
    assert "\ndependencies" not in text
    assert 'optional-dependencies.spark = { file = ["requirements-spark.txt"] }' in text


def test_the_optional_extra_is_pinned_exactly():
    assert [str(wanted.specifier)[:2] for wanted in SPARK] == ["==", "=="]


def test_whatever_is_imported_is_in_the_list():
    listed = {canonicalize_name(wanted.name) for wanted in [*WANTED, *SPARK]}
    owners = packages_distributions()
    own = {
        "interest_lib",
        *(path.stem for folder in ("tests", "benchmarks") for path in (ROOT / folder).glob("*.py")),
    }
    missing = {}
    for path in [*ROOT.glob("interest_lib/*.py"), *ROOT.glob("tests/*.py"), *ROOT.glob(".ci/*.py")]:
        for name in imported(path.read_text()) - own - set(sys.stdlib_module_names):
            # Of an extra that is not installed the name says enough.
            if not listed & {canonicalize_name(owner) for owner in owners.get(name, [name])}:
                missing[name] = path.name
    assert missing == {}


def imported(source: str) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module.partition(".")[0])
    return names
