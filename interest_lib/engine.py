"""The Ibis connections on which the table expressions of the study run: DuckDB by default, Spark by name."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from tempfile import gettempdir
from typing import Any, Final
from uuid import uuid4

import ibis
import ibis.expr.types as ir
from ibis.backends import BaseBackend
from ibis.util import gen_name

from interest_lib.schema import InputError, nearest

ENGINES: Final = ("duckdb", "spark")
"""Where expressions can run."""


def connect(
    threads: int | None = None,
    *,
    engine: str = "duckdb",
    spark_master: str = "local[*]",
    memory_gib: float | None = None,
    spark_options: Mapping[str, str] | None = None,
) -> BaseBackend:
    """Open an engine in which equal input gives equal output.

    Parameters
    ----------
    threads
        Worker threads of DuckDB; None takes as many as there are cores. Results do not depend on it, but for
        the last digits of sums of floats.
    engine
        ``duckdb``, in memory and spilling to disk what does not fit, or ``spark``.
    spark_master
        ``local[*]`` for Spark within this process, or the address of a master, ``spark://host:7077``.
    memory_gib
        GiB that DuckDB, or each executor of Spark, may take; None leaves their defaults.
    spark_options
        Further settings of the Spark session.

    Returns
    -------
    ibis.backends.BaseBackend
        Its session zone is UTC. Scans of DuckDB keep the order of the file, so that rows can be numbered as
        in it. Spark has one session in a process, which later calls get again.

    Raises
    ------
    InputError
        Unknown engine; PySpark or Java is missing; no master answers, or another one than before is meant.

    Examples
    --------
    >>> connect(threads=1).raw_sql("SELECT current_setting('TimeZone')").fetchone()
    ('UTC',)
    """
    if engine not in ENGINES:
        raise InputError(f"engine {engine} is unknown; {nearest(engine, ENGINES)}")
    if engine == "spark":
        return _spark(spark_master, memory_gib, spark_options or {})
    con = ibis.duckdb.connect() if threads is None else ibis.duckdb.connect(threads=threads)
    # Set after connecting: as a connect option the zone would look for an extension on the network.
    con.raw_sql("SET TimeZone = 'UTC'")
    con.raw_sql("SET preserve_insertion_order = true")
    con.raw_sql("SET enable_progress_bar = false")  # its frames would end up in notebooks and logs
    # A folder for each connection, which DuckDB makes when it has to spill and removes again.
    folder = str(Path(gettempdir()) / f"interest_lib_{uuid4().hex}").replace("'", "''")
    con.raw_sql(f"SET temp_directory = '{folder}'")
    if memory_gib is not None:
        con.raw_sql(f"SET memory_limit = '{int(memory_gib * 1024)}MiB'")
    return con


def spark_session(
    master: str = "local[*]", memory_gib: float | None = None, options: Mapping[str, str] | None = None
) -> Any:
    """The Spark session of this process, made on the first call; parameters and errors as in `connect`.

    Returns
    -------
    pyspark.sql.SparkSession
        In UTC, with NULL instead of an error where a value does not exist, as in DuckDB. With a master on
        this machine it listens on the loopback address alone.
    """
    try:
        from py4j.protocol import Py4JError  # noqa: PLC0415
        from pyspark.errors import PySparkException  # noqa: PLC0415
        from pyspark.sql import SparkSession  # noqa: PLC0415
    except ImportError:
        raise InputError("engine spark: package pyspark is missing; pip install 'pyspark>=4,<4.1'.") from None
    java = Path(os.environ.get("JAVA_HOME", "/nowhere")) / "bin" / "java"
    if not (java.is_file() or shutil.which("java")):
        raise InputError("engine spark: Java is missing; install Java 17, or set JAVA_HOME to its folder.")
    if _on_this_machine(master):
        os.environ.setdefault("SPARK_LOCAL_IP", "127.0.0.1")
    builder = SparkSession.builder.appName("interest_lib").master(master)
    for name, value in (_spark_settings(master, memory_gib) | dict(options or {})).items():
        builder = builder.config(name, value)
    try:
        session = builder.getOrCreate()
        running = session.sparkContext.master
    except (PySparkException, Py4JError) as problem:
        reason = str(problem).strip().splitlines()[-1] if str(problem).strip() else type(problem).__name__
        raise InputError(
            f"engine spark: no session at {master} ({reason}); start that master and check that Java is 17 "
            "or newer."
        ) from None
    if running != master:
        raise InputError(
            f"engine spark: this process has a session at {running}; stop it before asking for {master}."
        )
    return session


def _spark(master: str, memory_gib: float | None, options: Mapping[str, str]) -> BaseBackend:
    session = spark_session(master, memory_gib, options)  # first, as it says what is missing
    return ibis.pyspark.connect(session)


def _spark_settings(master: str, memory_gib: float | None) -> dict[str, str]:
    settings = {
        "spark.log.level": "ERROR",
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        "spark.sql.session.timeZone": "UTC",
        "spark.sql.ansi.enabled": "false",
    }
    if master.startswith("local"):
        settings["spark.sql.shuffle.partitions"] = "8"  # 200 of them are for a cluster
    if _on_this_machine(master):
        settings |= {"spark.driver.bindAddress": "127.0.0.1", "spark.driver.host": "127.0.0.1"}
    if memory_gib is not None:
        whose = "driver" if master.startswith("local") else "executor"
        settings[f"spark.{whose}.memory"] = f"{int(memory_gib * 1024)}m"
    return settings


def _on_this_machine(master: str) -> bool:
    return master.startswith(("local", "spark://127.", "spark://localhost"))


def stored(table: ir.Table) -> ir.Table:
    """Work a table out once, where several queries will read it; it lasts as long as its connection.

    Examples
    --------
    >>> int(stored(ibis.memtable({"n": [1, 2]})).n.sum().execute())
    3
    """
    con = table.get_backend()
    return table.cache() if con.name == "pyspark" else con.create_table(gen_name("stored"), table, temp=True)


def move(table: ir.Table, con: BaseBackend, folder: Path) -> ir.Table:
    """Bring a table to another engine, by way of a Parquet folder that both can read.

    Parameters
    ----------
    table
        On any connection of `connect`.
    con
        Where it shall be.
    folder
        Made here, and to be kept for as long as the result is in use.

    Returns
    -------
    ibis.expr.types.Table
        The same rows on `con`; they may come in another order.

    Raises
    ------
    InputError
        The folder holds something already.

    Examples
    --------
    >>> from tempfile import mkdtemp
    >>> numbers = ibis.memtable({"n": [1, 2]})
    >>> int(move(numbers, connect(), Path(mkdtemp()) / "numbers").n.sum().execute())
    3
    """
    if folder.is_dir() and any(folder.iterdir()):
        raise InputError(f"{folder} is not empty; give a new folder.")
    folder.mkdir(parents=True, exist_ok=True)
    table.to_parquet(folder / "part-0.parquet")
    return con.read_parquet(str(folder) if con.name == "pyspark" else str(folder / "*.parquet"))
