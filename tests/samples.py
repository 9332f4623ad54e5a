"""Small samples of the public event logs, in the files of their sources to the byte, and what they hold.

Each maker writes a sample into a folder and says what a loader must find there. The oddities are those of the
sources; the people and most of the things in them are made up.
"""

import csv
import gzip
import io
import json
import random
import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

Row = dict[str, Any]


class Visit(NamedTuple):
    """Somebody turns to something: numbers of the user and the thing, and the moment, a naive time in UTC."""

    user: int
    item: int
    time: datetime


@dataclass(frozen=True)
class Sample:
    """What a loader must find: rows by our names and in our types, and how many it must leave out."""

    events: list[Row]
    items: list[Row] | None = None
    users: list[Row] | None = None
    removed: dict[str, int] = field(default_factory=dict)  # rows of each step that left any out


def visits(seed: str, start: datetime, users: int = 8, items: int = 10, days: int = 90) -> list[Visit]:
    """Each user comes on six days and turns to two things each time; no two visits share a second."""
    dice = random.Random(zlib.crc32(seed.encode()))
    found = []
    for user in range(users):
        # The first and the last day of the first user are fixed, so that a log is as long as it should be.
        chosen = dice.sample(range(1, days - 1), 4) + (
            [0, days - 1] if user == 0 else dice.sample(range(days), 2)
        )
        for day in sorted(set(chosen)):
            moment = start + timedelta(days=day, seconds=dice.randrange(3_600, 80_000))
            for step, item in enumerate(dice.sample(range(items), 2)):
                found.append(Visit(user, item, moment + timedelta(seconds=97 * step)))
    return found


def _time(visit: Visit) -> datetime:
    return visit.time


def seconds(time: datetime) -> int:
    """Epoch seconds of a naive time in UTC."""
    return int(time.replace(tzinfo=UTC).timestamp())


def write_rows(
    path: Path, rows: Iterable[Iterable[Any]], delimiter: str = ",", encoding: str = "utf-8"
) -> None:
    """Lines of joined texts, without any quotes."""
    text = "".join(delimiter.join(str(value) for value in row) + "\n" for row in rows)
    path.write_bytes(text.encode(encoding))


def write_csv(path: Path, header: str, rows: Iterable[Any], quoting: Any = csv.QUOTE_MINIMAL) -> None:
    """CSV with quotes where they are needed, or everywhere; the header is a line as it stands in the file."""
    text = io.StringIO()
    csv.writer(text, quoting=quoting, lineterminator="\n").writerows(rows)
    path.write_bytes(f"{header}\n{text.getvalue()}".encode())


_GENRES = "unknown|Action|Adventure|Animation|Children's|Comedy|Crime|Documentary|Drama|Fantasy|Film-Noir|"
_GENRES += "Horror|Musical|Mystery|Romance|Sci-Fi|Thriller|War|Western"
FILMS = [
    ("Toy Story (1995)", "Animation|Children's|Comedy"),
    ("GoldenEye (1995)", "Action|Adventure|Thriller"),
    ("Misérables, Les (1995)", "Drama|Musical"),
    ("unknown", "unknown"),
    ("Star Trek: First Contact (1996)", "Action|Adventure|Sci-Fi"),
    ("Cité des enfants perdus, La (1995)", "Adventure|Sci-Fi"),
    ("Postino, Il (1994)", "Drama|Romance"),
    ('"Who\'s there?" (1996)', "Comedy"),
    ("Fargo (1996)", "Crime|Drama|Thriller"),
    ("Big Night (1996)", "Drama"),
    ("Never Rated (1997)", "Documentary"),
]
OCCUPATIONS = ["technician", "other", "writer", "executive", "student", "educator", "lawyer", "none"]


