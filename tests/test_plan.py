"""Planning a run: what is checked before anything is executed, and what makes a notebook out of date."""

import shutil
from pathlib import Path

import pytest
import yaml
from study_maker import STUDY, write_notebook, write_study

from interest_lib.layout import write_json
from interest_lib.plan import Plan, Request, make_plan
from interest_lib.project import Project
from interest_lib.schema import InputError


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return write_study(tmp_path / "study")


def plan(root: Path, library: Path | None = None, **request: object) -> Plan:
    return make_plan(Project(root, library), Request(**request))


def write_study_yml(root: Path, **changes: object) -> None:
    (root / "study.yml").write_text(yaml.safe_dump({**STUDY, **changes}, sort_keys=False))


def finish(plan: Plan, notebook: str) -> None:
    """Pretend that a notebook was executed."""
    folder = plan.artifacts / notebook
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "results.json").write_text("{}")
    write_json(folder / "stamp.json", {"fingerprint": plan.fingerprint(notebook), "files": ["results.json"]})


def test_inputs_come_first_and_otherwise_the_order_is_as_listed(root):
    write_study_yml(root, notebooks={"09_c": ["02_b", "01_a"], "02_b": ["01_a"], "01_a": None, "03_d": []})
    assert list(Project(root).inputs) == ["01_a", "02_b", "09_c", "03_d"]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("notebooks: [", "no valid YAML"),
        ("- a", "no 'default_dataset:'"),
        ("default_dataset: x\nprofiles: {}", "no 'notebooks:'"),
        ("default_dataset: x\nprofiles: {}\nnotebooks: {01_a: [07_z]}", "needs '07_z', which is not listed"),
        ("default_dataset: x\nprofiles: {}\nnotebooks: {01_a: [02_b], 02_b: [01_a]}", "needs it in turn"),
    ],
)
def test_a_study_yml_that_makes_no_sense_is_explained(root, text, sentence):
    (root / "study.yml").write_text(text)
    with pytest.raises(InputError, match=f"study.yml.*{sentence}"):
        Project(root)


def test_a_notebook_without_the_common_parameters_is_named(root):
    path = root / "notebooks/03_decay.ipynb"
    path.write_text(path.read_text().replace("out: str", "outer: str"))
    with pytest.raises(InputError, match=r"03_decay\.ipynb has no parameter 'out: str'"):
        plan(root)


def test_parameters_come_from_the_notebook_then_the_profile_then_the_command_line(root):
    made = plan(root, settings=("03.half_life_days=30", "09.seed=1"))
    assert made.parameters["03_decay"] == {
        **{"run": "full", "out": "", "seed": 7},
        **{"half_life_days": 30, "rate": 0.5},
    }
    assert made.changed("03_decay") == {"run": "full", "seed": 7, "half_life_days": 30}
    assert made.parameters["01_data_prep"]["max_users"] == 0
    assert made.parameters["09_findings"]["seed"] == 1
    assert plan(root, profile="tutorial").changed("01_data_prep") == {}


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        ("int", "-3", -3),
        ("float", "2", 2.0),
        ("float", "1e-3", 0.001),
        ("str", "90", "90"),
        ("str", "a=b", "a=b"),
        ("bool", "true", True),
        ("bool", "False", False),
        ("list", "[1, 'a']", [1, "a"]),
        ("list[float]", "[1, 0.5]", [1, 0.5]),
    ],
)
def test_values_on_the_command_line_are_read_as_their_type(root, kind, text, value):
    defaults = {"int": "0", "float": "0.0", "str": "''", "bool": "False"}
    write_notebook(root, "03_decay", f"x: {kind} = {defaults.get(kind, '[]')}")
    found = plan(root, profile="tutorial", settings=(f"03.x={text}",)).parameters["03_decay"]["x"]
    assert (found, type(found)) == (value, type(value))


