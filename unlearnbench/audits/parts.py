"""What each audit of signals brings of one model: an estimate in percent, sample by sample.

Of every attack its AUC and its true-positive rate at 1 % false positives; of the headline attack
its AUC on the most memorised tenth; the confidence on D_F and on D_T. An audit that needs models,
such as relearning, makes other models, of which the same is read, and the accuracy on D_F.
"""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from unlearnbench.audits import roc
from unlearnbench.audits.attacks import ATTACKS, FPRS, ULIRA, Attacked, Samples, View, attack_title
from unlearnbench.audits.references import DECILES, deciles
from unlearnbench.audits.roc import Floats, Index, Null, Part, mean_of

TAIL = FPRS[0]
TPR = "tpr-"
"""How the names of audits by true-positive rate begin; an AUC's is that of its attack."""
NULLS: dict[str, Null] = {
    ULIRA: lambda _: 50.0,
    f"{TPR}{ULIRA}": lambda part: roc.by_chance(len(part.others), TAIL),
}
"""What retraining gives by construction, by audit."""
LEAST = 5
"""Forget samples that the most memorised tenth must have."""
ACCURACY = "forget-accuracy"
"""No audit of its own, but read of models that audits make."""
TITLES = {
    "memorised": "Memorised tenth",
    "forget-confidence": "Forget confidence",
    "test-confidence": "Test confidence",
}
SHARED = ("retain", "others")
"""Groups of samples that are the same in all runs, or nearly."""
GROUPS = {
    "fr_auc": ("retain", "forget"),
    "rt_auc": ("retain", "others"),
    "all_ft_auc": ("all_forgotten", "others"),
    "all_fr_auc": ("retain", "all_forgotten"),
}
"""Which groups of samples a metric's AUC tells apart, the one that scores higher first."""
OF_MODELS = {"auc": "FT AUC", "accuracy": "accuracy", "confidence": "confidence"}
"""What is read of the models that an audit of models makes, on forget samples."""


def of_attacks(found: Mapping[str, Attacked]) -> dict[str, Part]:
    """Return the AUC of each attack, and its TPR at 1 % FPR where there are samples enough."""
    parts = {}
    for attack, one in found.items():
        parts[attack] = one.part
        if tail := one.tails[TAIL]:
            parts[f"{TPR}{attack}"] = tail
    return parts


def of_signals(view: View, forget_set: str) -> dict[str, Part]:
    """Return the accuracy on D_F and the confidence on D_F and D_T, in percent."""
    samples, percent = view.samples, 100 * view.confidence
    right = np.where(view.signals["correct"], 100.0, 0.0)
    return {
        ACCURACY: mean_of(forget_set, right[samples.forget], samples.forget),
        "forget-confidence": mean_of(forget_set, percent[samples.forget], samples.forget),
        "test-confidence": mean_of(forget_set, percent[samples.test], samples.test, shared=True),
    }


def of_memorised(found: Part, scores: Floats, memorisation: Floats) -> dict[str, Part]:
    """Return an attack's AUC on the tenth of the forget samples that models memorise most.

    found: its AUC on all; scores, memorisation: [n], of the pool. Nothing where that tenth is too
    small.
    """
    tenth = found.forget[deciles(memorisation[found.forget]) == DECILES - 1]
    if len(tenth) < LEAST:
        return {}
    placed = roc.placements(scores[tenth], scores[found.others])
    return {"memorised": Part(found.forget_set, tenth, found.others, *placed)}


def of_groups(samples: Samples, scores: Floats, forget_set: str) -> dict[str, Part]:
    """Return the AUCs of other groups of samples than those of audits, by metric.

    Samples that runs share are on the side of the non-members: forget sets that agree say nothing
    of how sure the mean is in them. Nothing of groups that the attack has no scores of.
    """
    parts = {}
    for metric, groups in GROUPS.items():
        if "all_forgotten" in groups and not len(samples.earlier):
            continue
        index = {group: getattr(samples, group) for group in groups}
        own = [scores[at] for at in index.values()]
        if not all(np.isfinite(values).all() for values in own):
            continue
        placed = dict(zip(groups, roc.placements(*own), strict=True))
        varying, shared = (
            _joined([(index[name], placed[name]) for name in groups if (name in SHARED) == same])
            for same in (False, True)
        )
        parts[metric] = Part(forget_set, varying[0], shared[0], varying[1], shared[1])
    return parts


def _joined(groups: Sequence[tuple[Index, Floats]]) -> tuple[Index, Floats]:
    """Put groups of samples together as one, whose mean has the sum of their variances.

    groups: indices, and what each sample brings, with the same mean in each.
    """
    if not groups:
        return np.empty(0, dtype=np.int64), np.empty(0)
    if len(groups) == 1:
        return groups[0]
    total = sum(len(index) for index, _ in groups)
    brought = [at.mean() + (at - at.mean()) * total / len(at) for _, at in groups]
    return np.concatenate([index for index, _ in groups]), np.concatenate(brought)


def audit_names(model_audits: Iterable[str]) -> set[str]:
    """Return what audits may be called, given the names of those that need models."""
    attacks = {*ATTACKS, ULIRA}
    of_models = (f"{audit}-{what}" for audit in model_audits for what in OF_MODELS)
    return {*attacks, *(f"{TPR}{attack}" for attack in attacks), *TITLES, *of_models}


def audit_title(audit: str) -> str:
    """Name an audit for people."""
    if audit in TITLES:
        return TITLES[audit]
    if audit.startswith(TPR):
        return f"{attack_title(audit.removeprefix(TPR))}, TPR at {100 * TAIL:g} % FPR"
    of, _, what = audit.rpartition("-")
    return f"{of.capitalize()}: {OF_MODELS[what]}" if what in OF_MODELS else attack_title(audit)