def movielens_100k(folder: Path) -> Sample:
    """u.data by tabs, in no order; u.item and u.user by bars, in latin-1; genres as 19 flags."""
    seen = visits("movielens_100k", datetime(1997, 9, 20))
    random.Random(1).shuffle(seen)
    rated = [(visit.user + 196, visit.item + 1, visit.item % 5 + 1, visit.time) for visit in seen]
    write_rows(folder / "u.data", [(*row[:3], seconds(row[3])) for row in rated], "\t")
    films = []
    for number, (title, genres) in enumerate(FILMS, start=1):
        flags = [int(genre in genres.split("|")) for genre in _GENRES.split("|")]
        address = f"http://us.imdb.com/M/title-exact?{title.replace(' ', '%20')}"
        # Film 267 of the source is called unknown and has neither date nor address.
        known = ["", "", ""] if title == "unknown" else ["01-Jan-1995", "", address]
        films.append([number, title, *known, *flags])
    write_rows(folder / "u.item", films, "|", "latin-1")
    people = [
        [user + 196, 20 + 5 * user, "MF"[user % 2], OCCUPATIONS[user], 55105 + user] for user in range(8)
    ]
    people[3][4] = "V3N4P"  # some postcodes are Canadian
    write_rows(folder / "u.user", people, "|")
    return Sample(
        [_rated(*row) for row in rated],
        [{"item_id": film[0], "title": film[1]} for film in films],
        [
            {"user_id": who, "age": str(age), "gender": gender, "occupation": work}
            for who, age, gender, work, _ in people
        ],
    )


def _rated(user: int, item: int, rating: float, time: datetime) -> Row:
    return {"user_id": user, "item_id": item, "timestamp": time, "event": "review", "rating": float(rating)}


def movielens_1m(folder: Path) -> Sample:
    """Fields between double colons; films in latin-1, with single colons in their titles."""
    seen = visits("movielens_1m", datetime(2000, 5, 1))
    rated = [(visit.user + 1, visit.item + 1, visit.item % 5 + 1, visit.time) for visit in seen]
    write_rows(folder / "ratings.dat", [(*row[:3], seconds(row[3])) for row in rated], "::")
    films = [(number, *film) for number, film in enumerate(FILMS, start=1)]
    write_rows(folder / "movies.dat", films, "::", "latin-1")
    ages = [1, 18, 25, 35, 45, 50, 56, 25]
    people = [(user + 1, "FM"[user % 2], ages[user], 20 - user, f"0{2460 + user}") for user in range(8)]
    write_rows(folder / "users.dat", people, "::")
    return Sample(
        [_rated(*row) for row in rated],
        [
            {"item_id": film, "title": title, "category": genres.split("|")[0]}
            for film, title, genres in films
        ],
        [
            {"user_id": who, "gender": gender, "age": str(age), "occupation": str(work)}
            for who, gender, age, work, _ in people
        ],
    )


def movielens_25m(folder: Path) -> Sample:
    """CSV in UTF-8 with a header; titles with commas and quotes are quoted; ratings go by halves."""
    seen = visits("movielens_25m", datetime(2015, 3, 1))
    rated = [(visit.user + 1, visit.item + 1, visit.item % 10 / 2 + 0.5, visit.time) for visit in seen]
    rows = [(*row[:3], seconds(row[3])) for row in rated]
    write_csv(folder / "ratings.csv", "userId,movieId,rating,timestamp", rows)
    films = [(number, *film) for number, film in enumerate(FILMS, start=1)]
    films[9] = (10, "Fabuleux destin d'Amélie Poulain, Le (2001)", "(no genres listed)")
    write_csv(folder / "movies.csv", "movieId,title,genres", films)
    return Sample(
        [_rated(*row) for row in rated],
        [
            {"item_id": film, "title": title, "category": genres.split("|")[0]}
            for film, title, genres in films
        ],
    )


