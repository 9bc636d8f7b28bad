"""The command line as a page: every command with its arguments and options."""

from __future__ import annotations

import inspect
from collections.abc import Iterator

import click
import typer

from docs.site.receipts import table
from unlearnbench.cli import app


def reference() -> str:
    """Write a section for each command."""
    return "\n\n".join(_section(name, command) for name, command in _commands())


def _commands() -> Iterator[tuple[str, click.Command]]:
    """Yield every command that does something, by its full name."""

    def walk(name: str, command: click.Command) -> Iterator[tuple[str, click.Command]]:
        if isinstance(command, click.Group):
            for part, sub in command.commands.items():
                yield from walk(f"{name} {part}", sub)
        else:
            yield name, command

    yield from walk("unlearnbench", typer.main.get_command(app))


def _section(name: str, command: click.Command) -> str:
    context = click.Context(command, info_name=name)
    usage = " ".join([name, *command.collect_usage_pieces(context)])
    parts = [f"## {name}", inspect.cleandoc(command.help or ""), f"```text\n{usage}\n```"]
    rows = [_row(param, context) for param in command.params]
    if rows:
        parts.append(table(["Name", "Default", "What it is"], rows))
    return "\n\n".join(parts)


def _row(param: click.Parameter, context: click.Context) -> list[str]:
    record = param.get_help_record(context)
    flag = isinstance(param, click.Option) and param.is_flag
    if isinstance(param, click.Option):
        kind = "" if flag else f" {param.make_metavar(context)}"
        name = f"`{', '.join(param.opts)}{kind}`"
    else:
        name = f"`{param.make_metavar(context)}`"
    default = param.default
    shown = "" if flag or default is None or callable(default) else f"`{default}`"
    told = getattr(param, "help", None) or (record[1] if record else "")
    return [name, shown, told]
