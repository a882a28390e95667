"""The rows of a large study, made by SQL: people come in portions, so that one database is measured as it grows."""

from __future__ import annotations

import json
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
EACH, SHOTS = 20, 12
SLUG = "bench-results"
# What both a release and `dumpdata` write, as models.
MODELS = (
    "studyapp.participant", "studyapp.seat", "studyapp.event", "annotations.preference", "annotations.comparison",
    "annotations.judgment", "inference.generation", "inference.attempt", "inference.score",
)  # fmt: skip
# The rows fit together by construction: nothing is looked up for each of them, and nothing has to survive a crash.
FAST = """
SET session_replication_role = replica; SET synchronous_commit = off; SET work_mem = '256MB';
SET maintenance_work_mem = '1GB'; SET max_parallel_maintenance_workers = 0
"""
PEOPLE = """
INSERT INTO studyapp_seat (study_id, number, block, state, plan, digest)
SELECT %(study)s, n, 1 + n / 48, 'taken', %(plan)s::jsonb, md5(n::text) || md5(n::text)
FROM generate_series(%(after)s + 1, %(people)s) n;
INSERT INTO studyapp_participant (study_id, code, seat_id, state, state_before, panel, simulated, device, consent_hash,
  enrolled_at, consented_at, eliciting_at, shots_done_at, waiting_at, judging_at, judged_at, ended_at, waited_ms,
  breaks_taken, last_seen_at)
SELECT %(study)s, 'p' || number, id, 'completed', '', 'open', false, 'desktop', %(consent)s,
  now(), now(), now(), now(), now(), now(), now() + number * interval '1 ms', now(), 1500, 2, now()
FROM studyapp_seat WHERE study_id = %(study)s AND number > %(after)s ORDER BY number;
CREATE TEMP TABLE added AS SELECT p.id, p.seat_id FROM studyapp_participant p JOIN studyapp_seat s ON s.id = p.seat_id
WHERE s.study_id = %(study)s AND s.number > %(after)s;
INSERT INTO annotations_preference (participant_id, position, role, question_id, first_id, second_id, opaque_id, choice,
  presented_at, decided_at, page_ms)
SELECT p.id, n, CASE WHEN n > %(shots)s - 2 THEN 'probe' ELSE 'shot' END, q.ids[1 + n %% cardinality(q.ids)],
  q.firsts[1 + n %% cardinality(q.ids)], q.seconds[1 + n %% cardinality(q.ids)], 'e' || p.id || '-' || n,
  CASE WHEN random() < .5 THEN 'first' ELSE 'second' END, now(), now(), 4000
FROM added p, generate_series(1, %(shots)s) n, (
  SELECT array_agg(id ORDER BY id) ids, array_agg(first ORDER BY id) firsts, array_agg(second ORDER BY id) seconds
  FROM (
    SELECT q.id, min(c.id) AS first, max(c.id) AS second FROM studyapp_question q
    JOIN studyapp_candidate c ON c.question_id = q.id WHERE q.study_id = %(study)s AND q.use = 'elicit' GROUP BY q.id
  ) x) q;
"""
# A text's number follows from its person, place and arm, so that a pair finds its texts without a join.
TEXTS = """
INSERT INTO inference_generation (id, study_id, owner_id, arm, question_id, purpose, context_hash, replicate, request,
  state, model_key, adapter, request_version, need, position, tries, error, queued_at, started_at, finished_at, prompt,
  shots_used, raw_text, text, words, flags, finish_reason, seed, prompt_tokens, completion_tokens, engine, model_digest,
  tokenizer_digest, adapter_digest, abilities, versions, device)
SELECT 2 * (p.id * 100 + n) + a.k, %(study)s, CASE WHEN a.arm = 'fspo' THEN p.id END, a.arm,
  q.ids[1 + (p.id + n) %% cardinality(q.ids)], 'answer', md5(p.id::text), p.id * 100 + n,
  '{"sampling": {"temperature": 0.7, "top_p": 0.95, "max_tokens": 400}}', 'ready', 'bench-key', '', 1, 1, n, 1, '',
  now(), now(), now(), repeat('A prompt of some length. ', 40), CASE WHEN a.arm = 'fspo' THEN 8 ELSE 0 END, '',
  repeat(CASE WHEN a.arm = 'fspo' THEN 'An answer. ' ELSE 'A reply. ' END, 30),
  50 + (p.id * 7 + n * 13 + a.k * 5) %% 20,
  CASE WHEN (p.id + n) %% 50 = 0 THEN '["outside_window"]' ELSE '[]' END::jsonb, 'stop', n, 900, 80, 'scripted',
  md5('m'), md5('t'), '', '[]', '{"torch": "2"}', 'cpu'
FROM added p, generate_series(1, %(each)s) n, (VALUES ('fspo', 0), ('base', 1)) a(arm, k),
  (SELECT array_agg(id ORDER BY id) ids FROM studyapp_question WHERE study_id = %(study)s AND use = 'judge') q;
INSERT INTO inference_attempt (generation_id, number, claim_id, worker, seed, outcome, detail, raw_text, words,
  completion_tokens, started_at, finished_at)
SELECT 2 * (p.id * 100 + n) + k, 1, gen_random_uuid(), 'worker-1', n, 'ready', '', '', 60, 80, now(), now()
FROM added p, generate_series(1, %(each)s) n, generate_series(0, 1) k;
INSERT INTO inference_score (study_id, owner_id, arm, probe_id, candidate_id, context_hash, request, state, model_key,
  adapter, request_version, need, position, tries, error, queued_at, finished_at, logprob, reference_logprob, tokens)
SELECT %(study)s, e.participant_id, 'fspo', e.id, c.id, md5(e.id::text), '{}', 'ready', 'bench-key', '', 1, 3,
  e.position, 1, '', now(), now(), -random() * 100, -random() * 100, 40
FROM annotations_preference e JOIN added p ON p.id = e.participant_id,
  LATERAL (VALUES (e.first_id), (e.second_id)) c(id)
WHERE e.role = 'probe';
"""
# Everybody has a win rate of their own around .6, so that the judgments of one person belong together.
JUDGED = """
INSERT INTO annotations_comparison (participant_id, seat_id, position, kind, question_id, arm_a, arm_b, replicate_a,
  replicate_b, a_is_first, generation_a_id, generation_b_id, state, void_reason, opaque_id, ready_at, waited_ms,
  presented_at, judged_at)
SELECT p.id, p.seat_id, n, 'arms', q.ids[1 + (p.id + n) %% cardinality(q.ids)], 'fspo', 'base', p.id * 100 + n,
  p.id * 100 + n, random() < .5, 2 * (p.id * 100 + n), 2 * (p.id * 100 + n) + 1, 'judged', '', 'c' || p.id || '-' || n,
  now(), (n %% 3) * 700, now(), now()
FROM added p, generate_series(1, %(each)s) n,
  (SELECT array_agg(id ORDER BY id) ids FROM studyapp_question WHERE study_id = %(study)s AND use = 'judge') q;
INSERT INTO annotations_judgment (comparison_id, participant_id, choice, strength, reason, page_ms, server_ms, input,
  created_at)
SELECT c.id, c.participant_id, CASE WHEN random() < .05 THEN 'tie'
  WHEN (random() < .45 + .3 * mod(c.participant_id * 7919, 1000) / 1000.) = c.a_is_first THEN 'first' ELSE 'second' END,
  3, '', 9000, 9100, 'key', now()
FROM annotations_comparison c JOIN added p ON p.id = c.participant_id;
INSERT INTO studyapp_event (study_id, participant_id, at, kind, data)
SELECT %(study)s, p.id, now(), k.kind, '{"seat": 1}' FROM added p,
  (VALUES ('enrolled'), ('consented'), ('completed')) k(kind);
DROP TABLE added;
SELECT setval(pg_get_serial_sequence('inference_generation', 'id'), max(id)) FROM inference_generation;
"""
INDEXES = """
SELECT c.relname, pg_get_indexdef(i.indexrelid), pg_get_constraintdef(k.oid), k.conname
FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_class t ON t.oid = i.indrelid
LEFT JOIN pg_constraint k ON k.conindid = i.indexrelid AND k.contype = 'u'
WHERE t.relname = %s AND NOT i.indisprimary
"""


