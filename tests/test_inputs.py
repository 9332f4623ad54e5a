"""All files that a run reads are known, so that a change of any of them is seen."""

from pathlib import Path

import pytest
from study_maker import write_notebook, write_study

from interest_lib.inputs import files_of
from interest_lib.plan import Request, make_plan
from interest_lib.project import Project
from interest_lib.schema import InputError


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """A folder of two event files, with a mapping that names tables of items and users."""
    folder = tmp_path / "log"
    folder.mkdir()
    for month in ("01", "02"):
        (folder / f"{month}.csv").write_text("user_id,item_id,timestamp\n1,2,2024-01-01\n")
    (tmp_path / "things.csv").write_text("item_id\n2\n")
    (tmp_path / "people.csv").write_text("user_id\n1\n")
    (tmp_path / "my.yml").write_text("items: {data: things.csv}\nusers: {data: people.csv}\n")
    return tmp_path


def test_events_items_users_and_the_mapping_are_inputs(log: Path) -> None:
    found = files_of("", str(log / "log"), str(log / "my.yml"))
    assert [path.name for path in found] == ["my.yml", "01.csv", "02.csv", "things.csv", "people.csv"]
    assert [path.name for path in files_of("", str(log / "log" / "0*.csv"))] == ["01.csv", "02.csv"]
    assert files_of("marketplace") == []
    (log / "people.csv").unlink()
    with pytest.raises(InputError, match=r"people\.csv"):
        files_of("", str(log / "log"), str(log / "my.yml"))


@pytest.mark.parametrize("name", ["log/01.csv", "log/02.csv", "things.csv", "people.csv", "my.yml"])
def test_a_change_of_any_input_is_seen(log: Path, name: str, tmp_path: Path) -> None:
    root = write_study(tmp_path / "study")
    write_notebook(
        root, "01_data_prep", 'max_users: int = 5\ndataset: str = "x"\ndata: str = ""\nmapping: str = ""'
    )
    request = Request(data=log / "log", mapping=log / "my.yml")
    before = make_plan(Project(root), request).fingerprint("01_data_prep")
    assert make_plan(Project(root), request).fingerprint("01_data_prep") == before
    with (log / name).open("a") as file:
        file.write("\n")
    assert make_plan(Project(root), request).fingerprint("01_data_prep") != before
