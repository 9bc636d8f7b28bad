"""What the user sees in the terminal."""

import os
import time
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table as RichTable
from rich.text import Text

from unlearnbench.api.listener import Listener, Outlook
from unlearnbench.cli.layout import lay_out, shortened
from unlearnbench.cli.said import safe_console
from unlearnbench.errors import plain
from unlearnbench.planning.plan import Node
from unlearnbench.planning.purpose import purposes
from unlearnbench.reporting.tables.table import Table
from unlearnbench.scheduling.estimate import Cost, Pace
from unlearnbench.scheduling.slots import Event, Slot
from unlearnbench.units import count, duration, size

MOST = 8
"""Lines of one kind that are printed; more would hide the rest."""
PIPED = 200
"""Columns of a line in a pipe, where nothing says how many there are."""
WIDEST = 120
"""Columns of a paragraph: longer lines are hard to read."""
STYLES = {"done": "green", "again": "yellow", "failed": "bold red", "blocked": "red"}


class Display(Listener):
    """Write to a terminal, live, or to a pipe, in plain lines."""

    def __init__(self, console: Console | None = None) -> None:
        """Write to `console`, or else to standard output."""
        self.console: Console = console or safe_console()
        self._open: dict[str, Node] = {}
        self._purposes: dict[str, str] = {}
        self._begun: set[Slot] = set()
        self._total = self._ended = 0
        if not self.console.is_terminal and "COLUMNS" not in os.environ:
            self.console.width = PIPED

    def planned(self, outlook: Outlook) -> None:
        """Print one line: what there is to do, how much is done, what it will take."""
        plan, state = outlook.plan, outlook.state
        parts = [f"{outlook.heading}: {len(plan.nodes)} models", f"{len(state.done)} done"]
        if state.failed:
            parts.append(f"{len(state.failed)} failed before (--retry-failed tries them again)")
        if state.open:
            parts.append(f"{len(state.open)} to make on {_said(outlook.cost)}")
        self.console.print(Text("; ".join(parts)))
        damaged = [
            f"{plan.nodes[run].label} {run} is made again: {damage}."
            for run, damage in state.damaged.items()
        ]
        if (more := len(damaged) - MOST) > 0:
            damaged[MOST:] = [f"and so are {more} more (see: unlearnbench results verify)."]
        self.notes(damaged)

    def graph(self, outlook: Outlook) -> None:
        """Print what a run would make, by kind, and how long each kind takes on one slot."""
        table = RichTable("Kind", "Models", "Done", "To make", "Time", box=None)
        done, todo = set(outlook.state.done), set(outlook.state.open)
        kinds: dict[str, dict[str, Node]] = {}
        for run, node in outlook.plan.nodes.items():
            kinds.setdefault(node.label, {})[run] = node
        for label, nodes in kinds.items():
            left = [node for run, node in nodes.items() if run in todo]
            total = outlook.known.total(left)
            cost = "?" if total is None else duration(total)
            made = len(done.intersection(nodes))
            table.add_row(label, str(len(nodes)), str(made), str(len(left)), cost)
        self.console.print(table)
        for line in _parts_said(node for nodes in kinds.values() for node in nodes.values()):
            self._paragraph(Text(line))

    def working(self, outlook: Outlook, slots: list[Slot]) -> Live:
        """Show below what is printed what each slot does, and how far the whole is."""
        self._open = {run: outlook.plan.nodes[run] for run in outlook.state.open}
        self._purposes, self._begun = purposes(outlook.plan), set()
        self._total, self._ended = len(self._open), 0
        started = time.monotonic()
        lanes = len(slots) if outlook.cost.slots is None else outlook.cost.lanes
        return Live(
            get_renderable=lambda: self._view(slots, lanes, outlook.known, started),
            console=self.console,
            refresh_per_second=4,
            transient=True,
            auto_refresh=self.console.is_terminal,
        )

    def busy(self, what: str) -> AbstractContextManager[object]:
        """Show that something goes on, on a terminal."""
        return self.console.status(Text(f"{what} ..."), spinner_style="cyan")

    def _view(self, slots: list[Slot], lanes: int, known: Pace, started: float) -> RenderableType:
        grid = RichTable.grid(padding=(0, 1))
        for slot in slots:
            now = slot.activity()
            if now is None:
                idle = slot in self._begun  # a worker takes seconds to begin
                said = "waiting" if idle else "starting a worker"
                grid.add_row(slot.device, _bar(0, 1 if idle else None), said)
            else:
                self._begun.add(slot)
                said = self._purposes.get(now.run, now.label)
                epoch = f", epoch {now.epoch} of {now.epochs}" if now.epochs else ""
                grid.add_row(slot.device, _bar(now.epoch, now.epochs or None), said + epoch)
        left = known.total(self._open.values(), lanes)
        text = f"{self._ended} of {count(self._total, 'model')}"
        text += f", {duration(time.monotonic() - started)} so far"
        if left is not None:
            text += f", about {duration(left)} left"
        grid.add_row("all", _bar(self._ended, max(self._total, 1)), text)
        return Group(Text(), grid)

    def ended(self, event: Event) -> None:
        """Print a line for each node that ends."""
        if event.status != "again":
            self._ended += 1
            self._open.pop(event.run, None)
        line = Text(f"[{self._ended:>{len(str(self._total))}}/{self._total}] ")
        line.append(f"{event.status:<7}", STYLES[event.status])
        line.append(plain(f" {self._purposes.get(event.run, event.label)}, {event.seconds:.1f} s"))
        if event.message:
            line.append(plain(f" ({event.run})  "))
            line.append(plain(event.message), "red")
        self.console.print(line)

    def told(self, text: str) -> None:
        """Print a line."""
        self.console.print(Text(plain(text)), soft_wrap=not self.console.is_terminal)

    def table(self, table: Table) -> None:
        """Print a table of results, its caption below: whole lines, however narrow the terminal."""
        laid = lay_out(table, self.console.width)
        self.console.print()
        for line in laid.lines():
            self.console.print(line, crop=False, no_wrap=True, overflow="ignore")
        if not laid.left_out:
            self._paragraph(Text(plain(table.caption)))
            return
        self._paragraph(Text(plain(shortened(table.caption, laid, self._width))))
        said = f"Left out, as the terminal is narrow: {', '.join(laid.left_out)}."
        if table.benchmark:
            said += f" All columns, and what they say: unlearnbench report {table.benchmark}."
        self._paragraph(Text(said))

    def said(self, sentences: Iterable[str]) -> None:
        """Print what came out, in sentences."""
        self.console.print()
        for sentence in sentences:
            self._paragraph(Text(plain(sentence)))

    @property
    def _width(self) -> int:
        """Columns of a paragraph."""
        return min(self.console.width, WIDEST)

    def _paragraph(self, text: Text) -> None:
        self.console.print(text, width=self._width)

    def notes(self, notes: Iterable[str]) -> None:
        """Print what must be read with a table."""
        for note in notes:
            self._paragraph(Text.assemble(("! ", "bold magenta"), plain(note)))


