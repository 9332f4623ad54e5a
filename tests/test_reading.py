"""Logs in all their forms: formats, compressions, mappings, joins, baskets, and the documented examples."""

import gzip
import json
import re
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pytest

from interest_lib import datasets, engine
from interest_lib.inputs import files_of
from interest_lib.mapping import input_files, mapped_files, read_mapping
from interest_lib.schema import InputError

ROOT = Path(__file__).resolve().parents[1]
FRAME = pd.DataFrame(
    [(f"u{i % 5}", i % 7, f"2020-01-{i % 28 + 1:02d} 10:00:00", i / 4) for i in range(40)],
    columns=["user_id", "item_id", "timestamp", "value"],
)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="module")
def con() -> engine.BaseBackend:
    return engine.connect(1)


HEADER_OF_IDS = "user_id,item_id,timestamp\n"


def write(name: str, content: str | bytes) -> None:
    Path(name).parent.mkdir(parents=True, exist_ok=True)
    Path(name).write_bytes(content if isinstance(content, bytes) else content.encode())


def load(con: engine.BaseBackend, data: str, mapping: str = "") -> datasets.Log:
    if mapping:
        write("my.yml", mapping)
    return datasets.load(con, data=data, mapping="my.yml" if mapping else "")


def events(log: datasets.Log) -> pd.DataFrame:
    frame = log.events.to_pandas()
    return frame.sort_values(list(frame.columns), ignore_index=True)


def counts(log: datasets.Log) -> dict[str, int]:
    return {rule.step: rule.rows for rule in log.removed}


CSV = FRAME.to_csv(index=False)
TSV = FRAME.to_csv(index=False, sep="\t")
JSONL = FRAME.to_json(orient="records", lines=True)


def zstd(text: str) -> bytes:
    return pa.compress(text.encode(), codec="zstd", asbytes=True)


SAME: dict[str, tuple[str, str | bytes, str]] = {
    "tsv": ("a.tsv", TSV, ""),
    "json lines": ("a.jsonl", JSONL, ""),
    "json lines without the name": ("a.log", JSONL, ""),
    "csv.gz": ("a.csv.gz", gzip.compress(CSV.encode()), ""),
    "gzip without the name": ("a.csv", gzip.compress(CSV.encode()), ""),
    "plain with the name": ("a.csv.gz", CSV, ""),
    "csv.zst": ("a.csv.zst", zstd(CSV), ""),
    "jsonl.gz": ("a.jsonl.gz", gzip.compress(JSONL.encode()), ""),
    "jsonl.zst": ("a.jsonl.zst", zstd(JSONL), ""),
    "two characters": ("a.dat", CSV.replace(",", "::"), 'format: {delimiter: "::"}'),
    "four characters": ("a.dat", CSV.replace(",", "<##>"), 'format: {delimiter: "<##>"}'),
    "control character": ("a.dat", CSV.replace(",", "\x01"), 'format: {delimiter: "\\x01"}'),
    "no header": (
        "a.csv",
        CSV.partition("\n")[2],
        "format: {header: false, names: [user_id, item_id, timestamp, value]}",
    ),
    "no header, with a byte order mark": (
        "a.csv",
        "\ufeff" + CSV.partition("\n")[2],
        "format: {header: false, names: [user_id, item_id, timestamp, value]}",
    ),
    "utf-16": ("a.csv", CSV.encode("utf-16"), "format: {encoding: utf-16}"),
    "utf-16 in gzip": ("a.csv", gzip.compress(CSV.encode("utf-16")), "format: {encoding: utf-16}"),
    "other quotes": ("a.csv", CSV.replace("u1", "'u1'"), 'format: {quote: "\'"}'),
    "epoch seconds": (
        "a.csv",
        FRAME.assign(timestamp=pd.to_datetime(FRAME["timestamp"]).astype("int64") // 10**6).to_csv(
            index=False
        ),
        "columns: {user_id: user_id, item_id: item_id, value: value,\n"
        "  timestamp: {column: timestamp, unit: s}}",
    ),
}


