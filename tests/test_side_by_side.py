"""Notebooks that are executed at the same time: who waits for whom, and what an interruption leaves."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import yaml
from study_maker import STUDY, write_notebook, write_study

from interest_lib import study

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


def test_what_runs_beside_a_notebook_that_breaks_is_finished(root, capsys):
    cell = MEET.format(name="03_decay", other="04_moves", seconds=60)
    write_notebook(root, "03_decay", "rate: float = 0.5", cell, BREAK)
    assert run() == 1
    assert "03_decay, cell [4]: ValueError: broken" in capsys.readouterr().err
    assert metrics(root, "04_moves") == {"moves.users": 3}
    assert not (root / "artifacts/tutorial/03_decay").exists()
    assert not (root / "artifacts/tutorial/09_findings").exists()


@pytest.fixture
def waiting(root: Path) -> Iterator[subprocess.Popen[str]]:
    """A runner in the middle of two notebooks."""
    write_two(root, 'pathlib.Path("../waiting").touch()\ntime.sleep(60)')
    process = subprocess.Popen(
        [sys.executable, "-m", "interest_lib", "run", "--profile", "tutorial"],
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(Path(study.__file__).parents[1])},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),  # noqa: PLW1509
    )
    try:
        deadline = time.monotonic() + 60
        while not (root / "waiting").exists() and time.monotonic() < deadline:
            time.sleep(0.05)
        assert (root / "waiting").exists()
        yield process
    finally:
        process.kill()
        process.communicate()


def test_an_interruption_ends_both_and_leaves_nothing_of_them(root, waiting):
    kernels = psutil.Process(waiting.pid).children(recursive=True)
    assert len(kernels) >= 2
    started = time.monotonic()
    os.kill(waiting.pid, signal.SIGINT)  # the runner alone, as `kill -INT` does
    _, error = waiting.communicate(timeout=60)
    assert time.monotonic() - started < 50  # long before the cells would have ended by themselves
    assert waiting.returncode == 130
    assert error == "interrupted; notebooks that were finished are kept, the next run goes on from there\n"
    _, alive = psutil.wait_procs(kernels, timeout=10)
    assert not alive
    left = {path.name for path in (root / "artifacts/tutorial").iterdir() if path.suffix == ".ipynb"}
    assert not left
    assert (root / "artifacts/tutorial/01_data_prep/results.json").is_file()
