"""One log cleaned by DuckDB and by Spark is one log."""

import shutil
from importlib.util import find_spec

import pandas as pd
import pytest

from interest_lib import datasets, engine, overview, prepare

pytestmark = pytest.mark.slow


@pytest.mark.skipif(
    find_spec("pyspark") is None, reason="pyspark is not installed: pip install -e '.[spark]'"
)
@pytest.mark.skipif(shutil.which("java") is None, reason="Java is not installed; Spark needs Java 17")
def test_cleaning_and_the_reports_are_the_same_on_spark(request: pytest.FixtureRequest) -> None:
    log = datasets.marketplace(engine.connect(), "n_users=100,n_items=200,events_per_user=100")
    spark = engine.connect(engine="spark", spark_master="local[2]")
    request.addfinalizer(spark.disconnect)  # a process has one session, and other tests want their own
    moved = datasets.move_log(log, spark)
    one, other = (prepare.clean(each, max_users=60) for each in (log, moved))
    for name in ("events", "items", "users", "quality"):
        pd.testing.assert_frame_equal(getattr(one, name), getattr(other, name))
    assert prepare.data_sha256(one) == prepare.data_sha256(other)
    pd.testing.assert_frame_equal(overview.funnel(log), overview.funnel(moved))
