"""Write a report: one folder with pages, tables and figures. The HTML page needs nothing else."""

import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import jinja2
from markdown_it import MarkdownIt
from markupsafe import Markup

from unlearnbench.evaluation.findings import Condition, Findings
from unlearnbench.evaluation.frames import listed
from unlearnbench.files import file_in, write_text
from unlearnbench.metrics.metric import COSTS, METRICS
from unlearnbench.planning.plan import REFERENCE_ROWS
from unlearnbench.reporting import escape, summary
from unlearnbench.reporting.figures import Drawing, drawings
from unlearnbench.reporting.figures.export import page_svg, tips, write_data, write_print
from unlearnbench.reporting.tables import section_tables
from unlearnbench.reporting.tables.results import failures_table, settings_table, tidy
from unlearnbench.reporting.tables.table import Table

PAGES = {"index.html": "page.html.j2"}
PAGES |= {f"{name}.md": f"{name}.md.j2" for name in ("report", "attacks", "reading")}
PLAIN = {"index.html": "plain.html.j2", "report.md": "plain.md.j2"}
"""Pages by the name of their file: which template each is made of."""
ROOM = "tables"
FORMS: dict[str, Callable[[Table], str]] = {
    "tex": Table.to_latex,
    "md": lambda table: f"{table.to_markdown()}\n",
    "csv": Table.to_csv,
}
"""Where tables are written, and in which forms, by the ending of their files."""
ALWAYS = ("", "https://arxiv.org/abs/2312.03262", "https://arxiv.org/abs/2112.03570")
"""What every report cites: this project, which has no address, RMIA (of FT AUC) and LiRA."""


@dataclass(frozen=True)
class Section:
    """Hold what is shown of one condition: main tables, figures, every attack in full.

    earlier: of a request before the last one of a sequence, of which the page has less.
    """

    heading: str
    tables: Sequence[Table]
    figures: Sequence[Drawing] = ()
    attacks: Sequence[Table] = ()
    suffix: str = ""
    earlier: bool = False


def write_report(
    findings: Findings, folder: Path, refresh: int = 0, figures: Collection[str] | None = None
) -> Path:
    """Write index.html, then Markdown pages, tables/, figures/ and findings.json; return the page.

    refresh: seconds after which an open page is read again; 0 for never. A page that will be
    written again soon has no figures beside it, which take longest. figures: names of those wanted,
    None for all.
    """
    every = findings.conditions
    last = {one.key[:2]: one for one in every}
    sections = [_section(one, figures, one is not last[one.key[:2]]) for one in every]
    about = summary.about(findings)
    made = [settings_table(findings), *filter(None, [failures_table(findings)])]
    whole = [replace(table, titles=findings.titles) for table in made]
    shown = about | {"findings": findings, "name": findings.benchmark.name, "whole": whole}
    shown |= {"title": findings.benchmark.title, "sections": sections, "refresh": refresh}
    shown["labels"] = list(dict.fromkeys(label for one in every for label in one.labels))
    asked = set(findings.benchmark.on_request)
    shown["main"] = [label for label in shown["labels"] if label not in asked]
    shown["terms"] = _as_html(_template(PAGES["reading.md"]).render(shown))
    shown["data"] = {
        "runs": {condition.suffix: _runs(condition) for condition in every},
        "settings": about["settings"],
        "main": shown["main"],
        "references": [label for label in REFERENCE_ROWS if label in shown["labels"]],
        "titles": {name: metric.heading for name, metric in (METRICS | COSTS).items()},
        "failures": findings.failures,
        "cite": {"always": _always(), "rows": entries(findings.papers)},
    }
    details = [table for section in sections for table in section.attacks]
    page = _write(folder, PAGES, [*details, *about["claimed"], *whole], **shown)
    for name, text in tidy(findings).items():
        write_text(folder / ROOM / f"{name}.csv", text)
    write_text(folder / "references.bib", bibliography(findings.papers))
    write_text(folder / "findings.json", findings.as_json())
    return page


def write_sections(title: str, said: list[str], sections: list[Section], folder: Path) -> Path:
    """Write a page of sections that is about more than one benchmark, with tables and figures."""
    every = [table for section in sections for table in section.tables]
    rows = [label for table in every if table.headings[0] == "Method" for label in table.labels]
    shown = {"title": title, "said": said, "sections": sections, "name": folder.name}
    return _write(
        folder, PLAIN, [], **shown, labels=list(dict.fromkeys(rows)), main=[], refresh=0, data={}
    )


