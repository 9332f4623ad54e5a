"""Public event logs by name: where their files lie, and how they get there, each with its checksum."""

import os
import re
import sys
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from shutil import copyfileobj, rmtree

import pooch

from interest_lib.layout import project_root
from interest_lib.mapping import ColumnMapping, Download, Origin, TablePart, read_mapping
from interest_lib.schema import InputError, nearest


def presets() -> dict[str, Path]:
    """Names of the public event logs that can be loaded, with the mapping file of each.

    Examples
    --------
    >>> presets()["movielens_1m"].name
    'movielens_1m.yml'
    """
    return {path.stem: path for path in sorted((Path(__file__).parent / "presets").glob("*.yml"))}


def prepare(name: str) -> Path:
    """The folder with the files of a preset; those that are missing and have an address are fetched.

    `$INTEREST_DATA/<name>` is taken if all files are there, else `data/raw/<name>` in the project (in the
    working directory where there is none). A file comes there whole or not at all, whatever interrupts a
    download. Where no checksum is published, the SHA-256 of the first download is kept beside the file as
    `<file>.sha256`, and a later download that differs is refused.

    Parameters
    ----------
    name
        One of `presets`.

    Returns
    -------
    Path

    Raises
    ------
    InputError
        Unknown name; files that need a login; no network, a wrong checksum or a broken archive.

    Examples
    --------
    >>> prepare("movielens_1n")
    Traceback (most recent call last):
        ...
    interest_lib.schema.InputError: dataset movielens_1n is unknown; did you mean movielens_1m?
    """
    known = presets()
    if name not in known:
        raise InputError(f"dataset {name} is unknown; {nearest(name, known)}")
    folders = _folders(name)
    for folder in folders:
        if not _missing(read_mapping(known[name], folder)):
            return folder
    plan = read_mapping(known[name], folders[-1])
    origin = plan.source or Origin()
    if downloads := _wanted(plan, folders[-1]):
        _fetch(name, downloads, folders[-1], origin.about)
    if missing := [path.name for path in _missing(plan)]:
        how = origin.login or f"get what belongs to the files there from {origin.about}"
        raise InputError(
            f"dataset {name}: no {_listed(missing)} in {folders[0]}; {how}, and put the files there."
        )
    return folders[-1]


def _folders(name: str) -> list[Path]:
    """Where the files of a preset may lie; what is fetched goes into the last one."""
    try:
        root = project_root()
    except InputError:
        root = Path.cwd()
    own = os.environ.get("INTEREST_DATA", "")
    return [Path(own).expanduser() / name] * bool(own) + [root / "data" / "raw" / name]


def _needed(plan: ColumnMapping) -> list[Path]:
    """Files, folders and patterns that a mapping names."""
    tables = (plan.events, *plan.also, plan.items, plan.users)
    return list(dict.fromkeys(path for table in tables if table for path in _data_of(table)))


def _data_of(table: TablePart) -> Iterator[Path]:
    if table.data is not None:
        yield table.data
    for join in table.joins:
        yield from _data_of(join.part)


def _missing(plan: ColumnMapping) -> list[Path]:
    """Those behind which there is nothing."""
    return [path for path in _needed(plan) if not _is_there(path)]


def _is_there(path: Path) -> bool:
    if path.is_dir():
        return any(entry.suffix != ".sha256" and entry.name[0] != "." for entry in path.iterdir())
    return path.exists() or any(path.parent.glob(path.name))


def _wanted(plan: ColumnMapping, folder: Path) -> list[Download]:
    """The downloads that bring what is missing.

    A pattern stands for files of the user's choice, one department of many, say. Where only a part of them is
    at hand, what we would fetch need not belong to it: nothing is fetched then.
    """
    missing, downloads = _missing(plan), plan.source.fetch if plan.source else ()
    if missing == _needed(plan):
        return list(downloads)
    return [
        download for download in downloads if any(folder / name in missing for name in _files_of(download))
    ]


def _files_of(download: Download) -> list[str]:
    """Names of the data files that a download leaves in the folder."""
    return [PurePosixPath(member).name for member in download.unpack or (download.address,)]


def _fetch(name: str, downloads: list[Download], folder: Path, about: str) -> None:
    """Bring files into a folder: all or none, so that no later run takes a part for the whole."""
    partial = folder / ".partial"
    names = [file for download in downloads for file in _files_of(download)]
    by_hand = f"try again later, or get {_listed(names)} from {about} and put the files into {folder}."
    try:
        partial.mkdir(parents=True, exist_ok=True)
        for download in downloads:
            names.append(_download(f"dataset {name}", download, partial, by_hand))
        for file in names:
            if file and (partial / file).exists():
                (partial / file).replace(folder / file)
        rmtree(partial)
    except OSError as error:
        raise InputError(
            f"dataset {name}: {folder} cannot be written ({error.strerror}); make room or see to permissions."
        ) from None


def _download(where: str, download: Download, folder: Path, by_hand: str) -> str:
    """Get one file, check it and unpack it; the name of the file with its first checksum, if it has one."""
    archive = folder / PurePosixPath(download.address).name
    first = folder.parent / f"{archive.name}.sha256"
    kept = first.read_text().split()[:1] if first.is_file() else []
    known = download.checksum or (f"sha256:{kept[0]}" if kept else None)
    where = f"{where}: {download.address}"
    pooch.get_logger().setLevel("WARNING")
    try:
        pooch.retrieve(
            download.address,
            known_hash=known,
            fname=archive.name,
            path=folder,
            downloader=pooch.HTTPDownloader(progressbar=sys.stderr.isatty()),
        )
    except ValueError as error:
        sums = re.search(r"expected (\S+) but got (\w+)", str(error))
        told = f"{sums[1]} was expected, {sums[2]} came" if sums else str(error)
        new = "" if download.checksum else f"delete {first} if the publisher has changed the file, or "
        raise InputError(
            f"{where}: the checksum is wrong ({told}) and the file was removed; {new}{by_hand}"
        ) from None
    except OSError as error:
        if not hasattr(error, "request"):  # of the disk: those of requests are OSErrors, too
            raise
        raise InputError(f"{where}: {_complaint(error)}; {by_hand}") from None
    if not download.checksum:
        (folder / first.name).write_text(f"{pooch.file_hash(str(archive))}  {archive.name}\n")
    if download.unpack:
        _unpack(where, archive, download.unpack)
    return "" if download.checksum else first.name


def _complaint(error: OSError) -> str:
    status = getattr(getattr(error, "response", None), "status_code", None)
    if status is not None:
        return f"the server answers {status}"
    return f"no connection, or it broke off ({type(error).__name__})"


def _unpack(where: str, archive: Path, members: tuple[str, ...]) -> None:
    """Take the named members out of a zip archive, each to its bare name."""
    try:
        with zipfile.ZipFile(archive) as packed:
            for member in members:
                # Of the name only the last part is used, so nothing gets out of the folder.
                final = archive.parent / PurePosixPath(member).name
                with packed.open(member) as inside, final.open("wb") as outside:
                    copyfileobj(inside, outside)
    except KeyError:
        archive.unlink()
        raise InputError(f"{where}: {member} is not in the archive; look on the publisher's page.") from None
    except (zipfile.BadZipFile, zlib.error, EOFError) as error:
        archive.unlink()
        raise InputError(f"{where}: the archive is broken ({error}); it was removed, try again.") from None


def _listed(names: list[str]) -> str:
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)
