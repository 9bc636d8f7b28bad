"""What the user sees in the terminal."""

import os
import time
from collections.abc import Iterable

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table as RichTable
from rich.text import Text

from unlearnbench.api.session import Listener, Outlook
from unlearnbench.cli.said import safe_console
from unlearnbench.errors import plain
from unlearnbench.planning.plan import Node
from unlearnbench.reporting.tables.table import Table
from unlearnbench.scheduling.estimate import Cost, Pace
from unlearnbench.scheduling.slots import Event, Slot
from unlearnbench.units import count, duration, size

MOST = 8
"""Lines of one kind that are printed; more would hide the rest."""
PIPED = 200
"""Columns of a line in a pipe, where nothing says how many there are."""
MARKS = {"best": "bold", "tied": "underline"}
STYLES = {"done": "green", "again": "yellow", "failed": "bold red", "blocked": "red"}


class Display(Listener):
    """Write to a terminal, live, or to a pipe, in plain lines."""

    def __init__(self, console: Console | None = None) -> None:
        """Write to `console`, or else to standard output."""
        self.console: Console = console or safe_console()
        self._open: dict[str, Node] = {}
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

    def working(self, outlook: Outlook, slots: list[Slot]) -> Live:
        """Show below what is printed what each slot does, and how far the whole is."""
        self._open = {run: outlook.plan.nodes[run] for run in outlook.state.open}
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

    def _view(self, slots: list[Slot], lanes: int, known: Pace, started: float) -> RenderableType:
        grid = RichTable.grid(padding=(0, 1))
        for slot in slots:
            now = slot.activity()
            if now is None:
                grid.add_row(slot.device, ProgressBar(1, 0, width=20), "waiting")
            else:
                epoch = f"epoch {now.epoch}/{now.epochs}" if now.epochs else "starting"
                bar = ProgressBar(max(now.epochs, 1), now.epoch, width=20)
                grid.add_row(slot.device, bar, f"{now.label} {epoch}")
        left = known.total(self._open.values(), lanes)
        text = f"{self._ended}/{self._total}, {duration(time.monotonic() - started)} so far"
        if left is not None:
            text += f", about {duration(left)} left"
        grid.add_row("all", ProgressBar(max(self._total, 1), self._ended, width=20), text)
        return Group(Text(), grid)

    def ended(self, event: Event) -> None:
        """Print a line for each node that ends."""
        if event.status != "again":
            self._ended += 1
            self._open.pop(event.run, None)
        line = Text(f"[{self._ended}/{self._total}] ")
        line.append(f"{event.status:<7}", STYLES[event.status])
        line.append(plain(f" {event.label:<14} {event.run}  {event.seconds:.1f} s"))
        if event.message:
            line.append(f"  {plain(event.message)}", "red")
        self.console.print(line)

    def told(self, text: str) -> None:
        """Print a line."""
        self.console.print(Text(plain(text)), soft_wrap=True)

    def table(self, table: Table) -> None:
        """Print a table of results, its caption below: whole lines, however narrow the terminal.

        Cells are folded, and then spare columns left out, only where it would not fit otherwise.
        """
        rich, left_out = _laid_out(table), ""
        if not self._fits(rich):
            rich = _laid_out(table, folded=True)
        if not self._fits(rich):
            rich = _laid_out(table.without_spares(), folded=True)
            left_out = ", ".join(column.heading for column in table.columns if column.spare)
        self.console.print()
        self.console.print(rich, crop=False)
        if left_out:
            self.console.print(f"Left out, as the terminal is narrow: {left_out}.")

    def _fits(self, rich: RichTable) -> bool:
        unlimited = self.console.options.update(max_width=10 * PIPED)
        return self.console.measure(rich, options=unlimited).maximum <= self.console.width

    def notes(self, notes: Iterable[str]) -> None:
        """Print what must be read with a table."""
        for note in notes:
            self.console.print(Text(plain(f"! {note}"), "yellow"))


def _laid_out(table: Table, *, folded: bool = False) -> RichTable:
    """Lay a table out; folded: each column as narrow as it can be with words left whole."""
    rich = RichTable(
        caption=Text(plain(table.caption)),
        caption_justify="left",
        box=None,
        pad_edge=False,
        collapse_padding=folded,
    )
    cells = [[plain(cell) for cell in row] for row in table.cells()]
    for place, column in enumerate(table.columns):
        words = " ".join((column.heading, *(row[place] for row in cells))).split()
        longest = max(map(len, words), default=0)
        rich.add_column(
            column.heading,
            justify="left" if column.side == "l" else "right",
            no_wrap=place == 0,
            min_width=longest,
            max_width=longest if folded and place else None,
        )
    for number, row in enumerate(cells):
        marks = [MARKS.get(table.marks.get((number, place), ""), "") for place in range(len(row))]
        # The style of a part, not of the whole cell: what pads it is not underlined.
        rich.add_row(*(Text.assemble(pair) for pair in zip(row, marks, strict=True)))
    return rich


def _said(cost: Cost) -> str:
    """Say where, and what it takes."""
    where = "the cluster" if cost.slots is None else count(cost.slots, "slot")
    said = []
    if cost.seconds is not None:
        said.append(f"about {duration(cost.seconds)}{' of work' if cost.slots is None else ''}")
        if cost.on_gpu and cost.slots:
            said.append(f"{cost.seconds * cost.lanes / 3600:.1f} GPU hours")
    if cost.bytes is not None:
        said.append(size(cost.bytes))
    return ", ".join([where, *(said or ["cost not known yet"])])
