"""One model measured: metrics that need no retrain, attacks, and the curves of figures."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from unlearnbench.audits import parts
from unlearnbench.audits.attacks import (
    ATTACKS,
    HEADLINE,
    Attacked,
    View,
    attack_title,
    attacked,
    score,
)
from unlearnbench.audits.parts import ACCURACY
from unlearnbench.audits.references import ReferenceModels
from unlearnbench.audits.roc import Floats, Part
from unlearnbench.errors import causes
from unlearnbench.guarding.border import told
from unlearnbench.guarding.exhaustion import of_memory
from unlearnbench.metrics.curves import Curves, curves
from unlearnbench.metrics.metric import OfModel, OfScores, Seen, of_type

T = TypeVar("T")


@dataclass(frozen=True)
class Lost:
    """Say why a metric or an attack could not be computed of a model.

    passing: for want of memory, or of a file: the next time it may well be.
    """

    why: str
    passing: bool = False


@dataclass(frozen=True)
class Evaluation:
    """Hold what was measured of one model; parts: by audit of signals, those of attacks too.

    groups: the AUCs of other groups of samples, by metric, until they are averaged; lost: what
    could not be computed, by title of the metric or attack; forget_seed: the first one that draws
    this forget set; no_op: it is the model that its method was given.
    """

    values: dict[str, float]
    attacks: dict[str, Attacked]
    curves: Curves
    parts: dict[str, Part] = field(default_factory=dict)
    groups: dict[str, Part] = field(default_factory=dict)
    lost: dict[str, Lost] = field(default_factory=dict)
    forget_seed: int | None = None
    no_op: bool = False

    def of_model(self, audit: str, compared: Iterable[str], headline: str) -> dict[str, Part]:
        """Return what of a model that an audit has made is compared, under the audit's name."""
        read = {"auc": headline, "accuracy": ACCURACY, "confidence": "forget-confidence"}
        names = [name for name in compared if read[name] in self.parts]
        return {f"{audit}-{name}": self.parts[read[name]] for name in names}


def evaluate(
    view: View,
    references: ReferenceModels | None,
    attacks: list[str],
    forget_set: object,
    twin: tuple[View, NDArray[np.int64]] | None = None,
    headline: str = HEADLINE,
) -> Evaluation:
    """Compute every metric that needs no retrain, every attack, and the curves.

    Accuracies and AUCs are in percent, confidences in [0, 1]. twin: of the model for which forget
    and test samples changed places, and the test samples that it forgot; headline: the attack
    behind the AUCs. An attack that lacks what it needs is left out, and so is what cannot be
    computed of this model, which costs nothing else.
    """
    lost: dict[str, Lost] = {}
    swapped = None
    if twin is not None and ATTACKS[headline].possible(twin[0], references):
        beside = attempt(attack_title(headline), lambda: score(headline, twin[0], references), lost)
        swapped = None if beside is None else (beside, twin[1])
    seen, found, memorised = Seen(view, swapped), dict[str, Attacked](), dict[str, Part]()
    groups: dict[str, Part] = {}
    values: dict[str, float] = {}
    known: Floats | None = None

    def attack_with(attack: str, scored: View) -> tuple[Floats, Attacked]:
        scores, others = score(attack, scored, references), ATTACKS[attack].others(scored)
        return scores, attacked(scores, scored.samples.forget, others, forget_set)

    for metric in of_type(OfModel):
        note(values, metric.name, attempt(metric.title, partial(metric.function, seen), lost))
    for attack in dict.fromkeys([headline, *attacks]):
        scored = ATTACKS[attack].seen(view, references)
        if not ATTACKS[attack].possible(scored, references):
            continue
        made = attempt(attack_title(attack), partial(attack_with, attack, scored), lost)
        if made is None:
            continue
        scores, found[attack] = made
        if attack != headline:
            continue
        known, seen = scores, Seen(scored, swapped)
        for one in of_type(OfScores):
            computed = partial(one.function, seen, scores)
            note(values, one.name, attempt(one.title, computed, lost))
        groups = parts.of_groups(scored.samples, scores, str(forget_set))
        if references is not None and references.halves:
            auc, memorisation = found[attack].part, references.memorisation
            memorised = parts.of_memorised(auc, scores, memorisation)
    more = parts.of_attacks(found) | parts.of_signals(view, str(forget_set))
    drawn = curves(view, references, known, headline)
    return Evaluation(values, found, drawn, more | memorised, groups, lost)


def attempt(title: str, compute: Callable[[], T], lost: dict[str, Lost]) -> T | None:
    """Return what a metric or an attack gives; None where it cannot be computed, and note why.

    A boundary, for it may be in a file of the user's; a number that is not finite is none.
    """
    try:
        with np.errstate(all="ignore"):  # what comes of it is looked at
            value = compute()
    except Exception as error:
        passing = any(isinstance(one, OSError) or of_memory(one) for one in causes(error))
        lost[title] = Lost(told(error).removesuffix("."), passing)
        return None
    if isinstance(value, (float, np.floating)) and not np.isfinite(value):
        lost[title] = Lost("it is not a finite number")
        return None
    return value


def note(values: dict[str, float], name: str, value: float | None) -> None:
    """Note a metric's value if it has one."""
    if value is not None:
        values[name] = value
