"""Executes notebooks: by papermill for a run, in place for the stored ones."""

import fcntl
import json
import signal
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import nbformat
import papermill
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from papermill.exceptions import PapermillExecutionError

from interest_lib.kernel import Kernels
from interest_lib.layout import FILE_PARAMETERS, restore_folder, write_json, written_whole
from interest_lib.plan import STAMP, Plan
from interest_lib.project import Project
from interest_lib.record import DATA_NOTEBOOK
from interest_lib.schema import InputError

EXECUTED = "executed.ipynb"
_NEEDS = "needs:"
_KEPT_METADATA = ("tags", "jupyter")
_SECONDS_TO_STOP = 10  # that an interrupted cell has to clean up


class NotebookError(RuntimeError):
    """A notebook broke; the text is one sentence saying where and how."""


class Listener(Protocol):
    """What wants to know how a run goes on; `study` shows it to the user."""

    def begin(self, notebook: str, cells: int) -> None:
        """A notebook with so many code cells starts."""

    def cell(self, notebook: str) -> None:
        """One more code cell is done."""

    def end(self, notebook: str, text: str) -> None:
        """The notebook is done or was kept; `text` says which."""


def execute_plan(plan: Plan, listener: Listener, n_jobs: int = 1) -> list[str]:
    """Execute the wanted notebooks of a run that are not up to date.

    Parameters
    ----------
    plan
        The run.
    listener
        Told how it goes on, from several threads.
    n_jobs
        Notebooks at the same time, each as soon as those are done whose results it reads.

    Returns
    -------
    list of str
        The notebooks executed.

    Raises
    ------
    InputError
        If an input was never made, or a notebook raises it.
    NotebookError
        If a notebook breaks for any other reason. Notebooks finished before keep their results.
    """
    kernels = Kernels(plan.project)
    waiting, executed = list(plan.wanted), list[str]()
    running: dict[Future[None], str] = {}
    failures: list[BaseException] = []
    with ThreadPoolExecutor(n_jobs) as threads:
        try:
            while running or (waiting and not failures):
                ready = [] if failures else _ready(plan, waiting, running)
                if ready and len(running) < n_jobs:
                    waiting.remove(ready[0])
                    # in this thread: here an interrupt ends a download, and Python 3.11 breaks where two
                    # threads parse (https://github.com/python/cpython/issues/106905)
                    if fingerprint := _outdated(plan, ready[0], listener):
                        task = threads.submit(_execute, plan, ready[0], fingerprint, listener, kernels)
                        running[task] = ready[0]
                    continue
                done = wait(running, return_when=FIRST_COMPLETED).done
                for future, notebook in [(f, n) for f, n in running.items() if f in done]:
                    del running[future]
                    if error := future.exception():
                        failures.append(error)
                        if running or failures[1:]:  # what is raised in the end comes late, and is one
                            listener.end(notebook, str(error))
                    else:
                        executed.append(notebook)
        except KeyboardInterrupt:
            _stop(kernels, running)
            raise
    if failures:
        raise failures[0]
    return executed


def _ready(plan: Plan, waiting: Sequence[str], running: Mapping[Future[None], str]) -> list[str]:
    """What waits for no other notebook."""
    unfinished = {*waiting, *running.values()}
    return [notebook for notebook in waiting if unfinished.isdisjoint(plan.project.inputs[notebook])]


def _outdated(plan: Plan, notebook: str, listener: Listener) -> str | None:
    """The fingerprint that a notebook would have now; None if it has it already."""
    _require_inputs(plan, notebook)
    # before the execution: a file that is edited meanwhile has to count as changed next time
    fingerprint = plan.fingerprint(notebook)
    if plan.stamp(notebook) != fingerprint or plan.request.force:
        return fingerprint
    _failed(plan, notebook).unlink(missing_ok=True)
    listener.end(notebook, f"{notebook}: unchanged, kept")
    return None


def _stop(kernels: Kernels, running: Mapping[Future[None], str]) -> None:
    """Interrupt what runs, and kill what is still there after some seconds or a second interrupt."""
    try:
        kernels.stop(signal.SIGINT)
        wait(running, timeout=_SECONDS_TO_STOP)
    finally:
        kernels.stop(signal.SIGKILL)


