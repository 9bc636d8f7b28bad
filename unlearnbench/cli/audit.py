"""The command `audit`: models that were made elsewhere, held against retraining."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from unlearnbench.cli import options
from unlearnbench.cli.said import moving

if TYPE_CHECKING:
    from unlearnbench.api.audit import Audit

NOT_MET = 1
"""Exit code where a verdict is not the one that was required."""
GOOD = {"equivalent": ("equivalent",), "no-difference": ("equivalent", "no difference found")}
"""By what may be required, the verdicts that meet it."""


_UNLEARNED = Annotated[
    list[str] | None,
    typer.Option(help="The model to audit: FILE, or LABEL=FILE; repeatable."),
]
_ORIGINAL = Annotated[Path | None, typer.Option(help="The model before it forgot.")]
_RETRAIN = Annotated[
    list[Path] | None,
    typer.Option(help="A model trained from scratch without the forget set; repeatable."),
]
_REFERENCE = Annotated[
    list[Path] | None,
    typer.Option(
        help="A reference model for the attacks; beside r.pt there must be r.txt, a list of what it"
        " was trained on. Repeatable."
    ),
]
_LOGITS = Annotated[
    list[str] | None,
    typer.Option(
        help="Outputs in place of a model: ROLE=FILE (.npz, .csv); ROLE is original, retrain,"
        " reference, or the label of a model to audit. Repeatable."
    ),
]
_TRAIN_RETRAINS = Annotated[
    int, typer.Option(min=0, help="Train this many more retrains by the recipe.")
]
_TRAIN_REFERENCES = Annotated[
    int, typer.Option(min=0, help="Train this many reference models by the recipe.")
]
_RETAIN = Annotated[
    Path | None, typer.Option(help="With --logits: list of retained rows (default: the rest).")
]
_TEST = Annotated[Path | None, typer.Option(help="With --logits: list of test rows.")]
_LABELS = Annotated[
    Path | None, typer.Option(help="With --logits: true labels, if the files have none.")
]
_REQUIRE = Annotated[
    Literal["equivalent", "no-difference"] | None,
    typer.Option(help="Exit with code 1 unless every audited model gets this verdict."),
]


def audit(
    unlearned: _UNLEARNED = None,
    original: _ORIGINAL = None,
    retrain: _RETRAIN = None,
    reference: _REFERENCE = None,
    logits: _LOGITS = None,
    train_retrains: _TRAIN_RETRAINS = 0,
    train_references: _TRAIN_REFERENCES = 0,
    benchmark: options.OwnBenchmark = None,
    model: options.OwnModel = None,
    dataset: options.OwnDataset = None,
    path: options.OwnPath = None,
    forget: options.Forget = None,
    retain: _RETAIN = None,
    test: _TEST = None,
    labels: _LABELS = None,
    require: _REQUIRE = None,
    name: options.OwnName = None,
    set_: options.Changes = None,
    plugin: options.Plugins = None,
    devices: options.Devices = "auto",
    data: options.Data = Path("data"),
    results: options.Results = Path("results"),
    reports: options.Reports = Path("reports"),
) -> None:
    """Audit models that were made elsewhere: tables, a verdict, a page."""
    with moving():
        from unlearnbench.api.audit import Audit
        from unlearnbench.api.own import Own
        from unlearnbench.data.outputs import Parts
        from unlearnbench.planning.given import REFERENCE
        from unlearnbench.planning.plan import ORIGINAL, RETRAIN

    files = {ORIGINAL: [original] if original else [], RETRAIN: retrain or []}
    files = _files(files | {REFERENCE: reference or []}, logits or [], unlearned or [])
    own = Own(benchmark, model, dataset, path, forget, plugin or [], set_ or [], data)
    parts, trained = Parts(forget, retain, test, labels), (train_retrains, train_references)
    asked = Audit(own, files, parts, *trained, name, devices)
    words = _look_into(asked, results, reports)
    if require and not set(words) <= set(GOOD[require]):
        raise typer.Exit(NOT_MET)


def _files(
    files: dict[str, list[Path]], logits: Iterable[str], unlearned: Iterable[str]
) -> dict[str, list[Path]]:
    """Add to files by role those that are typed with a role or label, or with none."""
    from unlearnbench.api.audit import by_stem, free
    from unlearnbench.data.outputs import require_kind

    for role, file in _labelled(logits):
        require_kind(file)
        files.setdefault(role or file.stem, []).append(file)
    audited = _labelled(unlearned)
    for label, file in audited:
        if label:
            files.setdefault(free(label), []).append(file)
    return files | by_stem((file for label, file in audited if not label), files)


def _look_into(asked: Audit, results: Path, reports: Path) -> list[str]:
    """Do what is asked, and show it; return the word of each model's verdict."""
    from unlearnbench.api.audit import look_into
    from unlearnbench.cli.display import Display
    from unlearnbench.reporting.outcome import verdict_said

    display = Display()
    with options.stoppable("Stopped. What was made is kept; the same command goes on."):
        found = look_into(asked, results, display)
    for condition in found.conditions:
        display.table(condition.table())
    display.notes(found.warnings)
    judged = [(condition, label) for condition in found.conditions for label in asked.labels]
    display.said(verdict_said(*one) for one in judged)
    display.told(f"Report: {found.report(reports / found.name)}")
    return [condition.word(label) or "none" for condition, label in judged]


def _labelled(given: Iterable[str]) -> list[tuple[str, Path]]:
    """Read LABEL=FILE, or FILE, whose label is left empty."""
    split = [one.rpartition("=") for one in given]
    return [(label, Path(file)) for label, _, file in split]