@pytest.mark.parametrize("name", SAME)
def test_every_form_of_a_log_reads_the_same(con: engine.BaseBackend, name: str) -> None:
    file, content, mapping = SAME[name]
    write("plain.csv", CSV)
    write(file, content)
    pd.testing.assert_frame_equal(events(load(con, file, mapping)), events(load(con, "plain.csv")))


def test_parquet_of_other_types_reads_the_same(con: engine.BaseBackend) -> None:
    write("plain.csv", CSV)
    frame = FRAME.assign(
        timestamp=pd.to_datetime(FRAME["timestamp"]), user_id=FRAME["user_id"].astype("category")
    )
    frame.to_parquet("a.parquet", compression="zstd")
    pd.testing.assert_frame_equal(events(load(con, "a.parquet")), events(load(con, "plain.csv")))


@pytest.mark.parametrize("given", ["log", "log/part-*", "log/*.csv*", "log/part-[ab].csv*"])
def test_folders_and_patterns_are_one_log(con: engine.BaseBackend, given: str) -> None:
    header, _, body = CSV.partition("\n")
    lines = body.splitlines()
    write("plain.csv", CSV)
    write("log/part-a.csv", "\n".join([header, *lines[:10]]))
    write("log/part-b.csv.gz", gzip.compress("\n".join([header, *lines[10:]]).encode()))
    write("log/README.md", "not data")
    write("log/_SUCCESS", "")
    log = load(con, given)
    pd.testing.assert_frame_equal(events(log), events(load(con, "plain.csv")))
    assert log.name == "log"
    assert mapped_files(Path(given)) == [Path("log/part-a.csv"), Path("log/part-b.csv.gz")]


def test_a_pattern_for_folders_is_named_after_what_is_above_them(con: engine.BaseBackend) -> None:
    write("shop/day=1/a.csv", CSV)
    assert load(con, "shop/*/*.csv").name == "shop"


TIMES: dict[str, tuple[str, str, str]] = {
    "seconds": ("978300760", "unit: s", "2000-12-31 22:12:40"),
    "seconds with fractions": ("978300760.25", "unit: s", "2000-12-31 22:12:40.25"),
    "seconds as a float": ("9.7830076e8", "unit: s", "2000-12-31 22:12:40"),
    "milliseconds": ("1433221332117", "unit: ms", "2015-06-02 05:02:12.117"),
    "microseconds": ("1433221332117001", "unit: us", "2015-06-02 05:02:12.117001"),
    "nanoseconds": ("1433221332117001999", "unit: ns", "2015-06-02 05:02:12.117001"),
    "american": ("11/1/2000", 'format: "%m/%d/%Y"', "2000-11-01"),
    "european": ("1.11.2000 7:05", 'format: "%d.%m.%Y %H:%M"', "2000-11-01 07:05"),
    "short year": ("01/11/00", 'format: "%d/%m/%y"', "2000-11-01"),
    "month in words": ("1 Nov 2000, 7:05 PM", 'format: "%d %b %Y, %I:%M %p"', "2000-11-01 19:05"),
    "digits": ("20001101070500", 'format: "%Y%m%d%H%M%S"', "2000-11-01 07:05"),
    "offset by format": ("01/11/2000 07:05 +0200", 'format: "%d/%m/%Y %H:%M %z"', "2000-11-01 05:05"),
    "utc in words": ("2019-10-01 00:00:00 UTC", "", "2019-10-01"),
    "zulu": ("2014-04-07T10:51:09.277Z", "", "2014-04-07 10:51:09.277"),
    "offset": ("2014-04-07T10:51:09+05:30", "", "2014-04-07 05:21:09"),
}


@pytest.mark.parametrize("name", TIMES)
def test_times_in_many_forms(con: engine.BaseBackend, name: str) -> None:
    text, option, time = TIMES[name]
    write("a.csv", f'user_id,item_id,when\na,b,"{text}"\n')
    column = f"{{column: when, {option}}}" if option else "when"
    log = load(con, "a.csv", f"columns: {{user_id: user_id, item_id: item_id, timestamp: {column}}}")
    assert log.events.timestamp.to_pandas().tolist() == [pd.Timestamp(time)]


