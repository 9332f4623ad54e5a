"""Files of the presets: fetched from a server on this machine, by pooch as it is."""

import errno
import hashlib
import io
import logging
import sys
import zipfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
import yaml

from interest_lib import fetch
from interest_lib.schema import InputError

LOG = b"user_id,item_id,timestamp\n1,2,2017-01-01\n"
SUM = hashlib.sha256(LOG).hexdigest()


class Shelf:
    """A server's files, what was asked of it, and the preset `log` that has its files there."""

    def __init__(self, folder: Path, address: str) -> None:
        self.root, self.address = folder, address
        self.files: dict[str, bytes] = {}
        self.cut: set[str] = set()  # their connection breaks halfway
        self.asked: list[str] = []

    @property
    def folder(self) -> Path:
        return self.root / "data" / "raw" / "log"

    def there(self) -> list[str]:
        return sorted(path.name for path in self.folder.iterdir()) if self.folder.exists() else []

    def preset(self, *downloads: dict[str, object], data: str = "events.csv", **more: object) -> None:
        listed = [{**entry, "address": f"{self.address}/{entry['address']}"} for entry in downloads]
        source = {"about": "https://example.org/log", "login": more.pop("login", ""), "fetch": listed}
        self.mapping.write_text(yaml.safe_dump({"data": data, "source": source, **more}))

    @property
    def mapping(self) -> Path:
        return self.root / "log.yml"


@pytest.fixture
def shelf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shelf]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            name = self.path.lstrip("/")
            found.asked.append(name)
            content = found.files.get(name)
            self.send_response(200 if content is not None else 404)
            self.send_header("Content-Length", str(len(content or b"")))
            self.end_headers()
            self.wfile.write((content or b"")[: 10 if name in found.cut else None])

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        found = Shelf(tmp_path, f"http://127.0.0.1:{server.server_port}")
        monkeypatch.setattr(fetch, "presets", lambda: {"log": found.mapping})
        monkeypatch.setattr(fetch, "project_root", lambda: tmp_path)
        monkeypatch.delenv("INTEREST_DATA", raising=False)
        Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield found
        server.shutdown()


def refusal() -> str:
    """What `prepare` says when it refuses: one sentence on one line."""
    with pytest.raises(InputError) as caught:
        fetch.prepare("log")
    told = str(caught.value)
    assert told.startswith("dataset log: ")
    assert told.endswith(".")
    assert "\n" not in told
    return told


def archive(**members: bytes) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as file:
        for name, content in members.items():
            file.writestr(name, content)
    return packed.getvalue()


def test_a_missing_file_is_fetched_once(shelf: Shelf) -> None:
    shelf.files["events.csv"] = LOG
    shelf.preset({"address": "events.csv", "checksum": f"sha256:{SUM}"})
    assert fetch.prepare("log") == shelf.folder
    assert (shelf.folder / "events.csv").read_bytes() == LOG
    assert shelf.there() == ["events.csv"]
    assert fetch.prepare("log") == shelf.folder
    assert shelf.asked == ["events.csv"]


def test_md5_is_a_checksum_too(shelf: Shelf) -> None:
    shelf.files["events.csv"] = LOG
    shelf.preset({"address": "events.csv", "checksum": f"md5:{hashlib.md5(LOG).hexdigest()}"})
    assert fetch.prepare("log") == shelf.folder


def test_a_wrong_checksum_leaves_nothing(shelf: Shelf) -> None:
    shelf.files["events.csv"] = LOG + b"3,4,2017-01-02\n"
    shelf.preset({"address": "events.csv", "checksum": f"sha256:{SUM}"})
    told = refusal()
    assert f"{shelf.address}/events.csv" in told
    assert SUM in told
    assert hashlib.sha256(shelf.files["events.csv"]).hexdigest() in told
    assert not list(shelf.folder.rglob("*.csv"))


def test_a_broken_connection_leaves_nothing(shelf: Shelf) -> None:
    shelf.files["events.csv"], shelf.cut = LOG, {"events.csv"}
    shelf.preset({"address": "events.csv", "checksum": None})
    told = refusal()
    assert "broke off" in told
    assert str(shelf.folder) in told
    assert not [path for path in shelf.folder.rglob("*") if path.is_file()]
    shelf.cut = set()
    assert (fetch.prepare("log") / "events.csv").read_bytes() == LOG


def test_a_file_that_moved_away(shelf: Shelf) -> None:
    shelf.preset({"address": "events.csv", "checksum": f"sha256:{SUM}"})
    told = refusal()
    assert "404" in told
    assert f"{shelf.address}/events.csv" in told
    assert "https://example.org/log" in told