def begin() -> None:
    """The schema, and the study without people, unblinded."""
    from django.core.management import call_command
    from django.utils import timezone

    from studyapp.models import Study
    from studyapp.services import studies

    call_command("migrate", verbosity=0)
    with tempfile.TemporaryDirectory() as folder:
        study = studies.load(_folder(Path(folder) / SLUG))[0]
    now = timezone.now()
    Study.objects.filter(pk=study.pk).update(state="unblinded", opened_at=now, closed_at=now, unblinded_at=now)


def grow(people: int) -> dict[str, int]:
    """People until there are so many, with everything they did; returns rows by model."""
    from django.apps import apps
    from django.db import connection

    from studyapp.models import Participant, Study

    study = Study.objects.get(slug=SLUG)
    plan = {"pairs": [_pair(n) for n in range(SHOTS)], "comparisons": [_comparison(n) for n in range(EACH)]}
    values = {
        "study": study.pk, "people": people, "after": Participant.objects.filter(study=study).count(), "each": EACH,
        "shots": SHOTS, "plan": json.dumps(plan), "consent": "0" * 64,
    }  # fmt: skip
    models = [apps.get_model(label) for label in MODELS]
    with connection.cursor() as cursor:
        cursor.execute(FAST)
        with _without_indexes(cursor, [model._meta.db_table for model in models]):
            for part in (PEOPLE, TEXTS, JUDGED):
                for statement in part.strip().rstrip(";").split(";\n"):
                    used = {name: value for name, value in values.items() if f"%({name})s" in statement}
                    cursor.execute(statement, used or None)
        cursor.execute("ANALYZE")
    return {model._meta.label_lower: model._default_manager.count() for model in models}


