"""The result: how far from retraining each method is, how sure that is, and who says so."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap, to_rgba

from unlearnbench.audits.attacks import ATTACKS, ULIRA
from unlearnbench.audits.parts import TAIL, TPR, audit_title
from unlearnbench.evaluation.findings import Condition
from unlearnbench.planning.plan import HELD_OUT, ORIGINAL
from unlearnbench.reporting.figures import drawing
from unlearnbench.reporting.figures.drawing import Look
from unlearnbench.reporting.figures.figure import ByMethod, figure
from unlearnbench.reporting.figures.gaps import heat
from unlearnbench.verdicts.audit import WORDS

UNRANKED = "not ranked"
LOOKS = {
    "equivalent": Look("#00946C", "o"),
    "no difference found": Look("#1F78C8", "v"),
    "inconclusive": Look("#777777", "d"),
    "different": Look("#D55E00", "s"),
    UNRANKED: Look("#C4526F", "X"),
}
"""What says a verdict: a colour, and a shape for those who do not see it."""
CELLS: dict[str, tuple[str, float]] = {
    "equivalent": ("#00946C", 0.3),
    "different": ("#B04C00", 1.0),
    "inconclusive": ("#888888", 0.0),
}
"""Below a number: colour and opacity for what one audit finds. They differ in lightness too, and
the page shows through, so that numbers are read on all of them in both themes."""
GROUPS = {"AUC": "AUC", "TPR": f"TPR at {100 * TAIL:g} % FPR", "": "other audits"}
CONFIDENCE = "forget-confidence"
FREE = 0.04
"""Share of the axis that is left free beside what it must show."""


def rows_of(subject: Condition) -> list[str]:
    """List what is drawn, best first below what methods are seen against; equal rows once."""
    references = [label for label in (ORIGINAL, HELD_OUT) if label in subject.labels]
    return [*references, *(label for label in subject.by_verdict if label not in subject.same)]


def verdict_of(subject: Condition, label: str) -> str:
    """Return a row's verdict, or that it is not ranked."""
    word = subject.word(label) or ""
    return word if word in WORDS else UNRANKED


@figure
class Verdicts(ByMethod):
    """Draw each method's gap to retrain with its interval, coloured by its verdict."""

    title = "How far from retraining, and how sure"
    caption = (
        "Gap to retrain with its 95 % interval, sorted by verdict over all audits (thin lines"
        " between verdicts) and then by distance. Each interval is for one audit alone. The verdict"
        " is corrected for all audits and methods, so a method whose interval leaves out zero can"
        " still be inconclusive. Hatched: the margin, within which a gap is small enough. Rows with"
        " the very same runs are drawn once. Arrows: methods that are not ranked and lie outside"
        " the axis."
    )
    place, leads = 5, True
    panels, columns = "audit", 2

    def data(self, subject: Condition) -> pd.DataFrame | None:
        """Return columns audit, method, verdict, and gap, low, high, margin in points."""
        rows: list[dict[str, Any]] = [
            {"audit": audit, "method": label, "verdict": verdict_of(subject, label)}
            | {"gap": found.gap.value, "low": found.gap.low, "high": found.gap.high}
            | {"margin": subject.margins(audit)[0]}
            for audit in (subject.benchmark.headline, CONFIDENCE)
            if audit in subject.audits
            for label in rows_of(subject)
            if (found := subject.audits[audit].get(label))
        ]
        return pd.DataFrame(rows).astype({"margin": float}) if rows else None

    def draw(self, ax: Axes, data: pd.DataFrame, subject: Condition) -> None:
        """Draw one audit; methods that are not ranked never set the axis."""
        margin, labels = float(data["margin"].iloc[0]), rows_of(subject)
        for word, look in LOOKS.items():
            if word in set(data["verdict"]):
                drawing.entry(ax, word, linewidth=0.9, **look.style)
        drawing.band(ax.axvspan, -margin, margin, "margin: small enough", drawing.HATCHED)
        ax.axvline(0, **drawing.DASHED)
        seen_against = data["method"].isin((ORIGINAL, HELD_OUT))
        ranked = data[(data["verdict"] != UNRANKED) | seen_against]
        ends = [float(ranked["low"].min()), float(ranked["high"].max()), 0.0]
        free = FREE * (max(ends) - min(ends)) or 1.0
        low, high = min(ends) - free, max(ends) + free
        ax.set_xlim(low, high)
        for row in data.to_dict("records"):
            label, place = row["method"], labels.index(row["method"])
            style = LOOKS[row["verdict"]].style
            line = ax.plot([row["low"], row["high"]], [place] * 2, color=style["color"], lw=0.9)
            at = min(max(row["gap"], low + free / 2), high - free / 2)
            if at != row["gap"]:
                style["marker"] = "<" if row["gap"] < at else ">"
            drawing.of_method(label, *line, *ax.plot(at, place, zorder=3, **style))
            said = f"{row['gap']:+.1f} [{row['low']:+.1f}, {row['high']:+.1f}]: {row['verdict']}"
            drawing.tell(ax, label, [at], [place], [said])
        drawing.names(ax, subject, labels)
        for place in borders([seen_as(subject, label) for label in labels]):
            ax.axhline(place - 0.5, color=drawing.GREY, linewidth=0.6)
        ax.grid(axis="y")
        ax.spines["left"].set_visible(False)
        audit = self.panel(data)
        what = audit_title(audit) if audit == CONFIDENCE else f"FT AUC ({audit_title(audit)})"
        ax.set(title=what, xlabel="Gap to retrain (points)")


