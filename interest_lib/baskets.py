"""Baskets as JSON: who bought what in which order, without times."""

from typing import Final

import duckdb
from ibis.backends.duckdb import Backend
from ibis.util import gen_name

from interest_lib.files import DataFile, problem_of_json, read_baskets
from interest_lib.paths import plain
from interest_lib.schema import InputError

BASKET_COLUMNS: Final = ("user_id", "item_id", "basket_number")
"""What a file of baskets tells."""


def unfold_baskets(con: Backend, file: DataFile) -> str:
    """Items of JSON baskets, one a row and in their order.

    Parameters
    ----------
    con
        Connection from `engine.connect`.
    file
        ``{user: [[item, ...], ...]}``, oldest basket first, or a list of such lists of baskets.

    Returns
    -------
    str
        SQL name of a table of text with the columns `c0`, `c1` and `c2`, which are `BASKET_COLUMNS`. Users of
        a list are called 1, 2, ...; an empty basket has its number and no rows.

    Raises
    ------
    InputError
        No JSON, or something else than lists of lists of texts and numbers.

    Examples
    --------
    >>> from pathlib import Path
    >>> from tempfile import TemporaryDirectory
    >>> from interest_lib.engine import connect
    >>> from interest_lib.files import open_file
    >>> from interest_lib.formats import FileFormat
    >>> con = connect()
    >>> with TemporaryDirectory() as folder:
    ...     path = Path(folder, "my.json")
    ...     _ = path.write_text('{"u": [[7], [8, 9]]}')
    ...     table = unfold_baskets(con, open_file(path, FileFormat(kind="baskets")))
    >>> con.raw_sql(f"FROM {table}").fetchall()
    [('u', '7', '1'), ('u', '8', '2'), ('u', '9', '2')]
    """
    text = read_baskets(file.path, file.form.encoding)
    name = gen_name("baskets")
    try:
        con.con.execute(f"CREATE TEMP TABLE {name}_document AS SELECT ?::VARCHAR AS j", [text])
        _unfold_baskets(con.con, file, text, name)
    except duckdb.OutOfMemoryException:
        raise
    except duckdb.Error:
        raise problem_of_json(file.path, text) from None
    finally:
        for step in ("document", "users", "baskets"):
            con.con.execute(f"DROP TABLE IF EXISTS {name}_{step}")
    return name


def _unfold_baskets(database: duckdb.DuckDBPyConnection, file: DataFile, text: str, name: str) -> None:
    """From the document to users, from users to baskets, from baskets to items, each level checked."""
    if not database.execute(f"SELECT json_valid(j) FROM {name}_document").fetchall()[0][0]:
        raise problem_of_json(file.path, text)
    outside, users = ("$[*]", "generate_subscripts(json_extract(j, '$[*]'), 1)::VARCHAR")
    if not text.lstrip().startswith("["):
        outside, users = "$.*", "unnest(json_keys(j))"
    database.execute(
        f"CREATE TEMP TABLE {name}_users AS "
        f"SELECT {users} AS u, unnest(json_extract(j, '{outside}')) AS x FROM {name}_document"
    )
    twice = f"SELECT trim(u) FROM {name}_users GROUP BY ALL HAVING count(*) > 1 ORDER BY ALL LIMIT 1"
    for (user,) in database.execute(twice).fetchall():
        raise InputError(
            f"{file.path}: user {plain(user)} stands there twice; join the two lists of baskets."
        )
    _check_level(database, file, f"{name}_users", "<> 'ARRAY'", "has no list of baskets")
    database.execute(
        f"CREATE TEMP TABLE {name}_baskets AS SELECT u, unnest(json_extract(x, '$[*]')) AS x, "
        f"generate_subscripts(json_extract(x, '$[*]'), 1) AS n FROM {name}_users"
    )
    _check_level(database, file, f"{name}_baskets", "<> 'ARRAY'", "has a basket that is no list")
    items = f"SELECT u, n, unnest(json_extract(x, '$[*]')) AS x FROM {name}_baskets"
    wrong = "IN ('ARRAY', 'OBJECT', 'NULL', 'BOOLEAN')"
    _check_level(database, file, f"({items})", wrong, "has an item that is neither text nor number")
    database.execute(
        f"CREATE TEMP TABLE {name} AS SELECT u AS c0, x ->> '$' AS c1, n::VARCHAR AS c2 FROM ({items})"
    )


def _check_level(
    database: duckdb.DuckDBPyConnection, file: DataFile, rows: str, wrong: str, told: str
) -> None:
    for (user,) in database.execute(f"SELECT u FROM {rows} WHERE json_type(x) {wrong} LIMIT 1").fetchall():
        raise InputError(
            f"{file.path}: user {plain(user)} {told}; write baskets as {{user: [[item, ...], ...]}}."
        )
