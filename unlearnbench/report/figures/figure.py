"""The figures of a report: one definition each, for print and for the page."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from unlearnbench.evaluation.findings import Findings
from unlearnbench.evaluation.settings import Group, suffix
from unlearnbench.report.figures import charts, tradeoffs
from unlearnbench.report.figures.marks import HOVER, Spec
from unlearnbench.report.figures.style import CONFIG

SCHEMA = "https://vega.github.io/schema/vega-lite/v6.json"
"""A name, which nothing is fetched from."""


@dataclass(frozen=True)
class Figure:
    """Hold one figure: name of its files, title, what it shows in words, its specification.

    wide: small multiples, which take a page's width where others take a column's; spec: Vega-Lite,
    with the data in it; its parameter `shown` lists the methods that are drawn.
    """

    name: str
    title: str
    caption: str
    wide: bool
    spec: Spec


def figures(findings: Findings, group: Group) -> list[Figure]:
    """Draw what the finished runs allow."""
    made = []
    for draw, title, caption in DRAWN:
        chart = draw(findings, group)
        if chart is not None:
            name = f"{draw.__name__.replace('_', '-')}{suffix(group)}"
            made.append(figure(name, title, caption, chart))
    return made


def figure(name: str, title: str, caption: str, chart: Spec) -> Figure:
    """Give a chart the style of all, and a text for who cannot see it."""
    about = {"$schema": SCHEMA, "description": f"{title}. {caption}", "config": CONFIG}
    return Figure(name, title, caption, "layer" not in chart, about | chart)


def printed(spec: Any) -> Any:
    """Return a specification without the layers that only a pointer finds."""
    if isinstance(spec, dict):
        return {key: one if key == "data" else printed(one) for key, one in spec.items()}
    if isinstance(spec, list):
        return [printed(one) for one in spec if not _is_hover(one)]
    return spec


def _is_hover(spec: Any) -> bool:
    return isinstance(spec, dict) and spec.get("name") == HOVER


DRAWN: tuple[tuple[Callable[[Findings, Group], Spec | None], str, str], ...] = (
    (
        charts.gaps,
        "Distance to retrain, metric by metric",
        "Mean and standard deviation over runs of the signed distance to retrain. Grey: how far"
        " one retrain is from another by chance (95 %).",
    ),
    (
        tradeoffs.forgetting_utility,
        "Forgetting against utility",
        "Test accuracy against FT AUC, mean and standard deviation over runs. Grey: where retrain"
        " is, and how far from there it is by chance (95 %). Hollow, with an arrow: unranked"
        " methods that lie beyond the axes.",
    ),
    (
        tradeoffs.time_gap,
        "Cost against distance to retrain",
        "Time, searches and masks included; mean and standard deviation over runs. Dotted: the best"
        " trade-offs. Grey: the average gap that a retrain has by chance (95 %). Hollow, with an"
        " arrow: unranked methods with a larger gap.",
    ),
    (
        charts.confidences,
        "Confidence before and after",
        "Share of samples in percent by confidence in the true label, mean over runs. Black: the"
        " original; coloured: the method; grey: retrain, 95 % by chance.",
    ),
    (
        charts.roc,
        "ROC curves of RMIA",
        "Forget samples against non-members, mean over runs, both axes logarithmic. Dashed:"
        " guessing. Grey: one standard deviation of retrain.",
    ),
    (
        charts.auc_references,
        "FT AUC against the number of references",
        "RMIA's AUC with 2, 4, 8, ... reference models for each sample, half of them trained on it."
        " Mean over runs; grey: one standard deviation of retrain.",
    ),
    (
        charts.classes,
        "Accuracy by class",
        "Distance of the accuracy on each class to retrain's on the same forget set, in points,"
        " mean over runs.",
    ),
    (
        charts.memorisation,
        "Effects by memorisation",
        "Forget samples in equal groups by how much surer reference models trained on a sample are"
        " of it than others. Retrain is what to compare with: within a group its AUC need not be 50"
        " %. Mean over runs; grey: one standard deviation of retrain.",
    ),
    (
        charts.adversarial_distances,
        "Adversarial distances",
        "Which share of the forget samples has an adversarial example within an l2 distance (images"
        " in [0, 1]); percentiles averaged over runs.",
    ),
    (
        charts.final_radii,
        "Final radius of the search",
        "Which share of the forget samples flipped within which l2 radius, doubled from the first"
        " one until the label flips; mean over runs.",
    ),
    (
        charts.after_epochs,
        "Accuracy while unlearning",
        "After each epoch, mean over runs. Dashed: retrain.",
    ),
    (
        charts.after_requests,
        "After each request",
        "Mean over runs after each request of the sequence; grey: one standard deviation of"
        " retrain.",
    ),
)
