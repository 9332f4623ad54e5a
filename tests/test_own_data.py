"""The study as a stranger runs it: an own log by the command line, good and bad."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

ROOT = Path(__file__).resolve().parents[1]
SMALL = [
    "06.ease_items=50",
    "06.n_factors=[4,8]",
    "06.n_epochs=[1,2]",
    "05.n_factors=[4,8]",
    "05.n_epochs=[1,2]",
]


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


@pytest.fixture(scope="module")
def own_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("own")
    purchases().to_csv(folder / "my.csv", index=False)
    (folder / "my.yml").write_text(COLUMNS + "timezone: Europe/Berlin\n")
    settings = [part for setting in SMALL for part in ("--set", setting)]
    done = run("--data", f"{folder}/my.csv", "--mapping", f"{folder}/my.yml", "--out", str(folder), *settings)
    assert done.returncode == 0, done.stderr
    return folder


def test_a_log_without_categories_runs_and_says_what_was_skipped(own_run: Path) -> None:
    pages = {path.stem: path.read_text("utf-8") for path in (own_run / "reports" / "my").glob("*.html")}
    assert len(pages) == 7
    assert "Skipped: The log names no categories." in pages["02_interest_mining"]
    assert "Skipped: The log names no categories." in pages["04_interest_migration"]
    assert "Skipped" not in pages["06_recommendation_evaluation"]
    assert str(own_run) not in "".join(pages.values())


def test_its_results_are_about_its_own_data(own_run: Path) -> None:
    results = {
        path.stem: json.loads(path.read_text("utf-8"))
        for path in (own_run / "reports" / "my" / "results").glob("*.json")
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
    assert not results["04_interest_migration"]["metrics"]


def bad_cell(column: str, value: str) -> Callable[[pd.DataFrame], pd.DataFrame]:
    def spoil(log: pd.DataFrame) -> pd.DataFrame:
        log = log.astype(str)
        log.loc[4, column] = value
        return log

    return spoil


BAD_LOGS: dict[str, tuple[Callable[[pd.DataFrame], pd.DataFrame], list[str]]] = {
    "missing column": (lambda log: log.drop(columns="sku"), ["my.csv", "sku"]),
    "unparseable time": (bad_cell("bought_at", "yesterday"), ["my.csv", "bought_at", "row 6", "yesterday"]),
    "null id": (bad_cell("customer", ""), ["my.csv", "customer", "row 6"]),
    "one user": (lambda log: log.assign(customer="c1"), ["my.csv", "1 user only"]),
    "one item": (lambda log: log.assign(sku="a"), ["my.csv", "1 item only"]),
    "too short": (lambda log: log[log["bought_at"] < "2024-04-10"], ["my.csv", "days"]),
    "header only": (lambda log: log.head(0), ["my.csv"]),
}


def refused(folder: Path, words: list[str], *options: str) -> None:
    """One sentence on stderr with the words, exit status 2, and the earlier results untouched."""
    earlier = folder / "reports" / "my" / "results" / "01_data_prep.json"
    earlier.parent.mkdir(parents=True)
    earlier.write_text("earlier")
    done = run("--data", str(folder / "my.csv"), "--out", str(folder), *options)
    assert done.returncode == 2, done.stderr
    assert done.stderr.startswith("error: ") and done.stderr.count("\n") == 1
    for word in words:
        assert word in done.stderr
    assert earlier.read_text() == "earlier"


@pytest.mark.parametrize("kind", BAD_LOGS)
def test_a_bad_log_ends_in_one_sentence(kind: str, tmp_path: Path) -> None:
    spoil, words = BAD_LOGS[kind]
    spoil(purchases()).to_csv(tmp_path / "my.csv", index=False)
    (tmp_path / "my.yml").write_text(COLUMNS)
    refused(tmp_path, words, "--mapping", str(tmp_path / "my.yml"))


@pytest.mark.parametrize(
    ("content", "words"), [(None, ["my.csv"]), ("", ["my.csv", "empty"])], ids=["missing file", "empty file"]
)
def test_no_log_ends_in_one_sentence(content: str | None, words: list[str], tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / "my.csv").write_text(content)
    refused(tmp_path, words)


@pytest.mark.parametrize(
    ("mapping", "setting", "words"),
    [
        (COLUMNS.replace("bought_at", "bougt_at"), None, ["bougt_at", "bought_at"]),
        (COLUMNS, "03.half_live_days=90", ["half_live_days", "half_lives_days"]),
        (COLUMNS, "03.half_life_days=long", ["half_life_days", "float", "long"]),
    ],
    ids=["absent column", "unknown parameter", "wrong type"],
)
def test_a_bad_request_ends_in_one_sentence(
    mapping: str, setting: str | None, words: list[str], tmp_path: Path
) -> None:
    purchases().to_csv(tmp_path / "my.csv", index=False)
    (tmp_path / "my.yml").write_text(mapping)
    refused(tmp_path, words, "--mapping", str(tmp_path / "my.yml"), *(["--set", setting] if setting else []))
