"""The script that trains sequence networks for longer: the ways of the notebook, and its record."""

import csv
import importlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd
import pytest
from test_sequence_transfer import N_ITEMS, circle_task

from interest_lib.groups import GroupTask, group_task
from interest_lib.safe_yaml import read_yaml
from interest_lib.schema import InputError
from interest_lib.sequence_training import Lessons
from interest_lib.sequence_transfer import carried_over

HERE = Path(__file__).resolve().parents[1]
BENCHMARKS = HERE / "benchmarks"
NOTEBOOK = HERE / "notebooks" / "05_interest_transfer.ipynb"
N_SEEDS = 2


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return importlib.import_module("long_training")


@pytest.fixture(scope="module")
def circle() -> GroupTask:
    return circle_task()


@pytest.fixture
def quick(script: ModuleType, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The script, with networks that have learned at once; `broken` stops them after five rows."""
    done: list[tuple[Any, ...]] = []

    def trained(
        task: GroupTask, content: Any, kind: str, tried: list[Lessons], tuning: Any, seed: int
    ) -> Iterator[tuple[str, pd.Series, dict[str, str]]]:
        for what in ("source_only", "fine_tuned"):
            if len(done) == 5 and broken:
                raise KeyboardInterrupt
            done.append((kind, tried[0], seed, what))
            value = np.random.default_rng(len(kind) + tried[0].n_updates + seed).random(len(task.test))
            yield what, pd.Series(value, task.user_ids[task.test]), {"seconds": "1", "validation": "0.5"}

    broken: list[str] = []
    monkeypatch.setattr(script, "trained", trained)
    monkeypatch.setattr(script, "done", done, raising=False)
    monkeypatch.setattr(script, "broken", broken, raising=False)
    return script


def measure(script: ModuleType, task: GroupTask, path: Path) -> list[dict[str, str]]:
    cells = script.plan((1, 3), (0, 1))
    found: list[dict[str, str]] = script.measure(task, np.eye(N_ITEMS), cells, path)
    return found


@pytest.mark.parametrize("kind", ["cnn", "transformer"])
def test_networks_learn_as_in_the_notebook(script: ModuleType, circle: GroupTask, kind: str) -> None:
    tried = [Lessons(1, 1e-3, 32, 8, 2, 4), Lessons(60, 2e-2, 32, 8, 2, 4)]
    carried = carried_over(circle, np.eye(N_ITEMS), kind, tried, sizes=[1000], updates=[5, 20], seed=3)
    own = {what: told for what, *told in script.trained(circle, np.eye(N_ITEMS), kind, tried, [5, 20], 3)}
    assert (own["source_only"][0] == carried.scores["source_only"]).all()
    assert (own["fine_tuned"][0] == carried.scores["fine_tuned.all"]).all()
    liked = carried.trials.groupby("method")["ndcg"].max()
    assert own["source_only"][1]["validation"] == f"{liked['source_only']:.4f}"
    assert own["fine_tuned"][1]["validation"] == f"{liked['fine_tuned.all']:.4f}"
    without = {what: told for what, *told in script.trained(circle, np.eye(N_ITEMS), kind, tried, [], 3)}
    assert (without["fine_tuned"][0] == own["source_only"][0]).all(), "not to fine-tune is tried, too"
    assert own["fine_tuned"][1]["learning_rate"] == "0.02" and own["fine_tuned"][1]["pretrained"] == "60"


def test_once_as_long_is_what_the_study_takes(script: ModuleType) -> None:
    study: Any = read_yaml(HERE / "study.yml")
    full = study["profiles"]["full"]["05_interest_transfer"]
    taken = (script.LOG, script.N_ITEMS, script.UPDATES, list(script.FINE_TUNING))
    named = ("other_log", "deep_items", "pretraining_updates", "fine_tuning_updates")
    assert taken == tuple(full[name] for name in named)
    notebook = json.loads(NOTEBOOK.read_text(encoding="utf-8"))
    code = "".join(line for cell in notebook["cells"] for line in cell["source"])
    assert f"seed: int = {script.SEED} " in code
    assert "sequence_training.Lessons, batch_size=32, length=50, reach=20)" in code
    assert "lesson(pretraining_updates, learning_rate=6e-3)" in code
    assert "lesson(pretraining_updates // 3, learning_rate=1e-3)" in code
    many, few = (Lessons(n, rate, 32) for n, rate in ((900, 6e-3), (300, 1e-3)))
    assert script.lessons(3) == [many, few]


def test_gains_are_those_over_the_followers(quick: ModuleType, circle: GroupTask, tmp_path: Path) -> None:
    rows = measure(quick, circle, tmp_path / "long_training.csv")
    table = pd.read_csv(tmp_path / "long_training.csv")
    assert len(rows) == len(table) == 4 + 3 * 2 * 2 * 2
    rival = table[(table["network"] == "followers") & (table["what"] == "fine_tuned")]
    assert len(rival) == 1 and rival["gain"].eq(0).all() and rival["ndcg"].gt(0.8).all()
    gain = table["ndcg"] / rival["ndcg"].item() - 1
    assert table["gain"].tolist() == pytest.approx(gain.tolist(), abs=2e-4)
    assert (table["low"] <= table["gain"]).all() and (table["gain"] <= table["high"]).all()


def test_a_run_that_was_cut_short_goes_on(quick: ModuleType, circle: GroupTask, tmp_path: Path) -> None:
    quick.broken.append("yes")
    with pytest.raises(KeyboardInterrupt):
        measure(quick, circle, tmp_path / "a.csv")
    quick.broken.clear()
    assert len(quick.read(tmp_path / "a.csv")) == 4 + 5, "every row is written at once"
    measure(quick, circle, tmp_path / "a.csv")
    again = quick.done[5:]
    assert len(set(quick.done)) == 24 and len(quick.done) == 25, "only the network that was cut short"
    assert again[0] == quick.done[4]
    measure(quick, circle, tmp_path / "b.csv")
    whole, parts = (
        [{**row, "seconds": ""} for row in quick.read(tmp_path / name)] for name in ("b.csv", "a.csv")
    )
    assert whole == parts


def test_files_of_something_else_are_not_gone_on_with(
    quick: ModuleType, circle: GroupTask, tmp_path: Path
) -> None:
    path = tmp_path / "long_training.csv"
    measure(quick, circle, path)
    before = path.read_text(encoding="utf-8")
    with pytest.raises(InputError, match="other users or items"):
        measure(quick, group_task_of_others(), path)
    assert path.read_text(encoding="utf-8") == before
    path.write_text("network,ndcg\ncnn,0.1\n", encoding="utf-8")
    with pytest.raises(InputError, match="other columns"):
        measure(quick, circle, path)


def group_task_of_others() -> GroupTask:
    items = np.random.default_rng(1).random((100, N_ITEMS)).argsort(axis=1)[:, :10]
    log = pd.DataFrame({"user_id": np.repeat(np.arange(100), 10), "item_id": items.ravel()})
    return group_task(log, pd.Series(np.arange(100) < 50), n_test=20, n_validation=10)


def test_without_the_log_one_sentence_says_so(
    script: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    def absent() -> None:
        raise InputError("movielens_1m is not here: put it there.")

    monkeypatch.setattr(script, "movielens", absent)
    monkeypatch.setattr(sys, "argv", ["long_training.py", "--folder", str(tmp_path)])
    assert script.main() == 1
    assert capsys.readouterr().err == "movielens_1m is not here: put it there.\n"
    assert not list(tmp_path.iterdir())


def test_the_record_is_whole(script: ModuleType) -> None:
    with (BENCHMARKS / "results" / "long_training.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert tuple(rows[0]) == script.COLUMNS
    keys = [tuple(row[key] for key in script.KEYS) for row in rows]
    both = ("source_only", "fine_tuned")
    wanted = {
        (name, str(times * script.UPDATES), str(seed), what)
        for name, times, seed in script.plan(script.LONGER, range(script.SEED, script.SEED + N_SEEDS))
        for what in both
    }
    rivals = {(name, "0", str(script.SEED), what) for name in ("ease", "followers") for what in both}
    assert len(keys) == len(set(keys)) and set(keys) == wanted | rivals
    assert all(float(row["low"]) <= float(row["gain"]) <= float(row["high"]) for row in rows)


def test_what_the_notebook_says_of_longer_training_is_what_was_measured(script: ModuleType) -> None:
    """Ten times the training brings the best network level with the regression, and none past it."""
    assert "with ten times that they come level" in NOTEBOOK.read_text(encoding="utf-8")
    table = pd.read_csv(BENCHMARKS / "results" / "long_training.csv")
    longest = table[(table["updates"] == 10 * script.UPDATES) & (table["what"] == "fine_tuned")]
    assert len(longest) == 3 * N_SEEDS and (longest["low"] < 0).all()
    assert longest.groupby("network")["high"].min().max() > 0
