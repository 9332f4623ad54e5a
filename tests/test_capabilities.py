"""What a log can support, told in sentences."""

import json
import re
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from test_prepare import frame, own

from interest_lib import capabilities, datasets, engine, prepare

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def journey() -> prepare.CleanLog:
    return prepare.clean(datasets.load(engine.connect(2)))


def test_complete_journey_supports_everything(journey: prepare.CleanLog) -> None:
    found = capabilities.support(journey)
    assert [name for name, part in found.items() if not part["supported"]] == ["event_types"]
    assert found["categories"]["why"] == "The items of the log fall into 301 categories."


@pytest.mark.parametrize(
    ("part", "columns", "why"),
    [
        ("categories", {}, "The log names no categories."),
        ("categories", {"category": "x"}, "The log names one category only."),
        ("texts", {}, "The items of the log have 0 distinct descriptions in words; 20 are needed."),
        ("texts", {"category": [f"{i % 40}" for i in range(100)]}, "The items of the log have 0 distinct"),
        ("baskets", {"basket_id": [i % 7 for i in range(100)]}, "No user of the log comes back"),
        ("demographics", {}, "The log has no attributes that tell users apart."),
        ("validation", {}, "The log spans 99.0 days, and history, tuning and test need at least 102 days."),
        (
            "quarters",
            {},
            "The log spans 99.0 days, and 0 users are active in each of four periods of 29 days",
        ),
    ],
)
def test_what_a_log_lacks_is_told_in_a_sentence(
    tmp_path: Path, part: str, columns: dict[str, Any], why: str
) -> None:
    found = capabilities.support(
        prepare.clean(own(tmp_path, frame(**columns))), horizon_days=34, period_days=29
    )
    assert found[part]["supported"] is False
    assert found[part]["why"].startswith(why) and found[part]["why"].endswith(".")


def test_what_a_small_log_has_is_supported(tmp_path: Path) -> None:
    people = pd.DataFrame({"user_id": [0, 1, 99], "age": ["20", "30", "40"], "constant": "x"})
    rich = own(tmp_path, frame(category=[f"c{i % 11 % 3}" for i in range(100)]), people)
    log = prepare.clean(rich, horizon_days=33)
    found = capabilities.support(log, horizon_days=33, period_days=28)
    lacking = [name for name, part in found.items() if not part["supported"]]
    assert lacking == ["texts", "event_types", "profiles", "months", "quarters", "new_users", "groups"], (
        "seven users are too few for intervals"
    )
    assert found["demographics"]["why"] == "The log tells users apart by age."
    assert log.users["age"].fillna("-").tolist() == ["20", "30", *"-----"]


def test_a_log_without_times_supports_what_needs_none(tmp_path: Path) -> None:
    log = (
        frame(900)
        .drop(columns="timestamp")
        .assign(user_id=[i % 90 for i in range(900)], basket_number=[i // 90 + 1 for i in range(900)])
    )
    found = capabilities.support(prepare.clean(own(tmp_path, log)), min_baskets=10)
    assert [name for name, part in found.items() if part["supported"]] == [
        "baskets",
        "validation",
        "new_users",
    ]
    assert found["validation"]["why"].startswith("90 users have three baskets or more")
    assert "decay is counted in baskets" in found["times"]["why"]


def test_kinds_of_events_are_named_with_what_is_predicted(tmp_path: Path) -> None:
    log = own(tmp_path, frame(event=["view", "return", "cart", "view"] * 25))
    found = capabilities.support(prepare.clean(log, horizon_days=20))["event_types"]
    assert found["supported"] and found["why"].endswith("cart, return, view; what is predicted is the cart.")


def test_every_capability_says_which_notebooks_need_it() -> None:
    """The parts named in `PARTS` are those whose cells carry the tag."""
    needed: dict[str, set[str]] = {}
    for path in sorted(ROOT.glob("notebooks/*.ipynb")):
        for cell in json.loads(path.read_text("utf-8"))["cells"]:
            for tag in cell["metadata"].get("tags", []):
                if tag.startswith("needs:"):
                    needed.setdefault(tag.removeprefix("needs:"), set()).add(path.name[:2])
    told = {name: set(re.findall(r"\b0\d\b", part)) for name, part in capabilities.PARTS.items()}
    assert needed.keys() <= told.keys()
    for name, notebooks in needed.items():
        assert notebooks <= told[name], name
