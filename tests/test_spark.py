"""Spark gives what DuckDB gives, on a real cluster, also when a machine of it is lost in the middle."""

import shutil
import threading
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import ibis
import ibis.expr.types as ir
import numpy as np
import pandas as pd
import pytest
from ibis.backends import BaseBackend
from spark_cluster import QUICK_JAVA, Cluster, kill_family, running_cluster
from test_queries import EXPRESSIONS, made_log

from interest_lib import datasets, engine, queries
from interest_lib.factorisation import ALS
from interest_lib.history import History, history_before
from interest_lib.schema import InputError
from interest_lib.spark_models import SparkALS

pytest.importorskip("pyspark", reason="PySpark is not installed: pip install 'pyspark>=4,<4.1'")
if shutil.which("java") is None:
    pytest.skip("Java is not installed", allow_module_level=True)

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with running_cluster(tmp_path_factory.mktemp("cluster")) as running:
        yield running


@pytest.fixture(scope="module")
def spark(cluster: Cluster) -> Iterator[BaseBackend]:
    options = {
        "spark.executor.memory": "600m",
        "spark.driver.memory": "700m",
        "spark.executor.extraJavaOptions": QUICK_JAVA,
        "spark.driver.extraJavaOptions": QUICK_JAVA,
        "spark.sql.shuffle.partitions": "4",
        "spark.sql.files.openCostInBytes": "134217728",  # a task for each file, however small
        "spark.ui.enabled": "false",
    }
    con = engine.connect(engine="spark", spark_master=cluster.address, spark_options=options)
    yield con
    con.disconnect()


@pytest.fixture(scope="module")
def logs(spark: BaseBackend, tmp_path_factory: pytest.TempPathFactory) -> tuple[ir.Table, ir.Table]:
    """The made log on DuckDB and on Spark."""
    table = ibis.memtable(made_log())
    return table, engine.move(table, spark, tmp_path_factory.mktemp("log") / "events")


def assert_equal_tables(found: ir.Table, expected: ir.Table, keys: list[str]) -> None:
    """Equal names, keys and texts, and numbers to 1e-9."""
    left, right = (table.to_pandas() for table in (found, expected))
    assert list(left.columns) == list(right.columns)
    keys = list(right.columns) if keys == ["all"] else keys
    if keys:
        left, right = (frame.sort_values(keys, ignore_index=True) for frame in (left, right))
    assert len(left) == len(right) > 0
    for name in right.columns:
        if pd.api.types.is_numeric_dtype(right[name]):
            values = [frame[name].to_numpy(np.float64, na_value=np.nan) for frame in (left, right)]
            np.testing.assert_allclose(*values, rtol=1e-9, err_msg=name)
        else:
            texts = [
                frame[name].astype(object).where(frame[name].notna(), None).tolist()
                for frame in (left, right)
            ]
            assert texts[0] == texts[1], name


@pytest.mark.parametrize("name", EXPRESSIONS)
def test_an_expression_gives_the_same_on_both_engines(name: str, logs: tuple[ir.Table, ir.Table]) -> None:
    expression, keys = EXPRESSIONS[name]
    on_duckdb, on_spark = (expression(log) for log in logs)
    assert_equal_tables(on_spark, on_duckdb, keys)


def test_decayed_interest_of_complete_journey_is_the_same_on_both_engines(
    spark: BaseBackend, tmp_path: Path
) -> None:
    log = datasets.complete_journey(engine.connect())
    assert log.items is not None
    events = log.events.inner_join(log.items.select("item_id", "category"), "item_id")
    events = events.select("user_id", "category", "timestamp")
    at = datetime(2017, 12, 4)
    tables = [
        queries.interests(table, "category", at, half_life_days=90)
        for table in (engine.move(events, spark, tmp_path / "events"), events)
    ]
    assert_equal_tables(*tables, ["user_id", "category"])
    assert tables[1].count().execute() > 100_000


@pytest.fixture(scope="module")
def circles() -> History:
    """Three circles of users, who have most of the ten items of their circle and little else."""
    rng = np.random.default_rng(5)
    pairs = [(user, user % 3 * 10 + item) for user in range(90) for item in rng.choice(10, 6, replace=False)]
    pairs += [(int(user), int(item)) for user, item in rng.integers(0, (90, 30), (60, 2))]
    log = pd.DataFrame(pairs, columns=["user_id", "item_id"])
    log["timestamp"] = pd.Timestamp("2017-01-01") + pd.to_timedelta(np.arange(len(log)), unit="h")
    return history_before(log, pd.Timestamp("2018-01-01"), min_users_per_item=1)