@pytest.mark.parametrize(
    ("text", "option"), [("2020-07-01 02:00", ""), ("01.07.2020 02:00", ', format: "%d.%m.%Y %H:%M"')]
)
def test_times_without_zone_are_read_on_the_clock_of_the_mapping(
    con: engine.BaseBackend, text: str, option: str
) -> None:
    write("a.csv", f"user_id,item_id,t\na,b,{text}\n")
    columns = f"columns: {{user_id: user_id, item_id: item_id, timestamp: {{column: t{option}}}}}"
    log = load(con, "a.csv", f"{columns}\ntimezone: Asia/Shanghai")
    assert log.events.timestamp.to_pandas().tolist() == [pd.Timestamp("2020-06-30 18:00")]
    assert "Asia/Shanghai" in log.card["note"]


@pytest.mark.parametrize("ends", ["[2020-01-10, 2020-01-12]", '["2020-01-10 00:00", "2020-01-12T00:00:00"]'])
def test_events_outside_of_a_period_are_counted(con: engine.BaseBackend, ends: str) -> None:
    times = ["1900-01-01", "2020-01-09 23:59:59.999999", "2020-01-10", "2020-01-11 23:59:59", "2020-01-12"]
    times += ["2020-01-11 16:00Z", "2020-01-11 15:59Z", "2020-01-09T16:00Z", "9999-12-31"]
    write("a.csv", "user_id,item_id,timestamp\n" + "".join(f"a,b,{time}\n" for time in times))
    log = load(con, "a.csv", f"timezone: Asia/Shanghai\nbetween: {ends}")
    found = events(log)["timestamp"].astype(str).tolist()
    kept = ["2020-01-09 16:00:00", "2020-01-09 16:00:00", "2020-01-11 15:59:00", "2020-01-11 15:59:59"]
    assert found == kept
    assert {step: rows for step, rows in counts(log).items() if rows} == {"outside of the period": 5}
    (why,) = [rule.why for rule in log.removed if rule.rows]
    assert "from 2020-01-10 00:00:00 on and before 2020-01-12 00:00:00" in why and "Asia/Shanghai" in why


def test_the_period_goes_for_all_tables_of_events(con: engine.BaseBackend) -> None:
    write_also()
    write("my.yml", ALSO + "    between: [2020-01-02, 2020-01-05]\n")
    log = datasets.load(con, mapping="my.yml")
    assert sorted(events(log)["timestamp"].dt.day) == [2, 3, 4]
    assert {step: rows for step, rows in counts(log).items() if rows} == {
        "outside of the period": 2,
        "exact duplicates of buys.csv": 2,
        "where state of buys.csv": 1,
        "join orders.csv of lines.jsonl": 1,
    }
    assert any(
        rule.why.startswith("orders.csv: 1 rows, the mapping keeps only times") for rule in log.removed
    )


def test_a_period_may_reach_beyond_all_shops(con: engine.BaseBackend) -> None:
    write("a.csv", CSV)
    assert len(events(load(con, "a.csv", "between: [0001-01-01, 9999-12-31]\ntimezone: Asia/Tokyo"))) == 40


def test_unclear_hours_are_counted_and_read_by_the_rule_of_the_zone(con: engine.BaseBackend) -> None:
    hours = [
        "2020-10-25 01:59",
        "2020-10-25 02:00",
        "2020-10-25 02:59",
        "2020-10-25 03:00",
        "2020-03-29 02:30",
    ]
    carried = ["2020-10-25 02:30+02:00"]
    write("a.csv", "user_id,item_id,timestamp\n" + "".join(f"a,b,{hour}\n" for hour in hours + carried))
    log = load(con, "a.csv", "timezone: Europe/Berlin")
    (note,) = [rule for rule in log.removed if rule.step == "summer time"]
    assert note.rows == 0 and note.why.startswith("3 values of timestamp of a.csv")
    assert log.events.timestamp.min().execute() == pd.Timestamp("2020-03-29 01:30")