def execute_in_place(project: Project, notebook: str, listener: Listener) -> None:
    """Execute a stored notebook with the values written in it, and store it normalised if all of it ran.

    Raises
    ------
    InputError, NotebookError
        As `execute_plan`; the stored notebook is left as it was.
    """
    path = project.notebook(notebook)
    book = nbformat.read(path, as_version=4)
    _clear(book)
    client = NotebookClient(
        book,
        kernel_manager_class=Kernels(project).manager(path.parent),
        kernel_name="python3",
        timeout=None,
        record_timing=False,
        coalesce_streams=True,
        on_cell_executed=lambda **_: listener.cell(notebook),
    )
    started = time.perf_counter()
    listener.begin(notebook, len(_code_cells(book)))
    kept = "the stored notebook stays as it was"
    try:
        client.execute()
    except CellExecutionError as error:
        count = sum(cell.execution_count is not None for cell in _code_cells(book))
        raise _failure(notebook, count, error.ename, error.evalue, kept) from None
    except RuntimeError as error:  # the kernel died or did not start
        raise NotebookError(f"{notebook}: {_one_line(error)}; {kept}") from None
    _require_all_cells(book, notebook, kept)
    normalise(book)
    _write_notebook(book, path)
    listener.end(notebook, f"{notebook}: {time.perf_counter() - started:.1f} s")


def normalise(book: nbformat.NotebookNode) -> None:
    """Take out of an executed notebook what changes between two equal executions.

    Examples
    --------
    >>> cell = nbformat.v4.new_code_cell("1 + 1", execution_count=7, metadata={"execution": {"a": "12:00"}})
    >>> book = nbformat.v4.new_notebook(cells=[cell], metadata={"papermill": {"duration": 3.2}})
    >>> normalise(book)
    >>> book.cells[0].execution_count, dict(book.cells[0].metadata), sorted(book.metadata)
    (1, {}, ['kernelspec', 'language_info'])
    """
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    book.metadata = nbformat.from_dict({"kernelspec": kernel, "language_info": {"name": "python"}})
    book.nbformat, book.nbformat_minor = 4, 5
    for number, cell in enumerate(book.cells):
        cell.setdefault("id", f"cell-{number}")  # nbformat 4.4 has none
        kept = {key: cell.metadata[key] for key in _KEPT_METADATA if cell.metadata.get(key)}
        cell.metadata = nbformat.from_dict(kept)
    for number, cell in enumerate(_code_cells(book), start=1):
        cell.execution_count = number
        for output in cell.outputs:
            if "execution_count" in output:
                output.execution_count = number


def _execute(plan: Plan, notebook: str, fingerprint: str, listener: Listener, kernels: Kernels) -> None:
    """Execute one notebook; its folder is complete only once the stamp is in it, which comes last."""
    final = plan.artifacts / notebook
    running = plan.artifacts / f".{notebook}.running.ipynb"
    restore_folder(final)
    book = _copy_to_execute(plan, notebook)
    _write_notebook(book, running)
    started = time.perf_counter()
    listener.begin(notebook, len(_code_cells(book)) + bool(plan.changed(notebook)))
    before = _inode(final)
    try:
        _papermill(plan, notebook, running, listener, kernels)
        book = nbformat.read(running, as_version=4)
        _require_all_cells(book, notebook, _look_at(plan, notebook))
        if _inode(final) in (None, before):
            where = _look_at(plan, notebook)
            raise NotebookError(f"{notebook} ran without calling save() of its book; {where}")
    except InputError:
        running.unlink()
        raise
    except NotebookError:
        if kernels.stopped:
            running.unlink()
        else:
            running.replace(_failed(plan, notebook))
        raise
    _hide_paths(book, plan.changed(notebook))
    normalise(book)
    _write_notebook(book, final / EXECUTED)
    running.unlink()
    _failed(plan, notebook).unlink(missing_ok=True)
    files = sorted(path.relative_to(final).as_posix() for path in final.rglob("*") if path.is_file())
    write_json(final / STAMP, {"fingerprint": fingerprint, "files": files})
    listener.end(notebook, f"{notebook}: {time.perf_counter() - started:.1f} s")


def _papermill(plan: Plan, notebook: str, path: Path, listener: Listener, kernels: Kernels) -> None:
    """Let papermill execute a file in place, and turn what may happen into one of two errors."""
    kept = _look_at(plan, notebook)
    escaped = str(path).replace("{", "{{").replace("}", "}}")  # papermill formats paths
    try:
        papermill.execute_notebook(
            escaped,
            escaped,
            parameters=plan.changed(notebook),
            kernel_name="python3",
            language="python",
            progress_bar=False,
            # the manager knows the folder: papermill would change that of all threads
            kernel_manager_class=kernels.manager(plan.project.notebook(notebook).parent),
            coalesce_streams=True,
            on_cell_execute=lambda **_: kernels.go_on(),
            on_cell_executed=lambda **_: listener.cell(notebook),
        )
    except PapermillExecutionError as error:
        raise _failure(notebook, error.exec_count, error.ename, error.evalue, kept) from None
    except RuntimeError as error:  # the kernel died or did not start
        raise NotebookError(f"{notebook}: {_one_line(error)}; {kept}") from None