@pytest.mark.parametrize(
    ("setting", "sentence"),
    [
        ("03.half_life=1", "03_decay: there is no parameter 'half_life'; did you mean 'half_life_days'?"),
        ("03.zzz=1", "there is no parameter 'zzz'; known are half_life_days, rate, seed"),
        ("03.half_life_days=ninety", "'half_life_days' has to be int, and 'ninety' is not"),
        ("03.half_life_days=1.5", "'half_life_days' has to be int, and 1.5 is not"),
        ("03.half_life_days=true", "'half_life_days' has to be int, and True is not"),
        ("03.rate=x", "'rate' has to be float, and 'x' is not"),
        ("08.x=1", "there is no notebook '08'; the study has 01, 03, 09"),
        ("half_life_days=1", "is not of the form NN.name=value"),
        ("03.run=x", "'run' is set by the runner"),
        ("03.out=x", "'out' is set by the runner; use --out"),
        ("01.data=x.csv", "use --data for files"),
    ],
)
def test_a_setting_that_does_not_fit_is_explained(root, setting, sentence):
    with pytest.raises(InputError) as error:
        plan(root, settings=(setting,))
    assert sentence in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("profile", "sentence"),
    [
        (
            {"03_decay": {"half_life_dais": 1}},
            "03_decay: there is no parameter 'half_life_dais'; did you mean",
        ),
        ({"03_decay": {"rate": "x"}}, "03_decay: 'rate' has to be float, and 'x' is not"),
        ({"04_decay": {"rate": 1}}, "there is no notebook '04_decay'; did you mean '03_decay'?"),
        ({"common": {"nobody_has_it": 1}}, "common: there is no parameter 'nobody_has_it'"),
        ({"common": {"run": "x"}}, "common: there is no parameter 'run'"),
    ],
)
def test_a_profile_that_does_not_fit_is_explained(root, profile, sentence):
    write_study_yml(root, profiles={"full": profile})
    with pytest.raises(InputError, match=r"profile 'full' in study\.yml") as error:
        plan(root)
    assert sentence in str(error.value)


def test_what_a_profile_says_of_one_notebook_wins_over_common_and_options_win_over_both(root):
    sections = {"01_data_prep": {"seed": 1, "dataset": "other"}, "common": {"seed": 2}}
    write_study_yml(root, profiles={"full": sections})
    found = plan(root, dataset="made_up").parameters
    assert (found["01_data_prep"]["seed"], found["03_decay"]["seed"]) == (1, 2)
    assert found["01_data_prep"]["dataset"] == "made_up"


def test_an_unknown_profile_is_explained(root):
    with pytest.raises(InputError, match=r"there is no profile 'ful'; did you mean 'full'\?"):
        plan(root, profile="ful")


def test_the_run_is_named_after_profile_or_data(root, tmp_path):
    log = tmp_path / "my log (2).csv"
    log.touch()
    assert plan(root).name == "full"
    assert plan(root, dataset="made_up").name == "full"
    assert plan(root, dataset="other", profile="tutorial").name == "other-tutorial"
    own = plan(root, data=log, profile="tutorial")
    assert own.name == "my-log-2-tutorial"
    assert own.parameters["01_data_prep"]["data"] == str(log)
    assert "data" not in own.parameters["03_decay"]
    assert plan(root, data=Path("shop/*/*.csv")).name == "shop"
    assert plan(root, data=Path("shop/sales-*.csv")).name == "sales"


@pytest.mark.parametrize(
    ("request_", "sentence"),
    [
        ({"data": Path("none.csv")}, "--data: there is no file none.csv"),
        ({"data": Path("full.csv")}, "'full' cannot be used"),
        ({"data": Path("study.yml"), "mapping": Path("none.yml")}, "--mapping: there is no file none.yml"),
        ({"mapping": Path("study.yml"), "dataset": "x"}, "--dataset excludes --data and --mapping"),
        ({"dataset": "../x"}, "'../x' cannot be used"),
        ({"only": ("7",)}, "there is no notebook '7'"),
        ({"first": "03", "only": ("01",)}, "leave no notebook to run"),
    ],
)
def test_a_request_that_cannot_be_met_is_explained(root, monkeypatch, request_, sentence):
    monkeypatch.chdir(root)
    with pytest.raises(InputError) as error:
        plan(root, **request_)
    assert sentence in str(error.value)


def test_a_part_of_the_study_can_be_chosen(root):
    assert plan(root, first="3").wanted == ("03_decay", "09_findings")
    assert plan(root, only=("09_findings", "01")).wanted == ("01_data_prep", "09_findings")


def test_the_command_can_be_typed_again(root):
    request = Request(profile="tutorial", data=Path("my log.csv"), settings=("03.rate=1",), first="03")
    assert request.command == (
        "python -m interest_lib run --profile tutorial --data 'my log.csv' --set 03.rate=1"
    )


def test_a_change_makes_a_notebook_and_those_behind_it_stale(root):
    made = plan(root)
    for notebook in made.project.inputs:
        finish(made, notebook)
    assert plan(root).stale() == []
    assert plan(root, settings=("03.rate=1.0",)).stale() == ["03_decay", "09_findings"]
    (made.artifacts / "03_decay/results.json").unlink()
    assert plan(root).stale() == ["03_decay"]
    finish(made, "03_decay")
    (root / "requirements.lock").write_text("numpy==2\n")
    assert plan(root).stale() == list(made.project.inputs)


