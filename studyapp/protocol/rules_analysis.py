"""What must hold between the keys of [analysis] and [[exclusions]]."""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Iterator

from studyapp.protocol.metrics import METRICS, RESERVED
from studyapp.protocol.model import Protocol

Fault = tuple[str, str, str]


def analysis(protocol: Protocol) -> Iterator[Fault]:
    """Comparisons that are named exist, once, and are primary or secondary."""
    declared = [comparison.name for comparison in protocol.comparisons]
    for key in ("primary", "secondary"):
        names: tuple[str, ...] = getattr(protocol.analysis, key)
        for name in names:
            if name not in declared:
                close = difflib.get_close_matches(name, declared, n=1, cutoff=0.4)
                way = f'did you mean "{close[0]}"?' if close else f"use one of {', '.join(declared)}"
                yield f"analysis.{key}", f'names "{name}", which is no comparison', f'{way} (treatment>baseline)'
        for name in (name for name, times in Counter(names).items() if times > 1):
            yield f"analysis.{key}", f'names "{name}" twice', "name it once"
    for name in sorted(set(protocol.analysis.primary) & set(protocol.analysis.secondary)):
        yield "analysis.secondary", f'names "{name}", which is primary', "keep it in one of the two"


def exclusions(protocol: Protocol) -> Iterator[Fault]:
    """Rules measure what can be measured, and are not called as the sets that every study has."""
    for number, rule in enumerate(protocol.exclusions, start=1):
        if rule.metric not in METRICS:
            what = f'names the unknown metric "{rule.metric}"'
            yield f"exclusions[{number}].metric", what, _did_you_mean_metric(rule.metric)
        if rule.id in RESERVED:
            yield f"exclusions[{number}].id", f'is "{rule.id}", a set that every study has', "choose another id"


def _did_you_mean_metric(name: str) -> str:
    close = difflib.get_close_matches(name, METRICS, n=1, cutoff=0.5)
    return f'did you mean "{close[0]}"?' if close else f"use one of {', '.join(METRICS)}"