def test_half_an_hour_of_summer_time_is_unclear_too(con: engine.BaseBackend) -> None:
    hours = ["2020-04-05 01:29", "2020-04-05 01:30", "2020-04-05 01:59", "2020-04-05 02:00"]
    write("a.csv", "user_id,item_id,timestamp\n" + "".join(f"a,b,{hour}\n" for hour in hours))
    log = load(con, "a.csv", "timezone: Australia/Lord_Howe")
    assert [rule.why[:8] for rule in log.removed if rule.step == "summer time"] == ["2 values"]


def test_events_are_translated_or_left_out(con: engine.BaseBackend) -> None:
    kinds = ["PV", "Fav", "buy", "junk", "return", ""]
    write("a.csv", "u,i,t,k\n" + "".join(f"a,{n},2020-01-01,{kind}\n" for n, kind in enumerate(kinds)))
    mapping = """
        columns:
          {user_id: u, item_id: i, timestamp: t,
           event: {column: k, values: {pv: view, fav: cart, buy: purchase, junk: null, "": review}}}
        weights: {view: 0.2, return: -1}
    """
    log = load(con, "a.csv", mapping)
    assert events(log)["event"].tolist() == ["view", "cart", "purchase", "return", "review"]
    assert counts(log)["event values"] == 1
    assert log.weights == {"view": 0.2, "return": -1.0}


def test_a_search_may_be_without_an_item(con: engine.BaseBackend) -> None:
    write(
        "a.csv", "user_id,item_id,timestamp,event,query\na,,2020-01-01,search,shoes\na,x,2020-01-01,view,\n"
    )
    assert events(load(con, "a.csv"))["item_id"].isna().sum() == 1
    write("b.csv", "user_id,item_id,timestamp,query\na,,2020-01-01,shoes\n")
    assert len(events(load(con, "b.csv", "event: search"))) == 1


def test_nested_json_and_lists(con: engine.BaseBackend) -> None:
    lines = [
        {"u": 1, "p": {"id": 7, "tags": ["x", "y"], "a.b": 1}, "t": 1577836800000, "c/d": "q|r"},
        {"u": 2, "p": {"id": 8, "tags": []}, "t": "1577836800000", "c/d": None},
    ]
    write("a.jsonl", "\n".join(map(json.dumps, lines)))
    log = load(
        con,
        "a.jsonl",
        "columns: {user_id: u, item_id: p.id, timestamp: {column: t, unit: ms}, "
        'category: {column: p.tags, separator: ","}, department: {column: c/d, separator: "|"}}',
    )
    assert log.items is not None
    items = log.items.order_by("item_id").to_pandas()
    assert items["category"].fillna("-").tolist() == ["x", "-"]
    assert items["department"].fillna("-").tolist() == ["q", "-"]
    assert events(log)["user_id"].tolist() == [1, 2]


def test_huge_numbers_in_json_stay_apart(con: engine.BaseBackend) -> None:
    row = '{{"user_id": {}, "item_id": 1, "timestamp": "2020-01-01"}}\n'
    write("a.jsonl", row.format(10**22 + 1) + row.format(10**22))
    assert events(load(con, "a.jsonl"))["user_id"].nunique() == 2


