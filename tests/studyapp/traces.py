"""Where in the database, in Redis and in exports a person has left a trace: every table is read, none is named."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import redis
from django.conf import settings
from django.db import connection
from psycopg import sql

from annotations.models import Comparison, Judgment, Preference
from inference.models import Attempt, Generation
from studyapp.exports import export
from studyapp.models import Participant, Study

SECRET = "unmistakable"


def tables() -> list[str]:
    """Every table of the database."""
    return connection.introspection.table_names()


def rows_with(needles: Iterable[str]) -> list[str]:
    """`table: needle` for every table that holds one of `needles` in any column of any row, JSON and text included."""
    wanted, found = [needle for needle in needles if needle], []
    for table in tables():
        query = sql.SQL(
            "SELECT needle FROM unnest(%s::text[]) AS needle "
            "WHERE EXISTS (SELECT FROM {table} AS row WHERE strpos(to_jsonb(row)::text, needle) > 0)"
        ).format(table=sql.Identifier(table))
        with connection.cursor() as cursor:
            cursor.execute(query, [wanted])
            found += [f"{table}: {row[0]}" for row in cursor.fetchall()]
    return found


def rows_pointing_at(participant_id: int) -> dict[str, int]:
    """How many rows of each table refer to a participant, through whatever foreign key there is."""
    found = {}
    for table in tables():
        with connection.cursor() as cursor:
            relations = connection.introspection.get_relations(cursor, table)
            for column, (_, other) in ((c, r[:2]) for c, r in relations.items()):
                if other == Participant._meta.db_table:
                    query = sql.SQL("SELECT count(*) FROM {} WHERE {} = %s")
                    cursor.execute(query.format(sql.Identifier(table), sql.Identifier(column)), [participant_id])
                    found[f"{table}.{column}"] = cursor.fetchone()[0]
    return {name: count for name, count in found.items() if count}


def everything_in_redis() -> str:
    """Every key and value of every database that Palate uses."""
    found = []
    for number in range(3):
        url = settings.REDIS_URL
        client = redis.Redis.from_url(url, db=number)
        for key in client.scan_iter(count=1000):
            found += [repr(key), repr(client.dump(key))]
        client.close()
    return "\n".join(found)


def everything_exported(study: Study, folder: Path) -> str:
    """All files of an export with texts and panel ids, as one string."""
    export(study, folder, format="jsonl", text=True, pii=True)
    files = [path for path in folder.rglob("*") if path.is_file()]
    return "\n".join(path.read_bytes().decode("utf-8", "replace") for path in files)


def mark_texts(person: Participant) -> None:
    """Give every text that is this person's a word to find it by: drafts, prompts, tries, the texts themselves."""
    for row in Generation.objects.filter(owner=person):
        words = {name: f"{SECRET}-{name}-{row.pk}" for name in ("prompt", "raw_text", "error")}
        Generation.objects.filter(pk=row.pk).update(**words, flags=[f"{SECRET}-flag"])
        if row.text:
            Generation.objects.filter(pk=row.pk).update(text=f"{SECRET}-text-{row.pk}")
        Attempt.objects.create(
            generation=row, number=90, claim_id="0" * 32, raw_text=f"{SECRET}-try", detail=f"{SECRET}-detail"
        )


def needles_of(person: Participant, *given: str) -> list[str]:
    """Everything by which this person could be found again: what they gave, ids of their pairs, hashes of tokens."""
    needles = [SECRET, *given, *(hashlib.sha256(word.encode()).hexdigest() for word in given)]
    needles += [person.resume_hash] if person.resume_hash else []
    needles += Preference.objects.filter(participant=person).values_list("opaque_id", flat=True)
    needles += Comparison.objects.filter(participant=person).values_list("opaque_id", flat=True)
    needles += Generation.objects.filter(owner=person, arm="fspo").values_list("context_hash", flat=True)
    return list(dict.fromkeys(needles))


def others(person: Participant) -> dict[str, Any]:
    """Everybody else's rows, to compare before and after."""
    return {
        model.__name__: list(model.objects.exclude(**{who: person.pk}).order_by("pk").values_list())
        for model, who in (
            (Participant, "pk"), (Preference, "participant"), (Comparison, "participant"), (Judgment, "participant"),
        )
    } | {"Generation": list(Generation.objects.exclude(owner_id=person.pk).order_by("pk").values_list())}  # fmt: skip
