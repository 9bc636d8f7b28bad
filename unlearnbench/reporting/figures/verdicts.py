"""The result: how far from retraining each method is, how sure that is, and who says so."""

from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap

from unlearnbench.audits.parts import TPR, audit_title
from unlearnbench.evaluation.findings import Condition
from unlearnbench.planning.plan import HELD_OUT, ORIGINAL
from unlearnbench.reporting.figures import drawing
from unlearnbench.reporting.figures.drawing import Look
from unlearnbench.reporting.figures.figure import ByMethod, figure
from unlearnbench.reporting.figures.gaps import heat
from unlearnbench.verdicts.audit import ALL, WORDS, Finding
from unlearnbench.verdicts.inference import LEVEL

UNRANKED = "not ranked"
LOOKS = {
    "equivalent": Look("#009E73", "o"),
    "no difference found": Look("#0072B2", "o"),
    "inconclusive": Look("#777777", "d"),
    "different": Look("#D55E00", "s"),
    UNRANKED: Look("#AA4466", "X"),
}
"""What says a verdict: a colour, and a shape for those who do not see it."""
CELLS = {"equivalent": "#A6DBC8", "different": "#F5C3A0", "inconclusive": "#E4E4E4"}
"""Lighter, below a number: of the verdict of one audit."""
INK = "#1b1f24"
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


def _said(found: Finding) -> str:
    """Return what an audit says of a row, as it counts for the verdict over all audits."""
    if found.p_all < LEVEL:
        return "different"
    return found.word if found.word == "equivalent" else "inconclusive"


@figure
class Verdicts(ByMethod):
    """Draw each method's gap to retrain with its interval, coloured by its verdict."""

    title = "How far from retraining, and how sure"
    caption = (
        "Gap to retrain with its 95 % interval, by verdict over all audits and then by distance."
        " Grey: the margin, within which a gap is small enough. Rows with the very same runs are"
        " drawn once. An arrow: farther than the axis shows, and not ranked."
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

    def keys(self, data: pd.DataFrame, subject: Condition) -> dict[str, tuple[Look, str]]:
        """Return which look says which verdict."""
        return {word: (look, "") for word, look in LOOKS.items() if word in set(data["verdict"])}

    def draw(self, ax: Axes, data: pd.DataFrame, subject: Condition) -> None:
        """Draw one audit; methods that are not ranked never set the axis."""
        margin, labels = float(data["margin"].iloc[0]), rows_of(subject)
        drawing.band(ax.axvspan, -margin, margin)
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
        ax.grid(axis="y")
        ax.spines["left"].set_visible(False)
        audit = self.panel(data)
        what = audit_title(audit) if audit == CONFIDENCE else f"FT AUC ({audit_title(audit)})"
        ax.set(title=what, xlabel="Gap to retrain (points)")


@figure
class VerdictMap(ByMethod):
    """Draw what every audit says of every method."""

    title = "Every method under every audit"
    caption = (
        "Gap to retrain in points. Orange: the audit finds a difference (5 %, after Holm's"
        " correction). Green: it shows that the gap is small enough. Grey: neither. In brackets,"
        " where others have power: audits that cannot show that a gap is small enough."
    )
    place = 6
    height = 0.9

    def data(self, subject: Condition) -> pd.DataFrame | None:
        """Return columns audit, method, gap in points, verdict, power."""
        audits = [name for name in subject.audits if name != ALL and not name.startswith(TPR)]
        rows = [
            {"audit": audit, "method": label, "gap": found.gap.value}
            | {"verdict": _said(found), "power": audit not in subject.powerless}
            for label in rows_of(subject)
            for audit in audits
            if (found := subject.audits[audit].get(label))
        ]
        return pd.DataFrame(rows) if rows else None

    def draw(self, ax: Axes, data: pd.DataFrame, subject: Condition) -> None:
        """Draw a cell a method and audit, with the gap in it."""
        labels = [label for label in rows_of(subject) if label in set(data["method"])]
        audits = list(data["audit"].unique())
        at = {"index": "method", "columns": "audit"}
        words = data.pivot(**at, values="verdict").loc[labels, audits]
        gaps = data.pivot(**at, values="gap").loc[labels, audits].round() + 0.0
        places = {word: place for place, word in enumerate(CELLS)}
        owners = [label for label in labels for audit in audits]
        codes = words.apply(lambda column: column.map(places)).astype(float)
        note = {"annot": gaps, "fmt": "+.0f", "annot_kws": {"size": 5.5, "color": INK}}
        colours = {"cmap": ListedColormap(list(CELLS.values())), "vmin": -0.5, "vmax": 2.5}
        heat(ax, codes, owners, **colours, **note, linewidths=0.6, linecolor="white")
        told = [one for one in zip(owners, codes.to_numpy().ravel(), strict=True) if one[1] >= 0]
        for (label, _), text in zip(told, ax.texts, strict=True):
            drawing.of_method(label, text)
        drawing.names(ax, subject, labels, 0.5)
        ax.set_ylim(len(labels), 0)
        power = data.groupby("audit")["power"].first()
        apart = 0 < power.sum() < len(power)
        names = [
            f"({audit_title(a)})" if apart and not power[a] else audit_title(a) for a in audits
        ]
        ax.set_xticks([place + 0.5 for place in range(len(audits))], names, rotation=40, ha="left")
        ax.tick_params(axis="x", labeltop=True, labelbottom=False, length=0)
        for text in ax.get_xticklabels():
            text.set_rotation_mode("anchor")
