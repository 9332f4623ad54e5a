"""The study on logs that are not shops' purchase tables: kinds of events, and baskets without times."""

import json
import os
import re
import shutil
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from test_own_data import SIMULATED, SMALL, run, skips

ROOT = Path(__file__).resolve().parents[1]

pytestmark = pytest.mark.slow


def results(folder: Path, notebook: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "results" / f"{notebook}.json").read_text("utf-8"))
    return found


def run_small(*options: str) -> None:
    done = run(*options, *(part for setting in SMALL for part in ("--set", setting)))
    assert done.returncode == 0, done.stderr


LAST_NDCG = r"recommend\.2024-12-29\.all\.ndcg10\."


def run_market(folder: Path, *options: str) -> Path:
    size = "01.marketplace=n_users=200,n_items=300,n_categories=12,events_per_user=500"
    size += ",cart_share=0.6,purchase_share=0.8"
    run_small("--dataset", "marketplace", "--set", size, "--out", str(folder), *options)
    return folder / "reports" / "marketplace"


@pytest.fixture(scope="module")
def market(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return run_market(tmp_path_factory.mktemp("market"))


def test_views_carts_and_purchases_get_weights_that_are_learned(market: Path) -> None:
    found = results(market, "01_data_prep")["metrics"]
    weights = {key.rpartition(".")[2]: value for key, value in found.items() if ".event_weight." in key}
    assert weights.keys() == {"view", "search", "cart", "purchase", "review", "return"}
    # In the marketplace a purchase is a view that went on by chance: a view tells as much.
    assert weights["purchase"] == 1 and weights["view"] >= 1 and weights["return"] <= 0
    assert found["data.removed.no_item"] == 0, "every search led to an item"
    page = (market / "01_data_prep.html").read_text("utf-8")
    assert "Learned on what" in page and (market / "figures" / "01_funnel.png").is_file()


def test_the_marketplace_runs_whole(market: Path) -> None:
    assert not skips(market / "03_interest_decay.html")
    assert "decay.product.event_types_gain" in results(market, "03_interest_decay")["metrics"]
    assert results(market, "04_interest_migration")["metrics"]


@pytest.mark.skipif(find_spec("pyspark") is None, reason="PySpark is not installed")
@pytest.mark.skipif(shutil.which("java") is None, reason="Java is not installed; Spark needs Java 17")
def test_the_study_on_spark_finds_the_same_with_its_own_factors(market: Path, tmp_path: Path) -> None:
    on_spark = run_market(tmp_path, "--engine", "spark", "--spark-master", "local[2]")
    for path in sorted((market / "results").glob("0[1-5]*.json")):
        assert results(on_spark, path.stem)["metrics"] == results(market, path.stem)["metrics"], path.stem
    one, other = (results(each, "06_recommendation_evaluation")["metrics"] for each in (market, on_spark))
    # The best peer may be such factors, and what is told of it is theirs too.
    factors = {key for key in one if re.search(r"\.als(_decay)?$|\.ratio\.|_over_best_peer$", key)}
    assert one.keys() == other.keys() and factors
    assert {key for key in one if one[key] != other[key]} <= factors, "all else is the same"
    last = {key.rpartition(".")[2]: other[key]["value"] for key in other if re.search(LAST_NDCG, key)}
    assert max(last["als"], last["als_decay"]) > last["recent_popularity"], "its factors know the users"


@pytest.fixture(scope="module")
def baskets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ordered baskets of 90 users with favourites that change every ten baskets."""
    folder, rng = tmp_path_factory.mktemp("baskets"), np.random.default_rng(1)
    log = {}
    for user in range(90):
        taste = [rng.choice(80, 6, replace=False) for _ in range(4)]
        log[str(user)] = [
            [int(i) for i in {*rng.choice(taste[number // 10], 3), rng.integers(80)}]
            for number in range(rng.integers(26, 40))
        ]
    (folder / "my.json").write_text(json.dumps(log))
    (folder / "my.yml").write_text("format: {kind: baskets}")
    fewer = ("--set", "03.half_lives_baskets=[2,10]")
    options = ("--data", f"{folder}/my.json", "--mapping", f"{folder}/my.yml", "--out", str(folder))
    run_small(*options, *fewer)
    return folder / "reports" / "my"


def test_decay_counts_in_baskets_where_there_are_no_times(baskets: Path) -> None:
    found = results(baskets, "03_interest_decay")["metrics"]
    assert found["decay.product.half_life_baskets"] == 2
    assert found["decay.product.gain"]["low"] > 0, "tastes change every ten baskets"
    assert not [key for key in found if "days" in key or "per_day" in key]
    shown = results(baskets, "06_recommendation_evaluation")["metrics"]
    assert shown["recommend.last_basket.all.ndcg10.personal_hl10"]["n"] == 90
    assert not [key for key in shown if "hl90" in key]


def test_what_needs_times_is_skipped_and_says_so(baskets: Path) -> None:
    assert "The log knows the order of baskets but no times; decay is counted in baskets." in skips(
        baskets / "03_interest_decay.html"
    )
    assert all(key.startswith(SIMULATED) for key in results(baskets, "04_interest_migration")["metrics"])
    assert skips(baskets / "05_interest_transfer.html") == {
        "No attribute of users parts them into two groups of 70 who met five items or more."
    }
    assert "The log has no times." in (baskets / "01_data_prep.html").read_text("utf-8")


def test_findings_are_about_their_own_data(market: Path, baskets: Path) -> None:
    pages = [(folder / "09_findings.html").read_text("utf-8") for folder in (market, baskets)]
    assert "'marketplace'" in pages[0] and "'my'" in pages[1]
    answered = [
        {
            path.name: len(results(folder, path.stem)["claims"])
            for path in (folder / "results").glob("0*.json")
        }
        for folder in (market, baskets)
    ]
    assert answered[0] != answered[1], "what needs times is not answered without them"


REAL = {"movielens_1m": (3000, 495_991), "tafeng_baskets": (0, 571_933)}  # users drawn (0: all), their events


@pytest.mark.parametrize("dataset", REAL)
def test_the_study_runs_on_real_logs_of_others(dataset: str, tmp_path: Path) -> None:
    folder = os.environ.get("INTEREST_DATA", "")
    if not (Path(folder) / dataset).is_dir():
        pytest.skip(f"INTEREST_DATA names no folder with {dataset}; docs/datasets.md tells how to get it")
    max_users, n_events = REAL[dataset]
    run_small("--dataset", dataset, "--set", f"01.max_users={max_users}", "--out", str(tmp_path))
    pages = tmp_path / "reports" / dataset
    assert results(pages, "01_data_prep")["metrics"]["data.events"] == n_events
    decay, migration = (
        results(pages, name)["metrics"] for name in ("03_interest_decay", "04_interest_migration")
    )
    if dataset == "tafeng_baskets":
        assert "The log has no times." in (pages / "01_data_prep.html").read_text("utf-8")
        assert "decay.product.rate_per_basket" in decay and not [key for key in decay if "day" in key]
        assert all(key.startswith(SIMULATED) for key in migration)
    else:
        assert skips(pages / "03_interest_decay.html"), "nobody rates a film twice, so nothing can fade"
