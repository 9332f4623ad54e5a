"""Damaged input ends in one sentence, or in counted repairs that add up; never in silence."""

import csv
import gzip
import io
import json
import os
import random
import re
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from interest_lib import datasets, engine
from interest_lib.schema import InputError

HEADER = "user_id,item_id,timestamp\n"
ROWS = [(f"u{i % 5}", f"i{i % 7}", f"2020-01-{i % 28 + 1:02d} 10:00:00") for i in range(40)]
CSV = HEADER + "".join(",".join(row) + "\n" for row in ROWS)
JSONL = "".join(json.dumps(dict(zip(HEADER.strip().split(","), row, strict=True))) + "\n" for row in ROWS)
GOOD = "columns: {user_id: user_id, item_id: item_id, timestamp: timestamp}\n"
SECONDS = "columns: {user_id: user_id, item_id: item_id, timestamp: {column: timestamp, unit: s}}\n"
JARGON = re.compile(r"duckdb|traceback|varchar|arrow|ibis|error:|exception|0x|\bNone\b", re.IGNORECASE)
FUZZ = settings(
    derandomize=True,
    deadline=None,
    max_examples=25,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@pytest.fixture(autouse=True)
def guarded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """An empty working directory, and an end to what would hang."""

    def stop(*_: object) -> None:
        raise TimeoutError("reading hangs")

    monkeypatch.chdir(tmp_path)
    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(120)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.fixture(scope="module")
def con() -> engine.BaseBackend:
    return engine.connect(1)


def write(name: str, content: str | bytes) -> None:
    Path(name).write_bytes(content if isinstance(content, bytes) else content.encode())


def refusal(con: engine.BaseBackend, data: str, mapping: str = "") -> str:
    """The sentence that reading ends in."""
    with pytest.raises(InputError) as caught:
        log = datasets.load(con, data=data, mapping=mapping)
        log.events.to_pandas()
    return str(caught.value)


def unquoted(sentence: str) -> str:
    """Without what it quotes, which comes from the input."""
    return re.sub(r"'[^']*'|\"[^\"]*\"", "", sentence)


def is_told_well(sentence: str) -> bool:
    return (
        "\n" not in sentence
        and len(sentence) < 500
        and sentence[-1] in ".?"
        and "; " in sentence
        and not JARGON.search(unquoted(sentence))
    )


def spoiled(line: str) -> str:
    """A good log with one row more, the 42nd."""
    return CSV + line + "\n"


def parquet(frame: pa.Table | pd.DataFrame) -> bytes:
    target = io.BytesIO()
    table = frame if isinstance(frame, pa.Table) else pa.Table.from_pandas(frame, preserve_index=False)
    pq.write_table(table, target)
    return target.getvalue()


FRAME = pd.DataFrame(ROWS, columns=HEADER.strip().split(","))
ZSTD = pa.compress((CSV * 50).encode(), codec="zstd", asbytes=True)
GZIP = gzip.compress((HEADER + CSV.removeprefix(HEADER) * 200).encode(), mtime=0)
TWINS = pa.table([["a"], ["i"], ["2020-01-01"], ["b"]], names=["user_id", "item_id", "timestamp", "user_id"])

BYTES = pa.table([pa.array([b"ab"], pa.binary(2)), ["i"], ["2020-01-01"]], names=list(FRAME))
ENDLESS = "u," + "x" * 34_000_000 + ",2020-01-01"  # DuckDB would pass over it where it is the last line
LATIN = "format: {encoding: latin-1}"

# name of the file, content, mapping, and what the sentence says
REFUSED: dict[str, tuple[str, str | bytes, str, str]] = {
    "nothing": ("a.csv", "", "", "is empty"),
    "blanks": ("a.csv", " \n\n", "", "is empty"),
    "bom only": ("a.csv", b"\xef\xbb\xbf", "", "is empty"),
    "header only": ("a.csv", HEADER, "", "no rows"),
    "empty gzip": ("a.csv.gz", gzip.compress(b""), "", "is empty"),
    "gzip cut short": ("a.csv.gz", GZIP[: len(GZIP) // 2], "", "cut short"),
    "gzip without its end": ("a.csv.gz", GZIP[:-4], "", "cut short"),
    "gzip with a wrong checksum": ("a.csv.gz", GZIP[:-8] + b"0000" + GZIP[-4:], "", "damaged"),
    "gzip and garbage": ("a.csv.gz", GZIP + b"garbage", "", "not gzip follows"),
    "gzip and zeros": ("a.csv.gz", GZIP + bytes(512), "", "not gzip follows"),
    "gzip in gzip": ("a.csv.gz", gzip.compress(GZIP), "", "neither CSV"),
    "zstd cut short": ("a.csv.zst", ZSTD[:-7], "", "cut short"),
    "zstd and garbage": ("a.csv.zst", ZSTD + b"garbage", "", "damaged"),
    "parquet in gzip": ("a.parquet.gz", gzip.compress(parquet(FRAME)), "", "inside gzip"),
    "parquet cut short": ("a.parquet", parquet(FRAME)[:-100], "", "cannot be read"),
    "parquet head only": ("a.parquet", b"PAR1", "", "cannot be read"),
    "parquet by name only": ("a.parquet", CSV, "", "not a Parquet file in spite of its name"),
    "parquet with equal columns": ("a.parquet", parquet(TWINS), "", "two columns are called user_id"),
    "parquet without rows": ("a.parquet", parquet(FRAME.head(0)), "", "no rows"),
    "parquet with a nul": ("a.parquet", parquet(FRAME.replace("u1", "u\0")), "", "NUL"),
    "parquet with nan for an id": (
        "a.parquet",
        parquet(pa.table([[1.0, float("nan")], [1, 2], ["2020-01-01"] * 2], names=list(FRAME))),
        "",
        "'nan', which is no id",
    ),
    "parquet with lists": ("a.parquet", parquet(FRAME.assign(item_id=[[1]] * 40)), "", "array<int64>"),
    "parquet with bytes": ("a.parquet", parquet(BYTES), "", "fixed_size_binary[2]"),
    "parquet behind parquet": ("a.parquet", parquet(FRAME) + parquet(FRAME[:9]), "", "several Parquet files"),
    "zip": ("a.csv", b"PK\x03\x04" + bytes(20), "", "zip archive"),
    "bzip2": ("a.csv", b"BZh91AY&SY" + bytes(20), "", "bzip2"),
    "picture": ("a.csv", b"\x89PNG\r\n\x1a\n", "", "neither CSV"),
    "utf-16": ("a.csv", CSV.encode("utf-16"), "", "encoding: utf-16"),
    "utf-16 that is not": ("a.csv", CSV, GOOD + "format: {encoding: utf-16}", "not begin like UTF-16"),
    "half of a utf-16 pair": (
        "a.csv",
        CSV.encode("utf-16") + "\U0001f600".encode("utf-16-le")[:2],
        GOOD + "format: {encoding: utf-16}",
        "not UTF-16",
    ),
    "utf-32": ("a.csv", CSV.encode("utf-32"), GOOD + "format: {encoding: utf-16}", "NUL"),
    "latin-1": ("a.csv", spoiled("ü,i,2020-01-01").encode("latin-1"), "", "line 42 is not UTF-8"),
    "windows-1252": (
        "a.csv",
        spoiled("5\u20ac,i,2020-01-01").encode("cp1252"),
        LATIN,
        "line 42 is not LATIN-1",
    ),
    "windows-1252 in baskets": ("a.json", b'{"u": [["5\x80"]]}', LATIN, "row 1 is not LATIN-1"),
    "bom before a quote": (
        "a.csv",
        spoiled('\ufeff"u",i,2020-01-01'),
        "",
        "line 42 begins with a byte order mark",
    ),
    "cut utf-8": ("a.csv", CSV.encode() + "ü".encode()[:1], "", "line 42 is not UTF-8"),
    "nul": ("a.csv", spoiled("u\0,i,2020-01-01"), "", "line 42 holds a NUL"),
    "nul far below": ("a.csv", HEADER + CSV[len(HEADER) :] * 90 + "u\0,i,2020-01-01\n", "", "NUL"),
    "nul in gzip": ("a.csv", gzip.compress(spoiled("u\0,i,2020-01-01").encode()), "", "NUL"),
    "columns twice": ("a.csv", "user_id,item_id,timestamp,user_id\na,b,2020-01-01,c\n", "", "user_id twice"),
    "columns twice by case": ("a.csv", CSV, GOOD[:-2] + ", query: user_ID}", "did you mean user_id?"),
    "nameless columns": ("a.csv", ",,\n1,2,3\n", "", "names no columns"),
    "open quote": ("a.csv", spoiled('u,"i,2020-01-01'), "", "quote that does not close"),
    "open quote in the header": ("a.csv", '"' + CSV, "", "a quote that does not close"),
    "quoted header of two lines": ("a.csv", '"user\n_id",item_id,timestamp\na,b,2020-01-01\n', "", "user_id"),
    "too few fields": ("a.csv", spoiled("u,i"), "", "line 42 has 2 fields"),
    "too many fields": ("a.csv", spoiled("u,i,2020-01-01,x"), "", "line 42 has 4 fields"),
    "mixed line ends": ("a.csv", CSV.replace("\n", "\r\n", 20), "", "mixes line endings"),
    "long line": ("a.csv", spoiled("u," + "x" * 2_500_000 + ",2020-01-01"), "", "longer than 2 MB"),
    "endless last line": ("a.csv", spoiled(ENDLESS), "", "line 42 is longer than 2 MB"),
    "endless last line in gzip": (
        "a.csv.gz",
        gzip.compress(spoiled(ENDLESS).rstrip().encode(), 1),
        "",
        "line 42 is longer than 2 MB",
    ),
    "endless line of json": (
        "a.jsonl",
        JSONL + json.dumps({"user_id": ENDLESS}),
        "",
        "line 41 is longer than 2 MB",
    ),
    "many columns": ("a.csv", ",".join(f"c{i}" for i in range(10_000)) + "\n1\n", "", "10000 columns"),
    "other delimiter": (
        "a.csv",
        CSV,
        "format: {delimiter: ;}",
        "column user_id is missing among user_id,item_id",
    ),
    "names too many": (
        "a.csv",
        CSV,
        "format: {header: false, names: [user_id, item_id, timestamp, x]}",
        "mapping 4",
    ),
    "empty user": ("a.csv", spoiled(",i,2020-01-01"), "", "row 42: column user_id is empty"),
    "blank user": ("a.csv", spoiled(" \u00a0\t,i,2020-01-01"), "", "row 42: column user_id is empty"),
    "no item": ("a.csv", spoiled("u,,2020-01-01"), "", "row 42: column item_id is empty"),
    "no item in a view": (
        "a.csv",
        "user_id,item_id,timestamp,event\na,,2020-01-01,search\na,,2020-01-01,view\n",
        "",
        "row 3: column item_id is empty",
    ),
    "one id in two spellings": (
        "a.csv",
        HEADER + "1,a,2020-01-01\n1.0,b,2020-01-01\n",
        "",
        "both '1' and '1.0'",
    ),
    "no time": ("a.csv", spoiled("u,i,soon"), "", "row 42: column timestamp holds 'soon'"),
    "a day that is not": ("a.csv", spoiled("u,i,2020-02-30"), "", "'2020-02-30', which is no time"),
    "seconds for a date": ("a.csv", spoiled("u,i,1577836800"), "", "name its unit"),
    "milliseconds for seconds": (
        "a.csv",
        HEADER + "u,i,1577836800000\n",
        SECONDS,
        "unit: ms would make sense",
    ),
    "seconds for milliseconds": (
        "a.csv",
        HEADER + "u,i,1577836800\n",
        SECONDS.replace(": s}", ": ms}"),
        "unit: s would make sense",
    ),
    "text for seconds": ("a.csv", HEADER + "u,i,2020-01-01\n", SECONDS, "no time; correct it, or unit: s"),
    "endless seconds": ("a.csv", HEADER + f"u,i,{'9' * 300}\n", SECONDS, "which is no time"),
    "dates in another order": (
        "a.csv",
        HEADER + "u,i,2020-01-13\n",
        GOOD.replace("timestamp: timestamp", 'timestamp: {column: timestamp, format: "%Y-%d-%m"}'),
        "or format: %Y-%d-%m in the mapping",
    ),
    "years of two digits": (
        "a.csv",
        HEADER + "u,i,13/01/20\n",
        GOOD.replace("timestamp: timestamp", 'timestamp: {column: timestamp, format: "%d/%m/%Y"}'),
        "correct the format",
    ),
    "zero dates": ("a.csv", HEADER + "u,i,1970-01-01\n" + "v,i,2020-01-01\n" * 2, "", "before 1990-01-01"),
    "a number with a unit": (
        "a.csv",
        "user_id,item_id,timestamp,quantity\na,b,2020-01-01,3 kg\n",
        "",
        "'3 kg', which is no number",
    ),
    "infinity": ("a.csv", "user_id,item_id,timestamp,value\na,b,2020-01-01,inf\n", "", "which is no number"),
    "unknown event": (
        "a.csv",
        "user_id,item_id,timestamp,event\na,b,2020-01-01,buy\n",
        "",
        "translate it by values",
    ),
    "an event in brackets": (
        "a.csv",
        "user_id,item_id,timestamp,event\na,b,2020-01-01,(left out)\n",
        "",
        "'(left out)', which is no event",
    ),
    "basket zero": ("a.csv", "user_id,item_id,basket_number\na,b,0\n", "", "from 1"),
    "no basket": ("a.csv", "user_id,item_id,basket_number\na,b,1\na,c,\n", "", "basket_number is empty"),
    "half a basket": ("a.csv", "user_id,item_id,basket_number\na,b,1.5\n", "", "from 1"),
    "nothing kept": ("a.csv", CSV, GOOD + "where: {user_id: [nobody]}", "no row is left"),
    "jsonl, broken line": ("a.jsonl", JSONL + '{"user_id": \n', "", "line 41 is not valid JSON"),
    "jsonl, two objects a line": ("a.jsonl", JSONL + '{"a": 1} {"a": 2}\n', "", "line 41 is not valid JSON"),
    "jsonl, a list": ("a.jsonl", JSONL + "[1, 2]\n", "", "line 41 holds no object"),
    "jsonl, key twice": ("a.jsonl", JSONL + '{"a": 1, "a": 2}\n', "", "line 41 gives a key twice"),
    "jsonl, list for an id": (
        "a.jsonl",
        JSONL + '\n{"user_id": [1], "item_id": 1, "timestamp": "2020-01-01"}\n',
        "",
        "line 42: column user_id holds a list",
    ),
    "jsonl, nul": ("a.jsonl", JSONL.replace("u1", "u\\u0000", 1), "", "NUL"),
    "jsonl, no time in a line": (
        "a.jsonl",
        JSONL + '{"user_id": 1, "item_id": 1}\n',
        "",
        "line 41: column timestamp",
    ),
    "json, one document": ("a.json", json.dumps([{"user_id": 1}], indent=1), "", "neither JSON Lines nor"),
    "json, pretty": ("a.json", '{\n "user_id": 1\n}\n', "", "neither JSON Lines nor"),
    "baskets, cut short": ("a.json", '{"u": [[1, 2], [3', "", "line 1 is not valid JSON"),
    "baskets, no lists": ("a.json", '{"u": [[1]], "v": [2]}', "", "user v has a basket that is no list"),
    "baskets, object": ("a.json", '{"u": [[{"item": 1}]]}', "", "user u has an item that is neither"),
    "baskets, null": ("a.json", '{"u": [[null]]}', "", "user u has an item that is neither"),
    "baskets, user twice": ("a.json", '{"u": [[1]], "u": [[2]]}', "", "user u stands there twice"),
    "baskets, user twice but for blanks": (
        "a.json",
        '{" u": [[1]], "u": [[2]]}',
        "",
        "user u stands there twice",
    ),
    "baskets, empty": ("a.json", '{"u": [[]]}', "", "no rows"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_damage_is_told_in_a_sentence(con: engine.BaseBackend, name: str) -> None:
    file, content, mapping, words = REFUSED[name]
    write(file, content)
    if mapping:
        write("my.yml", mapping)
    sentence = refusal(con, file, "my.yml" if mapping else "")
    assert words in sentence
    assert sentence.startswith((file, "my.yml: ")) and is_told_well(sentence), sentence


MAPPINGS: dict[str, tuple[str | bytes, str]] = {
    "bomb": ("a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]\n", "row 2: uses an alias"),
    "merge": ("a: &a {x: 1}\n<<: *a\n", "alias"),
    "merge of nothing": ("event: view\n<<: {event: cart}\n", "row 2: merges lines by <<"),
    "octal number": ("where: {user_id: [7, 010]}\n", "holds '010', which YAML reads as 8; put it in quotes"),
    "time for a number": ("where: {user_id: [12:30]}\n", "reads as 750"),
    "long": ("# " + "x" * 1_000_001, "longer than 1 MB"),
    "deep": ("[" * 20_000, "cannot be read as YAML"),
    "deep block": ("\n".join(" " * i + "a:" for i in range(1_200)), "cannot be read as YAML"),
    "key twice": ("timezone: UTC\ntimezone: Asia/Tokyo\n", "row 2: gives the key 'timezone' a second time"),
    "tag": ("event: !!python/object/apply:os.system [ls]\n", "not valid YAML"),
    "bad tag": ("event: !!bool maybe\n", "cannot be read as YAML"),
    "latin-1": ("event: ü".encode("latin-1"), "cannot be read as YAML"),
    "nul": (b"event: \0", "cannot be read as YAML"),
    "endless number": ("event: " + "9" * 5_000, "cannot be read as YAML"),
    "key of another kind": ("1: 2", "key '1' is unknown"),
    "key of many lines": ('"a\\nb": 2', "key 'a\\nb' is unknown"),
    "unknown kind": ("format: {kind: xlsx}", "kind 'xlsx' is unknown"),
    "kind that it is not": ("format: {kind: parquet}", "no Parquet file"),
    "unknown encoding": ("format: {encoding: cp1252}", "encoding 'cp1252' is unknown"),
    "long delimiter": ("format: {delimiter: '12345'}", "delimiter '12345' cannot be used"),
    "line end for delimiter": ('format: {delimiter: "\\n"}', "cannot be used"),
    "delimiter for parquet": ("format: {kind: parquet, delimiter: ;}", "means nothing for kind parquet"),
    "names and header": ("format: {names: [a, b]}", "header: false"),
    "neither": ("format: {header: false}", "header: false"),
    "unknown unit": (SECONDS.replace(": s}", ": h}"), "unit 'h' is unknown"),
    "unit for an id": ("columns: {user_id: {column: a, unit: s}}", "key 'unit' is unknown"),
    "unknown directive": ("columns: {timestamp: {column: a, format: '%Q %Y'}}", "holds %Q"),
    "no year": ("columns: {timestamp: {column: a, format: '%d.%m. %H:%M'}}", "names no year"),
    "no day": ("columns: {timestamp: {column: a, format: '%Y-%m'}}", "names no day"),
    "value that is no event": ("columns: {event: {column: a, values: {pv: veiw}}}", "did you mean view?"),
    "unknown weight": ("weights: {veiw: 1}", "did you mean view?"),
    "weight without end": ("weights: {view: .inf}", "write a number"),
    "weight that is none": ("weights: {view: .nan}", "write a number"),
    "weight in words": ("weights: {view: much}", "write a number"),
    "join without a key": ("join: {data: a.csv, columns: {user_id: a}}", "key is missing"),
    "join of nothing": ("join: [3]", "lines of the form key: value"),
    "where nothing": ("where: {user_id: []}", "empty list"),
    "where truth": ("where: {user_id: [yes]}", "put it in quotes"),
    "where nowhere": ("where: {usr_id: [a]}", "did you mean user_id?"),
    "address": ("items: {data: 'http://example.org/items.csv'}", "is an address"),
    "bucket": ("items: {data: 's3://bucket/items.parquet'}", "is an address"),
    "device": ("items: {data: /dev/zero}", "device or a pipe"),
    "folder that is not": ("items: {data: nowhere/}", "there is no such file"),
    "empty pattern": ("items: {data: '*.nothing'}", "no file has such a name"),
    "line end in a name": ('items: {data: "a\\nb.csv"}', "control characters"),
    "keep what": ("items: {data: a.csv, keep: best}", "keep 'best' is unknown"),
    "by without keep": ("items: {data: a.csv, by: timestamp}", "by says nothing without keep"),
    "by what": ("items: {data: a.csv, keep: last, by: timestmp}", "did you mean timestamp?"),
    "keep of events": ("keep: last", "key 'keep' is unknown"),
    "also nothing": ("also: 3", "lines of the form key: value"),
    "also without a file": ("also: {event: view}", "also: data is missing"),
    "also what": ("also: {data: a.csv, event: veiw}", "did you mean view?"),
    "also twice": (
        "also: {data: a.csv, event: view, columns: {event: user_id}}",
        "also: event is given both as a constant and under columns",
    ),
    "also in a zone": ("also: {data: a.csv, timezone: UTC}", "key 'timezone' is unknown"),
    "also without times": (
        "also: {data: b.json, format: {kind: baskets}}",
        "only one of them has times",
    ),
    "also lacks": (GOOD + "also: {data: a.csv, columns: {user_id: user_id}}", "also: columns lacks item_id"),
    "between one": ("between: 2020-01-01", "no two times in their order"),
    "between backwards": ("between: [2020-01-02, 2020-01-01]", "no two times in their order"),
    "between words": ("between: [then, now]", "'then', which is no time"),
    "between numbers": ("between: [1577836800, 1577836900]", "which is no time"),
    "between zones": ("between: ['2020-01-01T00:00Z', '2020-01-02T00:00Z']", "with a zone"),
    "between years": ("between: [2030-01-01, 2031-01-01]", "these rules: outside of the period"),
    "between baskets": ("data: b.json\nbetween: [2020-01-01, 2020-01-02]", "between is for times"),
    "column in two files": (
        GOOD + "join: {data: a.csv, key: user_id, columns: {user_id: user_id}}",
        "two files",
    ),
    "join of a column that is there": (
        "join: {data: b.csv, key: item_id, columns: {user_id: then}}",
        "user_id is in a.csv and in b.csv",
    ),
    "join that differs by case": (
        "users: {data: b.csv, join: {data: b.csv, key: item_id, columns: {Then: then}}}",
        "then is in b.csv and in b.csv",
    ),
    "join without end": (
        "users: {data: b.csv, join: ["
        + ", ".join(f"{{data: b.csv, key: item_id, columns: {{x{i}: then}}}}" for i in range(21))
        + "]}",
        "more than 20 joins",
    ),
    "name that is needed": (
        "users: {data: b.csv, columns: {user_id: user_id, Key 0: then}}",
        "column Key 0 bears",
    ),
    "name that is needed to keep": (
        "users: {data: b.csv, keep: last, columns: {user_id: user_id, row position: then}}",
        "column row position bears",
    ),
    "items of another log": ("items: {data: b.csv}", "b.csv: column item_id shares no value with a.csv"),
    "users of another log": ("users: {data: b.csv}", "b.csv: column user_id shares no value with a.csv"),
    "join by many": (
        "columns: {user_id: user_id, item_id: item_id}\n"
        "join: {data: a.csv, key: user_id, columns: {timestamp: timestamp}}",
        "column user_id holds 'u0' in 8 rows",
    ),
}


@pytest.mark.parametrize("name", MAPPINGS)
def test_a_bad_mapping_is_told_in_a_sentence(con: engine.BaseBackend, name: str) -> None:
    content, words = MAPPINGS[name]
    write("a.csv", CSV)
    write("b.json", '{"u": [[1]]}')
    write("b.csv", "user_id,item_id,then\nU1,I1,2020\n")
    write("my.yml", content)
    sentence = refusal(con, "" if name == "between baskets" else "a.csv", "my.yml")
    assert words in sentence
    assert is_told_well(sentence), sentence


@pytest.mark.parametrize(
    "name", ["http://example.org/a.csv", "s3://b/a.csv", "/dev/zero", "/proc/kmsg", "fifo", "socket"]
)
def test_only_plain_files_are_opened(con: engine.BaseBackend, name: str) -> None:
    os.mkfifo("fifo")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind("socket")
        assert is_told_well(refusal(con, name))


@pytest.mark.parametrize(
    "name",
    [
        *("a [1].csv", "a*.csv", "what?.csv", "it's.csv", 'a"b.csv', "-a.csv", "~a.csv", "ü.csv", "a\\b.csv"),
        *("x {a,b}.csv", "$HOME.csv", "%41.csv", "a;b.csv", "user=1.csv"),
    ],
)
def test_odd_names_of_files_are_names(con: engine.BaseBackend, name: str) -> None:
    write(name, CSV)
    write("a 1.csv", HEADER + "x,y,2020-01-01\n")
    assert datasets.load(con, data=name).events.count().execute() == 40
    Path("user_id=7").mkdir()  # such folders would otherwise become columns
    assert datasets.load(con, data=f"user_id=7/../{name}").events.count().execute() == 40


@pytest.mark.parametrize(
    "name", ["a\nb.csv", "a\x1b.csv", "a\u2028.csv", "a\u202ev.csv", os.fsdecode(b"a\xff.csv")]
)
def test_names_that_cannot_be_shown_are_refused(con: engine.BaseBackend, name: str) -> None:
    write(name, CSV)
    assert "control characters" in refusal(con, name)


FOLDERS: dict[str, tuple[dict[str, str], str]] = {
    "nothing": ({}, "no data files"),
    "hidden": ({".a.csv": CSV, "_a.csv": CSV}, "no data files"),
    "two kinds": ({"a.csv": CSV, "b.jsonl": JSONL}, "different kinds"),
    "other columns": (
        {"a.csv": CSV, "b.csv": CSV.replace("item_id", "sku", 1)},
        "log/b.csv: this file has other",
    ),
    "other order": (
        {"a.csv": CSV, "b.csv": "item_id,user_id,timestamp\na,b,2020-01-01\n"},
        "log/b.csv: this file",
    ),
    "bad row in the second": (
        {"a.csv": CSV, "b.csv": spoiled("u,i,soon")},
        "log/b.csv: row 42: column timestamp",
    ),
    "ragged row in the second": ({"a.csv": CSV, "b.csv": spoiled("u,i")}, "log/b.csv: line 42 has 2 fields"),
    "what is it": ({"a.csv": CSV, "b.txt": CSV}, "b.txt is no data file by its name"),
    "folder inside": ({"a.csv": CSV, "more/b.csv": CSV}, "folder more stands in it"),
}


@pytest.mark.parametrize("name", FOLDERS)
def test_a_folder_that_is_no_log_is_told_in_a_sentence(con: engine.BaseBackend, name: str) -> None:
    files, words = FOLDERS[name]
    Path("log").mkdir()
    for file, content in files.items():
        Path("log", file).parent.mkdir(exist_ok=True)
        write(f"log/{file}", content)
    sentence = refusal(con, "log")
    assert words in sentence and is_told_well(sentence), sentence


def test_folders_that_tell_a_column_are_refused(con: engine.BaseBackend) -> None:
    for event in ("view", "cart"):
        Path(f"log/event={event}").mkdir(parents=True)
        write(f"log/event={event}/a.parquet", parquet(FRAME))
    sentence = refusal(con, "log/*/*.parquet")
    assert "folder event=cart tells a column event" in sentence and is_told_well(sentence)
    write("my.yml", "event: view")
    assert datasets.load(con, data="log/event=view", mapping="my.yml").events.count().execute() == 40


def test_a_pattern_leaves_no_folder_out_unseen(
    con: engine.BaseBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    for folder in ("log/2020", "log/2021"):
        Path(folder).mkdir(parents=True)
        write(f"{folder}/a.csv", CSV.replace("u,", f"{folder[-4:]},"))
    assert datasets.load(con, data="log/*/*.csv").name == "log"
    assert "** is not understood" in refusal(con, "log/**/*.csv")
    readable = os.access
    monkeypatch.setattr(os, "access", lambda path, mode: "2021" not in str(path) and readable(path, mode))
    assert refusal(con, "log/*/*.csv") == "log/2021: this folder cannot be read; check its permissions."


# content, mapping, rows of the file, and what has to be among the rules
COUNTED: dict[str, tuple[str | bytes, str, int, str]] = {
    "nothing wrong": (CSV, "", 40, "exact duplicates"),
    "bom": (b"\xef\xbb\xbf" + CSV.encode(), "", 40, "exact duplicates"),
    "two boms and a blank in the header": ("\ufeff\ufeff" + CSV.replace(",", "\u200b,", 1), "", 40, ""),
    "delimiters in a quoted name": (
        'user_id,item_id,timestamp,"a;b;c;d;e"\na,b,2020-01-01,1\na,c,2020-01-01,2\n',
        "",
        2,
        "",
    ),
    "empty lines": (CSV.replace("\n", "\n\n"), "", 40, "exact duplicates"),
    "twice": (CSV + CSV.removeprefix(HEADER), "", 80, "exact duplicates"),
    "gzip of two members": (gzip.compress(CSV.encode()) + gzip.compress(b"u,i,2020-01-01\n"), "", 41, ""),
    "zstd of two frames": (
        pa.compress(CSV.encode(), codec="zstd", asbytes=True)
        + pa.compress(b"u,i,2020-01-01\n", codec="zstd", asbytes=True),
        "",
        41,
        "",
    ),
    "a zero date among many": (
        CSV + CSV.removeprefix(HEADER) * 3 + "u,i,1970-01-01\n",
        "",
        161,
        "impossible times",
    ),
    "year 2199": (CSV + CSV.removeprefix(HEADER) * 3 + "u,i,2199-12-31\n", "", 161, "impossible times"),
    "where": (CSV, GOOD + "where: {user_id: [u1, u2]}", 40, "where user_id"),
    "where nothing stands": (
        HEADER.strip() + ",state\na,b,2020-01-01,\na,c,2020-01-01,paid\na,d,2020-01-01,open\n",
        "where: {state: [' paid ', '']}",
        3,
        "where state",
    ),
    "null events": (
        HEADER.strip() + ",event\na,b,2020-01-01,pv\na,b,2020-01-01,Junk\n,,,JUNK\n",
        GOOD[:-2] + ", event: {column: event, values: {PV: view, junk: null}}}",
        3,
        "event values",
    ),
    "decimal ids": (HEADER + "1.0,a,2020-01-01\n2.0,b,2020-01-01\n", "", 2, "decimals for ids"),
    "words for ids": (HEADER + "null,a,2020-01-01\n2,b,2020-01-01\n", "", 2, "words for ids"),
    "huge ids": (HEADER + f"{2**64},a,2020-01-01\n{2**64 + 1},b,2020-01-01\n", "", 2, ""),
    "negative ids": (HEADER + "-1,a,2020-01-01\n1,b,2020-01-01\n", "", 2, ""),
    "mixed zones": (
        HEADER + "1,a,2020-01-01T00:00Z\n1,a,2020-01-01 02:00 +02:00\n1,b,2020-01-01\n",
        "",
        3,
        "",
    ),
    "summer time": (
        HEADER + "1,a,2020-10-25 02:30\n1,b,2020-03-29 02:30\n",
        "timezone: Europe/Berlin",
        2,
        "summer time",
    ),
    "utf-16": (CSV.encode("utf-16"), "format: {encoding: utf-16}", 40, ""),
    "utf-16, other order": (b"\xfe\xff" + CSV.encode("utf-16-be"), "format: {encoding: utf-16}", 40, ""),
    "json lines": (JSONL, "format: {kind: jsonl}", 40, ""),
    "json lines, mixed line ends": (JSONL.replace("\n", "\r\n", 9) + "\n\n", "format: {kind: jsonl}", 40, ""),
    "baskets": (
        '{"u": [[1, 2], [], [1, 1]], "v": [["a"]]}',
        "format: {kind: baskets}",
        5,
        "exact duplicates",
    ),
}


@pytest.mark.parametrize("name", COUNTED)
def test_what_is_left_out_is_counted(con: engine.BaseBackend, name: str) -> None:
    content, mapping, rows, step = COUNTED[name]
    write("a.csv", content)
    write("my.yml", mapping or "{}")
    log = datasets.load(con, data="a.csv", mapping="my.yml")
    assert log.events.count().execute() + sum(rule.rows for rule in log.removed) == rows
    assert not step or step in {rule.step for rule in log.removed}


# --- at random: a sentence, or counts that add up


def read_or_refused(con: engine.BaseBackend, file: str, mapping: str = "") -> int | None:
    """Rows of the log and those left out; None after a sentence."""
    try:
        log = datasets.load(con, data=file, mapping=mapping)
        rows = len(log.events.to_pandas())
    except InputError as error:
        sentence = str(error)
        assert "\n" not in sentence and sentence[-1] in ".?" and not JARGON.search(unquoted(sentence)), (
            sentence
        )
        return None
    return rows + sum(rule.rows for rule in log.removed)


def rows_of_csv(content: bytes) -> int:
    text = io.StringIO(content.decode("utf-8-sig"), newline="")
    return sum(1 for fields in csv.reader(text) if fields) - 1


@st.composite
def splice(draw: st.DrawFn, good: bytes) -> bytes:
    """Good content with a few bytes put in, taken out or written over."""
    start = draw(st.integers(0, len(good)))
    junk = draw(
        st.one_of(st.binary(max_size=6), st.sampled_from([b'"', b"\n", b"\r", b",", b'""', b"\x00", b"{"]))
    )
    return good[:start] + junk + good[start + draw(st.integers(0, 5)) :]


@FUZZ
@given(splice(CSV.encode()))
def test_spliced_csv(con: engine.BaseBackend, content: bytes) -> None:
    write("a.csv", content)
    rows = read_or_refused(con, "a.csv")
    assert rows is None or rows == rows_of_csv(content)


@FUZZ
@given(splice(JSONL.encode()))
def test_spliced_json_lines(con: engine.BaseBackend, content: bytes) -> None:
    write("a.jsonl", content)
    rows = read_or_refused(con, "a.jsonl")
    assert rows is None or rows == sum(1 for line in re.split(rb"[\r\n]+", content) if line.strip())


@FUZZ
@given(splice(GZIP))
def test_spliced_gzip(con: engine.BaseBackend, content: bytes) -> None:
    write("a.csv.gz", content)
    rows = read_or_refused(con, "a.csv.gz")
    assert rows is None or rows == rows_of_csv(gzip.decompress(content))


@FUZZ
@given(splice(ZSTD))
def test_spliced_zstd(con: engine.BaseBackend, content: bytes) -> None:
    write("a.csv.zst", content)
    rows = read_or_refused(con, "a.csv.zst")
    assert rows is None or rows == rows_of_csv(pa.input_stream(io.BytesIO(content), "zstd").read())


@settings(FUZZ, max_examples=40)
@given(splice(parquet(FRAME)))
def test_spliced_parquet(content: bytes) -> None:
    write("a.parquet", content)
    rows = read_or_refused(engine.connect(1), "a.parquet")
    assert rows in (None, 40)


@FUZZ
@given(st.binary(min_size=1, max_size=200), st.sampled_from(["a.csv", "a.jsonl", "a.json", "a.parquet", "a"]))
def test_random_bytes(con: engine.BaseBackend, content: bytes, name: str) -> None:
    write(name, content)
    assert read_or_refused(con, name) is None


CELL = st.one_of(
    st.text(max_size=12),
    st.sampled_from(
        [
            "",
            " ",
            "nan",
            "NULL",
            "1",
            "1.0",
            "-1",
            "1e5",
            str(2**63),
            "2020-01-01",
            "1577836800",
            "view",
            "'",
            "\\N",
        ]
    ),
)


@FUZZ
@given(st.lists(st.tuples(CELL, CELL, CELL, CELL, CELL), min_size=1, max_size=4))
def test_random_texts_in_each_column(con: engine.BaseBackend, cells: list[tuple[str, ...]]) -> None:
    target = io.StringIO(newline="")
    writer = csv.writer(target, quoting=csv.QUOTE_ALL, lineterminator="\n")
    writer.writerow(["user_id", "item_id", "timestamp", "event", "quantity"])
    writer.writerows(cells)
    write("a.csv", target.getvalue().encode("utf-8", "surrogatepass"))
    assert read_or_refused(con, "a.csv") in (None, len(cells))


@FUZZ
@given(
    st.lists(
        st.fixed_dictionaries({"user_id": CELL, "item_id": CELL, "timestamp": CELL}), min_size=1, max_size=3
    )
)
def test_random_texts_in_json(con: engine.BaseBackend, lines: list[dict[str, str]]) -> None:
    write("a.jsonl", "".join(json.dumps(line) + "\n" for line in lines))
    assert read_or_refused(con, "a.jsonl") in (None, len(lines))


KEYS = [
    "data",
    "format",
    "columns",
    "timezone",
    "event",
    "weights",
    "where",
    "join",
    "also",
    "between",
    "items",
    "users",
    "source",
]
INNER = [
    *KEYS,
    "kind",
    "names",
    "header",
    "user_id",
    "item_id",
    "timestamp",
    "column",
    "unit",
    "values",
    "view",
    "keep",
]
LEAF = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=8),
    st.sampled_from([*INNER, "a.csv", "csv"]),
)
TREE = st.recursive(
    LEAF,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.sampled_from(INNER) | st.text(max_size=4), inner, max_size=3),
    ),
    max_leaves=8,
)


@settings(FUZZ, max_examples=100)
@given(st.dictionaries(st.sampled_from(KEYS), TREE, max_size=4))
def test_random_mappings(con: engine.BaseBackend, mapping: dict[str, object]) -> None:
    write("a.csv", CSV)
    write("my.yml", json.dumps(mapping))
    assert read_or_refused(con, "a.csv", "my.yml") in (None, 40, 80)  # also: {data: a.csv}


@FUZZ
@given(
    st.one_of(st.binary(max_size=60), st.text(max_size=60).map(lambda text: text.encode("utf-8", "replace")))
)
def test_random_yaml(con: engine.BaseBackend, content: bytes) -> None:
    write("a.csv", CSV)
    write("my.yml", content)
    assert read_or_refused(con, "a.csv", "my.yml") in (None, 40)


def test_splices_are_not_all_refused() -> None:
    """The random tests would prove nothing if every splice were refused."""
    rng = random.Random(3)
    con = engine.connect(1)
    read = 0
    for _ in range(10):
        at = rng.randrange(len(HEADER), len(CSV))
        write("a.csv", CSV[:at] + "7" + CSV[at:])
        read += read_or_refused(con, "a.csv") is not None
    assert read > 0
