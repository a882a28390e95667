"""Words and rows of the researchers' pages."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django import template

register = template.Library()


@register.filter
def details(event: Any) -> str:
    """The values of an event in one line."""
    return ", ".join(f"{name.replace('_', ' ')}: {value}" for name, value in event.data.items()) or "–"


@register.filter
def words(code: str) -> str:
    """A state or kind as words: `timed_out` is "timed out"."""
    return str(code).replace("_", " ")


@register.filter
def thousands(number: int) -> str:
    """A count as people read it: 10,000."""
    return f"{number:,}"


@register.filter
def moment(at: datetime | None) -> str:
    """A time in UTC to the second; a dash for none."""
    return f"{at:%Y-%m-%d %H:%M:%S}" if at else "–"


@register.filter
def span(seconds: float) -> str:
    """Seconds as people say them."""
    whole = int(seconds)
    if whole < 90:
        return f"{whole} s"
    if whole < 5400:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


@register.filter
def under_way(n: int) -> str:
    """The note below the people."""
    return f"{n} under way or still able to come back"


@register.filter
def oldest_queued(seconds: int | None) -> str:
    """The note below the texts."""
    return "nothing in the queue" if seconds is None else f"oldest in the queue for {span(seconds)}"


@register.filter
def free_seats(seats: list[tuple[str, int]]) -> str:
    """The note below the seats."""
    return " · ".join(f"{n} {state}" for state, n in seats if state != "taken")


@register.inclusion_tag("admin/palate/_fact.html")
def fact(name: str, value: Any, whole: Any = None) -> dict[str, Any]:
    """A name and its value in a description list."""
    return {"name": name, "value": value, "whole": whole}


@register.inclusion_tag("admin/palate/_seal.html")
def seal(name: str, value: str) -> dict[str, Any]:
    """A name and a long digest below it."""
    return {"name": name, "value": value}
