"""The record of a notebook: what it reads and leaves, and that it leaves all or nothing."""

import json
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from study_maker import write_notebook, write_study

from interest_lib import record
from interest_lib.layout import notebook_parameters, replace_folder, restore_folder, write_json
from interest_lib.record import Book
from interest_lib.schema import InputError

PARAMETERS = {"run": "tutorial", "out": "", "seed": 2017}


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """The folder of a run in which the data notebook is done."""
    book = Book("01_data_prep", {**PARAMETERS, "data": "", "max_users": 2}, tmp_path / "tutorial")
    book.write("events", pd.DataFrame({"user_id": [1, 2], "value": [0.5, np.nan]}))
    book.write_json("data", {"dataset": "made_up", "sha256": "ab"})
    book.metric("data.users", 2)
    book.save()
    return tmp_path / "tutorial"


@pytest.fixture
def book(run: Path) -> Book:
    return Book("03_decay", PARAMETERS, run)


def results(run: Path, notebook: str = "03_decay") -> dict:
    return json.loads((run / notebook / "results.json").read_text())


def test_start_takes_names_from_the_notebook_and_values_from_the_namespace(tmp_path, monkeypatch):
    root = write_study(tmp_path / "study")
    monkeypatch.chdir(root / "notebooks")
    namespace = {**PARAMETERS, "run": "mine", "half_life_days": 30, "rate": 0.1, "other": 1}
    book = record.start("03_decay", namespace)
    assert book.parameters == {key: value for key, value in namespace.items() if key != "other"}
    assert (root / "artifacts" / "mine" / ".03_decay.partial").is_dir()


def test_start_writes_below_out(tmp_path, monkeypatch):
    monkeypatch.chdir(write_study(tmp_path / "study"))
    values = {**PARAMETERS, "half_life_days": 30, "rate": 0.1, "out": str(tmp_path / "elsewhere")}
    record.start("03_decay", values)
    assert (tmp_path / "elsewhere/artifacts/tutorial/.03_decay.partial").is_dir()


def test_start_before_the_parameters_cell_says_so(tmp_path, monkeypatch):
    monkeypatch.chdir(write_study(tmp_path / "study"))
    with pytest.raises(InputError, match="'half_life_days' has no value; execute the parameters cell first"):
        record.start("03_decay", PARAMETERS)


def test_what_a_book_writes_another_one_reads(run, book):
    events = book.read("01_data_prep", "events")
    assert events["user_id"].tolist() == [1, 2]
    assert book.read_json("01_data_prep", "data") == {"dataset": "made_up", "sha256": "ab"}
    assert book.results("01_data_prep")["metrics"] == {"data.users": 2}


@pytest.mark.parametrize(
    ("folder", "command"), [("full", "run --profile full --only 02'"), ("my", "run 'my'")]
)
def test_a_missing_input_names_the_file_and_the_command(tmp_path, folder, command):
    book = Book("03_decay", PARAMETERS, tmp_path / folder)
    with pytest.raises(
        InputError, match=rf"artifacts/{folder}/02_x/groups.parquet does not exist.*{command}"
    ):
        book.read("02_x", "groups")


def test_nothing_is_visible_before_save_and_everything_after(run, book):
    book.write("curve", pd.DataFrame({"days": [1]}))
    assert not (run / "03_decay").exists()
    assert book.save() == "1 table"
    left = sorted(path.name for path in (run / "03_decay").rglob("*"))
    assert left == ["curve.parquet", "figures", "results.json", "timing.json"]
    assert not list(run.glob(".*"))


def test_saving_again_replaces_the_whole_folder(run, book):
    book.write("old", pd.DataFrame({"days": [1]}))
    book.save()
    again = Book("03_decay", PARAMETERS, run)
    again.metric("decay.n", 1)
    assert (run / "03_decay/old.parquet").exists()
    assert again.save() == "1 metric"
    assert not (run / "03_decay/old.parquet").exists()


