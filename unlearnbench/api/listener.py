"""Who hears what a run does: a terminal, a notebook's bar, or nobody."""

import sys
import time
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from html import escape
from typing import Any

from unlearnbench.planning.plan import Plan
from unlearnbench.scheduling import estimate
from unlearnbench.scheduling.progress import Progress
from unlearnbench.scheduling.slots import Event, Slot
from unlearnbench.units import count, duration


@dataclass(frozen=True)
class Outlook:
    """Say what there is to do before it begins: what is stored, what is open, what it will take."""

    heading: str
    plan: Plan
    state: Progress
    known: estimate.Pace
    cost: estimate.Cost


class Listener:
    """Hear what a run does. Each method does nothing: a subclass writes those that it wants."""

    def planned(self, outlook: Outlook) -> None:
        """Hear what there is to do, before anything starts."""

    def working(self, outlook: Outlook, slots: list[Slot]) -> AbstractContextManager[object]:
        """Return a context that lasts while models are made on `slots`."""
        return nullcontext()

    def busy(self, what: str) -> AbstractContextManager[object]:
        """Return a context that lasts while something else takes time; what: "Reading data"."""
        return nullcontext()

    def ended(self, event: Event) -> None:
        """Hear that a model was made, with its training curve, has failed, or cannot be made."""

    def told(self, text: str) -> None:
        """Hear a line about anything else."""


class _NotebookBar(Listener):
    """Show a progress bar below a notebook's cell, and each failure in a line of its own."""

    def __init__(self) -> None:
        self._total, self._ended, self._started = 0, 0, time.monotonic()
        self._heading, self._lines = "", list[str]()
        self._handle: Any = None

    def planned(self, outlook: Outlook) -> None:
        self._heading, self._total, self._ended = outlook.heading, len(outlook.state.open), 0
        self._started = time.monotonic()
        self._show()

    def ended(self, event: Event) -> None:
        self._ended += event.status != "again"
        if event.status in ("failed", "blocked"):
            self._lines.append(f"{event.label} {event.run} {event.status}: {event.message}")
        self._show()

    def told(self, text: str) -> None:
        self._lines.append(text)
        self._show()

    def _show(self) -> None:
        from IPython.display import HTML, display

        lines = "".join(f"<div>{escape(line)}</div>" for line in self._lines)
        if self._heading:  # what is told before anything is planned stands alone
            spent = duration(time.monotonic() - self._started)
            text = f"{self._heading}: {self._ended} of {count(self._total, 'model')}, {spent}"
            bar = f"<progress value='{self._ended}' max='{max(self._total, 1)}'></progress>"
            lines = f"<div>{bar} {escape(text)}</div>{lines}"
        shown = HTML(lines)  # type: ignore[no-untyped-call]
        if self._handle is None:
            self._handle = display(shown, display_id=True)  # type: ignore[no-untyped-call]
        else:
            self._handle.update(shown)


def usual_listener() -> Listener:
    """Return a progress bar in a notebook; elsewhere a listener that shows nothing."""
    return _NotebookBar() if "ipykernel" in sys.modules else Listener()