def retailrocket(folder: Path) -> Sample:
    """Milliseconds; the transaction is empty but for purchases; properties are a long table in no order."""
    theirs = {"view": "view", "cart": "addtocart", "purchase": "transaction"}
    kinds = ["view", "view", "cart", "view", "purchase"]
    found, lines = [], []
    for number, visit in enumerate(visits("retailrocket", datetime(2015, 5, 3))):
        kind, time = kinds[number % 5], visit.time + timedelta(milliseconds=117 + number)
        order = number if kind == "purchase" else None
        found.append(_row(visit.user, visit.item + 100, time, kind) | {"basket_id": order})
        milliseconds = seconds(visit.time) * 1000 + 117 + number
        lines.append(
            (milliseconds, visit.user, theirs[kind], visit.item + 100, "" if order is None else order)
        )
    random.Random(2).shuffle(lines)
    lines.append(lines[0])  # the source repeats some rows
    write_csv(folder / "events.csv", "timestamp,visitorid,event,itemid,transactionid", lines)
    weeks = [1431226800000 + 604800000 * week for week in range(3)]
    lists: tuple[list[Any], list[Any]] = ([], [])
    items = []
    for item in range(100, 109):  # 109 has no properties
        last = 1300 + item
        snapshots = [(weeks[0], 7), (weeks[2], last), (weeks[1], 8)] if item % 2 else [(weeks[0], last)]
        lists[item % 2].extend((week, item, "categoryid", category) for week, category in snapshots)
        lists[item % 2].append((weeks[2], item, "888", "1116713 960601 n277.200"))
        lists[item % 2].append((weeks[2] + 1, item, "available", 1))
        lists[item % 2].append((weeks[1], item, "790", "n15360.000"))
        items.append({"item_id": item, "category": str(last)})
    for part, rows in enumerate(lists, start=1):
        write_csv(folder / f"item_properties_part{part}.csv", "timestamp,itemid,property,value", rows)
    write_csv(folder / "category_tree.csv", "categoryid,parentid", [(1400, 7), (7, "")])
    return Sample(found, items, removed={"exact duplicates": 1})


def _row(user: Any, item: Any, time: datetime, event: str) -> Row:
    return {"user_id": user, "item_id": item, "timestamp": time, "event": event}


def taobao(folder: Path) -> Sample:
    """No header; epoch seconds of nine days on the shop's clock; some of them are nonsense."""
    ours = {"pv": "view", "fav": "cart", "cart": "cart", "buy": "purchase"}
    kinds = ["pv", "pv", "fav", "pv", "cart", "buy", "pv"]
    found, lines = [], []
    for number, visit in enumerate(visits("taobao", datetime(2017, 11, 24, 16), users=12, days=9)):
        kind, category = kinds[number % 7], 2520377 + visit.item % 3
        found.append(_row(visit.user + 1, visit.item + 2268318, visit.time, ours[kind]))
        lines.append((visit.user + 1, visit.item + 2268318, category, kind, seconds(visit.time)))
    lines.append(lines[5])  # the source repeats 49 rows
    # It has 38 negative times and one of 2037. The others are the seconds just outside of the nine days.
    lines.extend((*lines[0][:4], time) for time in (-2134949234, 2122867355, 1511539199, 1512316800))
    lines.append((*lines[0][:4], 1511539200))
    found.append(_row(lines[0][0], lines[0][1], datetime(2017, 11, 24, 16), "view"))
    write_rows(folder / "UserBehavior.csv", lines)
    sold = sorted({(line[1], line[2]) for line in lines})
    items = [{"item_id": item, "category": str(category)} for item, category in sold]
    return Sample(found, items, removed={"exact duplicates": 1, "outside of the period": 4})


GOODS = [
    ("electronics.smartphone", "apple", 1081.98),
    ("appliances.environment.water_heater", "aqua", 33.20),
    ("", "shiseido", 35.79),
    ("furniture.living_room.sofa", "", 543.10),
    ("", "", 0.00),
]