def test_a_book_that_was_started_again_elsewhere_cannot_write(run, book):
    book.write("curve", pd.DataFrame({"days": [1]}))
    second = Book("03_decay", PARAMETERS, run)
    for write in (book.save, lambda: book.write_json("late", 1)):
        with pytest.raises(RuntimeError, match="closed; run the notebook again"):
            write()
    second.metric("decay.n", 2)
    second.save()
    assert results(run)["metrics"] == {"decay.n": 2}
    assert not (run / "03_decay/curve.parquet").exists()


def test_results_have_the_agreed_form(run, book):
    book.parameters |= {"out": "/somewhere", "data": "/home/me/my.csv", "mapping": "/home/me/my.yml"}
    book.metric("decay.ndcg10.none", np.float64(0.123456789), low=0.1, high=np.float32(0.5), n=np.int64(7))
    book.metric("decay.users", 3)
    book.claim(
        "C10",
        statement="s",
        verdict="mixed",
        effect={"gain": 0.04123456},
        evidence=["decay.users"],
        limits="l",
    )
    book.save()
    found = results(run)
    assert list(found) == sorted(found)
    assert set(found) == {
        *("schema", "notebook", "run", "dataset", "data_sha256"),
        *("parameters", "seed", "versions", "metrics", "claims"),
    }
    assert found["metrics"] == {
        "decay.ndcg10.none": {"value": 0.123457, "low": 0.1, "high": 0.5, "n": 7},
        "decay.users": 3,
    }
    assert found["parameters"] == {"run": "tutorial", "seed": 2017, "data": "my.csv", "mapping": "my.yml"}
    assert found["claims"][0]["effect"] == {"gain": 0.041235}
    assert (found["dataset"], found["data_sha256"], found["seed"]) == ("made_up", "ab", 2017)
    assert found["versions"]["python"].count(".") == 1
    assert {"numpy", "pandas", "scikit-learn"} <= set(found["versions"])


def test_results_are_equal_bytes_in_two_folders(tmp_path):
    texts = []
    for place in ("a", "b"):
        book = Book(
            "01_data_prep", {**PARAMETERS, "out": str(tmp_path / place)}, tmp_path / place / "tutorial"
        )
        book.write_json("data", {"dataset": "made_up", "sha256": "ab"})
        book.metric("data.share", 1 / 3)
        book.save()
        texts.append((tmp_path / place / "tutorial/01_data_prep/results.json").read_bytes())
    assert texts[0] == texts[1]
    assert texts[0].endswith(b"}\n")


def test_the_data_notebook_has_to_say_what_the_data_are(tmp_path):
    book = Book("01_data_prep", PARAMETERS, tmp_path)
    with pytest.raises(ValueError, match="write_json\\('data'"):
        book.save()


@pytest.mark.parametrize("value", [float("nan"), float("inf"), np.nan, True, "3", None])
def test_a_metric_has_to_be_a_finite_number(book, value):
    with pytest.raises(ValueError, match="decay"):
        book.metric("decay.x", value)
    with pytest.raises(ValueError, match="decay"):
        book.metric("decay.x", 1.0, low=float("nan"))


def test_a_metric_is_recorded_once_and_its_interval_the_right_way_up(book):
    book.metric("decay.x", 1)
    with pytest.raises(ValueError, match="twice"):
        book.metric("decay.x", 1)
    with pytest.raises(ValueError, match="upside down"):
        book.metric("decay.y", 1, low=2, high=1)


def test_a_claim_needs_a_known_verdict_and_evidence_that_exists(book):
    claim = {"statement": "s", "effect": "e", "limits": "l"}
    with pytest.raises(ValueError, match="none of supported"):
        book.claim("C1", verdict="true", evidence=[], **claim)
    with pytest.raises(ValueError, match="list of metric keys"):
        book.claim("C1", verdict="mixed", evidence="data.users", **claim)
    book.claim("C1", verdict="mixed", evidence=["data.users"], **claim)
    with pytest.raises(ValueError, match="already"):
        book.claim("C1", verdict="mixed", evidence=[], **claim)
    with pytest.raises(ValueError, match=r"nobody recorded its evidence 'data\.users'"):
        book.save()
    book.results("01_data_prep")
    assert book.save() == "1 claim"


