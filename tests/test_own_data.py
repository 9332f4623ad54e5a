"""The study as a stranger runs it: an own log by the command line."""

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

ROOT = Path(__file__).resolve().parents[1]
SMALL = [
    *("03.half_lives_days=[30,90]", "03.n_resamples=50", "05.n_resamples=50", "06.n_resamples=50"),
    *("06.n_explained=30", "06.n_shops=1", "06.n_rounds=2", "05.n_held_out=40", "05.n_tests=1"),
    "06.left_out=['transformer','lightfm_hybrid','light_gcn','content']",
    *("05.source_sizes=[25]", "05.source_seeds=1", "05.n_windows=1", "05.network_epochs=1"),
    *("05.generator_steps=10", "05.start_seeds=1", "05.group_draws=1", "05.group_items=100"),
    *("05.planted_users=300", "05.n_proofs=1", "05.proof_users=400", "05.proof_steps=10"),
    *("05.network_steps=10", "05.network_sizes=[]", "05.deep_items=100", "05.deep_draws=1"),
    *("05.pretraining_updates=10", "05.fine_tuning_updates=[5]"),
    *("06.ease_items=50", "06.n_seeds=1", "02.n_trials=4", "02.group_counts=[2,4]", "02.n_feature_users=60"),
    *("03.n_simulated_logs=1", "03.n_simulated_users=100", "03.n_resamples_returns=9"),
    *("04.simulated_users=[40,80]", "04.n_epochs=1"),
]

SIMULATED = ("migration.recovery.", "migration.planted.")  # of a simulated log, so there with any data


def run(*options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "interest_lib", "run", *options]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def purchases(n_days: int = 200) -> pd.DataFrame:
    """Purchases of 90 users with favourites among 60 items, under column names of their own."""
    rng = np.random.default_rng(8)
    rows = []
    for user in range(90):
        favourites = rng.choice(60, 6, replace=False)
        for day in np.sort(rng.choice(n_days, n_days // 6, replace=False)):
            minute = int(rng.integers(600, 1200))
            when = pd.Timestamp("2024-03-01") + pd.Timedelta(days=int(day), minutes=minute)
            for item in [*rng.choice(favourites, 2, replace=False), rng.integers(60)]:
                rows.append((f"c{user:03d}", f"sku-{item}", when))
    return pd.DataFrame(rows, columns=["customer", "sku", "bought_at"])


COLUMNS = "columns: {user_id: customer, item_id: sku, timestamp: bought_at}\n"


def run_whole(folder: Path, log: pd.DataFrame, mapping: str) -> Path:
    """The whole study on a log, with small models; returns the folder of its reports."""
    log.to_csv(folder / "my.csv", index=False)
    (folder / "my.yml").write_text(mapping)
    settings = [part for setting in SMALL for part in ("--set", setting)]
    done = run("--data", f"{folder}/my.csv", "--mapping", f"{folder}/my.yml", "--out", str(folder), *settings)
    assert done.returncode == 0, done.stderr
    return folder / "reports" / "my"


def skips(page: Path) -> set[str]:
    return set(re.findall(r"<em>Skipped: (.+?)</em>", page.read_text("utf-8")))


@pytest.fixture(scope="module")
def own_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """More than a year, no categories."""
    return run_whole(tmp_path_factory.mktemp("own"), purchases(400), COLUMNS + "timezone: Europe/Berlin\n")


@pytest.fixture(scope="module")
def short_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two months with categories and views: too short to tune, and without anybody who comes often."""
    log = purchases(60)
    log["group"] = "g" + (log["sku"].str[4:].astype(int) % 5).astype(str)
    log["kind"] = np.where(np.arange(len(log)) % 4 == 0, "view", "purchase")
    columns = (
        "columns: {user_id: customer, item_id: sku, timestamp: bought_at, category: group, event: kind}\n"
    )
    return run_whole(tmp_path_factory.mktemp("short"), log, columns)


def test_a_short_log_runs_with_default_settings_and_says_so(short_run: Path) -> None:
    assert any("need at least 84 days" in reason for reason in skips(short_run / "03_interest_decay.html"))
    assert any(
        "need at least 84 days" in reason for reason in skips(short_run / "06_recommendation_evaluation.html")
    )
    assert any("baskets or more" in reason for reason in skips(short_run / "05_interest_transfer.html"))
    assert skips(short_run / "02_interest_mining.html") and skips(short_run / "04_interest_migration.html")
    found = json.loads((short_run / "results" / "01_data_prep.json").read_text("utf-8"))["metrics"]
    assert found["data.event_weight.view"] == 0.1, "too short to learn it"
    decay = json.loads((short_run / "results" / "03_interest_decay.json").read_text("utf-8"))["metrics"]
    assert decay["decay.product.half_life_days"] == 90


def test_a_log_without_categories_runs_and_says_what_was_skipped(own_run: Path) -> None:
    pages = sorted(own_run.glob("*.html"))
    assert len(pages) == 7
    skipped = {page.stem for page in pages if skips(page)}
    assert skipped == {
        *("02_interest_mining", "03_interest_decay", "04_interest_migration", "05_interest_transfer")
    }
    assert any("0 users have 50 or more events with a category" in s for s in skips(pages[1]))
    assert "The log names no categories." in skips(pages[3])
    assert not any(str(own_run.parents[1]) in page.read_text("utf-8") for page in pages)


def test_its_results_are_about_its_own_data(own_run: Path) -> None:
    results = {
        path.stem: json.loads(path.read_text("utf-8")) for path in (own_run / "results").glob("*.json")
    }
    assert results["01_data_prep"]["metrics"]["data.users"] == 90
    assert results["01_data_prep"]["parameters"]["data"] == "my.csv"
    keys = [
        key
        for key in results["06_recommendation_evaluation"]["metrics"]
        if key.endswith("all.ndcg10.personal")
    ]
    personal = results["06_recommendation_evaluation"]["metrics"][max(keys)]["value"]
    popular = results["06_recommendation_evaluation"]["metrics"][
        max(keys).replace("personal", "recent_popularity")
    ]
    assert personal > 1.5 * popular["value"]
    assert all(key.startswith(SIMULATED) for key in results["04_interest_migration"]["metrics"])
