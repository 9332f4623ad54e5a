"""The Ibis connection on which every table expression of the study runs."""

import ibis
from ibis.backends.duckdb import Backend


def connect(threads: int | None = None) -> Backend:
    """Open an in-memory DuckDB in which equal input gives equal output.

    Parameters
    ----------
    threads
        Worker threads; None takes as many as there are cores. Results do not depend on it.

    Returns
    -------
    ibis.backends.duckdb.Backend
        Its session zone is UTC and scans keep the order of the file, so that rows can be numbered as in it.

    Examples
    --------
    >>> connect(threads=1).raw_sql("SELECT current_setting('TimeZone')").fetchone()
    ('UTC',)
    """
    con = ibis.duckdb.connect() if threads is None else ibis.duckdb.connect(threads=threads)
    # Set after connecting: as a connect option the zone would look for an extension on the network.
    con.raw_sql("SET TimeZone = 'UTC'")
    con.raw_sql("SET preserve_insertion_order = true")
    return con
