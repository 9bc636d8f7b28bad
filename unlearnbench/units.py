"""Times, sizes and counts as people write them."""

from unlearnbench.errors import UserError

UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


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


def count(number: int, thing: str) -> str:
    """Write how many there are of a thing."""
    return f"{number} {thing}" if number == 1 else f"{number} {thing}s"
