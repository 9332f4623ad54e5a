"""Makes reports out of what the notebooks left: pages, figures, results, and a summary."""

import json
import posixpath
import re
import shutil
from pathlib import Path
from typing import Any

import nbformat
from nbconvert import HTMLExporter

from interest_lib.layout import replace_folder, restore_folder, write_json, written_whole
from interest_lib.plan import Plan
from interest_lib.runner import EXECUTED

_HEADLINE = "09_headline.png"
_PROSE_IS_ABOUT = "complete_journey"  # the data on which the notebooks were written
# words, target and place of a relative link in Markdown
_LINK = re.compile(r"(?<!!)\[((?:[^][]|\[[^][]*\])*)\]\((?![\w+.-]+:|[/#])([^)#\s]+)(#[^)\s]*)?\)")
_SUMMARY_RUN = "full"  # the run that is committed; the summary speaks of it where it exists


def recover(plan: Plan) -> None:
    """Put right what a crash in the middle of `publish` left: the earlier reports of the run come back."""
    final = plan.out / "reports" / plan.name
    restore_folder(final)
    shutil.rmtree(_beside(final), ignore_errors=True)


def publish(plan: Plan) -> Path:
    """Put the results of all complete notebooks of a run in place of the earlier reports, whole.

    What was published before of notebooks that have no results here now is carried over.

    Returns
    -------
    Path
        The folder with the pages, `reports/<run>`.
    """
    final = plan.out / "reports" / plan.name
    new = _beside(final)
    (new / "figures").mkdir(parents=True)
    (new / "results").mkdir()
    earlier = _read_json(final / "timing.json", {})
    timing = {}
    for notebook in plan.project.inputs:
        if plan.stamp(notebook):
            within = _within(plan.out / "reports", plan.project.root)
            _copy_artifacts(plan.artifacts / notebook, new, notebook, within)
            left = plan.artifacts / notebook
            parts = _read_json(left / "seconds.json", {})  # what single methods took, where a notebook tells
            timing[notebook] = {**_read_json(left / "timing.json", {}), **parts}
        elif _carry_over(final, new, notebook):
            timing[notebook] = earlier.get(notebook, {})
    write_json(new / "timing.json", timing)
    replace_folder(new, final)
    _write_summary(plan)
    return final


def page(path: Path, title: str, dataset: str, within_project: bool = True) -> str:
    """The HTML page of an executed notebook: code shown, everything in one file.

    On other data than the prose was written about, the page begins by saying so. Only formulas are drawn by
    a script from the web (MathJax); without it they show as they are written.

    Parameters
    ----------
    path
        The notebook.
    title
        Title of the page.
    dataset
        Name of the data on which it was executed.
    within_project
        Whether the page will lie in `reports/<run>` of the project. Elsewhere, links to the project's files
        would lead nowhere, and their words alone are shown.
    """
    book = nbformat.read(path, as_version=4)
    for cell in book.cells:
        if cell.cell_type == "markdown":
            cell.source = _LINK.sub(lambda link: _on_page(link, within_project), cell.source)
    if dataset != _PROSE_IS_ABOUT:
        told = (
            f"*Figures, tables and numbers are of `{dataset}`; the text between them was written about "
            f"`{_PROSE_IS_ABOUT}`.*"
        )
        book.cells.insert(1, nbformat.v4.new_markdown_cell(told, id="about-the-text"))
    exporter = HTMLExporter(require_js_url="", jquery_url="", embed_images=True)
    html, _ = exporter.from_notebook_node(book, resources={"metadata": {"name": title}})
    return str(html)


def _on_page(link: re.Match[str], within_project: bool) -> str:
    """A link of a notebook on its page: notebooks link each other as notebooks, pages as pages."""
    words, target, part = link[1], link[2], link[3] or ""
    if re.fullmatch(r"\d\d_\w+\.ipynb", target):
        return f"[{words}]({target.removesuffix('.ipynb')}.html{part})"
    if not within_project:
        return words
    return f"[{words}]({posixpath.normpath(f'../../notebooks/{target}')}{part})"


def _within(reports: Path, root: Path) -> bool:
    """Whether the reports lie in the project, so that they can link to its files."""
    return reports.resolve().parent == root


def _beside(final: Path) -> Path:
    return final.with_name(f".{final.name}.new")


def _copy_artifacts(source: Path, new: Path, notebook: str, within_project: bool) -> None:
    dataset = _read_json(source / "results.json", {}).get("dataset", _PROSE_IS_ABOUT)
    html = page(source / EXECUTED, notebook, dataset, within_project)
    (new / f"{notebook}.html").write_text(html, encoding="utf-8")
    shutil.copyfile(source / "results.json", new / "results" / f"{notebook}.json")
    for figure in sorted((source / "figures").glob("*.png")):
        shutil.copyfile(figure, new / "figures" / figure.name)