def test_joins_where_and_keep(con: engine.BaseBackend) -> None:
    write("lines.csv", "order_id,product\n1,10\n1,11\n2,10\n3,9\n4,8\n9,8\n,8\n4,8\n")
    write("orders.csv", "order_id,user,n,set\n1,a,1,prior\n2,a,2,prior\n3,b,1,test\n4,b,2,train\n")
    write("products.csv", "product,aisle_id,dep_id,name\n10,1,5,X\n11,2,5,Y\n8,1,6,Z\n8,1,6,Zz\n")
    write("aisles.csv", "aisle_id,aisle\n1,A\n2,B\n")
    write("departments.csv", "dep_id,department\n5,D\n6,E\n")
    mapping = """
        data: lines.csv
        columns: {item_id: product, basket_id: order_id}
        join:
          data: orders.csv
          key: order_id
          columns: {user_id: user, basket_number: n}
          where: {set: [prior, train]}
        items:
          data: products.csv
          columns: {item_id: product, title: name}
          keep: last
          join:
            - {data: aisles.csv, key: aisle_id, columns: {category: aisle}}
            - {data: departments.csv, key: dep_id, columns: {department: department}}
    """
    log = load(con, "", mapping)
    found = events(log)
    assert found[["user_id", "basket_number", "item_id"]].values.tolist() == [
        ["a", 1, 10],
        ["a", 2, 10],
        ["a", 1, 11],
        ["b", 2, 8],
    ]
    assert found["basket_number"].dtype == "int64" and "timestamp" not in found
    assert (counts(log)["exact duplicates"], counts(log)["join orders.csv"]) == (1, 3)
    assert len(found) + sum(rule.rows for rule in log.removed) == 8
    assert any(rule.why.startswith("orders.csv: 1 rows, the mapping keeps only") for rule in log.removed)
    assert log.items is not None
    items = log.items.order_by("item_id").to_pandas()
    assert items[["item_id", "title", "category", "department"]].values.tolist() == [
        [8, "Zz", "A", "E"],
        [10, "X", "A", "D"],
        [11, "Y", "B", "D"],
    ]
    files = [path.name for path in input_files(read_mapping(Path("my.yml")))]
    assert files == ["lines.csv", "orders.csv", "products.csv", "aisles.csv", "departments.csv"]


ALSO = """
    data: clicks.csv
    columns: {user_id: who, item_id: what, timestamp: at, category: kind}
    event: view
    also:
      - data: buys.csv
        format: {delimiter: ;}
        columns: {user_id: session, item_id: what, timestamp: {column: day, format: "%d.%m.%Y"}, value: price}
        where: {state: [paid]}
        event: purchase
      - data: lines.jsonl
        columns: {user_id: u, basket_id: order, item_id: i}
        join:
          data: orders.csv
          key: order
          columns: {timestamp: at, event: {column: kind, values: {x: null}}}
"""


def write_also() -> None:
    write("my.yml", ALSO)
    write("clicks.csv", "who,what,at,kind\n1,10,2020-01-01,a\n1,10,2020-01-01,a\n2,11,2020-01-02,b\n")
    buys = ["1;10;03.01.2020;2.5;paid"] * 3 + ["1;12;03.01.2020;2;open"]
    write("buys.csv", "session;what;day;price;state\n" + "\n".join(buys))
    write("lines.jsonl", '{"u": 1, "order": 7, "i": "x9"}\n{"u": 3, "order": 8, "i": 10}\n')
    write("orders.csv", "order,at,kind\n7,2020-01-04,cart\n8,2020-01-05,X\n9,2020-01-05,cart\n")


def test_further_events_are_appended_and_counted(con: engine.BaseBackend) -> None:
    write_also()
    log = datasets.load(con, mapping="my.yml")
    found = log.events.order_by("timestamp", "event").to_pandas().fillna({"value": 0, "basket_id": 0})
    columns = ["user_id", "item_id", "event", "basket_id", "value"]
    assert found[columns].values.tolist() == [
        [1, "10", "view", 0, 0],
        [2, "11", "view", 0, 0],
        [1, "10", "purchase", 0, 2.5],
        [1, "x9", "cart", 7, 0],
    ]
    assert found["timestamp"].dt.day.tolist() == [1, 2, 3, 4] and "category" not in found
    assert {step: rows for step, rows in counts(log).items() if rows} == {
        "exact duplicates": 1,
        "exact duplicates of buys.csv": 2,
        "where state of buys.csv": 1,
        "join orders.csv of lines.jsonl": 1,
    }
    assert len(found) + sum(rule.rows for rule in log.removed) == 3 + 4 + 2
    assert log.items is not None
    items = log.items.order_by("item_id").to_pandas().fillna("-")
    assert items.values.tolist() == [["10", "a"], ["11", "b"], ["x9", "-"]]
    assert log.card["source"] == "clicks.csv, buys.csv, lines.jsonl"
    named = [path.name for path in input_files(read_mapping(Path("my.yml")))]
    assert named == ["clicks.csv", "buys.csv", "lines.jsonl", "orders.csv"]


