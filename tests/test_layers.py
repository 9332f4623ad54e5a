"""Imports between modules run in one direction."""

import ast
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
MODULES = {path.stem: path for path in (ROOT / "interest_lib").glob("[a-z]*.py")}


def imported(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("interest_lib"):
            module = (node.module or "").partition(".")[2]
            names |= {module} if module else {alias.name for alias in node.names}
    return names & set(MODULES)


def documented_order() -> list[str]:
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    listed = re.search(r"^    (schema ·[\w\s·]+)", text, re.MULTILINE)
    assert listed
    return re.findall(r"\w+", listed[1].partition("\n\n")[0])


def test_the_documented_order_names_every_module_once() -> None:
    assert sorted(documented_order()) == sorted(MODULES)


def test_modules_import_only_what_stands_before_them() -> None:
    order = documented_order()
    for module, path in MODULES.items():
        wrong = {other for other in imported(path) if order.index(other) >= order.index(module)}
        assert not wrong, f"{module} imports {wrong}"


def test_nobody_imports_the_command_line() -> None:
    assert not [module for module, path in MODULES.items() if "study" in imported(path)]
