"""Several benchmarks in one view: ranks, mean ranks, and the critical difference between them."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from scipy.stats import friedmanchisquare, rankdata, studentized_range

from unlearnbench.evaluation.findings import Findings
from unlearnbench.evaluation.settings import by_attack, groups, heading
from unlearnbench.planning.plan import CONTROLS, HELD_OUT, ORIGINAL, RETRAIN
from unlearnbench.report.figures.ranking import diagram, rank_map_figure
from unlearnbench.report.section import Section
from unlearnbench.report.tables.claims import claims, claims_table
from unlearnbench.report.tables.table import Table

LEVEL = 0.05


def overview(found: Mapping[str, Findings]) -> tuple[str, list[str], list[Section]]:
    """Return title, introduction and sections for several benchmarks."""
    ranks = rank_map(found)
    claimed = claims_table({name: claims(one) for name, one in found.items()})
    last = [Section(claimed.title, "", [claimed], [], [])] if claimed else []
    title = f"{len(found)} benchmarks: {', '.join(found)}"
    said = [
        "Methods are ranked in each setting by the distance of their FT AUC to retrain's; who is"
        " not ranked there (no-op, over-forgets, utility lost) shares the last rank. Only methods"
        " of every setting are compared. Each benchmark has a report of its own beside this one.",
    ]
    if ranks.shape[0] < 2 or ranks.shape[1] < 2:
        return title, [*said, "Fewer than two settings or methods in common: no ranks."], last
    k, n = ranks.shape[1], ranks.shape[0]
    apart = critical_difference(k, n)
    p = friedmanchisquare(*ranks.to_numpy().T).pvalue if k > 2 else float("nan")
    said.append(
        f"Two mean ranks differ if they are {apart:.2f} apart or more (Nemenyi's test at 5 %, {k}"
        f" methods, {n} settings; Friedman's test of no difference at all: p = {p:.3f})."
    )
    if n < 5:
        said.append(f"{n} settings are few: this can show only large differences.")
    table, means = _table(ranks), ranks.mean().sort_values(kind="stable")
    figures = [rank_map_figure(ranks), diagram(means, cliques(means, apart), apart)]
    return title, said, [Section("Ranks", "", [table], [], figures), *last]


def rank_map(found: Mapping[str, Findings]) -> pd.DataFrame:
    """Return ranks, a row a setting and a column a method; equals share their mean rank."""
    far: dict[str, dict[str, float]] = {}
    for name, one in found.items():
        for group in groups(one):
            outside = (ORIGINAL, RETRAIN, HELD_OUT, *CONTROLS)
            judged = {
                label: row
                for label, row in by_attack(one, group).items()
                if label not in outside and row["gap"] is not None
            }
            where = f"{name}: {heading(group, one.benchmark)}"
            far[where] = {
                label: np.inf if row["flags"] else abs(row["gap"]) for label, row in judged.items()
            }
    frame = pd.DataFrame(far).T.dropna(axis=1)
    order = rankdata(frame.to_numpy(dtype=float), axis=1) if frame.size else frame.to_numpy()
    return pd.DataFrame(order, index=frame.index, columns=frame.columns)


def critical_difference(methods: int, settings: int) -> float:
    """Return by how much two mean ranks must differ (Nemenyi; Demsar, JMLR 7, 2006, section 3.2.2).

    q / sqrt(2) * sqrt(k (k + 1) / (6 N)), q being the studentised range at infinite freedom.
    """
    q = studentized_range.ppf(1 - LEVEL, methods, np.inf) / np.sqrt(2)
    return float(q * np.sqrt(methods * (methods + 1) / (6 * settings)))


def cliques(means: pd.Series[float], apart: float) -> list[tuple[float, float]]:
    """Return the longest ranges of mean ranks within which no two methods differ."""
    ordered = sorted(float(mean) for mean in means)
    found: list[tuple[float, float]] = []
    for start in ordered:
        end = max(mean for mean in ordered if mean - start < apart)
        if end > start and not (found and end <= found[-1][1]):
            found.append((start, end))
    return found


def _table(ranks: pd.DataFrame) -> Table:
    means = ranks.mean().sort_values(kind="stable")
    rows = [
        [str(label), *(f"{rank:g}" for rank in ranks[label]), f"{mean:.2f}"]
        for label, mean in means.items()
    ]
    caption = (
        "Rank in each setting by the distance of FT AUC to retrain's, and mean rank; 1 is best."
    )
    return Table("ranks", caption, ["Method", *map(str, ranks.index), "Mean rank ↓"], rows)