def _section(condition: Condition, figures: Collection[str] | None, earlier: bool) -> Section:
    """Make all tables of one condition, and all figures or those that are named.

    Of a request before the last one there are none: what a sequence comes to is drawn with the
    last one, and how it comes there.
    """
    tables, details = section_tables(condition)
    drawn = [] if earlier else drawings(condition)
    wanted = [one for one in drawn if figures is None or one.figure.name in figures]
    return Section(condition.heading, tables, wanted, details, condition.suffix, earlier)


def _write(folder: Path, pages: Mapping[str, str], others: Iterable[Table], **shown: Any) -> Path:
    """Write pages with their tables and figures; return index.html.

    others: tables that stand in no section; shown: for templates, `data` of it for the script too.
    """
    drawn = [drawing for section in shown["sections"] for drawing in section.figures]
    # Labels are unique: two folders may be of one benchmark.
    tables = [table for section in shown["sections"] for table in section.tables]
    tables = [replace(table, benchmark=folder.name) for table in (*tables, *others)]
    absent = {t.name for section in shown["sections"] if section.earlier for t in section.attacks}
    on_page = [table for table in tables if table.name not in absent]
    shown["data"] |= {"tables": {table.name: table.pieces() for table in on_page}}
    contests = [one for t in on_page for one in (*t.contests.values(), *t.ranks.values())]
    shown["data"] |= {"contests": {one.name: one.as_data() for one in contests}}
    shown["data"] |= {"tips": {drawing.name: tips(drawing) for drawing in drawn}}
    for name, template in pages.items():
        write_text(folder / name, _template(template).render(shown))
    for table in tables:
        for kind, written in FORMS.items():
            write_text(file_in(folder / ROOM, f"{table.name}.{kind}"), written(table))
    if not shown["refresh"]:
        write_data(drawn, folder / "figures")
        write_print(drawn, folder / "figures")
    return folder / "index.html"


@cache
def _template(name: str) -> jinja2.Template:
    html = name.endswith(".html.j2")
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("unlearnbench.reporting", "pages"),
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        undefined=jinja2.StrictUndefined,
        autoescape=html,
        finalize=None if html else _written,
    )
    environment.policies["json.dumps_kwargs"] = {"sort_keys": True, "separators": (",", ":")}
    environment.globals |= {"svg": lambda drawing: Markup(page_svg(drawing))}
    environment.globals |= {"markdown": lambda table: Markup(table.to_markdown())}  # cells are safe
    return environment.get_template(name)


def _written(value: Any) -> Any:
    """Escape what anyone may have named; what we have written as Markdown stays."""
    return value if isinstance(value, Markup) else escape.markdown(str(value))


def _as_html(text: str) -> Markup:
    """Return a page of Markdown as part of another page, its headings one level lower."""
    parser = MarkdownIt("js-default")  # no HTML of a text gets through
    tokens = parser.parse(text)[
        len(("open", "title", "close")) :
    ]  # the other page has its own title
    for token in tokens:
        if token.type in ("heading_open", "heading_close"):
            token.tag = f"h{int(token.tag[1:]) + 1}"
    return Markup(parser.renderer.render(tokens, parser.options, {}))


def _runs(condition: Condition) -> dict[str, list[Any]]:
    runs = condition.every_run
    shown = runs.loc[:, ~runs.columns.str.startswith("auc: ")].round(4)
    sources = [condition.findings.details[run].get("source") for run in runs["run"]]
    return listed(shown) | {"source": sources}


def entries(papers: Mapping[str, str]) -> dict[str, str]:
    """Return the BibTeX entry of each row's paper.

    papers: address by row. A paper that is not in papers.bib is cited by its address; a row without
    one has no entry.
    """
    found = {}
    for label, paper in papers.items():
        if paper:
            name, title = escape.label(label), escape.latex(label)
            address = re.sub(r"[{}\\\s]", "", paper)
            plain = f"@misc{{{name},\n  title = {{{title}}},\n  url = {{{address}}}\n}}"
            found[label] = _known().get(paper, plain)
    return found


def bibliography(papers: Mapping[str, str]) -> str:
    """Return a .bib file of everything, each entry once."""
    return "\n\n".join(dict.fromkeys([*_always(), *entries(papers).values()])) + "\n"


def _always() -> list[str]:
    return [_known()[paper] for paper in ALWAYS]


@cache
def _known() -> dict[str, str]:
    """Return the entries of papers.bib by address."""
    text = (files("unlearnbench.reporting") / "pages" / "papers.bib").read_text(encoding="utf-8")
    each = text.strip().split("\n\n")
    return {"".join(re.findall(r"url = \{(.*?)\}", entry)): entry for entry in each}
