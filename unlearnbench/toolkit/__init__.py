"""What methods are made of: examples, fine-tuning, the adversarial search, masks, wrong labels."""

from unlearnbench.toolkit.adversarial import adversarial_examples
from unlearnbench.toolkit.examples import Examples
from unlearnbench.toolkit.labels import random_labels
from unlearnbench.toolkit.recorder import recorder
from unlearnbench.toolkit.saliency import saliency_mask
from unlearnbench.toolkit.training import Trainer, finetune, train

__all__ = [
    "Examples",
    "Trainer",
    "adversarial_examples",
    "finetune",
    "random_labels",
    "recorder",
    "saliency_mask",
    "train",
]
