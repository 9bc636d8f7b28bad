"""U-LiRA (Hayes et al., arXiv 2403.01218): the attacker unlearns as well.

Shadow models are passed through the very method under attack. In half of the worlds an audited
sample is trained on and forgotten, in the other half never seen; the likelihood ratio of the two
says which it was. A retrained model cannot be told, whatever the samples: its AUC is 50.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from unlearnbench.metrics import lira
from unlearnbench.metrics.compute import Attacked, attacked

Floats = NDArray[np.float64]


def audit(margins: Sequence[Floats], forgotten: Sequence[NDArray[np.int64]]) -> list[Attacked]:
    """Attack each world with the others, and return what is found in it.

    margins: of one method's model in each world, over the pool; forgotten: indices into it, worlds
    in pairs with complementary halves. Fitted on one half of the worlds and scored on the other,
    and the other way round, so that no model has a part in its own attack and every sample is as
    often forgotten as unseen in what is fitted.
    """
    audited = np.unique(np.concatenate(forgotten))
    seen = np.stack([np.isin(audited, f) for f in forgotten])
    values = np.stack([margin[audited] for margin in margins]).astype(np.float64)
    second = np.arange(len(values)) >= len(values) // 2
    found = []
    for world in range(len(values)):
        fitted = second if not second[world] else ~second
        scores = lira.online(values[world], lira.fit(values[fitted], seen[fitted]))
        members, others = np.flatnonzero(seen[world]), np.flatnonzero(~seen[world])
        found.append(attacked(scores, members, others, f"world {world}"))
    return found