def rees46(folder: Path) -> Sample:
    """A packed and a plain month; times with UTC behind; categories and brands that are missing."""
    kinds = ["view", "view", "cart", "remove_from_cart", "purchase"]
    found, months, removed = [], {"2019-Oct": [], "2019-Nov": [], "2019-Dec": []}, 0
    for number, visit in enumerate(visits("rees46", datetime(2019, 10, 1), items=5)):
        kind, (code, brand, price) = kinds[number % 5], GOODS[visit.item]
        item, user, session = (
            1004856 + visit.item,
            541312140 + visit.user,
            f"72d76fde-8bb3-4e00-8c23-{number:012d}",
        )
        session = "" if number == 7 else session  # a few rows have none
        line = (
            f"{visit.time:%Y-%m-%d %H:%M:%S} UTC",
            kind,
            item,
            2053013555631882655 + visit.item,
            code,
            brand,
            f"{price:.2f}",
            user,
            session,
        )
        months[f"{visit.time:%Y-%b}"].append(line)
        if kind == "remove_from_cart":
            removed += 1
            continue
        extra = {"basket_id": session or None, "value": price}
        found.append(_row(user, item, visit.time, kind) | extra)
    head = "event_time,event_type,product_id,category_id,category_code,brand,price,user_id,user_session"
    for month, lines in months.items():
        write_csv(folder / f"{month}.csv", head, sorted(lines))
    plain = folder / "2019-Oct.csv"
    (folder / "2019-Oct.csv.gz").write_bytes(gzip.compress(plain.read_bytes(), mtime=0))
    plain.unlink()
    (folder / "2019-Oct.csv.gz.sha256").write_text("0" * 64 + "  2019-Oct.csv.gz\n")  # as `fetch` leaves it
    items = [
        {
            "item_id": 1004856 + number,
            "category": code or None,
            "department": code.split(".")[0] or None,
            "brand": brand or None,
        }
        for number, (code, brand, _) in enumerate(GOODS)
    ]
    return Sample(found, items, removed={"event values": removed})


def amazon_reviews_2023(folder: Path) -> Sample:
    """JSON Lines, packed; texts in ASCII with escapes; products without price, categories, or metadata."""
    found, reviews = [], []
    for number, visit in enumerate(visits("amazon", datetime(2021, 1, 4))):
        user, product = f"AE{visit.user:026d}", f"B08{visit.item:07d}"
        time = visit.time + timedelta(milliseconds=923)
        rating = float(visit.item % 5 + 1)
        found.append(_row(user, product, time, "review") | {"rating": rating})
        review = {
            "rating": rating,
            "title": "Großartig",
            "text": 'It says "fun",<br />and is.\nTwice.',
            "images": [],
            "asin": f"B07{visit.item:07d}",
            "parent_asin": product,
            "user_id": user,
            "timestamp": seconds(visit.time) * 1000 + 923,
            "helpful_vote": number % 3,
            "verified_purchase": True,
        }
        if number % 4 == 0:
            address = "https://example.org/1._SL256_.jpg"
            review["images"] = [{"small_image_url": address, "attachment_type": "IMAGE"}]
        reviews.append(review)
    _write_packed(folder / "Video_Games.jsonl.gz", reviews)
    products, items = [], []
    for number in range(9):  # the tenth product has no metadata
        path = ["Video Games", f"PlayStation {number % 3}", "Games"] if number % 4 else []
        store = None if number == 3 else f"Store {number}"
        products.append(
            {
                "main_category": "Video Games" if number % 2 else "Computers",
                "title": f"Game {number}: café",
                "average_rating": 4.2,
                "rating_number": 15,
                "features": ["a, b", "c"],
                "description": [],
                "price": None if number % 2 else 19.99,
                "images": [],
                "videos": [],
                "store": store,
                "categories": path,
                "details": {"Brand": "X", "Release date": "May 1, 2020"},
                "parent_asin": f"B08{number:07d}",
                "bought_together": None,
            }
        )
        items.append(
            {
                "item_id": f"B08{number:07d}",
                "title": f"Game {number}: café",
                "brand": store,
                "department": products[-1]["main_category"],
                "category": path[1] if path else None,
                "subcategory": path[2] if path else None,
            }
        )
    _write_packed(folder / "meta_Video_Games.jsonl.gz", products)
    for name in ("Video_Games", "meta_Video_Games"):
        (folder / f"{name}.jsonl.gz.sha256").write_text("0" * 64 + f"  {name}.jsonl.gz\n")
    return Sample(found, items)


