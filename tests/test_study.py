"""The runner on a tiny made-up study, broken in every way that we could think of."""

import fcntl
import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import nbformat
import pytest
from study_maker import DATA, DECAY, write_notebook, write_study

from interest_lib import publish, study

LIBRARY = Path(study.__file__).parents[1]
NAMES = ("01_data_prep", "03_decay", "09_findings")
DECAY_PARAMETERS = "half_life_days: int = 90\nrate: float = 0.5"
# The cell waits while the file `slow` lies in the folder of the study, and says so by the file `waiting`.
WAIT = """\
import pathlib
import time

if pathlib.Path("../slow").exists():
    book.metric("decay.slow", 1)
    pathlib.Path("../waiting").touch()
    time.sleep({seconds})"""


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study whose run `tutorial` is complete."""
    root = write_study(tmp_path_factory.mktemp("finished") / "study")
    assert run_process(root).returncode == 0
    return root


@pytest.fixture
def root(finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the complete study, which is also the working directory."""
    copy = shutil.copytree(finished, tmp_path / "study")
    monkeypatch.chdir(copy)
    return copy


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "interest_lib", "run", "--profile", "tutorial", *arguments]


def environment(**changes: str) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(LIBRARY), **changes}


def run_process(root: Path, *arguments: str, **changes: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(*arguments), cwd=root, env=environment(**changes), capture_output=True, text=True, check=False
    )


def run(*arguments: str) -> int:
    return study.main(["run", "--profile", "tutorial", *arguments])


def tree(folder: Path) -> dict[str, str]:
    """Hash of every file in a folder, hidden ones too, but not of times."""
    files = [path for path in sorted(folder.rglob("*")) if path.is_file() and path.name != "timing.json"]
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files
    }


def executed(output: str) -> list[str]:
    return re.findall(r"^(\w+): running", output, re.MULTILINE)


@pytest.fixture
def waiting(root: Path) -> Iterator[subprocess.Popen[str]]:
    """A runner in the middle of 03_decay; afterwards nobody waits any more."""
    write_notebook(root, "03_decay", DECAY_PARAMETERS, WAIT.format(seconds=60), DECAY)
    (root / "slow").touch()
    process = subprocess.Popen(
        command(),
        cwd=root,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        # who starts the tests in the background hands down an ignored SIGINT
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),  # noqa: PLW1509
    )
    try:
        deadline = time.monotonic() + 30
        while not (root / "waiting").exists() and time.monotonic() < deadline:
            time.sleep(0.05)
        assert (root / "waiting").exists()
        (root / "slow").unlink()
        yield process
    finally:
        process.kill()
        process.communicate()


def test_a_run_leaves_reports_and_a_second_one_keeps_them(root, capsys):
    reports = root / "reports"
    assert sorted(path.name for path in (reports / "tutorial").glob("*.html")) == [f"{n}.html" for n in NAMES]
    assert (reports / "tutorial/figures/09_headline.png").is_file()
    assert json.loads((reports / "tutorial/results/03_decay.json").read_text())["metrics"] == {
        "decay.users": 2
    }
    assert set(json.loads((reports / "tutorial/timing.json").read_text())) == set(NAMES)
    before = tree(root)
    assert run() == 0
    output = capsys.readouterr().out
    assert [f"{name}: unchanged, kept" in output for name in NAMES] == [True] * 3
    assert "reports in reports/tutorial (0 executed, 3 kept" in output
    assert tree(root) == before


def test_what_single_methods_took_is_published_beside_the_whole(root):
    (root / "artifacts/tutorial/03_decay/seconds.json").write_text('{"decay.seconds.fast": 0.5}')
    assert run("--only", "09", "--force") == 0
    timing = json.loads((root / "reports/tutorial/timing.json").read_text())
    assert timing["03_decay"]["decay.seconds.fast"] == 0.5 and timing["03_decay"]["seconds"] > 0
    assert "decay.seconds.fast" not in timing["09_findings"]


def test_forced_in_another_folder_it_gives_the_same_bytes(root, tmp_path, capsys):
    out = tmp_path / "some {place}"
    shutil.copytree(root / "artifacts", out / "artifacts")
    assert run("--force", "--out", str(out)) == 0
    assert executed(capsys.readouterr().out) == list(NAMES)
    assert tree(out / "reports/tutorial") == tree(root / "reports/tutorial")
    assert str(tmp_path) not in (out / "artifacts/tutorial/01_data_prep/executed.ipynb").read_text()


