"""What the command line says to a log or a request that it cannot work with."""

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from test_own_data import COLUMNS, purchases, run


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
