"""Print exact versions of all that the pip part of environment.yml asks for; `make lock` stores them."""

import hashlib
import json
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import yaml
from packaging.utils import canonicalize_name
from packaging.version import Version

ENVIRONMENT = Path(__file__).resolve().parents[1] / "environment.yml"


def pip_part() -> list[str]:
    """The requirements in environment.yml, without options such as `-c`."""
    parts = yaml.safe_load(ENVIRONMENT.read_text(encoding="utf-8"))["dependencies"]
    lines = next(part["pip"] for part in parts if isinstance(part, dict))
    return [line for line in lines if not line.startswith("-")]


def header() -> str:
    """First lines of the lock; the hash tells when environment.yml was changed without it."""
    digest = hashlib.sha256("\n".join(pip_part()).encode()).hexdigest()
    return f"# Made from environment.yml by `make lock`; do not edit.\n# pip part: sha256 {digest}"


def resolve(requirements: list[str]) -> list[str]:
    """What pip would install for the requirements in an empty environment."""
    with TemporaryDirectory() as folder:
        report = Path(folder, "report.json")
        command = [sys.executable, "-m", "pip", "install", "--dry-run", "--ignore-installed", "--quiet"]
        subprocess.run([*command, "--report", str(report), *requirements], check=True)
        found = [each["metadata"] for each in json.loads(report.read_text(encoding="utf-8"))["install"]]
    # without the local part of a version (`+cpu`), which belongs to one index and not to the others
    return sorted(f"{canonicalize_name(each['name'])}=={Version(each['version']).public}" for each in found)


if __name__ == "__main__":
    print(header(), *resolve(pip_part()), sep="\n")
