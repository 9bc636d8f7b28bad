"""Each method once more, as a plain loop in PyTorch that shares no code with ours.

A port is given nets and tensors, uses nothing of the toolkit and returns the net. It draws from
generators with the seeds that the method has, in the same order: so both see the same batches,
labels and noise. It is written from the paper and, where our method follows it, from what the
authors' code does; where the method declares a difference, the port has it too.
"""

from __future__ import annotations

from tests.ports import (  # each enters its ports into PORTS
    adversarial,
    ascent,
    dampening,
    fine_tuning,
    in_parts,
    relabelling,
    teachers,
)
from tests.ports.case import PORTS

__all__ = [
    "PORTS",
    "adversarial",
    "ascent",
    "dampening",
    "fine_tuning",
    "in_parts",
    "relabelling",
    "teachers",
]
