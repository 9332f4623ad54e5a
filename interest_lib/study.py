"""The command line: runs the study and shows how it goes on."""

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from interest_lib.layout import project_root
from interest_lib.plan import Plan, Request, make_plan
from interest_lib.project import Project
from interest_lib.publish import publish, recover
from interest_lib.runner import NotebookError, execute_in_place, execute_plan, only_one
from interest_lib.schema import InputError

_EXAMPLES = """\
examples:
  python -m interest_lib run                                  everything on all data, as `make reports` does
  python -m interest_lib run --profile tutorial --out try     the small version, into the folder try
  python -m interest_lib run --data my.csv --mapping my.yml   your own log
  python -m interest_lib run --dataset marketplace            a synthetic log with known truth
  python -m interest_lib run --from 03 --set 03.half_life_days=90
"""


class _Display:
    """Bars on a terminal, plain lines elsewhere."""

    def __init__(self, notebooks: int) -> None:
        self._console = Console()
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        terminal = self._console.is_terminal
        self._bars = Progress(*columns, console=self._console, transient=True, disable=not terminal)
        self._all = self._bars.add_task("notebooks", total=notebooks)
        self._cells: dict[str, TaskID] = {}

    def __enter__(self) -> "_Display":
        self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bars.stop()

    def begin(self, notebook: str, cells: int) -> None:
        self._cells[notebook] = self._bars.add_task(notebook, total=cells)
        if not self._console.is_terminal:
            self.line(f"{notebook}: running {cells} cells")

    def cell(self, notebook: str) -> None:
        self._bars.advance(self._cells[notebook])

    def end(self, notebook: str, text: str) -> None:
        if notebook in self._cells:
            self._bars.remove_task(self._cells.pop(notebook))
        self._bars.advance(self._all)
        self.line(text)

    def line(self, text: str) -> None:
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Parameters
    ----------
    arguments
        What stands behind the name of the command; by default what the process was called with.

    Returns
    -------
    int
        Exit status: 0 done, 1 a notebook broke, 2 bad input, 130 interrupted.
    """
    options = _parser().parse_args(arguments)
    try:
        project = Project(project_root())
        if options.command == "notebooks":
            _refresh(project, options.only)
        else:
            _run(make_plan(project, _request(options)), options.jobs)
    except (InputError, NotebookError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2 if isinstance(error, InputError) else 1
    except KeyboardInterrupt:
        print(
            "interrupted; notebooks that were finished are kept, the next run goes on from there",
            file=sys.stderr,
        )
        return 130
    return 0


def _run(plan: Plan, n_jobs: int) -> None:
    started = time.perf_counter()
    with only_one(plan.artifacts):
        recover(plan)
        with _Display(len(plan.wanted)) as display:
            executed = execute_plan(plan, display, n_jobs)
            stale = [notebook for notebook in plan.stale() if notebook not in plan.wanted]
        if stale:
            print(f"warning: left out though not up to date: {', '.join(stale)}", file=sys.stderr)
        reports = publish(plan)
    kept = len(plan.wanted) - len(executed)
    seconds = time.perf_counter() - started
    display.line(f"reports in {_relative(reports)} ({len(executed)} executed, {kept} kept, {seconds:.1f} s)")


def _refresh(project: Project, only: Sequence[str]) -> None:
    """Execute the stored notebooks in place."""
    chosen = {project.find(selector) for selector in only} or set(project.inputs)
    notebooks = [notebook for notebook in project.inputs if notebook in chosen]
    with only_one(project.root / "artifacts" / "tutorial"), _Display(len(notebooks)) as display:
        for notebook in notebooks:
            execute_in_place(project, notebook, display)


def _positive(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text)):
        raise argparse.ArgumentTypeError(f"'{text}' is not a number of notebooks; give 1 or more")
    return int(text)


def _relative(path: Path) -> Path:
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


def _request(options: argparse.Namespace) -> Request:
    return Request(
        profile=options.profile,
        dataset=options.dataset,
        data=options.data,
        mapping=options.mapping,
        settings=tuple(options.settings),
        first=options.first,
        only=tuple(options.only),
        out=options.out,
        force=options.force,
        engine=options.engine,
        spark_master=options.spark_master,
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m interest_lib",
        description="Run the interest study, end to end or in parts.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    commands = parser.add_subparsers(dest="command", required=True)
    run = commands.add_parser(
        "run",
        help="execute the notebooks by papermill and make the reports",
        description="Execute the notebooks that are not up to date, then replace reports/<run>.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    run.add_argument(
        "--profile", default="full", metavar="NAME", help="from study.yml: tutorial or full (default)"
    )
    log = run.add_mutually_exclusive_group()
    log.add_argument("--dataset", metavar="NAME", help="a dataset that the library knows: docs/datasets.md")
    log.add_argument(
        "--data", type=Path, metavar="PATH", help="your own log: a file, a folder or a glob, docs/own_log.md"
    )
    run.add_argument(
        "--mapping",
        type=Path,
        metavar="FILE",
        help="YAML that tells how to read the log, and where it lies if --data does not",
    )
    run.add_argument("--engine", choices=["duckdb", "spark"], help="what cleans and counts (default: duckdb)")
    run.add_argument("--spark-master", metavar="URL", help="where Spark runs (default: local[*])")
    run.add_argument("--from", dest="first", metavar="NN", help="leave out the notebooks before this one")
    run.add_argument(
        "--only", action="append", default=[], metavar="NN", help="this notebook alone; repeatable"
    )
    run.add_argument(
        "--set",
        dest="settings",
        action="append",
        default=[],
        metavar="NN.name=value",
        help="a parameter of a notebook; repeatable",
    )
    run.add_argument(
        "--out", type=Path, metavar="DIR", help="where artifacts/ and reports/ go (default: here)"
    )
    run.add_argument(
        "--jobs",
        type=_positive,
        default=2,
        metavar="N",
        help="notebooks executed at the same time (default: 2); 1 takes least memory",
    )
    run.add_argument("--force", action="store_true", help="execute even what is up to date")
    notebooks = commands.add_parser(
        "notebooks", help="execute the stored notebooks in place with their defaults"
    )
    notebooks.add_argument(
        "--only", action="append", default=[], metavar="NN", help="this one alone; repeatable"
    )
    return parser
