"""Makes tiny studies for the tests of the runner: made-up notebooks that take a second to execute."""

from pathlib import Path

import nbformat
import yaml

START = """\
from interest_lib import record

book = record.start("{name}", globals())"""
DATA = """\
import pandas as pd

book.write("events", pd.DataFrame({"user_id": [1, 2, 3][:max_users or 3]}))
book.write_json("data", {"dataset": "made_up", "sha256": "0" * 64})"""
DECAY = """\
events = book.read("01_data_prep", "events")
book.metric("decay.users", len(events))
print(len(events), "users at", half_life_days, "days")"""
# A figure without matplotlib, which would cost a second in every kernel.
FINDINGS = """\
import base64

from IPython.display import Image

PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)


class Picture:
    def savefig(self, path, **options):
        path.write_bytes(PNG)


decay = book.results("03_decay")["metrics"]
book.figure(Picture(), "headline")
book.claim("C10", statement="Decay helps | always.", verdict="mixed", effect="+1 %", evidence=["decay.users"],
           limits="Made up.")
Image(PNG)"""
SAVE = "print(book.save())"
COMMON = 'run: str = "tutorial"\nout: str = ""\nseed: int = 2017'
STUDY = {
    "default_dataset": "made_up",
    "notebooks": {"01_data_prep": [], "03_decay": ["01_data_prep"], "09_findings": ["03_decay"]},
    "profiles": {"tutorial": {}, "full": {"common": {"seed": 7}, "01_data_prep": {"max_users": 0}}},
}


def write_notebook(root: Path, name: str, parameters: str, *cells: str | tuple[str, list[str]]) -> Path:
    """Title, parameters cell, `record.start`, the given cells (with tags), and `save`."""
    markdown = nbformat.v4.new_markdown_cell(f"# What about {name}?\n\n[next](03_decay.ipynb)", id="title")
    first = nbformat.v4.new_code_cell(f"{COMMON}\n{parameters}", id="p", metadata={"tags": ["parameters"]})
    book = nbformat.v4.new_notebook(cells=[markdown, first])
    for number, cell in enumerate((START.format(name=name), *cells, SAVE)):
        source, tags = cell if isinstance(cell, tuple) else (cell, [])
        metadata = {"tags": tags} if tags else {}
        book.cells.append(nbformat.v4.new_code_cell(source, id=f"c{number}", metadata=metadata))
    path = root / "notebooks" / f"{name}.ipynb"
    path.parent.mkdir(exist_ok=True)
    nbformat.write(book, path)
    return path


def write_study(root: Path) -> Path:
    """A study of three notebooks in the folder `root`."""
    root.mkdir(parents=True, exist_ok=True)
    (root / "study.yml").write_text(yaml.safe_dump(STUDY, sort_keys=False))
    (root / "requirements.lock").write_text("numpy==1\n")
    data = 'dataset: str = "made_up"\ndata: str = ""\nmapping: str = ""\nmax_users: int = 2'
    write_notebook(root, "01_data_prep", data, DATA)
    write_notebook(root, "03_decay", "half_life_days: int = 90\nrate: float = 0.5", DECAY)
    write_notebook(root, "09_findings", "", FINDINGS)
    return root
