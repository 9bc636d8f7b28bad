"""What methods are made of: examples, training, the adversarial search, masks, wrong labels."""

from unlearnbench.toolkit.adversarial import (
    adversarial_examples,
    adversarial_pairs,
    adversarial_search,
)
from unlearnbench.toolkit.examples import Examples, divergence, outputs
from unlearnbench.toolkit.features import features, last_layer
from unlearnbench.toolkit.optimisers import cosine
from unlearnbench.toolkit.recorder import recorder
from unlearnbench.toolkit.relabelling import learn_random_labels, random_labels
from unlearnbench.toolkit.saliency import saliency_mask, squared_gradients
from unlearnbench.toolkit.stand_ins import stand_in
from unlearnbench.toolkit.training import Trainer, finetune, train

__all__ = [
    "Examples",
    "Trainer",
    "adversarial_examples",
    "adversarial_pairs",
    "adversarial_search",
    "cosine",
    "divergence",
    "features",
    "finetune",
    "last_layer",
    "learn_random_labels",
    "outputs",
    "random_labels",
    "recorder",
    "saliency_mask",
    "squared_gradients",
    "stand_in",
    "train",
]
