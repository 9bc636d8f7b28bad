"""What methods are made of: examples, training, layers, the adversarial search, masks, labels."""

from unlearnbench.toolkit.adversarial import (
    adversarial_examples,
    adversarial_pairs,
    adversarial_search,
)
from unlearnbench.toolkit.examples import Examples, divergence, outputs
from unlearnbench.toolkit.features import features, last_layer
from unlearnbench.toolkit.layers import convolutions, layers, only_last_layers
from unlearnbench.toolkit.memory import place_for
from unlearnbench.toolkit.optimisers import Schedule, cosine
from unlearnbench.toolkit.recorder import recorder
from unlearnbench.toolkit.relabelling import learn_random_labels, random_labels
from unlearnbench.toolkit.saliency import each_with_own_weights, saliency_mask, squared_gradients
from unlearnbench.toolkit.stand_ins import stand_in
from unlearnbench.toolkit.targeted import targeted_search
from unlearnbench.toolkit.training import Trainer, finetune, train

__all__ = [
    "Examples",
    "Schedule",
    "Trainer",
    "adversarial_examples",
    "adversarial_pairs",
    "adversarial_search",
    "convolutions",
    "cosine",
    "divergence",
    "each_with_own_weights",
    "features",
    "finetune",
    "last_layer",
    "layers",
    "learn_random_labels",
    "only_last_layers",
    "outputs",
    "place_for",
    "random_labels",
    "recorder",
    "saliency_mask",
    "squared_gradients",
    "stand_in",
    "targeted_search",
    "train",
]
