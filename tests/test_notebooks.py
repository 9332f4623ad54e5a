"""The stored notebooks: their form, their parameters, and that their prose names numbers that exist."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from interest_lib.layout import notebook_parameters

ROOT = Path(__file__).resolve().parents[1]
STUDY = yaml.safe_load((ROOT / "study.yml").read_text(encoding="utf-8"))
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))


def cells(path: Path, kind: str | None = None) -> list[dict[str, Any]]:
    found = json.loads(path.read_text(encoding="utf-8"))["cells"]
    return [cell | {"text": "".join(cell["source"])} for cell in found if kind in (None, cell["cell_type"])]


def each_notebook() -> Any:
    return pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def test_study_yml_lists_the_notebooks_there_are() -> None:
    assert list(STUDY["notebooks"]) == [path.stem for path in NOTEBOOKS]


def test_tutorial_parameters_are_the_defaults_in_the_notebooks() -> None:
    for notebook, given in (STUDY["profiles"]["tutorial"] or {}).items():
        stored = notebook_parameters(ROOT / "notebooks" / f"{notebook}.ipynb")
        assert given == {name: stored[name].default for name in given}
    assert {notebook_parameters(path)["run"].default for path in NOTEBOOKS} == {"tutorial"}


@each_notebook()
def test_a_notebook_has_the_parts_that_a_reader_expects(path: Path) -> None:
    markdown = [cell["text"] for cell in cells(path, "markdown")]
    assert re.match(r"# .+\?\n", markdown[0]), "the title is a question"
    assert "**In one sentence:**" in markdown[0] and "Takes" in markdown[0] and ".ipynb)" in markdown[0]
    assert markdown[1].startswith("**You will learn**") and len(re.findall(r"^- ", markdown[1], re.M)) == 3
    assert markdown[-1].startswith("## What we learned") and "**Limitation:**" in markdown[-1]
    assert len(re.findall(r"^\d\. ", markdown[-1], re.M)) == 3
    assert cells(path)[-1]["text"] == "book.save()"


@each_notebook()
def test_every_parameter_is_explained(path: Path) -> None:
    text = next(c["text"] for c in cells(path) if "parameters" in c["metadata"].get("tags", []))
    for line in text.splitlines():
        assert re.fullmatch(r"\w+: \w+(\[\w+\])? = .+  # .+", line), line


@each_notebook()
def test_a_notebook_is_stored_executed_in_order_and_without_errors(path: Path) -> None:
    counts = [cell["execution_count"] for cell in cells(path, "code")]
    assert counts == list(range(1, len(counts) + 1))
    kinds = {output["output_type"] for cell in cells(path, "code") for output in cell["outputs"]}
    assert "error" not in kinds
    streams = [o for cell in cells(path, "code") for o in cell["outputs"] if o.get("name") == "stderr"]
    assert not streams
    assert not re.search(r"/(root|home|work|tmp)/", path.read_text(encoding="utf-8"))


@each_notebook()
def test_links_between_notebooks_lead_somewhere(path: Path) -> None:
    for target in re.findall(r"\]\(([^)#:]+\.ipynb)\)", path.read_text(encoding="utf-8")):
        assert (path.parent / target).is_file(), target


@each_notebook()
def test_what_we_learned_names_recorded_numbers(path: Path) -> None:
    """`a.b.<x>.c` and `a.b.*` stand for any part; at least one recorded key has to fit each name."""
    known: set[str] = set()
    for results in (ROOT / "reports" / "full" / "results").glob("*.json"):
        known |= set(json.loads(results.read_text(encoding="utf-8"))["metrics"])
    learned = cells(path, "markdown")[-1]["text"]
    names = [name for name in re.findall(r"`([^`]+)`", learned) if not name.startswith(".")]
    assert names
    for name in names:
        pattern = re.sub(r"<\w+>|\\\*", "[^ ]+", re.escape(name).replace(r"\<", "<").replace(r"\>", ">"))
        assert any(re.fullmatch(pattern, key) for key in known), f"no recorded number is called {name}"
