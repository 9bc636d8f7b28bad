"""How many runs a device holds at once, by the memory that runs of each kind have needed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

OVERHEAD = 600
"""MB that a process takes on a GPU before it has allocated anything."""
SHARE = 0.9
"""Share of a device's memory that is given out; allocators do not fill it to the last byte."""


class Capacity:
    """Say which runs fit beside each other.

    The first run of a kind has a device to itself, and shows what it needs; devices whose memory is
    not given hold as many runs as they have slots.
    """

    def __init__(self, memory: Mapping[str, int] | None = None) -> None:
        """Take each device's memory in MB."""
        self.memory = dict(memory or {})
        self.needs: dict[str, int] = {}

    def learn(self, kind: str, memory: int) -> None:
        """Note the peak memory, in MB, of a run of a kind; the largest counts."""
        self.needs[kind] = max(memory, self.needs.get(kind, 0))

    def fits(self, kind: str, neighbours: Sequence[str], device: str) -> bool:
        """Say whether a run of one kind may start on a device beside runs of the kinds given."""
        if device not in self.memory or not neighbours:
            return True
        needs = [self.needs.get(one) for one in (kind, *neighbours)]
        known = [need + OVERHEAD for need in needs if need is not None]
        return len(known) == len(needs) and sum(known) <= SHARE * self.memory[device]