def _write_packed(path: Path, objects: list[Row]) -> None:
    text = "".join(json.dumps(entry) + "\n" for entry in objects)
    path.write_bytes(gzip.compress(text.encode(), mtime=0))


def instacart(folder: Path) -> Sample:
    """Orders apart from what is in them; some last orders are kept back; names with commas and quotes."""
    dice = random.Random(3)
    products = [
        (1, "Chocolate Sandwich Cookies", 61, 19),
        (2, "All-Seasons Salt", 104, 13),
        (3, "Robust Golden Unsweetened Oolong Tea", 94, 7),
        (4, "Smart Ones Classic Favorites Mini Rigatoni With Vodka Cream Sauce", 38, 1),
        (5, "Green Chile Anytime Sauce", 5, 13),
        (6, "Garlic & Herb, Low Sodium", 104, 13),
        (7, '\\"Constant\\" Black Tea Blend', 94, 7),
        (8, "Crème Brûlée", 61, 19),
    ]
    aisles = {
        61: "cookies cakes",
        104: "spices seasonings",
        94: "tea",
        38: "frozen meals",
        5: "marinades meat",
    }
    departments = {19: "snacks", 13: "pantry", 7: "beverages", 1: "frozen"}
    orders, prior, train, found = [], [], [], []
    for user in range(1, 9):
        last = 4 + user % 4
        for number in range(1, last + 1):
            order = 2539329 - 100 * user + 37 * number
            kind = "prior" if number < last else ("test" if user % 3 == 0 else "train")
            gap = "" if number == 1 else f"{dice.randrange(31)}.0"
            orders.append((order, user, kind, number, dice.randrange(7), f"{dice.randrange(24):02d}", gap))
            if kind == "test":
                continue
            for place, product in enumerate(dice.sample(range(1, 9), 3), start=1):
                (prior if kind == "prior" else train).append((order, product, place, int(number > 1)))
                found.append(
                    {
                        "user_id": user,
                        "item_id": product,
                        "event": "purchase",
                        "basket_id": order,
                        "basket_number": number,
                    }
                )
    head = "order_id,user_id,eval_set,order_number,order_dow,order_hour_of_day,days_since_prior_order"
    write_csv(folder / "orders.csv", head, orders)
    for name, rows in (("prior", prior), ("train", train)):
        head = "order_id,product_id,add_to_cart_order,reordered"
        write_csv(folder / f"order_products__{name}.csv", head, rows)
    write_csv(folder / "products.csv", "product_id,product_name,aisle_id,department_id", products)
    write_csv(folder / "aisles.csv", "aisle_id,aisle", aisles.items())
    write_csv(folder / "departments.csv", "department_id,department", departments.items())
    items = [
        {"item_id": number, "title": name, "category": aisles[aisle], "department": departments[part]}
        for number, name, aisle, part in products
    ]
    return Sample(found, items)


