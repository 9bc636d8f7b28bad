"""The gate that everything raw goes through: files of benchmarks, --set, tables from Python."""

import math
import re
from collections.abc import Iterator
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from unlearnbench.errors import UserError, of_value, unknown
from unlearnbench.planning.benchmark import Benchmark

DEEPEST = 16
"""Tables and lists inside each other; no benchmark has a quarter of it."""
LARGEST = 2**63 - 1
"""Whole numbers that TOML has."""
UNWRITABLE = re.compile(r"[\0-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]")
"""What moves a terminal's cursor, or is half a character."""
NOT_OF_TYPE = {
    "model_type": "it must be a table",
    "dict_type": "it must be a table",
    "list_type": "it must be a list",
}
OF_WHOLE = ("missing", "value_error", "assertion_error")
"""Kinds of errors that say something of a whole benchmark, not of a part: judged in `validate`."""


def require_part(raw: object, where: str) -> dict[str, Any]:
    """Return a part of a benchmark as it is: all of what it holds is of the right type and size.

    What it lacks, and whether its values go together, only the whole can tell. where: what it is
    of, for people. Raises UserError with that, and the key that is wrong.
    """
    if not isinstance(raw, dict):
        raise UserError(f"{where}: a benchmark is a table, not {_shown(raw)}.")
    require_toml(raw, where)
    try:
        Benchmark.model_validate({"name": "part"} | raw)
    except ValidationError as error:
        for wrong in error.errors(include_url=False):
            if wrong["type"] not in OF_WHOLE:
                raise refusal(wrong, where) from error
    return raw


def require_sound(raw: dict[str, Any], where: str) -> Benchmark:
    """Return the benchmark that parts have come to. Raises UserError as `require_part` does."""
    require_toml(raw, where)
    try:
        return Benchmark.model_validate(raw)
    except ValidationError as error:
        errors = error.errors(include_url=False)
        absent = [".".join(map(str, one["loc"])) for one in errors if one["type"] == "missing"]
        if absent:
            problem = f"{where}: these keys are missing: {', '.join(absent)}."
            hint = "`unlearnbench benchmarks digits` shows a whole file"
            hint += "; --seeds 4 stands for the seeds." if "seeds" in absent else "."
            raise UserError(problem, hint) from error
        raise refusal(errors[0], where) from error


def refusal(error: ErrorDetails, where: str) -> UserError:
    """Return what to tell of one error: where, which key, what is wrong with it."""
    path = [str(part) for part in error["loc"]]
    if error["type"] == "extra_forbidden":
        return unknown(f"key in {where}", path[-1], _siblings(path))
    message = of_value(error["msg"])
    if error["type"] in NOT_OF_TYPE:
        message = f"{NOT_OF_TYPE[error['type']]}, not {_shown(error['input'])}"
    text = ": ".join(filter(None, (where, ".".join(path), message)))
    return UserError(text if text.endswith(("?", ".")) else f"{text}.")


def _siblings(path: list[str]) -> list[str]:
    """List the keys that the table holding the last part of `path` may have."""
    model: type[BaseModel] = Benchmark
    for part in path[:-1]:
        if part in model.model_fields:  # not the place in a list, or the label in a table of tables
            model = next(tables_of(model.model_fields[part].annotation), model)
    return list(model.model_fields)


def tables_of(kind: Any) -> Iterator[type[BaseModel]]:
    """Yield the tables that a type is, or is a list or a table of, or may be."""
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        yield kind
    for inside in get_args(kind):
        yield from tables_of(inside)


def require_toml(raw: object, where: str, path: tuple[str, ...] = ()) -> None:
    """Raise UserError for what cannot be written to a file, or not be read again as it was."""
    key = f"{where}: {'.'.join(path)}"
    if len(path) > DEEPEST:
        raise UserError(f"{where}: {path[0]} is nested more than {DEEPEST} deep.")
    if isinstance(raw, dict):
        for name, value in raw.items():
            if not isinstance(name, str):
                raise UserError(f"{key} has the key {_shown(name)}, which is no text.")
            if UNWRITABLE.search(name) or len(name.splitlines()) > 1:
                raise UserError(f"{key} has the key {_shown(name)}, which cannot be printed.")
            require_toml(value, where, (*path, name))
    elif isinstance(raw, (list, tuple)):
        for place, value in enumerate(raw):
            require_toml(value, where, (*path, str(place)))
    elif isinstance(raw, str) and UNWRITABLE.search(raw):
        raise UserError(f"{key} = {_shown(raw)} has characters that cannot be printed.")
    elif isinstance(raw, float) and math.isnan(raw):
        raise UserError(f"{key} is not a number (NaN).")
    elif isinstance(raw, int) and abs(raw) > LARGEST:
        raise UserError(f"{key} is a number of more than 64 bits.")


def _shown(value: object) -> str:
    """Write a value in a few words."""
    text = ascii(value)
    return text if len(text) <= 40 else f"{text[:37]}..."