def test_the_files_of_a_run_are_those_that_are_read() -> None:
    write_also()
    write("other.csv", CSV)
    further = [Path(name) for name in ("my.yml", "clicks.csv", "buys.csv", "lines.jsonl", "orders.csv")]
    assert files_of("complete_journey", mapping="my.yml") == further
    further[1] = Path("other.csv")
    assert files_of("complete_journey", data="other.csv", mapping="my.yml") == further
    assert files_of("complete_journey", data="other.csv") == [Path("other.csv")]


def test_further_events_without_a_word_are_purchases(con: engine.BaseBackend) -> None:
    write("a.csv", CSV)
    log = load(con, "a.csv", "event: view\nalso: {data: a.csv}")
    assert log.events.event.value_counts(name="n").order_by("event").to_pandas().values.tolist() == [
        ["purchase", 40],
        ["view", 40],
    ]


def test_steps_are_told_apart(con: engine.BaseBackend) -> None:
    """Notebook 01 records the rows of each step under its name."""
    write("a.csv", HEADER_OF_IDS + "1.0,nan,2020-01-01\n2.0,3.5,2020-01-02\n2.0,3.5,2020-01-02\n")
    write("goods.csv", "item_id,category\n3.5,x\n3.5,x\n")
    write("people.csv", "user_id,age\n1.0,3\n1.0,3\n")
    tables = "items: {data: goods.csv}\nusers: {data: people.csv}\nalso: [{data: a.csv}, {data: a.csv}]"
    log = load(con, "a.csv", tables)
    steps = [rule.step for rule in log.removed]
    assert len(steps) == len(set(steps))
    assert counts(log)["exact duplicates of a.csv"] == 2
    (note,) = [rule.why for rule in log.removed if rule.step == "decimals for ids"]
    assert "2 values of user_id of a.csv" in note or "3 values of user_id of a.csv" in note
    assert "values of item_id of a.csv" in note


@pytest.mark.parametrize(("keep", "title"), [("first", "old"), ("last", "new")])
def test_of_several_rows_the_first_or_last_is_kept(con: engine.BaseBackend, keep: str, title: str) -> None:
    write("a.csv", CSV)
    write("goods/1.csv", "item_id,title,brand\n1,old,b\n2,x,\n")
    write("goods/2.csv", "item_id,title,brand\n1,mid,\n1,new,\n")
    log = load(con, "a.csv", f"items: {{data: goods, keep: {keep}}}")
    assert log.items is not None
    items = log.items.order_by("item_id").to_pandas()
    assert items["title"].tolist() == [title, "x"]
    assert items["brand"].isna().tolist() == [keep == "last", True]
    assert any("2 rows, the" in rule.why for rule in log.removed)


@pytest.mark.parametrize(
    ("orders", "first", "last"),
    [
        (["9", "10", "8"], "c", "b"),
        (["1431226800000000001", "1431226800000000000", "1431226799999999999"], "c", "a"),
        (["2020-02-01", "2019-12-31", "2020-10-01"], "b", "c"),
        (["5", "5.0", "5"], "a", "c"),
        (["", "7", ""], "b", "b"),
        (["", "", ""], "a", "c"),
        (["x", "7", "y"], "b", "b"),
    ],
    ids=["numbers", "long numbers", "dates", "equal", "empty", "all empty", "mixed"],
)
@pytest.mark.parametrize("keep", ["first", "last"])
def test_a_column_orders_the_rows_of_which_one_is_kept(
    con: engine.BaseBackend, orders: list[str], first: str, last: str, keep: str
) -> None:
    write("a.csv", CSV)
    rows = [f"{order},1,{title}" for order, title in zip(orders, "abc", strict=True)]
    write("goods/1.csv", "\n".join(["week,item_id,title", *rows[:2], "0,2,z"]) + "\n")
    write("goods/2.csv", f"week,item_id,title\n{rows[2]}\n")
    log = load(con, "a.csv", f"items: {{data: goods, keep: {keep}, by: week}}")
    assert log.items is not None
    assert log.items.columns == ("item_id", "title")
    items = log.items.order_by("item_id").to_pandas()
    assert items["title"].tolist() == [first if keep == "first" else last, "z"]
    assert any(f"2 rows, the {keep} row of each item_id by week holds" in rule.why for rule in log.removed)


