"""Membership attacks: what each is called, what it needs, and how it scores samples."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.polynomial import Chebyshev
from numpy.typing import NDArray
from scipy.special import expit

from unlearnbench.audits import lira, neighbours, roc
from unlearnbench.audits.references import GAMMA, ReferenceModels, share_above
from unlearnbench.audits.roc import Floats, Index, Part
from unlearnbench.errors import UnlearnBenchError

if TYPE_CHECKING:
    from sklearn.svm import SVC

FPRS = (0.01, 0.001)
"""False-positive rates at which the share of found members is read."""
HEADLINE = "rmia"
"""The attack behind FT, FR and RT AUC, unless a benchmark names another."""
PAPER = "rmia-paper"
"""The attack behind AUCs that the AMUN paper printed."""
ULIRA = "u-lira"
"""The attack that needs shadow models in place of references, see `ulira`."""

SVC_MOST = 10_000
SVC_RESOLUTION = 1e-3
"""Equal values are fitted once, with their number as weight; equal means to this digit.

The SVC's kernel, exp(-(a - b)^2), does not see so small a difference, and most confidences are near
1: a fit on 20,000 samples takes hundredths of a second instead of many seconds.
"""
SVC_STRETCH, SVC_DEGREE = 16.0, 136
"""Polynomials of this degree are kernels' sums to rounding, on stretches of this many units."""


@dataclass(frozen=True)
class Samples:
    """Say which samples of the pool are forgotten, retained, tested on, and sure non-members.

    Indices into the signals. others: the non-members that attacks compare with; the test samples,
    or samples held out from the training set before anything was trained. earlier: what requests
    before this one asked to forget.
    """

    forget: Index
    retain: Index
    test: Index
    others: Index
    earlier: Index = field(default_factory=lambda: np.empty(0, dtype=np.int64))

    @property
    def all_forgotten(self) -> Index:
        """What this request and all before it asked to forget."""
        return np.concatenate((self.forget, self.earlier))

    def only(self, chosen: NDArray[np.bool_]) -> Self:
        """Return those that are chosen; chosen: bool [n], of the pool."""
        return type(self)(**{name: at[chosen[at]] for name, at in vars(self).items()})


@dataclass(frozen=True)
class View:
    """Hold what an attacker sees of one model: its signals over the pool.

    logits: [n, classes], only where a class is forgotten and an attack of classes is asked for.
    """

    signals: Mapping[str, NDArray[Any]]
    samples: Samples
    logits: NDArray[Any] | None = None

    @cached_property
    def margin(self) -> Floats:
        """Log-odds of the true label."""
        return self.signals["margin"].astype(np.float64)

    @cached_property
    def confidence(self) -> Floats:
        """From the margin, which keeps apart what float32 confidences near 1 no longer can."""
        return expit(self.margin)

    @cached_property
    def others_of_class(self) -> Index:
        """The non-members of the class (or subclass) that is forgotten."""
        of = self.signals.get("subclass", self.signals["label"])
        others = self.samples.others
        return others[np.isin(of[others], of[self.samples.forget])]


def _sm_taylor(signal: str, view: View, references: ReferenceModels) -> Floats:
    mean = getattr(references, signal).mean(0)  # over all references, with the sample and without
    own = view.signals[signal].astype(np.float64)
    ratio = np.divide(own, mean, out=np.zeros_like(own), where=mean != 0)
    # Every other sample of the pool is the population; with gamma > 1 none counts itself.
    return share_above(ratio, ratio, gamma=GAMMA, strict=True)


def _svc(view: View, references: ReferenceModels | None) -> Floats:
    samples, entropy = view.samples, view.signals["modified_entropy"].astype(np.float64)
    scores = np.full(len(entropy), np.nan)  # of the samples it was trained on there are no scores
    scores[samples.forget], scores[samples.others] = svc_scores(
        entropy[samples.retain], entropy[samples.others], entropy[samples.forget]
    )
    return scores


def _class(view: View, references: ReferenceModels | None) -> Floats:
    if view.logits is None:
        raise ValueError("the class attack needs logits")
    return neighbours.scores(view.logits, view.signals["label"])


@dataclass(frozen=True)
class Attack:
    """Describe an attack: title, what it does in a line, and what it needs.

    references: whether that is reference models; signal: what it reads of a model, and of them;
    of_class: whether it is a forgotten class, with whose non-members alone it compares, and logits;
    online: whether it needs half of the references to be trained on each sample.
    """

    title: str
    about: str
    score: Callable[[View, Any], Floats]
    references: bool = True
    signal: str = "margin"
    of_class: bool = False
    online: bool = False

    def seen(self, view: View, references: ReferenceModels | None) -> View:
        """Return a view without the samples that it has no scores of: in all of the references."""
        if not self.references or references is None or references.known.all():
            return view
        return replace(view, samples=view.samples.only(references.known))

    def possible(self, view: View, references: ReferenceModels | None) -> bool:
        """Say whether there is all that it needs: old runs have not stored every signal."""
        parts = view.samples.forget, view.samples.retain, view.samples.others
        if not all(map(len, parts)):
            return False
        if self.of_class and (
            view.logits is None
            or view.logits.shape[1] < neighbours.FEWEST_CLASSES
            or not len(view.others_of_class)
        ):
            return False
        if self.references and getattr(references, self.signal, None) is None:
            return False
        if self.online and not (references and references.halves):
            return False
        return self.signal in view.signals

    def others(self, view: View) -> Index:
        """Return the non-members that it compares with."""
        return view.others_of_class if self.of_class else view.samples.others


