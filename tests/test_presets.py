"""The presets of public event logs: on samples as their sources write them, and on real files at hand."""

import os
import re
from collections import Counter
from pathlib import Path
from typing import Any

import ibis.expr.types as ir
import pytest
from samples import SAMPLES, Row, Sample

from interest_lib.datasets import Log, load
from interest_lib.engine import connect
from interest_lib.fetch import presets
from interest_lib.mapping import ColumnMapping, input_files, read_mapping

TEXTS = ("title", "source", "licence", "restriction", "note")


@pytest.fixture(scope="module", params=list(SAMPLES))
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def loaded(name: str, tmp_path_factory: pytest.TempPathFactory) -> tuple[Log, Sample]:
    """A sample as the library reads it, and what it holds."""
    folder = tmp_path_factory.mktemp("interest_data") / name
    folder.mkdir()
    sample = SAMPLES[name](folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("INTEREST_DATA", str(folder.parent))
        return load(connect(), name), sample


def rows(table: ir.Table) -> Counter[tuple[tuple[str, Any], ...]]:
    return counted(table.to_pyarrow().to_pylist())


def counted(expected: list[Row]) -> Counter[tuple[tuple[str, Any], ...]]:
    return Counter(tuple(sorted(row.items())) for row in expected)


def test_every_preset_has_a_sample() -> None:
    assert sorted(presets()) == sorted(SAMPLES)


def test_events_are_read_as_they_are(loaded: tuple[Log, Sample]) -> None:
    log, sample = loaded
    assert set(log.events.columns) == set(sample.events[0])
    assert rows(log.events) == counted(sample.events)


def test_items_are_read_as_they_are(loaded: tuple[Log, Sample]) -> None:
    log, sample = loaded
    assert (log.items is None) == (sample.items is None)
    if log.items is not None and sample.items is not None:
        assert rows(log.items) == counted(sample.items)


def test_users_are_read_as_they_are(loaded: tuple[Log, Sample]) -> None:
    log, sample = loaded
    assert (log.users is None) == (sample.users is None)
    if log.users is not None and sample.users is not None:
        assert rows(log.users) == counted(sample.users)


def test_what_is_left_out_is_counted(loaded: tuple[Log, Sample]) -> None:
    log, sample = loaded
    assert {rule.step: rule.rows for rule in log.removed if rule.rows} == sample.removed


def test_weights_are_left_to_be_learned(loaded: tuple[Log, Sample]) -> None:
    assert loaded[0].weights == {}


def test_the_card_tells_source_and_terms(name: str, loaded: tuple[Log, Sample]) -> None:
    log = loaded[0]
    assert log.name == name
    assert [text for text in TEXTS if len(log.card[text]) < 4] == []
    assert log.card["source"].startswith("https://")


def plan_of(name: str) -> ColumnMapping:
    return read_mapping(presets()[name], Path("/anywhere"))


def test_a_preset_says_how_to_get_its_files(name: str) -> None:
    source = plan_of(name).source
    assert source is not None
    assert bool(source.fetch) != bool(source.login)
    assert all(download.address.startswith("https://") for download in source.fetch)


def test_a_checksum_is_one_or_is_said_to_be_unknown(name: str) -> None:
    text, source = presets()[name].read_text(encoding="utf-8"), plan_of(name).source
    assert source is not None
    for download in source.fetch:
        assert re.fullmatch(r"(md5:[0-9a-f]{32}|sha256:[0-9a-f]{64})?", download.checksum)
        assert download.checksum or "# No checksum is published" in text
    assert text.count("checksum:") == len(source.fetch)


def test_samples_span_two_periods_and_users_come_back(name: str, tmp_path: Path) -> None:
    events = SAMPLES[name](tmp_path).events
    assert 50 <= len(events) <= 500
    if "timestamp" in events[0]:
        times = [row["timestamp"] for row in events]
        assert (max(times) - min(times)).days >= (8 if name == "taobao" else 60)
    if name != "yoochoose":  # sessions do not
        visits = {(row["user_id"], row.get("basket_number") or row["timestamp"].date()) for row in events}
        assert len(visits) >= 3 * len({row["user_id"] for row in events})


def test_a_preset_reads_every_file_that_it_asks_for(name: str, tmp_path: Path) -> None:
    """Whatever a user is told to download is used, or the preset says why not."""
    source, told = plan_of(name).source, presets()[name].read_text(encoding="utf-8")
    SAMPLES[name](tmp_path)
    used = {path.name for path in input_files(read_mapping(presets()[name], tmp_path))}
    assert source is not None
    asked = set(re.findall(r"[\w-]+\.(?:csv|dat|json)\b(?!\.zip)", source.login))
    assert asked <= used, told


def test_the_documentation_tells_about_every_preset(name: str) -> None:
    text = (Path(__file__).parents[1] / "docs" / "datasets.md").read_text(encoding="utf-8")
    source = plan_of(name).source
    assert text.count(f"\n| `{name}` |") >= 2
    assert source is not None
    assert source.about in text
    assert all(file in text for file in re.findall(r"[\w-]+\.(?:csv|dat)\b(?!\.zip)", source.login))


def real(name: str) -> Log:
    """The real files, if somebody has put them there."""
    folder = Path(os.environ.get("INTEREST_DATA", "")) / name
    if not os.environ.get("INTEREST_DATA") or not folder.is_dir():
        pytest.skip(f"set INTEREST_DATA to a folder with {name}/ as docs/datasets.md says")
    return load(connect(), name)


def test_the_real_movielens_1m() -> None:
    log = real("movielens_1m")
    events = log.events
    totals = events.agg(rows=events.count(), users=events.user_id.nunique(), items=events.item_id.nunique())
    assert totals.to_pyarrow().to_pylist() == [{"rows": 1_000_209, "users": 6_040, "items": 3_706}]
    assert log.users is not None
    genders = log.users.gender.value_counts(name="n").to_pyarrow().to_pylist()
    assert {row["gender"]: row["n"] for row in genders} == {"M": 4_331, "F": 1_709}
    assert [rule for rule in log.removed if rule.rows] == []


def test_the_real_tafeng_baskets() -> None:
    log = real("tafeng_baskets")
    events = log.events
    totals = events.agg(rows=events.count(), users=events.user_id.nunique(), items=events.item_id.nunique())
    assert totals.to_pyarrow().to_pylist() == [{"rows": 571_933, "users": 13_858, "items": 11_997}]
    assert events.select("user_id", "basket_number").distinct().count().execute() == 91_227
