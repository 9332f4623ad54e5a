"""A real Spark on the loopback address: a standalone master and two workers, each a process of its own."""

import os
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

START_SECONDS = 120
QUICK_JAVA = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC"  # starts fast, and nothing here runs for long


@dataclass(frozen=True)
class Cluster:
    """The processes of a running cluster.

    Attributes
    ----------
    address
        Of the master, for `engine.connect(engine="spark", spark_master=address)`.
    workers
        Process ids of the workers; the executors are their children.
    """

    address: str
    workers: list[int]


@contextmanager
def running_cluster(folder: Path, n_workers: int = 2) -> Iterator[Cluster]:
    """Start a master and workers with one core each, and stop them whatever happens.

    Parameters
    ----------
    folder
        For logs and scratch files of the processes.
    n_workers
        Number of workers.
    """
    port, web = free_port(), free_port()
    address = f"spark://127.0.0.1:{port}"
    with ExitStack() as started:
        master = ["org.apache.spark.deploy.master.Master", "--port", str(port), "--webui-port", str(web)]
        start(master, folder / "master", started)
        wait_for(folder / "master" / "log.txt", "I have been elected leader")
        homes = [folder / f"worker{number}" for number in range(n_workers)]
        workers = []
        for home in homes:
            worker = ["org.apache.spark.deploy.worker.Worker", "--cores", "1", "--memory", "700m"]
            worker += ["--webui-port", str(free_port()), "--work-dir", str(home / "work"), address]
            workers.append(start(worker, home, started))
        for home in homes:
            wait_for(home / "log.txt", "Successfully registered with master")
        yield Cluster(address, workers)


def start(command: list[str], home: Path, started: ExitStack) -> int:
    """Run a class of Spark's as a process that ends with the stack; its id."""
    import pyspark  # noqa: PLC0415, optional

    home.mkdir(parents=True)
    spark = Path(pyspark.__file__).parent
    environment = os.environ | {
        "SPARK_HOME": str(spark),
        "SPARK_LOCAL_IP": "127.0.0.1",
        "SPARK_DAEMON_MEMORY": "256m",
        "SPARK_DAEMON_JAVA_OPTS": QUICK_JAVA,
        "SPARK_LOCAL_DIRS": str(home),
    }
    host = ["--host", "127.0.0.1"]
    with (home / "log.txt").open("w") as log:
        process = subprocess.Popen(
            [str(spark / "bin" / "spark-class"), *command[:1], *host, *command[1:]],
            env=environment,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    started.callback(process.wait)
    started.callback(kill_family, process.pid)
    return process.pid


def kill_family(pid: int) -> list[int]:
    """Kill a process and its children at once, as a lost machine would; their ids."""
    try:
        parent = psutil.Process(pid)
        family = [parent, *parent.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []
    for process in family:
        if process.is_running():
            process.kill()
    return [process.pid for process in family]


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


def wait_for(log: Path, sentence: str) -> None:
    """Until a process says that it is ready."""
    deadline = time.monotonic() + START_SECONDS
    while sentence not in log.read_text(errors="replace"):
        if time.monotonic() > deadline:
            raise TimeoutError(f"Spark did not say {sentence!r}:\n{log.read_text(errors='replace')}")
        time.sleep(0.1)