def test_only_what_changed_and_what_reads_it_is_executed(root, capsys):
    write_notebook(root, "03_decay", DECAY_PARAMETERS, DECAY.replace("len(events)", "10 * len(events)"))
    assert run() == 0
    assert executed(capsys.readouterr().out) == ["03_decay", "09_findings"]
    assert '"decay.users": 20' in (root / "reports/tutorial/results/03_decay.json").read_text()


def test_parameters_reach_the_notebook_and_its_page(root, capsys):
    assert run("--set", "03.half_life_days=30", "--only", "03") == 0
    captured = capsys.readouterr()
    assert executed(captured.out) == ["03_decay"]
    assert captured.err == "warning: left out though not up to date: 09_findings\n"
    assert "2 users at 30 days" in (root / "reports/tutorial/03_decay.html").read_text()


def test_an_input_that_was_never_made_is_named_with_the_command(root, capsys):
    shutil.rmtree(root / "artifacts")
    before = tree(root)
    assert run("--from", "03") == 2
    assert capsys.readouterr().err == (
        "error: 03_decay reads 01_data_prep, which is not there for 'tutorial'; "
        "run 'python -m interest_lib run --profile tutorial --only 01'\n"
    )
    assert tree(root / "reports") == {
        name[8:]: text for name, text in before.items() if name[:8] == "reports/"
    }


def test_published_pages_stay_when_only_a_part_is_made_anew(root, capsys):
    before = tree(root / "reports")
    shutil.rmtree(root / "artifacts")
    assert run("--only", "01") == 0
    assert "03_decay, 09_findings" in capsys.readouterr().err
    assert tree(root / "reports") == before


def test_bad_input_found_by_a_notebook_is_one_sentence_and_status_2(root):
    before = tree(root / "reports")
    text = "my.csv: column timestamp, row 3: 'x' is no time; write ISO 8601"
    raising = f'from interest_lib.schema import InputError\n\nraise InputError("{text}")'
    write_notebook(root, "03_decay", DECAY_PARAMETERS, raising)
    done = run_process(root)
    assert (done.returncode, done.stderr) == (2, f"error: 03_decay: {text}\n")
    assert tree(root / "reports") == before


@pytest.mark.parametrize(
    ("cell", "sentence"),
    [
        ("1 / 0", "03_decay, cell [3]: ZeroDivisionError: division by zero; look at artifacts/"),
        ("import sys\nsys.exit(0)", "03_decay, cell [3]: stopped by SystemExit; look at"),
        ("import os\nos._exit(1)", "03_decay: Kernel died"),
    ],
)
def test_a_notebook_that_breaks_is_one_sentence_and_status_1(root, capsys, cell, sentence):
    before = tree(root / "reports")
    write_notebook(root, "03_decay", DECAY_PARAMETERS, cell)
    assert run() == 1
    error = capsys.readouterr().err
    assert error.startswith(f"error: {sentence}")
    assert error.count("\n") == 1
    assert (root / "artifacts/tutorial/03_decay.failed.ipynb").is_file()
    write_notebook(root, "03_decay", DECAY_PARAMETERS, DECAY)
    assert run() == 0
    assert "03_decay: unchanged, kept" in capsys.readouterr().out
    assert not (root / "artifacts/tutorial/03_decay.failed.ipynb").exists()
    assert tree(root / "reports") == before


def test_a_notebook_that_does_not_save_is_refused(root, capsys):
    path = write_notebook(root, "03_decay", DECAY_PARAMETERS, DECAY)
    path.write_text(path.read_text().replace("print(book.save())", "pass"))
    assert run() == 1
    assert "03_decay ran without calling save()" in capsys.readouterr().err


@pytest.mark.parametrize("group", [True, False])
def test_kill_in_the_middle_keeps_reports_and_the_next_run_goes_on_there(root, capsys, waiting, group):
    before = tree(root / "reports")
    if group:
        os.killpg(waiting.pid, signal.SIGKILL)
    else:  # the kernel lives on for a moment
        os.kill(waiting.pid, signal.SIGKILL)
    waiting.wait()
    assert tree(root / "reports") == before
    assert run() == 0
    output = capsys.readouterr().out
    assert "01_data_prep: unchanged, kept" in output
    assert executed(output) == ["03_decay", "09_findings"]
    found = json.loads((root / "reports/tutorial/results/03_decay.json").read_text())
    assert found["metrics"] == {"decay.users": 2}
    assert not list((root / "artifacts/tutorial").glob(".*.partial"))


