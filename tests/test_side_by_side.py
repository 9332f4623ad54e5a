"""Notebooks that are executed at the same time: who waits for whom, and what an interruption leaves."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
import yaml
from study_maker import STUDY, write_notebook, write_study

from interest_lib import runner as runner_module
from interest_lib import study
from interest_lib.kernel import Kernels
from interest_lib.plan import Plan
from interest_lib.project import Project

# Says that it is there and waits for the other one, which has to be executed at the same time.
MEET = """\
import pathlib
import time

pathlib.Path("../{name}.here").touch()
deadline = time.monotonic() + {seconds}
while not pathlib.Path("../{other}.here").exists():
    assert time.monotonic() < deadline, "the other one did not come"
    time.sleep(0.02)"""
BREAK = "raise ValueError('broken')"


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A study in which 03 and 04 need 01 alone, and 09 needs 03 and 04."""
    root = write_study(tmp_path / "study")
    needs = {
        "01_data_prep": [],
        "03_decay": ["01_data_prep"],
        "04_moves": ["01_data_prep"],
        "09_findings": ["03_decay", "04_moves"],
    }
    (root / "study.yml").write_text(yaml.safe_dump({**STUDY, "notebooks": needs}, sort_keys=False))
    write_two(root)
    monkeypatch.chdir(root)
    return root


def write_two(root: Path, *cells: str, seconds: float = 60) -> None:
    names = ("03_decay", "04_moves")
    for name, other in (names, names[::-1]):
        cell = MEET.format(name=name, other=other, seconds=seconds)
        users = f'book.metric("{name[3:]}.users", 3)'
        write_notebook(root, name, "rate: float = 0.5", cell, *cells, users)


def run(*arguments: str) -> int:
    return study.main(["run", "--profile", "tutorial", *arguments])


def metrics(root: Path, notebook: str) -> dict[str, float]:
    file = root / f"artifacts/tutorial/{notebook}/results.json"
    return dict(json.loads(file.read_text())["metrics"])


def test_notebooks_that_do_not_need_each_other_run_at_the_same_time(root, capsys):
    assert run() == 0
    output = capsys.readouterr().out
    lines = [line for line in output.splitlines() if line[:2].isdigit()]
    assert lines[0].startswith("01_data_prep: running")
    assert lines[1].startswith("01_data_prep: ") and "running" not in lines[1]
    assert {line.split(":")[0] for line in lines[2:4]} == {"03_decay", "04_moves"}
    assert all("running" in line for line in lines[2:4])
    assert lines[-2].startswith("09_findings: running")
    assert metrics(root, "03_decay") == {"decay.users": 3}
    assert run() == 0
    assert "0 executed, 4 kept" in capsys.readouterr().out


def test_one_at_a_time_where_asked(root, capsys):
    write_two(root, seconds=1)
    assert run("--jobs", "1") == 1
    output = capsys.readouterr()
    assert "03_decay, cell [3]: AssertionError: the other one did not come" in output.err
    assert "04_moves" not in output.out


@pytest.mark.parametrize("number", ["0", "-1", "two"])
def test_a_wrong_number_is_refused_in_words(root, capsys, number):
    with pytest.raises(SystemExit) as stop:
        run(f"--jobs={number}")
    assert stop.value.code == 2
    assert f"'{number}' is not a number of notebooks; give 1 or more" in capsys.readouterr().err


def test_both_sentences_are_told_where_both_break(root, capsys):
    names = ("03_decay", "04_moves")
    for name, other in (names, names[::-1]):
        cell = MEET.format(name=name, other=other, seconds=60)
        write_notebook(root, name, "rate: float = 0.5", cell, f"raise ValueError('{name} is broken')")
    assert run() == 1
    output = capsys.readouterr()
    told = output.out + output.err
    assert all(f"{name}, cell [4]: ValueError: {name} is broken" in told for name in names)
    assert "09_findings" not in told