def _bar(completed: int, total: int | None) -> ProgressBar:
    """Show how far something is; total None: that it goes on.

    What is left is grey on dark and on light terminals, and no part is red, as errors are.
    """
    return ProgressBar(
        total,
        completed,
        width=20,
        style="bright_black",
        complete_style="cyan",
        finished_style="green",
        pulse_style="cyan",
    )


def _parts_said(nodes: Iterable[Node]) -> Iterator[str]:
    """Say what the words in brackets behind the kinds of a plan stand for."""
    specs = [node.spec for node in nodes]
    if any(spec.kind == "shared" for spec in specs):
        yield "(shared): work that several rows have in common; it is done once."
    for audit in dict.fromkeys(spec.audit for spec in specs if spec.audit):
        yield f"({audit}): the audit '{audit}' of the models that are made before."


def _said(cost: Cost) -> str:
    """Say where, and what it takes."""
    where = "the cluster" if cost.slots is None else count(cost.slots, "slot")
    said = []
    if cost.seconds is not None:
        said.append(f"about {duration(cost.seconds)}{' of work' if cost.slots is None else ''}")
        if cost.published:
            said[-1] += " on two cores like those of the published results"
        elif cost.on_gpu and cost.slots:
            said.append(f"{cost.seconds * cost.lanes / 3600:.1f} GPU hours")
    if cost.bytes is not None:
        said.append(size(cost.bytes))
    return ", ".join([where, *(said or ["cost not known yet"])])
