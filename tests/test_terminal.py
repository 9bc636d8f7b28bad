"""What is shown in a terminal: of any width, dark or light, while models are made and after."""

from __future__ import annotations

import io
import re
import sys
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

import unlearnbench as ub
from docs.builder.markdown import ROOT
from docs.builder.sizes import row
from tests.conftest import Cli
from unlearnbench.api.listener import Listener
from unlearnbench.api.request import Request, prepare
from unlearnbench.api.session import begin, look
from unlearnbench.cli import catalogue
from unlearnbench.cli.display import Display
from unlearnbench.cli.layout import lay_out, shortened
from unlearnbench.planning.purpose import purposes
from unlearnbench.planning.reading import read, shipped_benchmarks, sizes
from unlearnbench.reporting.tables.table import Table
from unlearnbench.scheduling.slots import Activity, Event, Slot


def shown_at(width: int, **console: Any) -> tuple[Table, str]:
    table = ub.load(ROOT / "results" / "digits@epyc-2").condition().table("main")
    into = io.StringIO()
    Display(Console(file=into, width=width, force_terminal=True, **console)).table(table)
    return table, into.getvalue()


@pytest.mark.parametrize("width", [60, 80, 100, 120, 200])
def test_the_table_is_whole_in_a_terminal_of_any_width(width: int) -> None:
    table, shown = shown_at(width, color_system=None)
    assert "…" not in shown
    rows = shown.partition(table.caption[:20])[0].splitlines()
    for label, *_, last in table.cells():
        (line,) = (one for one in rows if one.startswith(f"{label} "))
        assert line.endswith(last if width >= 100 else last.split()[0]), "numbers are whole"
    assert max(len(line.rstrip()) for line in shown.splitlines()) <= max(width, 80)
    assert ("Left out, as the terminal is narrow: Surest audit, Its gap" in shown) == (width < 200)
    assert (", Conf F, Conf T." in " ".join(shown.split())) == (width < 120)
    assert (len(rows) == len(table.cells()) + 2) == (width >= 100), "a line for each row"
    said, _, after = shown[shown.index(table.caption[:20]) :].partition("Left out")
    assert ("Surest audit: " in said) == (width == 200), "of columns shown, and of no other"
    assert width >= 120 or "Conf F, T: " not in " ".join(said.split())
    assert width == 200 or len(said.splitlines()) <= 4
    assert ("unlearnbench report digits@epyc-2." in " ".join(after.split())) == (width < 200)


def test_what_marks_mean_stays_in_a_caption_that_is_cut() -> None:
    table = ub.load(ROOT / "results" / "digits@epyc-2").condition().table("main")
    laid = lay_out(table, 80)
    caption = f"{table.caption} † Settings not tuned here: the defaults of their methods."
    assert shortened(caption, laid, 80).endswith("methods.") and len(caption) > 900
    more = "A table. Surest audit: the surest. Its interval is its own. Time: much. All of it."
    assert shortened(more, laid, 80) == "A table. Time: much. All of it."


def test_verdicts_are_coloured_but_where_that_is_unwanted(monkeypatch: pytest.MonkeyPatch) -> None:
    red = "\x1b[31mdifferent\x1b[0m"
    assert red in shown_at(120, color_system="standard")[1]
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b[3" not in shown_at(120, color_system="standard")[1]


def test_each_model_is_named_by_what_it_is_for() -> None:
    """No two alike; what all have in common is left out."""
    known = {}
    for name in ("digits", "digits-half", "digits-requests"):
        plan = prepare(Request(ub.benchmark(name, seeds=2), Path("data"), Path("results"))).plan
        known[name] = purposes(plan)
        assert len(set(known[name].values())) == len(plan.nodes)
    assert {"original 1", "reference 12", "amun for forget set 2"} <= set(known["digits"].values())
    assert "retrain 3 for forget set 1" in known["digits"].values()
    assert "amun for forget set 1, forget-only access" in known["digits-half"].values()
    assert "ft for forget set 2, full access, request 5" in known["digits-requests"].values()


def test_what_each_worker_does_is_shown_from_the_start(tmp_path: Path) -> None:
    request = Request(ub.benchmark("digits", seeds=1), tmp_path, tmp_path)
    outlook = look(request, *begin(request, Listener())[:2])
    into = io.StringIO()
    display = Display(Console(file=into, width=90, force_terminal=True, color_system="standard"))
    slots = [Slot(tmp_path / f"{number}.json", "cpu") for number in range(2)]
    with display.working(outlook, slots) as live:
        live.refresh()
        begun = into.getvalue()
        run = next(run for run, node in outlook.plan.nodes.items() if node.label == "amun")
        slots[0].busy(Activity(run, "amun", 2, 10))
        live.refresh()
        later = into.getvalue()[len(begun) :]
        display.ended(Event("done", run, "amun", 1.0))
        display.ended(Event("failed", run, "amun", 1.0, "no luck"))
    assert begun.count("starting a worker") == 2 and "36m" in begun, "its bar moves"
    assert "amun for forget set 1, epoch 2 of 10" in later
    ended = into.getvalue()
    assert "amun for forget set 1, 1.0 s" in ended and f"1.0 s ({run})  " in ended
    assert "38;2;249;38;114" not in ended, "no bar is red"


def test_a_terminal_cuts_no_word(monkeypatch: pytest.MonkeyPatch) -> None:
    into = io.StringIO()
    monkeypatch.setattr(into, "isatty", lambda: True)
    monkeypatch.setattr(sys, "stdout", into)
    monkeypatch.setenv("COLUMNS", "50")
    catalogue.benchmarks()
    lines = into.getvalue().splitlines()
    assert max(map(len, lines)) < 50
    words = {word for path in shipped_benchmarks().values() for word in read(path)["title"].split()}
    assert words <= {word for line in lines for word in line.split()}


def test_benchmarks_are_listed_with_what_they_take(inside: Cli) -> None:
    lines = inside("benchmarks").out.splitlines()
    assert lines[0] == "digits (no download)" and lines[1].split()[:3] == [
        "digits",
        "252",
        "models",
    ]
    assert lines[1].endswith("(the default)") and re.search(r" \d+ min ", lines[1])
    (tiny,) = (line for line in lines if line.startswith("tiny-imagenet ("))
    assert tiny == "tiny-imagenet (your files and a GPU)"
    assert set(sizes()) == set(shipped_benchmarks()), "written by: python -m docs.builder"
    assert sizes()["digits"] == {key: str(value) for key, value in row("digits").items()}


@pytest.mark.slow
def test_sizes_of_benchmarks_are_what_the_builder_writes() -> None:
    assert sizes() == {
        name: {key: str(value) for key, value in row(name).items()} for name in sizes()
    }