def test_interrupt_keeps_what_is_finished(root, waiting):
    before = tree(root / "reports")
    os.killpg(waiting.pid, signal.SIGINT)
    _, error = waiting.communicate(timeout=120)
    assert waiting.returncode == 130
    assert error == "interrupted; notebooks that were finished are kept, the next run goes on from there\n"
    assert tree(root / "reports") == before


def test_a_crash_while_reports_are_replaced_is_put_right_by_the_next_start(root):
    before = tree(root / "reports")
    shutil.copytree(root / "reports/tutorial", root / "reports/.tutorial.new")
    (root / "reports/tutorial").rename(root / "reports/.tutorial.old")
    shutil.rmtree(root / "artifacts")
    assert run("--only", "03") == 2
    assert tree(root / "reports") == before


def test_two_runs_at_once_are_refused(root, capsys):
    with (root / "artifacts/tutorial/.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert run() == 2
    assert "another process is at the run 'tutorial'" in capsys.readouterr().err


def test_sections_that_the_log_cannot_support_are_skipped_with_the_reason(root, capsys):
    support = {
        "quarters": {"supported": False, "why": "The log has 2 periods."},
        "baskets": {"supported": True},
    }
    (root / "artifacts/tutorial/01_data_prep/support.json").write_text(json.dumps(support))
    needing = [("1 / 0", ["needs:quarters"]), ("1 / 0", ["needs:baskets", "needs:quarters"])]
    write_notebook(root, "03_decay", DECAY_PARAMETERS, *needing, (DECAY, ["needs:baskets"]), needing[0])
    assert run("--only", "03") == 0
    page = (root / "reports/tutorial/03_decay.html").read_text()
    assert page.count("<em>Skipped: The log has 2 periods.</em>") == 2
    assert "2 users at 90 days" in page
    write_notebook(root, "03_decay", DECAY_PARAMETERS, (DECAY, ["needs:quarter"]))
    assert run("--only", "03") == 1
    assert "tag 'needs:quarter' names nothing in support.json" in capsys.readouterr().err


def test_own_data_reach_the_data_notebook_and_name_the_reports(root, tmp_path):
    (tmp_path / "my log.csv").write_text("user_id\n1\n")
    parameters = 'data: str = ""\nmapping: str = ""\nmax_users: int = 0'
    write_notebook(root, "01_data_prep", parameters, DATA, "print(open(data).read())")
    assert run("--data", str(tmp_path / "my log.csv"), "--only", "01") == 0
    published = root / "reports/my-log-tutorial"
    assert (
        json.loads((published / "results/01_data_prep.json").read_text())["parameters"]["data"]
        == "my log.csv"
    )
    page = (published / "01_data_prep.html").read_text()
    assert "my log.csv" in page
    assert str(tmp_path) not in page


def test_a_page_says_on_which_data_its_text_was_written(root, tmp_path):
    executed = next((root / "artifacts/tutorial").glob("01_*/executed.ipynb"))
    told = "the text between them was written about"
    assert told not in publish.page(executed, "01", "complete_journey")
    page = publish.page(executed, "01", "my_shop")
    assert "are of <code>my_shop</code>" in page
    assert told in page


def test_a_page_needs_nothing_but_itself_and_a_script_for_formulas(root):
    page = (root / "reports/tutorial/09_findings.html").read_text()
    loaded = re.findall(r"<(?:script|link|img|iframe)[^>]+(?:src|href)=\"([^\"]+)", page)
    outside = [address for address in loaded if not address.startswith("data:")]
    assert [address for address in outside if "mathjax" not in address] == []
    assert "data:image/png;base64" in page
    assert 'href="03_decay.html"' in page
    assert "papermill" not in page
    assert len(page) < 400_000


def test_the_summary_shows_figure_findings_and_pages(root):
    text = (root / "reports/README.md").read_text()
    assert "`python -m interest_lib run --profile tutorial`" in text
    assert "![headline](tutorial/figures/09_headline.png)" in text
    row = r"| C10 | Decay helps \| always. | **mixed** | +1 % | [09](tutorial/09_findings.html) |"
    assert row in text.splitlines()
    assert "[03 · What about 03_decay?](tutorial/03_decay.html)" in text
    assert "[notebook](../notebooks/03_decay.ipynb)" in text


def test_the_summary_writes_an_effect_with_its_interval_and_claims_in_order(tmp_path):
    effects = {
        "C10": {"value": 0.0302, "low": 0.00174, "high": 0.0552, "n": 4, "unit": "of NDCG"},
        "C4": {"a": 1},
    }
    claims = [{"id": id, "statement": "s", "verdict": "mixed", "effect": e} for id, e in effects.items()]
    text = publish.summary(tmp_path, "full", "make", {"06_x": {"dataset": "d", "claims": claims}}, tmp_path)
    rows = [line.split(" | ")[0:4:3] for line in text.splitlines() if line.startswith("| C")]
    assert rows == [["| C4", "a 1"], ["| C10", "0.0302 [0.00174, 0.0552] of NDCG"]]


def test_the_summary_speaks_of_the_full_run_where_there_is_one(root):
    (root / "reports/tutorial").rename(root / "reports/full")
    assert run("--only", "01") == 0
    text = (root / "reports/README.md").read_text()
    assert "`make reports`" in text
    assert "(full/03_decay.html)" in text
    assert (root / "reports/tutorial/01_data_prep.html").is_file()


def test_stored_notebooks_are_executed_in_place_and_normalised(root, capsys):
    path = root / "notebooks/03_decay.ipynb"
    book = nbformat.read(path, as_version=4)
    book.metadata.kernelspec = {"name": "other", "display_name": "Other", "language": "python"}
    book.cells[1].metadata["execution"] = {"iopub.execute_input": "2024"}
    book.cells[1].execution_count = 41
    nbformat.write(book, path)
    assert study.main(["notebooks"]) == 0
    assert [line.partition(":")[0] for line in executed(capsys.readouterr().out)] == list(NAMES)
    first = path.read_bytes()
    stored = nbformat.read(path, as_version=4)
    nbformat.validate(stored)
    code = [cell for cell in stored.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    assert [cell.id for cell in stored.cells] == [cell.id for cell in book.cells]
    assert code[0].metadata == {"tags": ["parameters"]}
    assert stored.metadata.kernelspec.name == "python3"
    assert code[2].outputs[0].text == "2 users at 90 days\n"
    assert study.main(["notebooks", "--only", "03"]) == 0
    assert path.read_bytes() == first


@pytest.mark.parametrize(
    ("cell", "name"), [("1 / 0", "ZeroDivisionError"), ("raise SystemExit(0)", "SystemExit")]
)
def test_a_stored_notebook_that_breaks_stays_as_it_was(root, capsys, cell, name):
    path = write_notebook(root, "03_decay", DECAY_PARAMETERS, cell)
    before = path.read_bytes()
    assert study.main(["notebooks", "--only", "03"]) == 1
    assert name in capsys.readouterr().err
    assert path.read_bytes() == before


def test_the_kernel_is_this_interpreter_with_settings_of_its_own(root, tmp_path, monkeypatch, capsys):
    kernel = tmp_path / "jupyter/kernels/python3"
    kernel.mkdir(parents=True)
    spec = {"argv": ["/bin/false", "{connection_file}"], "display_name": "x", "language": "python"}
    (kernel / "kernel.json").write_text(json.dumps(spec))
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path / "jupyter"))
    monkeypatch.setenv("MPLBACKEND", "agg")
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    monkeypatch.delenv("OPENBLAS_NUM_THREADS", raising=False)
    shown = """\
import os, sys
import matplotlib.pyplot as plt

names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "PYTHONHASHSEED")
print([sys.executable, os.getcwd(), *(os.environ[name] for name in names)])
_ = plt.plot([1, 2])"""
    write_notebook(root, "03_decay", DECAY_PARAMETERS, shown)
    assert run("--only", "03") == 0
    text = (root / "artifacts/tutorial/03_decay/executed.ipynb").read_text()
    assert str([sys.executable, str(root / "notebooks"), "1", "1", "0"]) in text
    assert "image/png" in text


def test_help_shows_examples_and_wrong_use_is_status_2(capsys):
    for arguments, status in ((["--help"], 0), (["run", "--help"], 0), ([], 2), (["run", "--bogus"], 2)):
        with pytest.raises(SystemExit) as stop:
            study.main(arguments)
        assert stop.value.code == status
    assert capsys.readouterr().out.count("--data my.csv --mapping my.yml") == 2


def test_outside_of_a_study_everything_unknown_is_one_sentence(root, capsys):
    assert run("--set", "03.half_life=1") == 2
    assert "did you mean 'half_life_days'?" in capsys.readouterr().err
    (root / "study.yml").write_text("[")
    assert run() == 2
    assert capsys.readouterr().err.startswith("error: study.yml is no valid YAML")
