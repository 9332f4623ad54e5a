"""The script that leaves out inputs of the LSTM: what it compares, and the record that it left."""

import runpy
from pathlib import Path

import pandas as pd
import pytest
from test_visit_sequence import BASE, moves_of, ordered

from interest_lib.migration import forecast_errors
from interest_lib.visit_sequence import VisitForecast
from interest_lib.visit_table import INPUTS

BENCHMARKS = Path(__file__).resolve().parents[1] / "benchmarks"
ROWS = ["nothing", *INPUTS, "all inputs", "the LSTM"]


def test_what_is_lost_is_the_error_above_that_of_the_whole() -> None:
    worth = runpy.run_path(str(BENCHMARKS / "visit_inputs.py"))["worth"]
    *known, judge = moves_of(ordered(60))
    whole = VisitForecast(BASE, n_last=10, n_hidden=8, n_networks=1, n_epochs=2)
    table = pd.DataFrame(worth("made up", known, judge, whole, 2)).set_index("without")
    assert list(table.index) == ROWS
    own = [VisitForecast(**whole.get_params(deep=False) | {"random_state": seed}) for seed in (0, 1)]
    errors = [forecast_errors(model.fit(known).predict(judge), judge.future) for model in own]
    mean = 1000 * sum(e["squared_error"].mean() for e in errors) / 2
    assert table.loc["nothing", "sse1000"] == pytest.approx(mean)
    base = 1000 * forecast_errors(BASE.predict(judge), judge.future)["squared_error"].mean()
    assert table.loc["the LSTM", "sse1000_lost"] == pytest.approx(base - mean)
    unknown = ["amounts", "coupons"]  # of the log: a visit is one event, without money
    assert (table.loc[unknown, "lost_by_seed"] == "0.000 0.000").all()
    assert (table.drop(["nothing", *unknown])["sse1000_lost"] != 0).all()


def test_the_record_is_whole() -> None:
    record = pd.read_csv(BENCHMARKS / "results" / "visit_inputs.csv").set_index("log")
    assert (record["low"] <= record["sse1000_lost"]).all() and (
        record["sse1000_lost"] <= record["high"]
    ).all()
    for log in ("marketplace", "complete_journey"):
        rows = record.loc[log].set_index("without")
        assert list(rows.index) == ROWS
        lost = rows["sse1000"] - rows.loc["nothing", "sse1000"]
        assert rows["sse1000_lost"].tolist() == pytest.approx(lost.tolist(), abs=2e-4)
    assert record[record["without"] == "kinds"].loc["complete_journey", "sse1000_lost"] == 0, "one kind"