def test_no_network(shelf: Shelf) -> None:
    shelf.address = "http://127.0.0.1:9"  # nobody listens there
    shelf.preset({"address": "events.csv", "checksum": f"sha256:{SUM}"})
    told = refusal()
    assert "no connection" in told
    assert f"get events.csv from https://example.org/log and put the files into {shelf.folder}" in told


def test_an_archive_is_unpacked_and_deleted(shelf: Shelf) -> None:
    shelf.files["log.zip"] = archive(**{"log/events.csv": LOG, "log/people.csv": b"1", "log/README": b"2"})
    digest = hashlib.sha256(shelf.files["log.zip"]).hexdigest()
    members = ["log/events.csv", "log/people.csv"]
    shelf.preset(
        {"address": "log.zip", "checksum": f"sha256:{digest}", "unpack": members},
        users={"data": "people.csv"},
    )
    fetch.prepare("log")
    assert shelf.there() == ["events.csv", "people.csv"]
    assert (shelf.folder / "events.csv").read_bytes() == LOG
    (shelf.folder / "people.csv").unlink()
    fetch.prepare("log")
    assert shelf.there() == ["events.csv", "people.csv"]


def test_no_member_gets_out_of_the_folder(shelf: Shelf) -> None:
    tricks = {"../../../events.csv": LOG, "../outside.csv": b"x", "/tmp/outside.csv": b"x"}
    shelf.files["log.zip"] = archive(**tricks)
    before = {path for path in shelf.root.rglob("*") if shelf.folder not in path.parents}
    shelf.preset({"address": "log.zip", "checksum": None, "unpack": ["../../../events.csv"]})
    fetch.prepare("log")
    assert shelf.there() == ["events.csv", "log.zip.sha256"]
    after = {path for path in shelf.root.rglob("*") if shelf.folder not in path.parents}
    assert {path.name for path in after - before} <= {"data", "raw", "log", "log.yml"}


def test_an_archive_without_the_member(shelf: Shelf) -> None:
    shelf.files["log.zip"] = archive(other=b"x")
    shelf.preset({"address": "log.zip", "checksum": None, "unpack": ["log/events.csv"]})
    assert "log/events.csv is not in the archive" in refusal()
    shelf.files["log.zip"] = archive(**{"log/events.csv": LOG})
    (shelf.folder / "log.zip.sha256").unlink(missing_ok=True)
    fetch.prepare("log")
    assert shelf.there() == ["events.csv", "log.zip.sha256"]


def test_what_is_no_archive(shelf: Shelf) -> None:
    shelf.files["log.zip"] = b"<html>Sorry</html>"
    shelf.preset({"address": "log.zip", "checksum": None, "unpack": ["log/events.csv"]})
    assert "the archive is broken" in refusal()
    shelf.files["log.zip"] = archive(**{"log/events.csv": LOG})
    fetch.prepare("log")
    assert (shelf.folder / "events.csv").read_bytes() == LOG


def test_the_first_sum_binds_where_none_is_published(shelf: Shelf) -> None:
    shelf.files["events.csv"] = LOG
    shelf.preset({"address": "events.csv", "checksum": None})
    fetch.prepare("log")
    sums = shelf.folder / "events.csv.sha256"
    assert sums.read_text() == f"{SUM}  events.csv\n"
    (shelf.folder / "events.csv").unlink()
    shelf.files["events.csv"] = LOG + b"3,4,2017-01-02\n"
    told = refusal()
    assert SUM in told
    assert f"delete {sums} if the publisher has changed the file" in told
    assert shelf.there() == [".partial", "events.csv.sha256"]
    sums.unlink()
    fetch.prepare("log")
    assert sums.read_text().split()[0] != SUM


def test_files_come_all_or_none(shelf: Shelf) -> None:
    """Else the next run would take one month for all of them."""
    shelf.files["a.csv"] = LOG
    shelf.preset({"address": "a.csv", "checksum": None}, {"address": "b.csv", "checksum": None}, data="*.csv")
    assert "b.csv" in refusal()
    assert shelf.there() == [".partial"]
    shelf.files["b.csv"] = LOG
    fetch.prepare("log")
    assert shelf.there() == ["a.csv", "a.csv.sha256", "b.csv", "b.csv.sha256"]
    assert shelf.asked == ["a.csv", "b.csv", "b.csv"]


def test_files_of_the_users_choice_are_not_mixed_with_ours(shelf: Shelf) -> None:
    downloads = [{"address": "meta_a.csv", "checksum": None}, {"address": "a.csv", "checksum": None}]
    shelf.preset(*downloads, data="[a-l]*.csv", items={"data": "meta_*.csv"})
    shelf.folder.mkdir(parents=True)
    (shelf.folder / "books.csv").write_bytes(LOG)
    assert "no meta_*.csv in" in refusal()
    assert shelf.asked == []
    (shelf.folder / "meta_books.csv").write_bytes(LOG)
    assert fetch.prepare("log") == shelf.folder