def _carry_over(final: Path, new: Path, notebook: str) -> bool:
    if not (final / "results" / f"{notebook}.json").is_file():
        return False
    number = notebook.partition("_")[0]
    names = [f"results/{notebook}.json", f"{notebook}.html"]
    names += [f"figures/{path.name}" for path in (final / "figures").glob(f"{number}_*.png")]
    for name in names:
        if (final / name).is_file():
            shutil.copyfile(final / name, new / name)
    return True


def _write_summary(plan: Plan) -> None:
    reports = plan.out / "reports"
    run = _SUMMARY_RUN if (reports / _SUMMARY_RUN).is_dir() else plan.name
    command = "make reports" if run == _SUMMARY_RUN else plan.request.command
    results = {}
    for notebook in plan.project.inputs:
        if found := _read_json(reports / run / "results" / f"{notebook}.json", None):
            results[notebook] = found
    with written_whole(reports / "README.md") as beside:
        beside.write_text(summary(reports, run, command, results, plan.project.root), encoding="utf-8")


def summary(reports: Path, run: str, command: str, results: dict[str, dict[str, Any]], root: Path) -> str:
    """The text of `reports/README.md`, from the recorded results of a run alone.

    Parameters
    ----------
    reports
        Folder of all reports.
    run
        The run to speak of.
    command
        What makes it.
    results
        Results by notebook.
    root
        Folder of the project; stored notebooks are linked where the reports lie in it.
    """
    dataset = next((found["dataset"] for found in results.values()), "")
    lines = ["# Results of the interest study", ""]
    lines += [
        f"What shoppers are interested in, how fast it fades and where it moves, measured on `{dataset}`. "
        f"Made by `{command}` from the notebooks; do not edit.",
        "",
    ]
    for figure in sorted((reports / run / "figures").glob(_HEADLINE)):
        alt = figure.stem.partition("_")[2].replace("_", " ")
        lines += [f"![{alt}]({run}/figures/{figure.name})", ""]
    lines += [*_claims_table(run, results), "## Pages", ""]
    for notebook in results:
        lines.append(
            f"- [{_title(root, notebook)}]({run}/{notebook}.html){_sources(reports, run, notebook, root)}"
        )
    return "\n".join(lines) + "\n"


def _claims_table(run: str, results: dict[str, dict[str, Any]]) -> list[str]:
    rows = [
        (claim["id"], claim["statement"], f"**{claim['verdict']}**", _effect(claim["effect"]), notebook)
        for notebook, found in results.items()
        for claim in found["claims"]
    ]
    if not rows:
        return []
    rows.sort(key=lambda row: ([int(part) for part in re.findall(r"\d+", row[0])], row))
    lines = [
        "## Findings",
        "",
        "| claim | statement | verdict | effect | shown in |",
        "|---|---|---|---|---|",
    ]
    for *cells, notebook in rows:
        texts = [" ".join(str(cell).split()).replace("|", "\\|") for cell in cells]
        lines.append(f"| {' | '.join(texts)} | [{notebook.partition('_')[0]}]({run}/{notebook}.html) |")
    return [*lines, ""]


def _effect(effect: object) -> str:
    """An effect is a text, or a number with its interval and its unit, or other named numbers."""
    if not isinstance(effect, dict):
        return str(effect)
    if "value" not in effect:
        return ", ".join(f"{name} {value}" for name, value in effect.items())
    interval = f" [{effect['low']:.3g}, {effect['high']:.3g}]" if {"low", "high"} <= effect.keys() else ""
    return f"{effect['value']:.3g}{interval} {effect.get('unit', '')}".rstrip()


def _title(root: Path, notebook: str) -> str:
    """Number and heading of a stored notebook."""
    for cell in _read_json(root / "notebooks" / f"{notebook}.ipynb", {}).get("cells", []):
        heading = re.search(r"^# +(.+)$", "".join(cell["source"]), re.MULTILINE)
        if cell["cell_type"] == "markdown" and heading:
            return f"{notebook.partition('_')[0]} · {heading[1].strip()}"
    return notebook


def _sources(reports: Path, run: str, notebook: str, root: Path) -> str:
    links = [f"[results]({run}/results/{notebook}.json)"]
    if _within(reports, root):
        links.append(f"[notebook](../notebooks/{notebook}.ipynb)")
    return f" ({', '.join(links)})"


def _read_json(path: Path, default: Any) -> Any:
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else default