def test_what_was_made_from_old_inputs_stays_stale_after_they_are_renewed(root):
    old = plan(root)
    for notebook in old.project.inputs:
        finish(old, notebook)
    write_notebook(root, "01_data_prep", "max_users: int = 2", "changed = True")
    renewed = plan(root)
    finish(renewed, "03_decay")  # as `--only 03` does, with what 01 left before
    assert renewed.stale() == ["01_data_prep", "03_decay", "09_findings"]
    finish(renewed, "01_data_prep")
    assert renewed.stale() == ["03_decay", "09_findings"]


def test_the_fingerprint_looks_at_source_and_tags_and_not_at_outputs(root):
    first = plan(root).fingerprint("03_decay")
    path = root / "notebooks/03_decay.ipynb"
    text = path.read_text()
    path.write_text(text.replace('"outputs": []', '"outputs": [{"output_type": "stream"}]'))
    assert plan(root).fingerprint("03_decay") == first
    path.write_text(text.replace('"parameters"', '"parameters", "needs:quarters"'))
    assert plan(root).fingerprint("03_decay") != first
    path.write_text(text.replace("What about", "How about"))
    assert plan(root).fingerprint("03_decay") != first


def test_the_fingerprint_looks_at_the_modules_that_a_notebook_imports(root, tmp_path):
    library = tmp_path / "interest_lib"
    library.mkdir()
    for name, source in {
        "__init__": "",
        "decay": "from .schema import x",
        "schema": "x = 1",
        "record": "import interest_lib.layout as where",
        "layout": "",
        "plots": "",
    }.items():
        (library / f"{name}.py").write_text(source)
    write_notebook(root, "03_decay", "", "%matplotlib inline\ndef f():\n    from interest_lib import decay")

    def changes(module: str) -> bool:
        before = plan(root, library).fingerprint("03_decay")
        with (library / f"{module}.py").open("a") as file:
            file.write("\n# changed\n")
        return plan(root, library).fingerprint("03_decay") != before

    assert {name: changes(name) for name in ("decay", "schema", "record", "layout", "plots")} == {
        **{"decay": True, "schema": True, "record": True, "layout": True},
        "plots": False,
    }
    write_notebook(root, "03_decay", "", "this is no Python")
    assert changes("plots")


def test_the_fingerprint_looks_at_the_content_of_files_of_the_project_that_a_parameter_names(root):
    write_notebook(root, "03_decay", 'half_life_days: int = 90\nrate: float = 0.5\ntuned: str = "log.csv"')
    before = plan(root).fingerprint("03_decay")
    (root / "log.csv").write_text("half_life_days\n60\n")
    written = plan(root).fingerprint("03_decay")
    (root / "log.csv").write_text("half_life_days\n90\n")
    assert len({before, written, plan(root).fingerprint("03_decay")}) == 3


def test_the_fingerprint_looks_at_the_content_of_own_data_and_not_at_the_place(root, tmp_path):
    for place in ("a", "b"):
        (tmp_path / place).mkdir()
        (tmp_path / place / "my.csv").write_text("user_id\n1\n")

    def fingerprint(place: str) -> str:
        return plan(root, data=tmp_path / place / "my.csv", out=tmp_path / place).fingerprint("01_data_prep")

    assert fingerprint("a") == fingerprint("b")
    (tmp_path / "b/my.csv").write_text("user_id\n2\n")
    assert fingerprint("a") != fingerprint("b")


def test_the_place_of_the_study_does_not_matter(root, tmp_path):
    copy = shutil.copytree(root, tmp_path / "copy")
    for notebook in Project(root).inputs:
        assert plan(root).fingerprint(notebook) == plan(copy, out=tmp_path).fingerprint(notebook)


def test_a_second_log_counts_when_it_comes_or_changes_and_may_be_missing(root, tmp_path, monkeypatch):
    write_notebook(root, "03_decay", 'other_log: str = "films"', "1")

    def missing(dataset: str) -> list[Path]:
        raise InputError(f"dataset {dataset}: there is none")

    monkeypatch.setattr("interest_lib.plan.files_of", missing)
    found = [plan(root).fingerprint("03_decay")]
    log = tmp_path / "ratings.dat"
    monkeypatch.setattr("interest_lib.plan.files_of", lambda dataset: [log])
    for ratings in ("1::2", "1::3"):
        log.write_text(ratings)
        found.append(plan(root).fingerprint("03_decay"))
    assert len(set(found)) == 3 and found[-1] == plan(root).fingerprint("03_decay")
