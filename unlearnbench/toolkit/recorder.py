"""What a run notes about itself while it works: time by part, gradients, loss by epoch."""

import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn


@dataclass
class Recorder:
    """Collect what the toolkit reports; the harness puts it into the record."""

    seconds: dict[str, float] = field(default_factory=dict)
    passed: Counter[str] = field(default_factory=Counter)
    """Samples passed backward, by place in the model; see `toolkit.counting`."""
    idle: int = 0
    """Those of them that only kept a batch full: they were done, or had nothing to do."""
    trace: list[dict[str, Any]] = field(default_factory=list)
    notes: dict[str, Any] = field(default_factory=dict)
    on_epoch: Callable[[int, int], None] | None = None
    profile: dict[str, float] | None = None
    """Seconds by part of the work, where that is asked for; None where it is not."""
    probe: Callable[[nn.Module], dict[str, float]] | None = None
    """What to note of the model after each epoch, where that is asked for."""
    aside: float = 0.0
    """Seconds that belong to no part, spent on that and on choosing between forms of a step."""

    @property
    def gradients(self) -> int:
        """Samples whose gradient was taken."""
        return max(self.passed.values(), default=0) - self.idle

    def epoch(self, number: int, of: int, loss: float, model: nn.Module | None = None) -> None:
        """Note that epoch `number` (from 1) of `of` is over, with its mean loss.

        model: as it is then, for curves over epochs; it is left as it is.
        """
        entry: dict[str, Any] = {"epoch": number, "loss": loss}
        if self.probe and model is not None:
            with self.apart(next(model.parameters()).device):
                entry |= self.probe(model)
        self.trace.append(entry)
        if self.on_epoch:
            self.on_epoch(number, of)

    def warn(self, text: str) -> None:
        """Note what the reader of the results has to know of this run; reports say it."""
        self.notes.setdefault("warnings", []).append(text)

    @contextmanager
    def apart(self, device: torch.device) -> Iterator[None]:
        """Keep a block's time and gradients out of what the run costs."""
        synchronise(device)
        start = time.perf_counter()
        try:
            with recording(Recorder()):
                yield
        finally:
            synchronise(device)
            self.aside += time.perf_counter() - start

    def part(self, name: str, device: torch.device) -> AbstractContextManager[None]:
        """Add a block's time to the profile, if there is one; a GPU then waits at both ends."""
        return nullcontext() if self.profile is None else self.timed(name, device, self.profile)

    @contextmanager
    def timed(
        self, part: str, device: torch.device, to: dict[str, float] | None = None
    ) -> Iterator[None]:
        """Add a block's wall time to `part` of `to` (`seconds`), the device idle at both ends."""
        to = self.seconds if to is None else to
        synchronise(device)
        start = time.perf_counter() - self.aside
        try:
            yield
        finally:
            synchronise(device)
            to[part] = to.get(part, 0.0) + time.perf_counter() - self.aside - start


_active: ContextVar[Recorder | None] = ContextVar("recorder", default=None)


def recorder() -> Recorder:
    """Return the recorder of the run in progress, or a throw-away one outside any run."""
    return _active.get() or Recorder()


@contextmanager
def recording(active: Recorder) -> Iterator[Recorder]:
    """Make `active` the recorder of everything the toolkit does in this block."""
    token = _active.set(active)
    try:
        yield active
    finally:
        _active.reset(token)


def synchronise(device: torch.device) -> None:
    """Wait until the device has done all it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
