"""The command line: its commands, and what a mistake looks like."""

import atexit
import gc
import os
import signal
import sys
from io import TextIOWrapper
from typing import Annotated

import typer

from unlearnbench import __version__
from unlearnbench.cli import apply, audit, catalogue, doctor, report, results, run, tune
from unlearnbench.cli.said import say
from unlearnbench.environment import require_system
from unlearnbench.errors import UserError
from unlearnbench.files import no_room, refused

app = typer.Typer(
    name="unlearnbench",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.add_typer(results.app, name="results")
for command in (
    run.run,
    tune.tune,
    report.report,
    audit.audit,
    apply.apply,
    catalogue.methods,
    catalogue.benchmarks,
    catalogue.datasets,
    catalogue.models,
    catalogue.check,
    doctor.doctor,
    run.plan,
):
    app.command()(command)


def _say_version(asked: bool) -> None:
    if asked:
        say(f"unlearnbench {__version__}")
        raise typer.Exit


@app.callback()
def common(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_say_version, is_eager=True, help="Print the version."),
    ] = False,
) -> None:
    """Compare machine-unlearning methods on image classifiers, measured against retraining."""


def main() -> None:
    """Run the command line; a user's mistake is one line and exit code 2."""
    atexit.register(gc.freeze)  # or Python looks at all there is for cycles before it ends
    for name in ("SIGTERM", "SIGHUP"):  # of which Windows has no second
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) == signal.SIG_DFL:  # not under nohup
            signal.signal(number, _end)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal that lacks a sign shows another
    try:
        require_system()
        app()
    except BrokenPipeError:  # the reader of a pipe has gone, which is its right
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    except (UserError, OSError) as error:
        if isinstance(error, UserError):
            problem: UserError | None = error
        else:
            problem = refused(error) or no_room(error)
        if problem is None:
            raise
        say(f"unlearnbench: {problem}", err=True)
        sys.exit(2)


def _end(number: int, frame: object) -> None:
    """End as on any other exception, so that workers stop and nothing is left behind."""
    signal.signal(number, signal.SIG_DFL)  # a second one ends it at once
    sys.exit(128 + number)