_AS_AMUN = "SM-Taylor, T = 2, m = 0.6, n = 4, gamma = 2, all other samples as population, online"


ATTACKS: dict[str, Attack] = {
    "rmia": Attack(
        "RMIA",
        "likelihood ratio against references, online",
        lambda v, r: v.confidence / r.online,
        online=True,
    ),
    PAPER: Attack(
        "AMUN's RMIA",
        f"as AMUN's code has it: {_AS_AMUN}; its probabilities may be negative or above 1, and"
        " samples are compared with those of the same sign; where one is not defined it counts as"
        " 0, not a member",
        partial(_sm_taylor, "sm_taylor_exact"),
        signal="sm_taylor_exact",
        online=True,
    ),
    "rmia-clamped": Attack(
        "AMUN's RMIA clamped",
        f"AMUN's evaluation with probabilities that are some: {_AS_AMUN}; each Taylor cubic is held"
        " at 1e-6 or more",
        partial(_sm_taylor, "sm_taylor"),
        signal="sm_taylor",
        online=True,
    ),
    "rmia-offline": Attack(
        "RMIA offline",
        "likelihood ratio against references without the sample",
        lambda v, r: v.confidence / r.offline,
    ),
    "lira": Attack(
        "LiRA",
        "Gaussians of the log-odds with and without the sample",
        lambda v, r: lira.online(v.margin, r.gaussians),
        online=True,
    ),
    "lira-offline": Attack(
        "LiRA offline",
        "how far above its distribution without the sample",
        lambda v, r: lira.offline(v.margin, r.without),
    ),
    "lira-offline-code": Attack(
        "LiRA offline as coded",
        "the published code's form: minus the log density without the sample, two-sided",
        lambda v, r: lira.offline_as_reference_code(v.margin, r.code),
    ),
    # The loss is log(1 + exp(-margin)): it falls as the margin grows.
    "loss": Attack("Loss", "the loss itself (Attack-P)", lambda v, r: v.margin, references=False),
    "svc": Attack(
        "SVC",
        "an SVC on the label-aware modified entropy (SalUn)",
        _svc,
        references=False,
        signal="modified_entropy",
    ),
    "class": Attack(
        "Class",
        "how small a share the nearest other class has of what the sample's own leaves, against"
        " non-members of the forgotten class alone (after CMIA)",
        _class,
        references=False,
        of_class=True,
    ),
}
HEADLINES = [name for name in ATTACKS if name not in ("svc", "class")]
"""Those that score all samples of any benchmark, as FR and RT AUC need; the SVC learns of some."""
SHOWN = [name for name in ATTACKS if name != "rmia-clamped"]
"""The attacks of a benchmark that names none."""


OFFLINE, ALONE = "rmia-offline", "loss"
"""The headline attack where references are not of halves, and where there are none."""


def usable(raw: Mapping[str, Any], *, references: bool, online: bool) -> dict[str, Any]:
    """Return the headline attack and the attacks of a benchmark, those that are not possible out.

    references: whether there are any; online: whether each sample is in half of them.
    """
    possible = [
        name
        for name, attack in ATTACKS.items()
        if (references or not attack.references) and (online or not attack.online)
    ]
    headline = raw.get("headline", HEADLINE)
    instead = OFFLINE if references else ALONE
    shown = [name for name in raw.get("attacks", SHOWN) if name in possible]
    return {
        "headline": headline if headline in possible else instead,
        "attacks": shown or [instead],
    }


def score(name: str, view: View, references: ReferenceModels | None) -> Floats:
    """Return an attack's membership scores of the pool, [n]; higher is likelier a member."""
    return ATTACKS[name].score(view, references)


def attack_title(attack: str) -> str:
    """Name an attack for people."""
    return "U-LiRA" if attack == ULIRA else ATTACKS[attack].title


@dataclass(frozen=True)
class Attacked:
    """Hold what one attack finds in one model: forget samples against non-members.

    part: the AUC with its sampling distribution; tails: TPR by FPR in the same form, None where
    there are too few non-members; balanced: balanced accuracy in percent, at a threshold chosen on
    other samples.
    """

    part: Part
    tails: dict[float, Part | None]
    balanced: float


