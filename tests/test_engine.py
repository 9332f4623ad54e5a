"""Connections: settings that make results repeatable, and what is said when Spark cannot be had."""

import shutil
import sys
from pathlib import Path

import ibis
import pytest

from interest_lib import engine
from interest_lib.schema import InputError


def test_an_engine_that_nobody_knows_is_refused() -> None:
    with pytest.raises(InputError, match="engine sparc is unknown; did you mean spark"):
        engine.connect(engine="sparc")


def test_memory_is_bounded_and_what_does_not_fit_goes_to_disk(tmp_path: Path) -> None:
    con = engine.connect(threads=1, memory_gib=0.125)
    assert con.raw_sql("SELECT current_setting('memory_limit')").fetchone() == ("128.0 MiB",)
    con.raw_sql(
        "CREATE TABLE wide AS SELECT i, md5(i::text) AS a, md5((i + 1)::text) AS b FROM range(3000000) r(i)"
    )
    assert con.raw_sql("SELECT count(*), sum(i) FROM wide").fetchone() == (3_000_000, 4_499_998_500_000)


def test_without_pyspark_it_is_said_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyspark.sql", None)
    monkeypatch.setitem(sys.modules, "py4j.protocol", None)
    with pytest.raises(InputError, match=r"package pyspark is missing; pip install"):
        engine.connect(engine="spark")


def test_without_java_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    pytest.importorskip("pyspark", reason="PySpark is not installed: pip install 'pyspark>=4,<4.1'")
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(InputError, match="Java is missing; install Java 17"):
        engine.connect(engine="spark")


def test_a_table_moves_into_a_new_folder_only(tmp_path: Path) -> None:
    numbers = ibis.memtable({"n": [1, 2, 3]})
    moved = engine.move(numbers, engine.connect(), tmp_path / "numbers")
    assert sorted(moved.n.to_pyarrow().to_pylist()) == [1, 2, 3]
    with pytest.raises(InputError, match="is not empty; give a new folder"):
        engine.move(numbers, engine.connect(), tmp_path / "numbers")
