"""Compare our membership attacks with those of Meta's PrivacyGuard on one made-up case.

Prints the largest difference of scores and both AUCs of each attack; exits with code 1 if any of
them differs. PrivacyGuard needs an environment of its own: see the README.md beside this file.
"""

from __future__ import annotations

import sys
from importlib.metadata import version

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from privacy_guard.analysis.mia.aggregate_analysis_input import AggregationType
from privacy_guard.attacks.base_attack import BaseAttack
from privacy_guard.attacks.lira_attack import LiraAttack
from privacy_guard.attacks.rmia_attack import RmiaAttack
from scipy.special import expit
from sklearn.metrics import roc_auc_score

from unlearnbench.audits import lira, references
from unlearnbench.audits.roc import auc
from unlearnbench.data.splits import reference_members

Floats = NDArray[np.float64]

SEED, BANK, EACH, POPULATION, TIES = 20261124, 16, 1000, 500, 50
ALPHA = 0.6  # neither implementation's default, so that a lost constant would show
TOLERANCE = 1e-9
AUDITED = 2 * EACH  # the target's members come first, then its non-members, then the population

draw = np.random.default_rng(SEED)
total = AUDITED + POPULATION
member = reference_members(total, BANK, SEED)
inside = np.arange(total) < EACH
ease = draw.normal(1, 1.5, total)
margin = ease + member + draw.normal(0, 1, member.shape)
target = ease + inside + draw.normal(0, 1, total)
# The last of the population are copies of non-members, whose ratios tie with theirs: this tells
# "exceeds" from "at least".
copied = np.r_[: total - TIES, EACH : EACH + TIES]
member, margin, target = member[:, copied], margin[:, copied], target[copied]
probability = expit(margin)


def our_rmia(estimate: Floats) -> Floats:
    """Score the audited samples at gamma 1, given P(x) of all samples."""
    ratio = expit(target) / estimate
    # PrivacyGuard counts the population ratios that are exceeded, not those that are equalled.
    return references.share_above(ratio[:AUDITED], ratio[AUDITED:], gamma=1.0, strict=True)


def their_rmia(references: Floats, kept: int, *, online: bool) -> Floats:
    """Score the audited samples, `kept` being their number of reference models."""
    columns = {"score_orig": expit(target)}
    columns |= {f"score_ref_{i}": row for i, row in enumerate(references)}
    columns |= {f"member_ref_{i}": row for i, row in enumerate(member)}
    parts = split(columns)
    return run(RmiaAttack(*parts, AggregationType.NONE, kept, ALPHA, online=online))


def their_lira(sds: str, *, online: bool, **fitted: Floats) -> Floats:
    """Score the audited samples by fitted distributions, the standard deviations fixed."""
    train, test, _ = split({"score_orig": target} | fitted)
    settings = {"use_fixed_variance": True, "std_dev_type": sds, "online_attack": online}
    return run(LiraAttack(train, test, AggregationType.NONE, **settings))


def split(columns: dict[str, Floats]) -> list[pd.DataFrame]:
    """Return tables of the members, the non-members and the population."""
    table = pd.DataFrame({"user_id": np.arange(total)} | columns)
    # Copies, as LiraAttack writes into what it is given.
    return [table[:EACH].copy(), table[EACH:AUDITED].copy(), table[AUDITED:].copy()]


def run(attack: BaseAttack) -> Floats:
    """Run one of their attacks and return its scores, members first."""
    found = attack.run_attack()
    return np.concatenate([found.df_train_user["score"], found.df_test_user["score"]])


def agree(name: str, ours: Floats, theirs: Floats) -> bool:
    """Print one comparison and say whether it holds."""
    apart = np.abs(theirs - ours).max()
    aucs = auc(ours[:EACH], ours[EACH:]), 100 * roc_auc_score(inside[:AUDITED], theirs)
    print(f"{name:<14}{apart:>18.1e}{aucs[0]:>14.6f}{aucs[1]:>14.6f}")
    return bool(apart <= TOLERANCE and abs(aucs[0] - aucs[1]) <= TOLERANCE)  # False for NaN


# Theirs online is one mean over all models, which is our mean of two means in a balanced bank.
online = their_rmia(probability, BANK, online=True)
# Theirs offline zeroes a sample's IN models and keeps the largest signals: half the bank, asked
# for, is the OUT models. But population samples it takes to be OUT of all models, and would keep
# the larger half of their signals; zeroed by us, their IN models drop out there too.
offline = their_rmia(np.where(member, 0, probability), BANK // 2, online=False)
# LiraAttack wants distributions ready, so ours go into both and scoring alone is compared. It
# averages the standard deviations over samples, which leaves our pooled one what it is.
fits = lira.fit(margin, member)
means = {"score_mean_in": fits.inside.mean, "score_mean_out": fits.outside.mean}
sds = {"score_std_in": fits.inside.sd, "score_std_out": fits.outside.sd}
mix = their_lira("mix", online=True, **means, **sds)
code = lira.fit_as_reference_code(margin, member)
alone = their_lira("shadows_out", online=False, score_mean=code.mean, score_std=code.sd)

# Our log densities leave out their constant, -log(2 pi) / 2. It cancels in LiRA's ratio; minus one
# density of theirs is larger by it.
alone -= np.log(2 * np.pi) / 2
our_code = lira.offline_as_reference_code(target, code)

print("\n".join(f"{name} {version(name)}" for name in ("numpy", "scipy", "privacyguard-platform")))
print(f"\n{'attack':<14}{'score difference':>18}{'our AUC %':>14}{'their AUC %':>14}")
checks = [
    agree("RMIA online", our_rmia(references.online(probability, member)), online),
    agree(
        "RMIA offline",
        our_rmia(references.offline(references.mean_over(~member, probability), ALPHA)),
        offline,
    ),
    agree("LiRA online", lira.online(target, fits)[:AUDITED], mix),
    agree("LiRA offline", our_code[:AUDITED], alone),
]
sys.exit(0 if all(checks) else 1)