def attacked(scores: Floats, forget: Index, others: Index, forget_set: object) -> Attacked:
    """Reduce membership scores of the pool to what the attack finds.

    Raises UnlearnBenchError where they are not finite.
    """
    positive, negative = scores[forget], scores[others]
    if not (np.isfinite(positive).all() and np.isfinite(negative).all()):
        raise UnlearnBenchError("its scores are not finite")
    at, name = (forget, others), str(forget_set)
    part = Part(name, *at, *roc.placements(positive, negative))
    tails = {fpr: roc.tail(name, positive, negative, at, fpr) for fpr in FPRS}
    return Attacked(part, tails, roc.balanced_accuracy(positive, negative))


def ulira(margins: Sequence[Floats], forgotten: Sequence[Index]) -> list[Attacked]:
    """Attack each world with the others by U-LiRA (Hayes et al., arXiv 2403.01218).

    The attacker unlearns as well: shadow models are passed through the very method under attack. In
    half of the worlds an audited sample is trained on and forgotten, in the other half never seen;
    the likelihood ratio of the two says which. A retrained model's AUC is 50, whatever the samples.

    margins: of one method's model in each world, over the pool; forgotten: indices into it, worlds
    in pairs with complementary halves. Fitted on one half of the worlds and scored on the other,
    and the other way round, so that no model has a part in its own attack and every sample is as
    often forgotten as unseen in what is fitted.
    """
    audited = np.unique(np.concatenate(forgotten))
    seen = np.stack([np.isin(audited, members) for members in forgotten])
    values = np.stack([margin[audited] for margin in margins]).astype(np.float64)
    second = np.arange(len(values)) >= len(values) // 2
    worlds = []
    for world, members in enumerate(seen):
        fitted = second != second[world]
        scores = lira.online(values[world], lira.fit(values[fitted], seen[fitted]))
        groups = np.flatnonzero(members), np.flatnonzero(~members)
        worlds.append(attacked(scores, *groups, f"world {world}"))
    return worlds


def _fit_svc(members: Floats, others: Floats) -> "SVC":
    """Fit the SVC (rbf, C = 3, gamma "auto") to equally many of each, at most 10,000, at random.

    As in AMUN's evaluation; SalUn's code takes the first members in index order.
    """
    from sklearn.svm import SVC

    size = min(len(members), len(others), SVC_MOST)
    fitted = [
        np.unique(np.round(group[chosen] / SVC_RESOLUTION), return_counts=True)
        for group, name in ((members, "members"), (others, "others"))
        for chosen in [roc.drawn(group, size, name)]
    ]
    values, weights = (np.concatenate(of_both) for of_both in zip(*fitted, strict=True))
    labels = np.repeat([1, 0], [len(value) for value, _ in fitted])
    model = SVC(C=3, kernel="rbf", gamma="auto")
    return model.fit(SVC_RESOLUTION * values[:, None], labels, sample_weight=weights)


def _decide(model: "SVC", values: Floats) -> Floats:
    """Return the SVC's decision function, positive for members.

    A sum of Gaussians of one variable is smooth: stretch by stretch, a Chebyshev polynomial is the
    same to rounding, and evaluated many times faster than a kernel a sample.
    """
    vectors, weights = np.asarray(model.support_vectors_)[:, 0], np.asarray(model.dual_coef_)[0]

    def summed(at: Floats) -> Floats:
        total: Floats = np.exp(-((at[:, None] - vectors) ** 2)) @ weights
        return total

    decided, stretch = np.empty(len(values)), np.floor(values / SVC_STRETCH)
    for number in np.unique(stretch):
        inside, ends = stretch == number, SVC_STRETCH * np.array([number, number + 1])
        many = inside.sum() > SVC_DEGREE  # it takes about as many sums to fit the polynomial
        decide = Chebyshev.interpolate(summed, SVC_DEGREE, ends) if many else summed
        decided[inside] = decide(values[inside])
    return decided + float(model.intercept_[0])


def mis(retain: Floats, test: Floats, forget: Floats) -> float:
    """Return SalUn's MIA efficacy in percent: the share of D_F taken for non-members.

    By confidence in the true label. There is no ideal value: closest to retrain's is best.
    """
    return float(100 * (_decide(_fit_svc(retain, test), forget) < 0).mean())


def svc_scores(retain: Floats, test: Floats, forget: Floats) -> tuple[Floats, Floats]:
    """Return the SVC's membership scores of forget and test samples.

    Two SVCs, each trained on half of the test samples and applied to the other half and to half of
    the forget samples, so that none scores what it was trained on, and both are scored alike.
    """
    at_forget, at_test = np.empty(len(forget)), np.empty(len(test))
    first_f, first_t = roc.half(forget, "forget"), roc.half(test, "test")
    for part_f, part_t in ((first_f, first_t), (~first_f, ~first_t)):
        model = _fit_svc(retain, test[~part_t])
        at_forget[part_f] = _decide(model, forget[part_f])
        at_test[part_t] = _decide(model, test[part_t])
    return at_forget, at_test
