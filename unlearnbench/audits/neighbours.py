"""The class attack: which samples of a forgotten class the model was trained on.

The idea is that of CMIA (Ebrahimpour-Boroojeny et al., ICML 2026, arXiv 2506.20893): where a class
is forgotten, what the model says of the others still gives its samples away, for a retrained model
takes them for their nearest class, and an unlearned one has been taught something else. CMIA finds
that class by models retrained without the forgotten one, trains a classifier on the probabilities,
and judges a model by how often it decides as for a retrained one. So it asks about a class.

Ours, from that description and not from its code, asks about a sample, as our other attacks do, and
needs no further model and no training: the nearest class is the sample's own, the score is the
share of it, and samples that were trained on are compared with others of the same class. A
retrained model has seen neither, so that its AUC is 50 but for chance.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp

from unlearnbench.audits.roc import Floats
from unlearnbench.blocks import row_blocks

FEWEST_CLASSES = 3
"""With two, one is left when a sample's own is taken away, and has all of the probability."""


def scores(logits: NDArray[np.floating], label: NDArray[np.integer]) -> Floats:
    """Return minus the log of the nearest class's share, [n]; higher is likelier a member.

    logits: [n, classes]; label: [n], the true class, whose logit is taken away before the softmax.
    Training on a sample pushes its nearest class away; training on it with another label than its
    own spreads what is left. Where all other classes are alike, the score is largest, ln(classes -
    1); where one has everything, it is 0.
    """
    nearest: Floats = np.empty(len(logits))
    for rows in row_blocks(logits):
        rest = logits[rows].astype(np.float64)
        rest[np.arange(len(rest)), label[rows]] = -np.inf
        nearest[rows] = logsumexp(rest, axis=1) - rest.max(1)
    return nearest