def _copy_to_execute(plan: Plan, notebook: str) -> nbformat.NotebookNode:
    """The stored notebook without outputs, and with a sentence in place of what the data cannot support."""
    book: nbformat.NotebookNode = nbformat.read(plan.project.notebook(notebook), as_version=4)
    support = plan.artifacts / DATA_NOTEBOOK / "support.json"
    if notebook != DATA_NOTEBOOK and support.is_file():
        capabilities = json.loads(support.read_text(encoding="utf-8"))
        book.cells = list(_supported(book.cells, capabilities, notebook))
    _clear(book)
    return book


def _supported(cells: list[Any], capabilities: Mapping[str, Any], notebook: str) -> Iterator[Any]:
    """Cells whose needs are met; one markdown cell with the reason for each row of others."""
    skipping = None
    for cell in cells:
        needs = [tag.removeprefix(_NEEDS) for tag in cell.metadata.get("tags", []) if tag.startswith(_NEEDS)]
        for need in needs:
            if need not in capabilities:
                raise NotebookError(f"{notebook}: tag '{_NEEDS}{need}' names nothing in support.json")
        unmet = next((need for need in needs if not capabilities[need]["supported"]), None)
        if unmet is None:
            yield cell
        elif unmet != skipping:
            text = f"*Skipped: {capabilities[unmet]['why']}*"
            yield nbformat.v4.new_markdown_cell(text, id=cell.id)
        skipping = unmet


def _hide_paths(book: nbformat.NotebookNode, changed: Mapping[str, Any]) -> None:
    """Keep folders of this machine out of the cell that papermill injects, and give the cell a steady id."""
    for cell in [cell for cell in book.cells if "injected-parameters" in cell.metadata.get("tags", [])]:
        lines = [line for line in cell.source.splitlines() if not line.startswith("out = ")]
        for number, line in enumerate(lines):
            name = line.partition(" = ")[0]
            if name in FILE_PARAMETERS:
                lines[number] = f'{name} = "{Path(changed[name]).name}"'
        cell.id, cell.source = "injected-parameters", "\n".join(lines)
        if len(lines) == 1:  # papermill's comment alone
            book.cells.remove(cell)


def _require_inputs(plan: Plan, notebook: str) -> None:
    for needed in plan.project.inputs[notebook]:
        if plan.stamp(needed) is None:
            command = f"{plan.request.command} --only {needed.partition('_')[0]}"
            raise InputError(
                f"{notebook} reads {needed}, which is not there for '{plan.name}'; run '{command}'"
            )


def _require_all_cells(book: nbformat.NotebookNode, notebook: str, kept: str) -> None:
    """Refuse a notebook that stopped early without an error, as one with `sys.exit(0)` does."""
    for number, cell in enumerate(_code_cells(book), start=1):
        names = [output.ename for output in cell.outputs if output.output_type == "error"]
        if names and "raises-exception" not in cell.metadata.get("tags", []):
            raise NotebookError(f"{notebook}, cell [{number}]: stopped by {names[0]}; {kept}")
        if cell.execution_count is None:
            raise NotebookError(f"{notebook}, cell [{number}]: was not executed; {kept}")


def _failure(notebook: str, cell: int | None, name: str, message: str, kept: str) -> Exception:
    if name == InputError.__name__:
        where = "" if notebook == DATA_NOTEBOOK else f"{notebook}: "  # reading data names the file itself
        return InputError(where + " ".join(message.split()))
    return NotebookError(f"{notebook}, cell [{cell}]: {name}: {_one_line(message)}; {kept}")


def _failed(plan: Plan, notebook: str) -> Path:
    """Where a notebook that broke is kept, with all that it showed until then."""
    return plan.artifacts / f"{notebook}.failed.ipynb"


def _look_at(plan: Plan, notebook: str) -> str:
    return f"look at {_failed(plan, notebook).relative_to(plan.out).as_posix()}"


def _inode(folder: Path) -> int | None:
    """Identity of a folder: saving a book puts a new one in the place of the old."""
    return folder.stat().st_ino if folder.exists() else None


def _one_line(message: object) -> str:
    return " ".join(str(message).split()).rstrip(".") or "no message"


def _code_cells(book: nbformat.NotebookNode) -> list[Any]:
    return [cell for cell in book.cells if cell.cell_type == "code" and cell.source.strip()]


def _clear(book: nbformat.NotebookNode) -> None:
    """Forget an earlier execution, of which the cells behind an error would keep their outputs."""
    for cell in book.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None


def _write_notebook(book: nbformat.NotebookNode, path: Path) -> None:
    with written_whole(path) as beside:
        beside.write_text(nbformat.writes(book).rstrip("\n") + "\n", encoding="utf-8")


@contextmanager
def only_one(folder: Path) -> Iterator[None]:
    """Keep two processes from working at one run; the lock goes with the process, however that ends.

    Raises
    ------
    InputError
        If another process is at it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise InputError(
                f"another process is at the run '{folder.name}'; wait for its end, or give another --out"
            ) from None
        yield