@contextmanager
def _without_indexes(cursor: Any, tables: list[str]) -> Iterator[None]:
    """Indexes are made anew at the end: sorted at once they take a fraction of row by row."""
    again = []
    for table in tables:
        cursor.execute(INDEXES, [table])
        for index, definition, constraint, name in cursor.fetchall():
            if constraint:
                cursor.execute(f'ALTER TABLE "{table}" DROP CONSTRAINT "{name}" CASCADE')
                again.append(f'ALTER TABLE "{table}" ADD CONSTRAINT "{name}" {constraint}')
            else:
                cursor.execute(f'DROP INDEX "{index}"')
                again.append(definition)
    yield
    for statement in again:
        cursor.execute(statement)


def _folder(target: Path) -> Path:
    shutil.copytree(ROOT / "studies" / "demo", target)
    text = (target / "study.toml").read_text()
    (target / "study.toml").write_text(re.sub(r'slug = "demo"', f'slug = "{SLUG}"', text))
    return target


def _pair(n: int) -> dict[str, Any]:
    return {"role": "shot", "first": "a", "second": "b", "position": n, "question": f"e{n}", "repeat_of": None}


def _comparison(n: int) -> dict[str, Any]:
    return {"kind": "arms", "arm_a": "fspo", "arm_b": "base", "position": n, "question": f"j{n}", "a_is_first": True}


def write_csv(path: Path, judgments: int) -> None:
    """Judgments as somebody else's platform might export them."""
    import numpy as np

    rng, people = np.random.default_rng(1), max(1, judgments // EACH)
    own = np.repeat(rng.beta(6, 4, people), EACH)
    outcomes = np.where(
        rng.random(people * EACH) < own, "win", np.where(rng.random(people * EACH) < 0.2, "tie", "loss")
    )
    columns = (outcomes, rng.integers(0, 200, people * EACH), rng.integers(0, 2, people * EACH))
    with path.open("w", encoding="utf-8") as file:
        file.write("participant,question,baseline,outcome,treatment,domain,treatment_first,position\n")
        file.writelines(
            f"p{n // EACH:06d},q{question},base,{outcome},fspo,d{question % 4},{side},{n % EACH + 1}\n"
            for n, (outcome, question, side) in enumerate(zip(*(one.tolist() for one in columns), strict=True))
        )
