"""Where what is large may lie."""

import torch

HALF = 0.5
"""Share of a GPU's free memory that one tensor may take; products and neighbours need some too."""


def place_for(size: int, device: torch.device) -> torch.device:
    """Return where so many bytes may lie: on the device, or in host memory if a GPU is too full."""
    if device.type != "cuda" or size <= HALF * torch.cuda.mem_get_info(device)[0]:
        return device
    return torch.device("cpu")
