"""A page about each method: definition, sources, printed and measured numbers, verdicts."""

from __future__ import annotations

import ast
import inspect
import json
import re
from collections.abc import Iterable
from typing import Any

import unlearnbench as ub
from docs.builder import printed, published
from docs.builder.markdown import DOCS, table
from unlearnbench import outline, registry
from unlearnbench.audits.parts import audit_title
from unlearnbench.cli.catalogue import bounds, searched
from unlearnbench.outline import extra, settings_class
from unlearnbench.planning.plan import HELD_OUT, RETRAIN
from unlearnbench.reporting.tables.rows import by_label
from unlearnbench.reporting.tables.table import Table, averaged, number, with_interval
from unlearnbench.reporting.tables.table import text as text_column
from unlearnbench.reporting.write import entries

FOLDER = DOCS / "recipes"
NOTE = "<!-- Written by `python -m docs.builder`; do not edit. -->"
ABOUT = """Each page has what a method minimises, the source of every default, the differences
between paper and code, the numbers that papers printed, and ours. The last columns are verdicts
of the published reports; "(void)" stands where a control failed. [Are the methods
right?](../parity.md) compares each method, weight by weight, with a derivation by hand and a
plain port."""
LEGEND = r"""In all equations $D_F$ is the forget set, $D_R$ the retain set, $D_A$ the adversarial
examples of the forget set; $f_\theta$ is the model with weights $\theta$, $\theta_o$ are those of
the original, and $L(\theta; D)$ is the mean cross-entropy over a set. Losses are minimised by SGD
with the batch size, momentum, weight decay and augmentation of the benchmark's recipe, unless a
page says otherwise."""
ATTACKED = """AUCs, and average gaps with FT AUC, are by that paper's own attack (`rmia-paper`);
below they are by RMIA."""
SYMBOLS = "[All methods, and what the letters mean](README.md)"
COLUMNS = ("Name", "Default", "What it is", "Bounds", "Tuned in", "Default from")
SHOWN = ("forget_accuracy", "retain_accuracy", "test_accuracy", "ft_auc", "avg_gap")
WORDS = {"equivalent": "equivalent to retraining", "different": "different from retraining"}


def pages() -> dict[str, str]:
    """Return every page by its file name."""
    shipped = [one for one in registry.find("methods").values() if one.entry is None]
    return {"README.md": index(shipped)} | {f"{one.name}.md": page(one) for one in shipped}


def index(plugins: Iterable[registry.Plugin]) -> str:
    """Write the page that lists them all, with the verdicts of whole reports."""
    reports = published.whole()
    columns = ["Method", "Name to type", "What it does", "Needs $D_R$"]
    columns += [_headed(one) for one in reports]
    rows = [
        [
            f"[{settings_class(plugin).title or plugin.name}]({plugin.name}.md)",
            f"`{plugin.name}`",
            plugin.summary(),
            "yes" if settings_class(plugin).needs_retain else "no",
            *(outcome(plugin.name, results) for results in reports),
        ]
        for plugin in plugins
    ]
    listed = with_symbols(table(columns, rows))
    return f"{NOTE}\n\n# Methods\n\n{ABOUT}\n\n{listed}\n\n{LEGEND}\n"


def _headed(results: ub.Results) -> str:
    """Name a benchmark, and by which rule its verdicts are if that is not the one of today."""
    name = results.findings.benchmark.name
    return f"{name}: verdicts of 0.1.0" if published.of_before(results) else name


def page(plugin: registry.Plugin) -> str:
    """Write the page of one method."""
    method = settings_class(plugin)
    doc = paragraphs(method.__doc__ or "")
    equations = "\n\n".join(
        f"```math\n{line.strip()}\n```"
        for line in inspect.cleandoc(method.equation).splitlines()
        if line.strip()
    )
    none = "No benchmark file has published numbers for it."
    told = printed.of_method(plugin.name)
    run = "unlearnbench run" + ("" if plugin.name == RETRAIN else f" --methods {plugin.name}")
    sections = {
        "": f"{doc['summary']}\n\n```bash\n{run}\n```\n\n{doc['about']}{equations}\n\n{SYMBOLS}",
        "Source": f"{doc['Source'] or 'Not said.'}\n\n{_cited(plugin.name, method.paper)}",
        "Where paper and code differ": doc["Differences"] or "The method's file names nothing.",
        "Hyperparameters": hyperparameters(plugin),
        "Published": _folded("Numbers that papers printed", f"{told}\n\n{ATTACKED}")
        if told
        else none,
        "Measured here": "\n\n".join(measured(plugin.name)) or "It is in no published report yet.",
        "The code": f"[methods/{plugin.path.name}](../../methods/{plugin.path.name})",
    }
    # The first line of the file's docstring names the method in full.
    title = (ast.get_docstring(ast.parse(plugin.source())) or plugin.name).splitlines()[0]
    parts = [NOTE, f"# {title.rstrip('.')}"]
    for heading, text in sections.items():
        parts += [f"## {heading}", text] if heading else [text]
    return with_symbols("\n\n".join(part.strip() for part in parts)) + "\n"


