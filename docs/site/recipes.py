"""Write a page about each method into docs/recipes/: definition, sources, numbers, verdict.

`python -m docs.site.recipes` makes them of the method's class, the benchmark files and what docs/
has of published results; `tests/test_recipes.py` holds the committed pages against it.
"""

from __future__ import annotations

import ast
import inspect
import json
import re
from collections.abc import Iterable

from docs.site.printed import published, table
from docs.site.receipts import DOCS, measured, reports, short
from unlearnbench import registry
from unlearnbench.commands import catalogue
from unlearnbench.commands.equation import lines
from unlearnbench.report.pages.citations import entries

FOLDER = DOCS / "recipes"
NOTE = "<!-- Written by `python -m docs.site.recipes`; do not edit. -->"
ABOUT = """For each method: what it minimises, where every default comes from, where the paper and
its authors' code differ and which of them is followed, what papers printed of it, and what came out
here. The columns of verdicts are those of the published reports: equivalent to retraining,
different, inconclusive, or why it is not ranked; the methods' pages have those of the paper's other
experiments too."""
LEGEND = r"""In all equations $D_F$ is the forget set, $D_R$ the retain set, $D_A$ the adversarial
examples of the forget set; $f_\theta$ is the model with weights $\theta$, $\theta_o$ are those of
the original, and $L(\theta; D)$ is the mean cross-entropy over a set. Losses are minimised by SGD
with the batch size, momentum, weight decay and augmentation of the benchmark's recipe, unless a
page says otherwise."""
SYMBOLS = "[What the letters mean](README.md)"
COLUMNS = ("Name", "Default", "What it is", "Bounds", "Tuned in", "Default from")


def title(plugin: registry.Plugin) -> str:
    """Return the first line of the file's docstring, which names the method in full."""
    text = ast.get_docstring(ast.parse(plugin.source())) or plugin.name
    return text.splitlines()[0].rstrip(".")


def paragraphs(doc: str) -> dict[str, str]:
    """Split a docstring: its first line, "Source" and "Differences" by name, the rest as "about".

    Code in single backquotes stays; lines are joined.
    """
    first, *others = [" ".join(part.split()) for part in inspect.cleandoc(doc).split("\n\n")]
    found = {"summary": first, "about": "", "Source": "", "Differences": ""}
    for other in others:
        name, colon, text = other.partition(": ")
        if colon and name in ("Source", "Differences"):
            found[name] = text[:1].upper() + text[1:]
        else:
            found["about"] += f"{other}\n\n"
    return found


def hyperparameters(plugin: registry.Plugin) -> str:
    """Write the table of a method's hyperparameters with the sources of their defaults."""
    fields = registry.settings_class(plugin).model_fields
    if not fields:
        return "It has none: the benchmark's recipe says all."
    rows = [
        [
            f"`{name}`",
            f"`{json.dumps(field.default)}`",
            field.description or "",
            ", ".join(catalogue.bounds(field)),
            catalogue.searched(field),
            catalogue.extra(field).get("source", ""),
        ]
        for name, field in fields.items()
    ]
    return table(COLUMNS, rows)


def page(plugin: registry.Plugin) -> str:
    """Write the page of one method."""
    method = registry.settings_class(plugin)
    doc = paragraphs(method.__doc__ or "")
    equations = "\n\n".join(f"```math\n{line}\n```" for line in lines(method.equation))
    sections = {
        "": f"{doc['summary']}\n\n{doc['about']}{equations}\n\n{SYMBOLS}",
        "Source": f"{doc['Source'] or 'Not said.'}\n\n{_cited(plugin.name, method.paper)}",
        "Where paper and code differ": doc["Differences"] or "The method's file names nothing.",
        "Hyperparameters": hyperparameters(plugin),
        "Published": published(plugin.name),
        "Measured here": "\n\n".join(measured(plugin.name)),
        "The code": f"[methods/{plugin.path.name}](../../methods/{plugin.path.name})",
    }
    parts = [NOTE, f"# {title(plugin)}"]
    for heading, text in sections.items():
        parts += [f"## {heading}", text] if heading else [text]
    return with_symbols("\n\n".join(part.strip() for part in parts)) + "\n"


def _cited(name: str, paper: str) -> str:
    """Return the paper's address with its title where papers.bib has it."""
    entry = entries({name: paper}).get(name, "")
    named = re.search(r"  title = \{(.*)\},\n  author", entry)
    text = re.sub(r"[{}]", "", named[1]) if named else paper
    return f"Paper: [{text}]({paper})"


def index(plugins: Iterable[registry.Plugin]) -> str:
    """Write the page that lists them all, with the verdicts of whole reports."""
    rows = [
        [
            f"[{plugin.name}]({plugin.name}.md)",
            plugin.summary(),
            "yes" if registry.settings_class(plugin).needs_retain else "no",
            *(short(plugin.name, found) for found in reports().values()),
        ]
        for plugin in plugins
    ]
    listed = table(["Method", "What it does", "Needs the retain set", *reports()], rows)
    return f"{NOTE}\n\n# Recipes\n\n{ABOUT}\n\n{with_symbols(listed)}\n\n{LEGEND}\n"


def with_symbols(text: str) -> str:
    """Write sets as symbols, D_F as $D_F$, where they stand in words and not in an equation."""
    parts = re.split(r"(^```.*?^```$)", text, flags=re.M | re.S)
    parts[::2] = [re.sub(r"(?<![\w$\\])D_[FRA]\b(?!\$)", r"$\g<0>$", part) for part in parts[::2]]
    return "".join(parts)


def pages() -> dict[str, str]:
    """Return every page by its file name."""
    plugins = list(registry.find("methods").values())
    shipped = [plugin for plugin in plugins if plugin.entry is None]
    return {"README.md": index(shipped)} | {f"{one.name}.md": page(one) for one in shipped}


def main() -> None:
    """Write them, and remove those of methods that are gone."""
    made = pages()
    FOLDER.mkdir(exist_ok=True)
    for path in FOLDER.glob("*.md"):
        if path.name not in made:
            path.unlink()
    for name, text in made.items():
        (FOLDER / name).write_text(text)


if __name__ == "__main__":
    main()