def tafeng(folder: Path) -> Sample:
    """Every field in quotes; days of the form 11/1/2000; ids with zeros in front."""
    ages, places = (
        ["45-49", "35-39", ">65", "<25", "", "30-34", "60-64", "50-54"],
        ["115", "Others", "Unknown"],
    )
    found, lines, people = [], [], {}
    for visit in sorted(visits("tafeng", datetime(2000, 11, 1), days=120), key=_time):
        customer, product = f"{1104905 + visit.user:08d}", f"{78895770025 + visit.item:013d}"
        day = visit.time.replace(hour=0, minute=0, second=0)
        amount, price, subclass = visit.item % 3 + 1, 30 + visit.item, 110411 + visit.item % 4
        found.append(
            _row(customer, product, day, "purchase") | {"quantity": float(amount), "value": float(price)}
        )
        place = places[(visit.user + (day.year > 2000)) % 3]  # people move
        people[customer] = {"user_id": customer, "age": ages[visit.user] or None, "region": place}
        lines.append(
            (
                f"{day.month}/{day.day}/{day.year}",
                customer,
                ages[visit.user],
                place,
                subclass,
                product,
                amount,
                24,
                price,
            )
        )
    head = '"TRANSACTION_DT","CUSTOMER_ID","AGE_GROUP","PIN_CODE","PRODUCT_SUBCLASS","PRODUCT_ID",'
    head += '"AMOUNT","ASSET","SALES_PRICE"'
    write_csv(folder / "ta_feng_all_months_merged.csv", head, lines, csv.QUOTE_ALL)
    sold = sorted({(line[5], line[4]) for line in lines})
    return Sample(
        found,
        [{"item_id": product, "category": str(subclass)} for product, subclass in sold],
        list(people.values()),
    )


def tafeng_baskets(folder: Path) -> Sample:
    """Baskets in order, as JSON in one line."""
    baskets: dict[str, list[list[int]]] = {}
    for visit in visits("tafeng_baskets", datetime(2000, 11, 1)):
        own = baskets.setdefault(str(visit.user + 1), [])
        if not own or len(own[-1]) == 2:
            own.append([])
        own[-1].append(visit.item)
    (folder / "tafeng_merged.json").write_text(json.dumps(baskets))
    return Sample(
        [
            {"user_id": int(user), "item_id": item, "event": "purchase", "basket_number": number}
            for user, own in baskets.items()
            for number, basket in enumerate(own, start=1)
            for item in basket
        ]
    )


def yoochoose(folder: Path) -> Sample:
    """No headers; times to the millisecond with Z; S, 0, a category or a brand as the context of a click."""
    contexts = ["S", "0", "3", "2089609894"]
    found, clicks, buys = [], [], []
    first: dict[int, str] = {}  # context of an item's first click; the later ones may differ
    for number, visit in enumerate(sorted(visits("yoochoose", datetime(2014, 4, 7), users=30), key=_time)):
        time, context = visit.time + timedelta(milliseconds=277), contexts[number % 4]
        session, item = number // 2 + 11, visit.item + 214536502
        found.append(_row(session, item, time, "view") | {"value": None, "quantity": None})
        clicks.append((session, f"{time:%Y-%m-%dT%H:%M:%S}.277Z", item, context))
        first.setdefault(item, context)
        if number % 10 == 3:
            later, price = time + timedelta(minutes=4), 12462 * (number % 3)  # some prices are 0
            found.append(
                _row(session, item, later, "purchase") | {"value": float(price), "quantity": number % 2 + 1.0}
            )
            buys.append((session, f"{later:%Y-%m-%dT%H:%M:%S}.277Z", item, price, number % 2 + 1))
    buys.append(buys[2])
    write_rows(folder / "yoochoose-clicks.dat", clicks)
    write_rows(folder / "yoochoose-buys.dat", buys)
    items = [{"item_id": item, "category": context} for item, context in first.items()]
    return Sample(found, items, removed={"exact duplicates of yoochoose-buys.dat": 1})


SAMPLES: dict[str, Callable[[Path], Sample]] = {
    make.__name__: make
    for make in (
        movielens_100k,
        movielens_1m,
        movielens_25m,
        retailrocket,
        taobao,
        rees46,
        amazon_reviews_2023,
        instacart,
        tafeng,
        tafeng_baskets,
        yoochoose,
    )
}
"""The maker of each preset's sample."""
