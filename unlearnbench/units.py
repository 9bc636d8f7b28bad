"""Times, sizes and counts as people write them."""

from unlearnbench.errors import UserError

UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
SIZES = {"KB": 2**10, "MB": 2**20, "GB": 2**30}


def read_duration(text: str) -> float:
    """Read a time such as 90s, 30m, 2h or 1d, in seconds. Raises UserError."""
    number, unit = (text[:-1], text[-1:]) if text[-1:] in UNITS else (text, "s")
    try:
        seconds = float(number) * UNITS[unit]
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < float("inf"):
        raise UserError(f"Cannot read the time '{text}'.", "Write it as 90s, 30m, 2h or 1d.")
    return seconds


def read_size(text: str) -> int:
    """Read a size such as 50MB, 1.5GB or 800kB, in bytes. Raises UserError."""
    number, unit = text[:-2], SIZES.get(text[-2:].upper(), 0)
    try:
        count = float(number) * unit
    except ValueError:
        count = 0.0
    if not 1 <= count < float("inf"):
        raise UserError(f"Cannot read the size '{text}'.", "Write it as 800kB, 50MB or 2GB.")
    return int(count)


def duration(seconds: float) -> str:
    """Write a time for people: 42 s, 3 min 05 s, 2 h 10 min."""
    minutes, rest = divmod(round(seconds), 60)
    if not minutes:
        return f"{rest} s"
    hours, minutes_left = divmod(minutes, 60)
    return f"{hours} h {minutes_left:02d} min" if hours else f"{minutes} min {rest:02d} s"


def size(count: int) -> str:
    """Write a number of bytes for people."""
    if count < 2**20:
        return f"{count / 2**10:.0f} KB"
    return f"{count / 2**20:.0f} MB" if count < 2**30 else f"{count / 2**30:.1f} GB"


def are(number: int) -> str:
    """Return the verb of so many things."""
    return "is" if number == 1 else "are"


def count(number: int, thing: str) -> str:
    """Write how many there are of a thing."""
    return f"{number} {thing}" if number == 1 else f"{number} {thing}s"
