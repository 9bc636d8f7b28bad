"""What each model of a plan is for, in words: retrain 2 for forget set 1."""

from collections.abc import Callable, Iterable

from unlearnbench.planning.plan import Cell, Node, Plan

Trait = tuple[Callable[[Cell], object], str]
TRAITS: tuple[Trait, ...] = (
    (lambda cell: cell.access, "{} access"),
    (lambda cell: cell.fraction, "{:.0%} forgotten"),
    (lambda cell: cell.request, "request {}"),
)
"""What tells a plan's conditions apart, and how it is written."""


def purposes(plan: Plan) -> dict[str, str]:
    """Say by its id what each model is for: its label, which forget set, and what tells it apart.

    Of what a plan has only one, such as one request, nothing is said, and of a model that serves
    several conditions nothing of what they differ in.
    """
    cells = [*plan.cells, *plan.swapped.values(), *plan.shadows]
    cells += [cell for audited in plan.audited.values() for cell in audited]
    seen: dict[str, list[Cell]] = {}
    for cell in cells:
        seen.setdefault(cell.run, []).append(cell)
    telling = [(of, form) for of, form in TRAITS if len({of(cell) for cell in cells}) > 1]
    said = {run: _said(plan.nodes[run], seen.get(run, []), telling) for run in plan.nodes}
    same: dict[str, list[str]] = {}
    for run, text in said.items():
        same.setdefault(text, []).append(run)
    for text, runs in same.items():
        if len(runs) > 1:  # as retrains are on one forget set: numbered in the order of the plan
            label = plan.nodes[runs[0]].label
            for number, run in enumerate(runs, 1):
                said[run] = text.replace(label, f"{label} {number}", 1)
    return said


def _said(node: Node, own: list[Cell], telling: Iterable[Trait]) -> str:
    spec = node.spec
    if spec.kind == "original" and spec.split is None:
        return f"{node.label} {spec.seed}"
    if spec.kind == "reference":
        return f"{node.label} {(spec.member or 0) + 1}"
    if not own:
        return f"{node.label} for forget set {spec.split.seed}" if spec.split else node.label
    parts = [f"{node.label} for forget set {own[0].seeds[-2]}"]
    for of, form in telling:
        values = {of(cell) for cell in own}
        parts += [form.format(*values)] if len(values) == 1 else []
    return ", ".join(parts)
