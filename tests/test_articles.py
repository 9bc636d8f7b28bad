"""Tables as an article has them: widths, rows and columns that are chosen, names, labels."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from matplotlib import pyplot as plt
from matplotlib.axes import Axes

import unlearnbench as ub
from unlearnbench.reporting.figures import FIGURES
from unlearnbench.reporting.tables.glyphs import ems
from unlearnbench.reporting.tables.papers import claims_tables
from unlearnbench.reporting.tables.results import settings_table
from unlearnbench.reporting.tables.table import Table, text
from unlearnbench.reporting.write import write_report

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def results() -> ub.Results:
    return ub.load(ROOT / "results" / "fashion-mnist@epyc-2")


@pytest.fixture(scope="module")
def main(results: ub.Results) -> Table:
    return results.condition().table()


class Noting(type(FIGURES["gaps"])):  # type: ignore[misc]
    """Draw nothing; note of which methods the data are."""

    def __init__(self, seen: list[set[str]]) -> None:
        self.seen = seen

    def draw(self, ax: Axes, data: pd.DataFrame, subject: Any) -> None:
        self.seen.append(set(data["method"]))


def body(text: str) -> list[str]:
    """Return the rows of a table, as their first cells."""
    return [
        line.partition(" &")[0] for line in text.splitlines() if re.match(r"\w.* & .*\\\\$", line)
    ]


def parts(text: str) -> int:
    return text.count(r"\begin{tabular}")


@pytest.mark.parametrize(
    ("text", "points"), [("inconclusive", 35.1), ("AMUN = AMUN-adaptive", 76.0)]
)
def test_text_is_as_wide_as_in_times(text: str, points: float) -> None:
    """Measured with pdflatex at 7 points."""
    assert 0.97 * points <= 7 * ems(text) <= 1.06 * points


def test_the_main_table_takes_the_width_that_it_is_given(main: Table) -> None:
    assert [parts(main.to_latex(width=width)) for width in (5.5, 6.75, 6.875)] == [2, 1, 1]
    narrow = main.to_latex(width=3.25)
    assert r"\begin{table}" in narrow and parts(narrow) == 1
    for heading in ("Verdict", "FT", "Test", "gap", "Time"):
        assert heading in narrow.partition(r"\toprule")[2]
    assert "Conf F" not in narrow, "neither the column nor what is said of it"
    assert "Conf F" in main.to_latex(width=3.25, columns=["Conf F"])


def test_methods_and_columns_are_chosen_by_any_of_their_names(main: Table) -> None:
    asked = {"methods": ["AMUN", "salun", "SCRUB"], "columns": ["Verdict", "Time", "FT AUC %"]}
    text = main.to_latex(**asked)  # type: ignore[arg-type]
    yardsticks = ["Method", "original", "retrain", "noise band", "held-out retrain"]
    assert sorted(body(text)) == sorted([*yardsticks, "AMUN", "SalUn", "SCRUB"])
    assert r"Method & Verdict & \multicolumn{2}{c}{Time $\downarrow$} &" in text
    assert "Surest audit" not in text.partition(r"\label")[2] and "Time:" in text
    for wrong, message in (
        ({"methods": ["amum"]}, "Unknown method 'amum'. Did you mean '"),
        ({"columns": ["Tset"]}, "Unknown column 'Tset'. Known: "),
        ({"width": 0.5}, "cannot be 0.5 inches wide"),
        ({"width": float("nan")}, "Give the width of the text in inches"),
    ):
        with pytest.raises(ub.UserError, match=re.escape(message)):
            main.to_latex(**wrong)


def test_figures_choose_methods_by_the_same_names(results: ub.Results) -> None:
    gaps = results.condition().plot.gaps
    seen: list[set[str]] = []
    figure = replace(gaps, figure=Noting(seen))
    figure(ax=plt.figure().add_subplot(), methods=["AMUN-adaptive", "salun"], metric="ft_auc")
    assert seen[0] - {"original", "retrain", "held-out retrain"} == {"amun", "salun"}
    with pytest.raises(ub.UserError, match=r"Unknown method 'amum'\. Did you mean"):
        gaps(methods="amum")
    plt.close("all")


def test_what_is_best_is_of_the_methods_shown(main: Table) -> None:
    def bold(text: str) -> set[str]:
        return {line.partition(" &")[0] for line in text.splitlines() if r"\textbf" in line}

    every = bold(main.to_latex())
    assert every and every != bold(main.to_latex(methods=["scrub", "ga", "delete"]))


def test_ranks_are_of_the_methods_shown(results: ub.Results) -> None:
    text = results.condition().table("versus").to_latex(methods=["ft", "ga"])
    (row,) = (line for line in text.splitlines() if line.startswith("GA &"))
    assert "& 2 &" in row or "& 1--2 &" in row


def test_pairs_and_claims_name_rows_as_an_article_does(results: ub.Results) -> None:
    pairs = (
        results.condition().table("pairs").to_latex(methods=["amun-closest", "neggrad-plus", "ft"])
    )
    assert pairs.count("AMUN-closest & ") + pairs.count("& AMUN-closest") == 2
    versus = results.condition().table("versus").to_latex()
    assert "Farther" in versus and "AMUN-closest" in versus and "amun-closest" not in versus
    (claims,) = claims_tables({"fashion-mnist": results.findings})
    assert not re.search(r"& (rl|ft|salun)\b", claims.to_latex())
    settings = replace(settings_table(results.findings), titles=results.findings.titles)
    rows = body(settings.to_latex())
    assert "NegGrad+" in rows and "neggrad-plus" not in rows
    with pytest.raises(ub.UserError, match="are no methods"):
        claims.to_latex(methods=["amun"])


def test_equal_rows_and_empty_columns_are_shown_once_or_not(results: ub.Results) -> None:
    condition = results.condition()
    text = condition.table().to_latex()
    assert (
        body(text).count("AMUN = AMUN-adaptive") == parts(text) and "\nAMUN-adaptive &" not in text
    )
    attack = condition.table("attack-rmia").to_latex()
    assert r"0.1 \%" not in attack.partition(r"\toprule")[2].partition(r"\bottomrule")[0], "n/a"
    assert "Flags" not in attack and r"Boundary Shrink$^\mathrm{a}$ &" in attack
    assert r"$^\mathrm{a}$ utility lost." in attack
    assert attack.count(r"\midrule") == 3 * parts(attack), (
        "below the head, before methods, controls"
    )


def test_every_note_of_a_few_rows_has_a_letter_of_its_own() -> None:
    frame = pd.DataFrame({"label": list("rstuvwxyz"), "flags": [f"why {n}" for n in range(9)]})
    table = Table(
        "Flags.", frame, [text("Method", "label"), replace(text("Flags", "flags"), aside=True)]
    )
    written = table.to_latex()
    signs = re.findall(r"((?:\$\^\\mathrm\{\w\}\$)+) why \d\.", written)
    assert len(set(signs)) == 9 and all(written.count(f"{sign} \\\\") for sign in signs)


def test_what_a_verdict_does_without_is_a_note() -> None:
    published = ub.load(ROOT / "results" / "cifar10-cpu@epyc-2")
    text = published.condition().table().to_latex()
    assert "equivalent* &" in text and "* U-LiRA not run." in text and "(U-LiRA" not in text


@pytest.mark.slow
def test_labels_and_captions_are_of_one_table(results: ub.Results, tmp_path: Path) -> None:
    folder = tmp_path / "fashion-mnist@here"
    page = write_report(results.findings, folder, refresh=5, figures=[])
    seen: dict[str, set[str]] = {"label": set(), "caption": set()}
    files = sorted((page.parent / "tables").glob("*.tex"))
    for file in files:
        text = file.read_text()
        for what, found in seen.items():
            said = re.findall(rf"\\{what}\{{(.*?)\}}(?=\n|\\)", text)[0]
            assert said not in found, file
            found.add(said)
        assert r"\label{tab:fashion-mnist-here-" in text
    assert len(files) > 20


def test_a_caption_stands_alone(main: Table) -> None:
    caption = re.search(r"\\caption\{(.*)\}", main.to_latex())
    assert caption
    for said in (
        "4,000 training, 400 forgotten, 4,000 test samples",
        "full access (methods may use the retain set)",
        "5 forget sets (seeds 1 to 5), each with 4 retrained models and a held-out one",
        "FT AUC by RMIA with 32 reference models",
        "Settings tuned on the benchmark's 4,000 validation samples",
        "Verdict: different if any audit finds",
    ):
        assert said in caption[1]
    assert r"10~\% forgotten" in caption[1]
    assert "forgotten, full" not in main.to_latex().partition(r"\bottomrule")[2]


def test_what_is_longer_than_a_page_goes_on(results: ub.Results) -> None:
    text = results.condition().table("verdicts").to_latex()
    assert r"\begin{longtable}" in text and text.startswith(
        r"% needs \usepackage{array,booktabs,long"
    )
    assert r"\endhead" in text and r"\begin{table" not in text


def test_a_cell_may_begin_with_a_bracket(main: Table) -> None:
    """Behind the end of a line TeX would read "[95 %]" as a length."""
    name = str(main.frame["label"].iloc[-1])
    text = replace(main, titles={name: "[mine]"}).to_latex()
    assert "\n{}[mine] &" in text and not re.search(r"\\\\\s*[\[*]", text)


def test_long_words_are_broken_where_their_column_ends(main: Table) -> None:
    name = str(main.frame["label"].iloc[-1])
    words = replace(main, titles={name: f"{'i' * 16}{'m' * 16}"}).to_latex(width=3.25)
    room = re.search(r"p\{(\d+)pt\}", words)
    assert room and int(room[1]) >= 16 * 7 * ems("m") - 1 and r"\allowbreak{}mmm" in words


def test_what_is_shown_in_a_console_is_short(results: ub.Results) -> None:
    condition = results.condition()
    assert repr(condition) == "<Condition fashion-mnist: 10 % forgotten, full access>"
    assert repr(condition.plot).startswith("<Plots: verdicts, ") and len(repr(condition.plot)) < 400
    assert repr(results) == "<Results fashion-mnist@epyc-2: 23 rows, 128 runs, 1 condition>"
    assert repr(condition.table()).startswith("<Table main-full-10-r1: ")
    assert len(repr(condition.plot.gaps)) < 1000