def test_what_runs_beside_a_notebook_that_breaks_is_finished(root, capsys):
    write_two(root, "time.sleep(2)")
    cell = MEET.format(name="03_decay", other="04_moves", seconds=60)
    write_notebook(root, "03_decay", "rate: float = 0.5", cell, BREAK)
    assert run() == 1
    output = capsys.readouterr()
    broke = "03_decay, cell [4]: ValueError: broken"
    assert f"error: {broke}" in output.err
    assert output.out.index(broke) < output.out.rindex("04_moves: ")  # told at once
    assert metrics(root, "04_moves") == {"moves.users": 3}
    assert not (root / "artifacts/tutorial/03_decay").exists()
    assert not (root / "artifacts/tutorial/09_findings").exists()


def interrupted(root: Path, *cells: str) -> tuple[float, subprocess.Popen[str], str]:
    """Interrupt a runner in the middle of two notebooks: how long that took, the process, what it said."""
    write_two(root, *cells)
    runner = subprocess.Popen(
        [sys.executable, "-m", "interest_lib", "run", "--profile", "tutorial"],
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(Path(study.__file__).parents[1])},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),  # noqa: PLW1509
    )
    try:
        deadline = time.monotonic() + 60
        while len(list(root.glob("*.waiting"))) < 2 and time.monotonic() < deadline:
            time.sleep(0.05)
        assert len(list(root.glob("*.waiting"))) == 2
        kernels = psutil.Process(runner.pid).children(recursive=True)
        assert len(kernels) >= 2
        started = time.monotonic()
        os.kill(runner.pid, signal.SIGINT)  # the runner alone, as `kill -INT` does
        _, error = runner.communicate(timeout=50)  # long before the cells would have ended by themselves
        taken = time.monotonic() - started
        _, alive = psutil.wait_procs(kernels, timeout=10)
        assert not alive
        return taken, runner, error
    finally:
        runner.kill()
        runner.communicate()


WAIT = """\
import os

pathlib.Path(f"../{os.getpid()}.waiting").touch()
time.sleep(90)"""


def test_an_interruption_ends_both_and_leaves_nothing_of_them(root):
    taken, runner, error = interrupted(root, WAIT)
    assert taken < runner_module._SECONDS_TO_STOP - 1  # interrupted, not killed
    assert runner.returncode == 130
    assert error == "interrupted; notebooks that were finished are kept, the next run goes on from there\n"
    left = {path.name for path in (root / "artifacts/tutorial").iterdir() if path.suffix == ".ipynb"}
    assert not left
    assert (root / "artifacts/tutorial/01_data_prep/results.json").is_file()


def test_a_cell_that_will_not_be_interrupted_is_killed(root):
    deaf = "import signal\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\n" + WAIT
    taken, runner, _ = interrupted(root, deaf)
    assert taken > runner_module._SECONDS_TO_STOP - 1
    assert runner.returncode == 130


def test_a_cell_that_goes_on_after_an_interruption_is_the_last_one(root):
    stubborn = WAIT.replace("time.sleep(90)", "try:\n    time.sleep(90)\nexcept KeyboardInterrupt:\n    pass")
    _, runner, _ = interrupted(root, stubborn, 'pathlib.Path("../went_on").touch()')
    assert runner.returncode == 130
    assert not (root / "went_on").exists()


def test_an_interruption_before_a_notebook_starts_ends_the_one_that_runs(root, capsys, monkeypatch):
    cell = 'pathlib.Path("../03_decay.here").touch()\ntime.sleep(90)'
    write_notebook(
        root, "03_decay", "rate: float = 0.5", f"import pathlib, time\n{cell}", "book.metric('a', 1)"
    )
    asked = Plan.fingerprint

    def download(plan: Plan, notebook: str) -> str:
        """As if the other notebook had a log to fetch when the user interrupts."""
        if notebook == "04_moves":
            deadline = time.monotonic() + 60
            while not (root / "03_decay.here").exists() and time.monotonic() < deadline:
                time.sleep(0.05)
            raise KeyboardInterrupt
        return asked(plan, notebook)

    monkeypatch.setattr(Plan, "fingerprint", download)
    started = time.monotonic()
    assert run() == 130
    assert time.monotonic() - started < 50
    assert "interrupted" in capsys.readouterr().err
    assert not (root / "artifacts/tutorial/03_decay").exists()


def test_no_kernel_starts_after_an_interruption(root):
    kernels = Kernels(Project(root))
    kernels.stop()
    with pytest.raises(RuntimeError, match="interrupted"):
        asyncio.run(kernels.manager(root)(kernel_name="python3").start_kernel())