def test_events_can_come_by_a_join(con: engine.BaseBackend) -> None:
    write("a.csv", "user_id,item_id,timestamp,code\na,,2020-01-01,1\na,x,2020-01-01,2\na,y,2020-01-01,3\n")
    write("codes.csv", "code,kind\n1,search\n2,view\n3,junk\n")
    mapping = (
        "columns: {user_id: user_id, item_id: item_id, timestamp: timestamp}\n"
        "join: {data: codes.csv, key: code, columns: {event: {column: kind, values: {junk: null}}}}"
    )
    log = load(con, "a.csv", mapping)
    assert sorted(events(log)["event"]) == ["search", "view"]
    assert counts(log)["join codes.csv"] == 1
    write("codes.csv", "code,kind\n1,view\n2,view\n3,junk\n")
    with pytest.raises(InputError, match="column item_id is empty for an event view"):
        load(con, "a.csv", mapping)


@pytest.mark.parametrize(
    ("content", "users"),
    [('{"x": [[1, 2], [3]], "y": [[2]]}', ["x", "y"]), ("[[[1, 2], [3]], [[2]]]", [1, 2])],
    ids=["by user", "list"],
)
@pytest.mark.parametrize(
    "pack", [str.encode, lambda text: gzip.compress(text.encode())], ids=["plain", "gzip"]
)
def test_baskets_in_json_know_their_order(
    con: engine.BaseBackend, content: str, users: list[object], pack: Callable[[str], bytes]
) -> None:
    write("a.json", pack(content))
    log = load(con, "a.json")
    rows = log.events.select("user_id", "basket_number", "item_id").to_pandas().values.tolist()
    assert sorted(rows) == [[users[0], 1, 1], [users[0], 1, 2], [users[0], 2, 3], [users[1], 1, 2]]
    assert "no times" in log.card["note"] and set(log.events.to_pandas()["event"]) == {"purchase"}


def test_attributes_may_be_called_like_anything(con: engine.BaseBackend) -> None:
    write("a.csv", "user_id,item_id,timestamp\na,b,2020-01-01\n")
    write("people.csv", "user_id,position,rank,joined,kept,code\na,boss,7,2019,x,1\na,boss,8,2019,y,1\n")
    write("more.csv", "code,event\n1,party\n")
    join = "{data: more.csv, key: code, columns: {happening: event}}"
    names = "{user_id: user_id, position: position, rank: rank, joined: joined, kept: kept}"
    log = load(con, "a.csv", f"users: {{data: people.csv, keep: last, columns: {names}, join: {join}}}")
    assert log.users is not None
    assert log.users.to_pandas().iloc[0].tolist() == ["a", "boss", "8", "2019", "y", "party"]


def test_a_log_may_have_times_and_basket_numbers(con: engine.BaseBackend) -> None:
    write("a.csv", "user_id,item_id,timestamp,basket_number\na,b,2020-01-01,1\na,c,2020-01-02,2\n")
    assert events(load(con, "a.csv"))["basket_number"].tolist() == [1, 2]


def test_the_source_of_a_mapping_fills_the_card(con: engine.BaseBackend) -> None:
    write("a.csv", CSV)
    write(
        "my.yml", "data: a.csv\nsource: {title: A log, about: somewhere, licence: free, restriction: none}\n"
    )
    card = datasets.load(con, mapping="my.yml").card
    assert [card[key] for key in ("title", "source", "licence", "restriction")] == [
        "A log",
        "somewhere",
        "free",
        "none",
    ]


def test_the_source_of_a_mapping_lists_what_to_fetch() -> None:
    write(
        "my.yml",
        "source: {title: A log, login: ask, fetch: [\n"
        "  {address: 'https://example.org/a.zip', checksum: 'md5:1', unpack: [a.csv, b.csv]}]}",
    )
    source = read_mapping(Path("my.yml")).source
    assert source is not None and (source.title, source.login) == ("A log", "ask")
    (download,) = source.fetch
    assert (download.address, download.checksum) == ("https://example.org/a.zip", "md5:1")
    assert download.unpack == ("a.csv", "b.csv")


