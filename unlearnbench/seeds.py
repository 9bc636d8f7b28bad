"""The one rule that derives every seed."""

import hashlib


def seed_for(base: int, *purpose: str | int) -> int:
    """Derive the seed of one purpose from a base seed.

    Purposes do not disturb each other: what a method draws for its batches never changes how a
    model is initialised or a forget set is drawn. Returns an integer in [0, 2**63).
    """
    text = "/".join(map(str, (base, *purpose)))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1