def paragraphs(doc: str) -> dict[str, str]:
    """Split a docstring: first line, "Source" and "Differences" by name, the rest as "about"."""
    first, *others = [" ".join(part.split()) for part in inspect.cleandoc(doc).split("\n\n")]
    by_name = {"summary": first, "about": "", "Source": "", "Differences": ""}
    for other in others:
        name, colon, text = other.partition(": ")
        if colon and name in ("Source", "Differences"):
            by_name[name] = text[:1].upper() + text[1:]
        else:
            by_name["about"] += f"{other}\n\n"
    return by_name


def hyperparameters(plugin: registry.Plugin) -> str:
    """Write the table of a method's hyperparameters with the sources of their defaults."""
    fields = outline.hyperparameters(settings_class(plugin))
    if not fields:
        return "None: it follows the benchmark's training recipe."
    rows = [
        [
            f"`{name}`",
            f"`{json.dumps(field.default)}`",
            field.description or "",
            ", ".join(bounds(field)),
            searched(field),
            extra(field).get("source", ""),
        ]
        for name, field in fields.items()
    ]
    return table(COLUMNS, rows, COLUMNS[1:2])


def _cited(name: str, paper: str) -> str:
    """Return the paper's address with its title where papers.bib has it."""
    entry = entries({name: paper}).get(name, "")
    named = re.search(r"  title = \{(.*)\},\n  author", entry)
    text = re.sub(r"[{}]", "", named[1]) if named else paper
    return f"Paper: [{text}]({paper})"


def with_symbols(text: str) -> str:
    """Write sets as symbols, D_F as $D_F$, where they stand in words and not in an equation."""
    parts = re.split(r"(^```.*?^```$)", text, flags=re.M | re.S)
    parts[::2] = [re.sub(r"(?<![\w$\\])D_[FRA]\b(?!\$)", r"$\g<0>$", part) for part in parts[::2]]
    return "".join(parts)


def measured(name: str) -> list[str]:
    """Write settings, numbers and verdicts of one method on every published benchmark.

    Benchmarks that are published whole come open, the others folded. Of several requests in a row
    the last one is shown.
    """
    parts = []
    for results in published.published():
        benchmark = results.findings.benchmark
        labels = printed.rows_of(benchmark, name)
        shown = [HELD_OUT] if name == RETRAIN else labels
        told = []
        for condition in published.conditions(results.name):
            told += [*_numbers(condition, shown), *_verdicts(condition, shown)]
        if told:
            chosen = "; ".join(_settings(label, benchmark.methods[label]) for label in labels)
            whole = f"[Report with all methods](../../reports/{results.name}/report.md)"
            text = "\n\n".join([*told, f"Settings: {chosen}.", whole])
            if benchmark.name in published.WHOLE:
                parts.append(f"### {benchmark.title}\n\n{text}")
            else:
                parts.append(_folded(benchmark.title, text))
    return parts


def _folded(title: str, text: str) -> str:
    """Fold a long part below its title, on the site and on GitHub."""
    return f'<details markdown="1">\n<summary>{title}</summary>\n\n{text}\n\n</details>'


def _numbers(condition: ub.Condition, labels: list[str]) -> list[str]:
    """Write the main metrics of some rows below retrain's, [] where none of them ran."""
    rows = by_label(condition, SHOWN, band=False)
    rows = rows[rows["label"].isin([RETRAIN, *labels])]
    if set(rows["label"]) <= {RETRAIN}:
        return []
    columns = [text_column("Row", "label"), *map(averaged, SHOWN), number("n", "n")]
    heading = f"{100 * condition.fraction:g} % forgotten, {condition.access} access"
    return [
        f"{heading}, request {condition.request}, mean ± standard deviation over n runs:",
        Table("", rows, columns).to_markdown(),
    ]


def _verdicts(condition: ub.Condition, labels: list[str]) -> list[str]:
    """Write a sentence a row, and what takes from the worth of all."""
    judged = condition.verdicts()
    lines = [f"- {label}: {sentence(condition, label)}." for label in labels if label in judged]
    return ["\n".join(filter(None, [*lines, published.warned(condition)]))] if lines else []


def sentence(condition: ub.Condition, label: str) -> str:
    """Say in words what the verdict on a row is, and where its FT AUC lies."""
    verdict, overall = condition.verdict(label), condition.overall(label)
    finding = verdict.finding if condition.old else overall
    word = finding.word if finding else "not judged"
    text = f"**{WORDS.get(word, word)}**"
    if overall and overall.word == "different":
        text += f" (by {audit_title(overall.strongest)}, {overall.gap.value:+.0f} points)"
    if verdict.gap is not None:
        gap = with_interval(verdict.gap.value, *verdict.gap.interval(), "+")
        text = f"{text}; its FT AUC is {gap} from retrain's"
    if verdict.flags:
        return f"{text}; not ranked: {verdict.flags}"
    if verdict.rank is None or condition.old:
        return text
    first, last = verdict.rank
    return f"{text}; rank {first}" + (f" to {last}" if last > first else "")


def outcome(name: str, results: ub.Results) -> str:
    """Say in a word or two what a method's own row came to on one benchmark."""
    words = [
        f"{word}{' (void)' if condition.voided else ''}"
        for condition in published.conditions(results.name)
        if name in condition.methods
        if (word := condition.word(name))
    ]
    return "; ".join(words) or "–"


def _settings(label: str, row: Any) -> str:
    chosen = ", ".join(f"`{key} = {json.dumps(value)}`" for key, value in row.settings.items())
    return f"{label} with {chosen or 'its defaults'}"
