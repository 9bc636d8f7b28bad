"""Wrong labels."""

import torch

from unlearnbench.toolkit.examples import Examples


def random_labels(examples: Examples, classes: int, *, seed: int) -> Examples:
    """Give every example a label drawn uniformly from the wrong ones."""
    device = examples.labels.device
    generator = torch.Generator(device).manual_seed(seed)
    step = torch.randint(1, classes, (len(examples),), generator=generator, device=device)
    return examples.relabel((examples.labels + step) % classes)
