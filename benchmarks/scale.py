"""One hundred million events on a small machine: how the study's pipeline compares with one bare query.

    python benchmarks/scale.py [--events 100000000] [--folder FOLDER]

Every part runs in a process of its own, so that its peak memory can be told. See README.md beside this file.
"""

import argparse
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import ibis
import psutil
import pyarrow.parquet as pq
from joblib import Parallel, delayed

from interest_lib import engine, queries
from interest_lib.blocks import blocks_of_users
from interest_lib.layout import write_json
from interest_lib.marketplace import Marketplace, generate
from interest_lib.schema import EVENT_WEIGHTS

RESULTS = Path(__file__).parent / "results" / "scale.json"
EVENTS_PER_USER = 500
N_JOBS = min(2, os.cpu_count() or 1)  # processes of the pipeline, threads of the bare query
HORIZON_DAYS, HALF_LIFE_DAYS, K = 28, 90, 10
BARE_GIB, WORKER_GIB = 5.0, 2.0  # DuckDB's own limits; a process needs somewhat more
BOUNDS = {
    "generation_seconds": 300.0,
    "pipeline_over_bare": 6.0,
    "pipeline_large_over_small": 12.0,
    "pipeline_peak_gib": 8.0,
}


def make(folder: Path, n_events: int) -> dict[str, Any]:
    """Generate a marketplace."""
    generate(Marketplace(n_users=n_events // EVENTS_PER_USER), folder)
    files = sorted((folder / "events").glob("*.parquet"))
    return {"files": len(files), "rows": sum(pq.read_metadata(path).num_rows for path in files)}


def order(folder: Path) -> dict[str, Any]:
    """The large log once more as most shops have it: in the order of time, a user's events all over it."""
    ordered = folder.parent / "by_time"
    (ordered / "events").mkdir(parents=True, exist_ok=True)
    shutil.copy(folder / "items.parquet", ordered / "items.parquet")
    con = engine.connect(threads=N_JOBS, memory_gib=BARE_GIB)
    con.raw_sql(f"""
        COPY (FROM read_parquet('{folder / "events"}/*.parquet') ORDER BY timestamp)
        TO '{ordered / "events"}/part-0.parquet' (FORMAT parquet)""")
    return {}


def bare(folder: Path) -> dict[str, Any]:
    """The least that a model of interest has to do: read the log once, sum it up by user and item."""
    con = engine.connect(threads=N_JOBS, memory_gib=BARE_GIB)
    con.raw_sql("SET preserve_insertion_order = false")
    groups, rows, value = con.raw_sql(f"""
        SELECT count(*), sum(events), sum(value) FROM (
            SELECT user_id, item_id, count(*) AS events, sum(value) AS value
            FROM read_parquet('{folder / "events"}/*.parquet') GROUP BY user_id, item_id)""").fetchone()
    return {"groups": groups, "rows": int(rows), "value": round(value)}


def pipeline(folder: Path) -> dict[str, Any]:
    """Clean, split, profile, decay and recommend, block of users by block of users."""
    con = engine.connect(memory_gib=WORKER_GIB)
    files = sorted((folder / "events").glob("*.parquet"))
    whole = con.read_parquet([str(path) for path in files])
    settings = Marketplace()
    until = datetime.fromisoformat(settings.start) + timedelta(days=settings.days)
    last = whole.filter(whole.timestamp < ibis.literal(until)).timestamp.max().execute()
    origin = last.normalize().to_pydatetime() - timedelta(days=HORIZON_DAYS)
    out = folder / "out"
    for old in (out, folder / "blocks"):
        shutil.rmtree(old, ignore_errors=True)
    for name in ("targets", "profile", "lists"):
        (out / name).mkdir(parents=True)
    queries.popularity(whole, origin).to_parquet(out / "popular.parquet")
    con.disconnect()
    # One thread within a block, one process for each core: sums stay small and come out equal.
    tasks = enumerate(blocks_of_users(files, folder / "blocks"))
    parts = Parallel(n_jobs=N_JOBS)(
        delayed(one_block)(block, number, until, origin, folder) for number, block in tasks
    )
    totals = {
        name: sum(part[name] for part in parts) for name in parts[0] if name not in ("process", "peak_gib")
    }
    peaks: dict[int, float] = {}
    for part in parts:
        peaks[part["process"]] = max(peaks.get(part["process"], 0.0), part["peak_gib"])
    return totals | {"blocks": len(parts), "workers_peak_gib": sum(peaks.values())}


def one_block(
    block: list[Path], number: int, until: datetime, origin: datetime, folder: Path
) -> dict[str, Any]:
    """The whole pipeline on all events of some users; the numbers of rows."""
    con = engine.connect(threads=1, memory_gib=WORKER_GIB)
    con.raw_sql("SET preserve_insertion_order = false")
    log = con.read_parquet([str(path) for path in block], hive_partitioning=False)
    items = con.read_parquet(str(folder / "items.parquet")).select("item_id", "category")
    popular = con.read_parquet(str(folder / "out" / "popular.parquet"))
    clean = con.create_table("clean", queries.clean(log, until)[0], temp=True)
    history, targets = queries.split(clean, origin, HORIZON_DAYS)
    known = history.inner_join(items, "item_id")
    profile = queries.interests(known, "category", origin, HALF_LIFE_DAYS, EVENT_WEIGHTS)
    interests = queries.interests(history, "item_id", origin, HALF_LIFE_DAYS, EVENT_WEIGHTS)
    decayed = con.create_table("decayed", interests.drop("share"), temp=True)
    users = con.create_table("users", clean.select("user_id").distinct(), temp=True)
    written = {
        "targets": targets,
        "profile": profile,
        "lists": queries.top_k(decayed, popular, K, users=users),
    }
    paths = {name: folder / "out" / name / f"part-{number:05d}.parquet" for name in written}
    for name, table in written.items():
        table.to_parquet(paths[name])
    rows = {"rows": log.count(), "kept": clean.count(), "decayed": decayed.count()}
    rows["users"] = users.count()
    counts = {name: int(count.execute()) for name, count in rows.items()}
    counts |= {name: pq.read_metadata(path).num_rows for name, path in paths.items()}
    con.disconnect()
    return counts | {"process": os.getpid(), "peak_gib": peak_gib()}


def peak_gib() -> float:
    """The most memory that this process has held."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024**2


PARTS: dict[str, Callable[..., dict[str, Any]]] = {
    "make": make,
    "order": order,
    "bare": bare,
    "pipeline": pipeline,
}


def timed(part: str, folder: Path, *numbers: int) -> dict[str, Any]:
    """Run a part in a fresh process: what it says, its seconds, and its peak memory in GiB."""
    command = [sys.executable, __file__, "--part", part, "--folder", str(folder)]
    if numbers:
        command += ["--events", str(numbers[0])]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    print(
        f"{part:10s} {folder.name:12s} {result['seconds']:8.1f} s {result['peak_gib']:6.2f} GiB", flush=True
    )
    return result


def run_part(part: str, folder: Path, n_events: int) -> None:
    begin = time.perf_counter()
    told = PARTS[part](folder, n_events) if part == "make" else PARTS[part](folder)
    seconds = time.perf_counter() - begin
    # Workers live at the same time as this process: the sum of their peaks is at least the peak of their sum.
    peak = peak_gib() + told.pop("workers_peak_gib", 0.0)
    print(json.dumps({**told, "seconds": seconds, "peak_gib": peak}))


def in_turns(folder: Path, n_rows: int, repeats: int) -> dict[str, Any]:
    """Run the bare query and the pipeline in turns."""
    runs = [(timed("bare", folder), timed("pipeline", folder)) for _ in range(repeats)]
    for base, work in runs:
        if not n_rows == base["rows"] == work["rows"]:
            raise SystemExit(f"rows differ: {n_rows}, {base['rows']}, {work['rows']}")
        if work["lists"] != K * work["users"]:
            raise SystemExit(
                f"{work['lists']} recommendations for {work['users']} users, {K} for each wanted"
            )
    counts = ("rows", "kept", "targets", "profile", "decayed", "lists", "users", "blocks")
    return {
        "bare_seconds": statistics.median(base["seconds"] for base, _ in runs),
        "bare_peak_gib": max(base["peak_gib"] for base, _ in runs),
        "pipeline_seconds": statistics.median(work["seconds"] for _, work in runs),
        "pipeline_peak_gib": max(work["peak_gib"] for _, work in runs),
        "repeats": repeats,
        **{name: runs[0][1][name] for name in counts},
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument(
        "--events", type=int, default=100_000_000, help="of the large log; the small has a tenth"
    )
    parser.add_argument(
        "--folder", type=Path, help="where to keep the logs (6 GB); a temporary one if left out"
    )
    parser.add_argument("--part", choices=PARTS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.part:
        run_part(options.part, options.folder, options.events)
        return 0
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.folder or Path(temporary)
        small_made = timed("make", folder / "small", options.events // 10)
        small = in_turns(folder / "small", small_made["rows"], repeats=3)
        made = timed("make", folder / "large", options.events)
        large = in_turns(folder / "large", made["rows"], repeats=1)
        timed("order", folder / "large")
        by_time = in_turns(folder / "by_time", made["rows"], repeats=1)
    if any(by_time[name] != large[name] for name in ("kept", "targets", "profile", "lists", "users")):
        raise SystemExit(f"the order of the log changes what comes out: {large}, {by_time}")
    found = {
        "generation_seconds": made["seconds"],
        "pipeline_over_bare": large["pipeline_seconds"] / large["bare_seconds"],
        "pipeline_over_bare_by_time": by_time["pipeline_seconds"] / by_time["bare_seconds"],
        "pipeline_large_over_small": large["pipeline_seconds"] / small["pipeline_seconds"],
        "pipeline_peak_gib": max(large["pipeline_peak_gib"], by_time["pipeline_peak_gib"]),
    }
    machine = {"cores": os.cpu_count(), "memory_gib": round(psutil.virtual_memory().total / 1024**3, 1)}
    RESULTS.parent.mkdir(exist_ok=True)
    write_json(
        RESULTS,
        {
            "bounds": BOUNDS,
            "found": found,
            "large": large,
            "large_by_time": by_time,
            "small": small,
            "machine": machine,
        },
    )
    for name, value in found.items():
        bound = BOUNDS.get(name, float("inf"))
        told = f", at most {bound:g}: {'met' if value <= bound else 'MISSED'}" if name in BOUNDS else ""
        print(f"{name:28s} {value:8.2f}{told}")
    return int(any(found[name] > bound for name, bound in BOUNDS.items()))


if __name__ == "__main__":
    sys.exit(main())
