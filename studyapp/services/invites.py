"""Invitations that researchers hand out: personal links, of which only hashes stay."""

from __future__ import annotations

import secrets
from datetime import timedelta

from django.db import transaction
from django.utils import timezone

from studyapp.models import Invite, Study
from studyapp.services.entry import token_hash
from studyapp.services.events import log
from studyapp.services.studies import StudyError

OVER = (Study.State.CLOSED, Study.State.UNBLINDED, Study.State.ARCHIVED)


def invite(study: Study, number: int, *, days: int | None = None) -> list[str]:
    """New tokens of 128 random bits; each lets one person in within `days`, and back in at any time."""
    if study.state in OVER:
        raise StudyError(f"{study} is {study.state}: it takes nobody any more. Invite to a newer version.")
    tokens = [secrets.token_urlsafe(16) for _ in range(number)]
    until = timezone.now() + timedelta(days=days) if days else None
    with transaction.atomic():
        Invite.objects.bulk_create(
            [Invite(study=study, token_hash=token_hash(token), expires_at=until) for token in tokens], batch_size=1000
        )
        log(study, "invited", number=number)
    return tokens