def test_a_folder_of_which_only_sums_are_left(shelf: Shelf) -> None:
    shelf.files["events.csv"] = LOG
    shelf.preset({"address": "events.csv", "checksum": None}, data=".")
    fetch.prepare("log")
    (shelf.folder / "events.csv").unlink()
    (shelf.folder / ".partial").mkdir()
    fetch.prepare("log")
    assert shelf.there() == ["events.csv", "events.csv.sha256"]
    (shelf.folder / "events.csv.sha256").write_text("")
    (shelf.folder / "events.csv").unlink()
    fetch.prepare("log")
    assert (shelf.folder / "events.csv.sha256").read_text().startswith(SUM)


def test_files_that_need_a_login(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    login = "log in at https://example.org, download both"
    joined = {"data": "orders.csv", "key": "order", "columns": {"user_id": "who"}}
    shelf.preset(login=login, join=joined)
    assert refusal() == (
        f"dataset log: no events.csv and orders.csv in {shelf.folder}; {login}, and put the files there."
    )
    shelf.folder.mkdir(parents=True)
    (shelf.folder / "events.csv").write_bytes(LOG)
    assert "no orders.csv in" in refusal()
    monkeypatch.setenv("INTEREST_DATA", str(shelf.root / "own"))
    assert str(shelf.root / "own" / "log") in refusal()


def test_further_events_need_their_files_too(shelf: Shelf) -> None:
    shelf.preset(login="download both", also=[{"data": "buys.csv", "event": "purchase"}])
    shelf.folder.mkdir(parents=True)
    (shelf.folder / "events.csv").write_bytes(LOG)
    assert "no buys.csv in" in refusal()
    (shelf.folder / "buys.csv").write_bytes(LOG)
    assert fetch.prepare("log") == shelf.folder


def test_own_folder_of_data_comes_first(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    shelf.files["events.csv"] = LOG
    shelf.preset({"address": "events.csv", "checksum": None}, data=".")
    own = shelf.root / "own" / "log"
    own.mkdir(parents=True)
    monkeypatch.setenv("INTEREST_DATA", str(own.parent))
    assert fetch.prepare("log") == shelf.folder  # for it holds nothing yet
    (own / "events.csv").write_bytes(LOG)
    assert fetch.prepare("log") == own
    assert shelf.asked == ["events.csv"]


def test_outside_of_a_project(shelf: Shelf, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def nowhere() -> Path:
        raise InputError("no study.yml")

    monkeypatch.setattr(fetch, "project_root", nowhere)
    monkeypatch.chdir(tmp_path)
    shelf.files["events.csv"] = LOG
    shelf.preset({"address": "events.csv", "checksum": None})
    assert fetch.prepare("log") == Path.cwd() / "data" / "raw" / "log"


def test_a_folder_that_cannot_be_written(shelf: Shelf) -> None:
    (shelf.root / "data").write_text("a file in the way")
    shelf.preset({"address": "events.csv", "checksum": None})
    assert f"{shelf.folder} cannot be written" in refusal()


def test_a_full_disk(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    shelf.preset({"address": "events.csv", "checksum": None})
    monkeypatch.setattr(fetch.pooch, "retrieve", full)
    assert "cannot be written (No space left on device); make room" in refusal()


def test_only_what_is_missing_is_fetched(shelf: Shelf) -> None:
    shelf.files |= {"events.csv": LOG, "people.csv": LOG}
    downloads = [{"address": name, "checksum": None} for name in ("events.csv", "people.csv")]
    shelf.preset(*downloads, users={"data": "people.csv"})
    shelf.folder.mkdir(parents=True)
    (shelf.folder / "events.csv").write_bytes(LOG)
    fetch.prepare("log")
    assert shelf.asked == ["people.csv"]


def test_progress_is_shown_on_a_terminal_only(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    fetch.pooch.get_logger().setLevel("INFO")  # what pooch would tell of itself
    shelf.files["events.csv"] = LOG
    shelf.preset({"address": "events.csv", "checksum": f"sha256:{SUM}"})
    fetch.prepare("log")
    assert capsys.readouterr() == ("", "")
    assert not fetch.pooch.get_logger().isEnabledFor(logging.INFO)
    (shelf.folder / "events.csv").unlink()
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    fetch.prepare("log")
    assert "100%" in capsys.readouterr().err


def test_an_unknown_name(shelf: Shelf) -> None:
    with pytest.raises(InputError, match=r"dataset logg is unknown; did you mean log\?"):
        fetch.prepare("logg")
