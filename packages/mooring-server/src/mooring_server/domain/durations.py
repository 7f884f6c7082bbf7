"""Durations as Azure writes them: ISO 8601, days and smaller."""

from __future__ import annotations

import re

from mooring_server.domain.errors import InvalidRequest

_FORM = re.compile(
    r"P(?=.)(?:(?P<days>\d{1,8})D)?"
    r"(?:T(?=.)(?:(?P<hours>\d{1,8})H)?(?:(?P<minutes>\d{1,8})M)?(?:(?P<seconds>\d{1,8}(?:\.\d{1,9})?)S)?)?"
)
# What .NET's longest TimeSpan is in Azure's JSON; it stands for "never".
FOREVER = "P10675199DT2H48M5.4775807S"


def parse_duration(name: str, text: str) -> float:
    """Seconds of a duration such as ``PT1M`` or ``P14D``; infinite for `FOREVER` and what is longer.

    Raises:
        InvalidRequest: ``DurationInvalid``; ``name`` is the field it stands in.
    """
    found = _FORM.fullmatch(text)
    if found is None:
        raise InvalidRequest(
            "DurationInvalid",
            f"{name} is {text!r}, which is no ISO 8601 duration.",
            hint="Write it like PT30S, PT1M or P14D.",
            target=name,
        )
    part = {key: float(value or 0) for key, value in found.groupdict().items()}
    seconds = part["days"] * 86400 + part["hours"] * 3600 + part["minutes"] * 60 + part["seconds"]
    return float("inf") if part["days"] >= 10675199 else seconds


def format_duration(seconds: float) -> str:
    """The inverse of `parse_duration`, in the shortest form."""
    if seconds == float("inf"):
        return FOREVER
    minutes, rest = divmod(seconds, 60)
    hours, minutes = divmod(int(minutes), 60)
    days, hours = divmod(hours, 24)
    time = "".join(f"{value:g}{unit}" for value, unit in ((hours, "H"), (minutes, "M")) if value)
    time += f"{rest:.7f}".rstrip("0").rstrip(".") + "S" if round(rest, 7) else ""
    return f"P{f'{days}D' if days else ''}{f'T{time}' if time else ''}" if days or time else "PT0S"