def seen_as(subject: Condition, label: str) -> str:
    """Return which group of the order a row is in: references, or methods of one verdict."""
    return "" if label in (ORIGINAL, HELD_OUT) else verdict_of(subject, label)


def borders(groups: Sequence[str]) -> list[int]:
    """Return the places at which another group begins than the one before."""
    return [place for place in range(1, len(groups)) if groups[place] != groups[place - 1]]


def group_of(audit: str) -> str:
    """Return in which group of columns an audit stands: AUC, TPR, or neither."""
    if audit.startswith(TPR):
        return GROUPS["TPR"]
    return GROUPS["AUC" if audit in (*ATTACKS, ULIRA) else ""]


@figure
class VerdictMap(ByMethod):
    """Draw what every audit says of every method."""

    title = "Every method under every audit"
    caption = (
        "Number: gap to retrain, in points. Colour: the verdict of this audit (5 %, corrected by"
        " Holm for all audits and methods; reference rows are not corrected). A large gap can be"
        " inconclusive if it varies much between forget sets. Brackets: the audit has no power, so"
        " it cannot show that a gap is small; if that is true of all audits, there are no brackets."
    )
    place = 6
    height = 1.0

    def data(self, subject: Condition) -> pd.DataFrame | None:
        """Return columns audit, method, gap in points, verdict, power; audits group by group."""
        order = list(GROUPS.values())
        audits = sorted(
            subject.single_audits,
            key=lambda name: order.index(group_of(name)),
        )
        rows = [
            {"audit": audit, "method": label, "gap": found.gap.value}
            | {"verdict": found.word, "power": audit not in subject.powerless}
            for label in rows_of(subject)
            for audit in audits
            if (found := subject.audits[audit].get(label))
        ]
        return pd.DataFrame(rows) if rows else None

    def draw(self, ax: Axes, data: pd.DataFrame, subject: Condition) -> None:
        """Draw a cell a method and audit, with the gap in it."""
        labels = [label for label in rows_of(subject) if label in set(data["method"])]
        audits = [audit for audit in subject.audits if audit in set(data["audit"])]
        audits.sort(key=lambda audit: list(GROUPS.values()).index(group_of(audit)))
        at = {"index": "method", "columns": "audit"}
        words = data.pivot(**at, values="verdict").loc[labels, audits]
        gaps = data.pivot(**at, values="gap").loc[labels, audits].round() + 0.0
        places = {word: place for place, word in enumerate(CELLS)}
        owners = [label for label in labels for audit in audits]
        codes = words.apply(lambda column: column.map(places)).astype(float)
        note = {"annot": gaps, "fmt": ".0f", "annot_kws": {"size": 7, "color": "black"}}
        colours = {"cmap": ListedColormap(list(map(to_rgba, CELLS.values())))}
        grid = {"linewidths": 0.4, "linecolor": ("#888888", 0.5)}
        heat(ax, codes, owners, vmin=-0.5, vmax=2.5, **colours, **note, **grid)
        known = [one for one in zip(owners, codes.to_numpy().ravel(), strict=True) if one[1] >= 0]
        for (label, code), text in zip(known, ax.texts, strict=True):
            drawing.of_method(label, text)
            if code == places["different"]:
                text.set_color("white")
        drawing.names(ax, subject, labels, 0.5)
        ax.set_ylim(len(labels), 0)
        for word, colour in CELLS.items():
            if word in set(data["verdict"]):
                edge = {"markeredgecolor": drawing.GREY, "markeredgewidth": 0.5, "markersize": 6}
                drawing.entry(ax, word, marker="s", ls="", markerfacecolor=colour, **edge)
        _columns(ax, data, audits, len(labels))


def _columns(ax: Axes, data: pd.DataFrame, audits: Sequence[str], below: int) -> None:
    """Name the columns of the map above it, and their groups, with lines between, below it."""
    power = data.groupby("audit")["power"].first()
    apart = 0 < power.sum() < len(power)
    titles = [audit_title(audit.removeprefix(TPR)) for audit in audits]
    names = [
        f"({title})" if apart and not power[audit] else title
        for audit, title in zip(audits, titles, strict=True)
    ]
    ax.set_xticks([place + 0.5 for place in range(len(audits))], names, rotation=45, ha="left")
    ax.tick_params(axis="x", labeltop=True, labelbottom=False, length=0)
    for text in ax.get_xticklabels():
        text.set_rotation_mode("anchor")
    groups = [group_of(audit) for audit in audits]
    edges = [0, *borders(groups), len(groups)]
    for start, end in pairwise(edges):
        if start:
            ax.axvline(start, color="black", linewidth=1)
        ax.text((start + end) / 2, below + 0.2, groups[start], ha="center", va="top")
