"""What researchers may not see before unblinding, and how it is taken out."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

from studyapp.models import Study

MASKED = "masked"
HOLE = "[masked]"


def unless_blind(study: Study, value: Any) -> Any:
    """`value` once the study is unblinded, the word "masked" before."""
    return value if study.is_unblinded else MASKED


def scrub(study: Study, text: str) -> str:
    """A technical message without what tells arms apart, nor quoted text, until the study is unblinded.

    Names of arms and models, sources, revisions and anything in quotes or after "prompt" become "[masked]": what
    remains says what kind of trouble it was.
    """
    if study.is_unblinded or not text:
        return text
    quoted = re.sub(r"'[^']*'|\"[^\"]*\"|`[^`]*`|\bprompt\b\W.*", HOLE, text, flags=re.DOTALL | re.IGNORECASE)
    return _names(study.pk, study.protocol_hash).sub(HOLE, quoted)


@lru_cache(maxsize=64)
def _names(study_id: int, protocol_hash: str) -> re.Pattern[str]:
    spec = Study.objects.get(pk=study_id).spec
    names = {*spec.arms, *spec.models}
    for model in spec.models.values():
        names |= {model.engine, model.source, model.revision, model.source.rpartition(":")[2]}
        names.add(model.source.rpartition("/")[2])
    for arm in spec.arms:
        names.add(spec.model_spec(arm).key)
    longest_first = sorted((name for name in names if name), key=len, reverse=True)
    return re.compile("|".join(rf"(?<!\w){re.escape(name)}(?!\w)" for name in longest_first), re.IGNORECASE)