def test_als_finds_the_items_of_the_circle_that_a_user_has_not_seen(
    spark: BaseBackend, circles: History
) -> None:
    users = [*range(90), 1000]
    settings = {"n_factors": 6, "n_iterations": 8, "alpha": 10.0}
    model = SparkALS(session=spark._session, **settings).fit(circles)
    lists = model.recommend(users, k=4, exclude_seen=True)
    known = lists[lists["user_id"] < 1000]
    seen = set(zip(circles.user_ids[circles.rows], circles.item_ids[circles.cols], strict=True))
    assert not seen & set(zip(known["user_id"], known["item_id"], strict=True))
    assert (known.groupby("user_id").size() == 4).all()
    assert lists["user_id"].drop_duplicates().tolist() == users
    assert (lists.groupby("user_id")["rank"].agg(list).map(str) == "[1, 2, 3, 4]").all()
    in_circle = known["item_id"] // 10 == known["user_id"] % 3
    rivals = ALS(**settings).fit(circles).recommend(range(90), k=4, exclude_seen=True)
    assert in_circle.mean() > 0.8
    assert in_circle.mean() > (rivals["item_id"] // 10 == rivals["user_id"] % 3).mean() - 0.1


def test_als_is_repeatable_shows_what_was_seen_and_what_is_popular(
    spark: BaseBackend, circles: History
) -> None:
    first, second = (
        SparkALS(4, n_iterations=3, weights="counts", half_life_days=90, session=spark._session).fit(circles)
        for _ in range(2)
    )
    lists = first.recommend([7, 1000, 3], k=10)
    pd.testing.assert_frame_equal(lists, second.recommend([7, 1000, 3], k=10))
    assert lists["user_id"].drop_duplicates().tolist() == [7, 1000, 3]
    assert lists.loc[lists["user_id"] == 1000, "item_id"].tolist() == circles.item_ids[:10].tolist()
    assert len(set(lists.loc[lists["user_id"] == 7, "item_id"]) & set(range(10, 20))) >= 8
    assert first.recommend([], k=10).empty


def test_another_master_than_that_of_the_session_is_refused(spark: BaseBackend) -> None:
    with pytest.raises(InputError, match=r"this process has a session at spark://127\.0\.0\.1"):
        engine.connect(engine="spark", spark_master="local[1]")


def test_a_worker_that_dies_in_the_middle_of_a_job_changes_nothing(
    cluster: Cluster, spark: BaseBackend, tmp_path: Path
) -> None:
    """The last test: one worker is gone afterwards."""
    log = made_log().dropna(subset=["item_id", "timestamp"])
    (tmp_path / "log").mkdir()
    for number, part in enumerate(np.array_split(np.arange(len(log)), 16)):
        log.iloc[part].to_parquet(tmp_path / "log" / f"part-{number}.parquet", index=False)
    table = spark.read_parquet(str(tmp_path / "log"))
    before = job(table).to_pyarrow().to_pandas()
    executors = spark._session.sparkContext._jsc.sc().statusTracker().getExecutorInfos
    assert len(executors()) == 3, "the driver and two executors"

    results: list[pd.DataFrame] = []
    running = threading.Thread(target=lambda: results.append(job(table).to_pyarrow().to_pandas()))
    running.start()
    wait_until_in_the_middle(spark)
    killed = kill_family(cluster.workers[0])
    assert running.is_alive(), "the job was over before the worker died"
    running.join(timeout=120)

    assert len(killed) >= 2, "a worker and its executor"
    assert len(executors()) == 2
    order = ["user_id", "item_id"]
    after, before = (frame.sort_values(order, ignore_index=True) for frame in (results[0], before))
    pd.testing.assert_frame_equal(after, before, rtol=1e-9)
    expected = job(ibis.memtable(log)).to_pandas().sort_values(order, ignore_index=True)
    pd.testing.assert_frame_equal(after[order], expected[order], check_dtype=False)
    np.testing.assert_allclose(after["weight"], expected["weight"], rtol=1e-9)


def job(table: ir.Table) -> ir.Table:
    """Decayed interests of a log two thousand times as long."""
    copies = ibis.range(0, 2000).unnest().name("copy").as_table()
    many = table.select("user_id", "item_id", "timestamp").cross_join(copies)
    return queries.interests(many, "item_id", datetime(2017, 12, 1), half_life_days=30)


def wait_until_in_the_middle(spark: BaseBackend) -> None:
    """Until a stage has done some of its tasks and has many more to do."""
    tracker = spark._session.sparkContext.statusTracker()
    for _ in range(6000):
        stages = [tracker.getStageInfo(stage) for stage in tracker.getActiveStageIds()]
        if any(
            info and info.numCompletedTasks >= 3 and info.numTasks - info.numCompletedTasks >= 6
            for info in stages
        ):
            return
        time.sleep(0.01)
    pytest.fail("no stage was seen in the middle")