def test_a_preset_is_read_like_an_own_log(con: engine.BaseBackend, monkeypatch: pytest.MonkeyPatch) -> None:
    write("presets/tiny.yml", "data: a.csv\nsource: {title: Tiny}\n")
    write("data/a.csv", CSV)
    monkeypatch.setattr(datasets.fetch, "presets", lambda: {"tiny": Path("presets/tiny.yml")})
    monkeypatch.setattr(datasets.fetch, "prepare", lambda name: Path("data"))
    log = datasets.load(con, "tiny")
    assert (log.name, log.card["title"], len(events(log))) == ("tiny", "Tiny", 40)


# --- the examples of docs/own_log.md

PAGE = (ROOT / "docs" / "own_log.md").read_text(encoding="utf-8")
EXAMPLES = dict(re.findall(r"<!-- docs/examples/(\w+)\.yml -->\n```yaml\n(.*?)```", PAGE, re.DOTALL))


def test_the_page_shows_the_files_of_the_examples() -> None:
    files = {
        path.stem: path.read_text(encoding="utf-8") for path in (ROOT / "docs" / "examples").glob("*.yml")
    }
    assert files == EXAMPLES and len(files) == 3


def example(con: engine.BaseBackend, name: str) -> datasets.Log:
    write(f"{name}.yml", EXAMPLES[name])
    return datasets.load(con, mapping=f"{name}.yml")


def test_example_of_orders(con: engine.BaseBackend) -> None:
    write("order_lines.csv", "order_no,sku,pieces,amount\n1,a,2,3.5\n1,b,1,1\n2,a,1,2\n")
    write(
        "orders.csv",
        "order_no,customer,ordered_at,status\n1,c1,01/07/2024 12:00,paid\n2,c2,02/07/2024 12:00,cancelled\n",
    )
    write("products.csv", "sku,name,group,price\na,Apple,fruit,2\nb,Bread,bakery,1\n")
    write("customers.csv", "customer,region\nc1,north\nc2,south\n")
    log = example(con, "orders")
    found = events(log)
    assert found["timestamp"].tolist() == [pd.Timestamp("2024-07-01 10:00")] * 2
    assert found["value"].tolist() == [3.5, 1.0] and counts(log)["join orders.csv"] == 1
    assert log.items is not None and log.users is not None
    assert sorted(log.items.to_pandas()["category"]) == ["bakery", "fruit"]
    assert sorted(log.users.to_pandas()["region"]) == ["north", "south"]


def test_example_of_clicks(con: engine.BaseBackend) -> None:
    (line,) = re.findall(r"`(\{\"visitor\".*?\}\})`", PAGE)
    others = [
        {"visitor": "v1", "action": "find", "ts": 1577836801000, "term": "boots"},
        {"visitor": "v1", "action": "heartbeat", "ts": 1577836802000},
    ]
    Path("clicks").mkdir()
    write("clicks/1.jsonl.gz", gzip.compress(line.encode()))
    write("clicks/2.jsonl.gz", gzip.compress("\n".join(map(json.dumps, others)).encode()))
    log = example(con, "clicks")
    found = log.events.order_by("timestamp").to_pandas()
    assert found["event"].tolist() == ["view", "search"] and found["item_id"].fillna(0).tolist() == [7, 0]
    assert log.items is not None and log.items.to_pandas()["category"].tolist() == ["shoes"]
    assert counts(log)["event values"] == 1 and log.weights["cart"] == 0.4


def test_example_of_baskets(con: engine.BaseBackend) -> None:
    write("baskets.json", '{"u1": [["milk", "bread"], ["milk"]], "u2": [["bread"]]}')
    write("products.tsv", "product\taisle\nmilk\tdairy\nbread\tbakery\n")
    log = example(con, "baskets")
    assert sorted(events(log)["basket_number"]) == [1, 1, 1, 2]
    assert log.items is not None and sorted(log.items.to_pandas()["category"]) == ["bakery", "dairy"]
