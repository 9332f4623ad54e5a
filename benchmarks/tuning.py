"""Equal budgets: contenders take turns at Optuna trials, and a csv log alone decides what is tried next."""

import ast
import csv
import io
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna
from optuna.distributions import BaseDistribution
from optuna.trial import TrialState, create_trial

from interest_lib.layout import written_whole
from interest_lib.schema import InputError

Row = dict[str, Any]
Turn = dict[str, Row]  # what each contender tries in a turn
KEYS = ("contender", "trial", "seed")


@dataclass(frozen=True)
class Search:
    """What is tried and how it is judged.

    Attributes
    ----------
    spaces : mapping of str to mapping of str to BaseDistribution
        The settings of each contender, and the values that they may have.
    first : mapping of str to dict
        The settings of each contender's first trial: what the study takes.
    judged_by : str
        The score that decides.
    maximise : bool
        Whether more of it is better.
    guided_by : sequence of str
        Scores that lead the search in turns, where several count; empty for `judged_by` alone.
    """

    spaces: Mapping[str, Mapping[str, BaseDistribution]]
    first: Mapping[str, Row]
    judged_by: str
    maximise: bool
    guided_by: Sequence[str] = ()

    def best(self, rows: Iterable[Row], by: str = "") -> Row:
        """The trial that won, by `judged_by` or another score; of equals the one that was tried first."""
        return (max if self.maximise else min)(rows, key=lambda row: row[by or self.judged_by])


def next_settings(search: Search, contender: str, done: list[Row], seed: int) -> Row:
    """What to try after the trials that are done, which alone decide it: a run that was cut short goes on."""
    space = dict(search.spaces[contender])
    if not done:
        return {name: search.first[contender][name] for name in space}
    guides = search.guided_by or (search.judged_by,)
    guide = guides[len(done) % len(guides)]
    sampler = optuna.samplers.TPESampler(seed=seed + len(done), n_startup_trials=5, multivariate=True)
    study = optuna.create_study(direction="maximize" if search.maximise else "minimize", sampler=sampler)
    for row in done:
        past, score = {name: row[name] for name in space}, row[guide]
        study.add_trial(
            create_trial(state=TrialState.COMPLETE, params=past, distributions=space, value=score)
        )
    return {name: _short(value) for name, value in study.ask(space).params.items()}


def _short(value: Any) -> Any:
    """Three digits are enough of any setting, and can be read."""
    return float(f"{value:.3g}") if isinstance(value, float) else value


def take_turns(
    search: Search, judge: Callable[[Turn], Iterable[tuple[str, Row]]], n_trials: int, seed: int, path: Path
) -> list[Row]:
    """Trials of all contenders, turn by turn, so that budgets are equal whenever the run is cut short.

    Parameters
    ----------
    search : Search
    judge : callable
        Gives the scores of every contender in a turn, in any order, each as soon as it is known.
    n_trials : int
        Trials of each contender, with those that the log already has.
    seed : int
        Of the search; one log has one.
    path : pathlib.Path
        The log, written anew after every trial.
    """
    rows = read(search, path, seed)
    for number in range(n_trials):
        done = {name: [row for row in rows if row["contender"] == name] for name in search.spaces}
        turn = {
            name: next_settings(search, name, own, seed) for name, own in done.items() if len(own) == number
        }
        for name, scores in judge(turn) if turn else ():
            rows.append({"contender": name, "trial": number, "seed": seed} | turn[name] | scores)
            write(search, path, rows)
            tried = ", ".join(f"{setting} {value}" for setting, value in turn[name].items())
            print(f"{number + 1}/{n_trials} {name}: {scores[search.judged_by]:.4f} with {tried}", flush=True)
    return rows


def read(search: Search, path: Path, seed: int) -> list[Row]:
    """The trials of an earlier start."""
    rows = _rows(path) if path.is_file() else []
    if any(row["seed"] != seed for row in rows):
        raise InputError(f"{path.name} was made with another seed than {seed}: give that, or another folder.")
    if any(
        row["contender"] not in search.spaces or not set(search.spaces[row["contender"]]) <= set(row)
        for row in rows
    ):
        raise InputError(
            f"{path.name} has other contenders or settings than this search: give another folder."
        )
    return rows


def _rows(path: Path) -> list[Row]:
    with path.open(newline="", encoding="utf-8") as file:
        return [{k: _value(text) for k, text in row.items() if text} for row in csv.DictReader(file)]


def _value(text: str) -> Any:
    """A value with the type that it was written with: numbers, True, None, tuples; all else is text."""
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text


def write(search: Search, path: Path, rows: list[Row]) -> None:
    """The log: a row for each trial, ordered by contender; settings that others have stay empty."""
    settings = dict.fromkeys(name for space in search.spaces.values() for name in space)
    scores = [name for name in rows[0] if name not in (*KEYS, *settings)]
    order = list(search.spaces)
    ordered = sorted(rows, key=lambda row: (order.index(row["contender"]), row["trial"]))
    texts = [{name: str(value) for name, value in row.items()} for row in ordered]
    write_rows(path, [*KEYS, *settings, *scores], texts)


def write_rows(path: Path, columns: Sequence[str], rows: Iterable[Mapping[str, str]]) -> None:
    """A csv, put in place as a whole; what a row does not have stays empty."""
    text = io.StringIO()
    table = csv.DictWriter(text, columns, restval="", lineterminator="\n")
    table.writeheader()
    table.writerows(rows)
    with written_whole(path) as beside:
        beside.write_text(text.getvalue(), encoding="utf-8")


def winners(search: Search, path: Path) -> dict[str, Row]:
    """The settings of each contender's best trial in a log."""
    rows = _rows(path)
    best = {name: search.best(row for row in rows if row["contender"] == name) for name in search.spaces}
    return {name: {setting: best[name][setting] for setting in search.spaces[name]} for name in best}


def summary(search: Search, rows: list[Row]) -> None:
    """The best trial of every contender beside its first."""
    for contender, space in search.spaces.items():
        own = [row for row in rows if row["contender"] == contender]
        best, first = search.best(own), own[0]
        told = ", ".join(f"{name} {best[name]}" for name in space)
        print(f"{contender}: trial {best['trial'] + 1} of {len(own)}, {told}")
        for name in (name for name in best if name not in (*KEYS, *space)):
            change = best[name] / first[name] - 1
            print(f"  {name} {best[name]:.4f}, untuned {first[name]:.4f}, {change:+.2%}")