def test_a_figure_is_the_same_bytes_every_time_and_named_by_the_notebook(run):
    pictures = []
    for _ in range(2):
        book = Book("03_decay", PARAMETERS, run)
        figure, axes = plt.subplots()
        axes.plot([1, 2], [3, 4])
        book.figure(figure, "curve")
        plt.close(figure)
        assert book.save() == "1 figure"
        pictures.append((run / "03_decay/figures/03_curve.png").read_bytes())
    assert pictures[0] == pictures[1]
    assert b"Matplotlib" not in pictures[0]


def test_names_of_artifacts_cannot_leave_the_folder(book):
    for name in ("a b", "sch\u00f6n", "x.y"):
        with pytest.raises(ValueError, match="is no name for an artifact"):
            book.write_json(name, 1)
    with pytest.raises(ValueError, match="is no name for an artifact"):
        book.figure(Figure(), "../..")


def test_an_index_that_would_be_lost_is_refused(book):
    with pytest.raises(ValueError, match="reset_index"):
        book.write("curve", pd.DataFrame({"a": [1]}, index=["x"]))


def test_parameters_of_a_notebook(tmp_path):
    path = write_notebook(
        tmp_path, "03_decay", '"""Grid."""\nks: list[int] = [1, -2]\nrate: float = -0.5  # a day'
    )
    found = notebook_parameters(path)
    assert list(found) == ["run", "out", "seed", "ks", "rate"]
    assert (found["ks"].kind, found["ks"].default) == ("list[int]", [1, -2])
    assert (found["rate"].kind, found["rate"].default) == ("float", -0.5)


@pytest.mark.parametrize("line", ["k = 3", "k: int", "k: int = 1 + n", "import os"])
def test_a_parameters_cell_holds_nothing_else(tmp_path, line):
    with pytest.raises(InputError, match=r"03_decay\.ipynb: '.*' in the parameters cell is not of the form"):
        notebook_parameters(write_notebook(tmp_path, "03_decay", line))


def test_a_file_that_is_no_notebook_with_parameters_is_named(tmp_path):
    for text, why in (
        ("{", "is not a notebook"),
        ("[]", "is not a notebook"),
        ('{"cells": []}', "no cell tagged"),
    ):
        path = tmp_path / "x.ipynb"
        path.write_text(text)
        with pytest.raises(InputError, match=f"x.ipynb .*{why}"):
            notebook_parameters(path)
    with pytest.raises(InputError, match=r"nowhere\.ipynb does not exist"):
        notebook_parameters(tmp_path / "nowhere.ipynb")


def test_json_is_plain_rounded_and_sorted(tmp_path):
    content = {
        "b": np.float64(1.23456789),
        "a": (np.int64(3), np.bool_(True)),
        "c": -1e-9,
        "d": np.array([0.5]),
    }
    write_json(tmp_path / "x.json", content)
    assert json.loads((tmp_path / "x.json").read_text()) == {
        "a": [3, True],
        "b": 1.234568,
        "c": 0.0,
        "d": [0.5],
    }
    assert "-0.0" not in (tmp_path / "x.json").read_text()
    with pytest.raises(ValueError, match="JSON compliant"):
        write_json(tmp_path / "x.json", {"a": float("nan")})
    assert "1.234568" in (tmp_path / "x.json").read_text()


@pytest.mark.parametrize("crash", ["before", "between", "after"])
def test_a_crash_while_replacing_a_folder_loses_nothing(tmp_path, crash):
    final, new, old = tmp_path / "full", tmp_path / ".full.new", tmp_path / ".full.old"
    for folder in (final, new):
        folder.mkdir()
        (folder / folder.name).touch()
    if crash != "before":
        final.rename(old)
    if crash == "after":
        new.rename(final)
    restore_folder(final)
    assert [path.name for path in final.iterdir()] == [".full.new" if crash == "after" else "full"]
    assert not old.exists()
    if crash != "after":
        replace_folder(new, final)
        assert [path.name for path in final.iterdir()] == [".full.new"]
