"""What a table is, its marks and its forms, from runs made by hand."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import pytest

from tests.hand import GROUP, by_hand, made, rows
from unlearnbench.errors import UserError
from unlearnbench.evaluation.findings import Condition
from unlearnbench.registry import discover
from unlearnbench.reporting import escape, tables
from unlearnbench.reporting.tables import TABLES


@pytest.fixture(scope="module")
def condition() -> Condition:
    return Condition(by_hand(), *GROUP)


def test_a_tables_first_cells_are_what_its_rows_are_of(condition: Condition) -> None:
    for design in TABLES.values():
        if table := design(condition):
            assert table.labels == [row[0] for row in table.cells()], design.name


def test_latex_is_booktabs_and_escaped(condition: Condition) -> None:
    text = made("main", condition).to_latex()
    parts = text.count(r"\begin{tabular}")
    assert text.count(r"\toprule") == text.count(r"\bottomrule") == parts
    assert text.count(r"\midrule") == 2 * parts, "below the head, and below what is no method"
    row = " ".join(line for line in text.splitlines() if line.startswith(r"my\_method"))
    assert r"& \textbf{52.5} & \textbf{\,$\pm$0.6} " in row
    assert r"& \textbf{96.5} & \textbf{\,$\pm$0.6} & 94.0 & \,$\pm$0.0 &" in row
    assert r"\label{tab:hand-main-full-10-r1}" in text and r"10~\% forgotten" in text
    assert r"\caption{Results: digits, small-cnn; 10~\% forgotten, full access (methods may" in text
    assert escape.latex(r"a_b & {50%} $x^2$ \x") == (
        r"a\_b \& \{50\%\} \$x\textasciicircum{}2\$ \textbackslash{}x"
    )


def test_markdown_marks_only_what_would_do_something() -> None:
    for plain in ("50.7 [46.4, 55.0] =", "my_method", "amun-adaptive", "< 0.001", "2.0 ±0.1, 5 %"):
        assert escape.markdown(plain) == plain
    assert escape.markdown("_a_ *b* a|b") == r"\_a\_ \*b\* a&#124;b"
    assert escape.markdown("two\nlines") == "two lines" and escape.markdown("# x") == r"\# x"
    assert escape.markdown("1. x") == r"1\. x" and escape.markdown("<b>") == "&lt;b>"


def test_numbers_with_a_sign_are_no_formulas() -> None:
    for number in ("-0.9 [-4.9, +3.2]", "+2.0 ±1.5", "-3", "+1.2 [+0.1, +2.3] ≠", "-1.5e-07"):
        assert escape.csv(number) == number
    for formula in ("=1+1", "-2+3+cmd|' /C calc'!A0", "+A1", "@SUM(1)", "-1-1", "\t=1"):
        assert escape.csv(formula) == "'" + formula


def test_latex_has_no_character_that_pdflatex_lacks() -> None:
    assert escape.latex("né ≤ 汉\x00") == r"né $\leq$ ??"
    assert escape.latex("-0.9 [-4.9, +3.2] l1-2") == "$-$0.9 [$-$4.9, +3.2] l1-2"


def test_tables_have_all_forms(condition: Condition) -> None:
    table = made("main", condition)
    assert table.to_csv().splitlines()[0].startswith("Method,Verdict,Surest audit,")
    assert "**" in table.to_markdown() and r"\textbf{" in table.to_latex()
    wide = replace(table, columns=[*table.columns, *table.columns[1:]]).to_latex()
    assert r"\begin{table*}" in wide and wide.count(r"\begin{tabular}") > 1
    assert wide.count("Method &") == wide.count(r"\begin{tabular}"), "rows are named in each"
    narrow = replace(table, columns=table.columns[:2]).to_latex()
    assert r"\begin{table}" in narrow and narrow.count(r"\begin{tabular}") == 1


SURE = '''
"""How sure models are of the forget samples."""

from unlearnbench.evaluation.findings import Condition
from unlearnbench.reporting.tables import register
from unlearnbench.reporting.tables.rows import by_label, marked
from unlearnbench.reporting.tables.table import Table, averaged, text


@register("sure", "How sure of forget samples")


def sure_table(condition: Condition) -> Table:
    """Show the forget accuracy alone."""
    names = ["forget_accuracy"]
    columns = [text("Method", "label"), *map(averaged, names)]
    return marked(condition, Table("Closest is best.", by_label(condition, names), columns))
'''


def test_a_table_is_one_file(
    condition: Condition, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sure.py").write_text(SURE)
    monkeypatch.setattr(tables, "__path__", [*tables.__path__, str(tmp_path)])
    try:
        discover("unlearnbench.reporting.tables")
        shown, _ = tables.section_tables(condition)
        assert (
            shown[-1].name == "sure-full-10-r1" and shown[-1].title == "How sure of forget samples"
        )
        assert rows(shown[-1])["my_method"] == ["96.5 ±0.6"] and "Bold: best" in shown[-1].caption
        with pytest.raises(UserError, match=r"Two tables are called 'main', in .*results and "):
            tables.register("main", "Mine")(lambda condition: None)
    finally:
        TABLES.pop("sure", None)
        sys.modules.pop("unlearnbench.reporting.tables.sure", None)
