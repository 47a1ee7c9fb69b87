"""Makes the figures of sample lines: ids, dates, durations, sizes, values with units, places.

Each maker draws from a seeded generator and returns one text. What a figure is labelled is
decided in `train.sample.grammar`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from random import Random

_PREFIXES = ("PU", "CV", "T", "EX", "MX", "HX", "RB", "K", "WS", "AHU", "P", "TR", "M", "CNC", "F")
_UNITS = ("bar", "psi", "kPa", "mm", "C", "°C", "rpm", "A", "V", "l/min", "Nm", "%", "µm", "mm/s")
_PLACES = ("bay", "line", "station", "cell", "level", "hall", "row", "zone", "dock", "area")
_ROOMS = ("workshop", "pump house", "plant room", "boiler house", "warehouse", "paint shop", "yard")
_MONTHS = ("jan", "feb", "march", "may", "june", "aug", "sept", "oct", "nov")


def equipment_id(rng: Random) -> str:
    """Return an equipment id such as `PU-1203` or `T45`."""
    joint = rng.choice(("-", "-", "", "_"))
    return f"{rng.choice(_PREFIXES)}{joint}{rng.randint(1, 4000):0{rng.choice((2, 3, 4))}d}"


def code(rng: Random) -> str:
    """Return an error code such as `E214`."""
    return f"{rng.choice('EFASR')}{rng.randint(1, 999)}"


def value(rng: Random) -> str:
    """Return a value with its unit such as `10 bar`; a third is written without the blank."""
    number = rng.choice((str(rng.randint(1, 950)), f"{rng.uniform(0.1, 40):.1f}"))
    return number + rng.choice((" ", " ", "")) + rng.choice(_UNITS)


def hours(rng: Random) -> str:
    """Return a service interval such as `250hr`."""
    number = rng.choice((50, 100, 125, 250, 500, 750, 1000, 2000, 4000, 6000))
    return f"{number}{rng.choice(('hr', 'hrs', ' hr', ' hrs', 'h', ' hour'))}"


def duration(rng: Random) -> str:
    """Return a duration such as `15min` or `2 hours`."""
    if rng.random() < 0.5:
        return f"{rng.randint(5, 55)}{rng.choice(('min', ' min', ' mins', 'm', ' minutes'))}"
    number = rng.choice(("1", "2", "3", "1.5", "2.5", "4", "6"))
    return number + rng.choice(("h", " hrs", "hrs", " hours"))


def after(rng: Random) -> str:
    """Return a point in time with its preposition, such as `after 2 hours`."""
    return f"{rng.choice(('after', 'since', 'for'))} {rng.choice((duration, date))(rng)}"


def date(rng: Random) -> str:
    """Return a date in one of several hands, such as `3/11/24` or `7 may`."""
    day, month, year = rng.randint(1, 28), rng.randint(1, 12), rng.randint(18, 25)
    return rng.choice(
        (
            f"{day}/{month}/{year}",
            f"{day:02d}.{month:02d}.20{year}",
            f"20{year}-{month:02d}-{day:02d}",
            f"{day}/{month}",
            f"{day} {rng.choice(_MONTHS)}",
        )
    )


def clock(rng: Random) -> str:
    """Return a time of day such as `06:15`."""
    return (
        f"{rng.randint(0, 23):02d}{rng.choice((':', ':', 'h', '.'))}{rng.randrange(0, 60, 5):02d}"
    )


def voltage(rng: Random) -> str:
    """Return a voltage, current or power rating such as `24v`."""
    number, unit = rng.choice(
        (
            ("12", "v"),
            ("24", "v"),
            ("110", "v"),
            ("240", "v"),
            ("415", "v"),
            ("10", "A"),
            ("5", "kW"),
            ("63", "A"),
        )
    )
    return number + rng.choice(("", "", " ")) + unit


def size(rng: Random) -> str:
    """Return a size such as `3/4in`."""
    number = rng.choice(("3/4", "1/2", "1", "2", "1.5", "3/8", "25", "50", "6"))
    return number + rng.choice(("in", '"', " inch", "mm", " mm"))


def number(rng: Random) -> str:
    """Return which one of several is meant, such as `no 2` or `#4`."""
    return rng.choice(("no ", "no.", "#", "# ", "no", "number ")) + str(rng.randint(1, 12))


def place(rng: Random) -> str:
    """Return a place in the plant, such as `at station 14` or `line 2`."""
    before = rng.choice(("", "in ", "at ", "in "))
    if rng.random() < 0.25:
        return before + rng.choice(_ROOMS)
    where = rng.choice((str(rng.randint(1, 24)), rng.choice("ABCDE") + str(rng.randint(1, 9))))
    return f"{before}{rng.choice(_PLACES)} {where}"


FIGURES: Mapping[str, Callable[[Random], str]] = {
    "id": equipment_id,
    "code": code,
    "value": value,
    "hours": hours,
    "dur": duration,
    "after": after,
    "date": date,
    "time": clock,
    "volt": voltage,
    "size": size,
    "number": number,
    "inplace": place,
}
