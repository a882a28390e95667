"""make bench-results: what exporting a large study takes, beside Django's `dumpdata` of the same rows.

Its own Postgres in a temporary folder; the rows are made by SQL. Every figure comes from a process of its own, so that
its peak memory is its own. Prints a table; `--json FILE` keeps the figures; `--judgments N` sets the size (1,000,000).
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from studyapp.embedded import Servers  # noqa: E402

EACH, SHOTS = 20, 12
SLUG = "bench-results"
BARS = {"memory_MiB": 300, "times_dumpdata": 5.0}
# What both write: every table of a release, as models.
MODELS = (
    "studyapp.participant", "studyapp.seat", "studyapp.event", "annotations.preference", "annotations.comparison",
    "annotations.judgment", "inference.generation", "inference.attempt", "inference.score",
)  # fmt: skip

# A process of its own: what it did, how long that took and the most memory it ever held.
MEASURED = """
import json, os, resource, sys, time
sys.path.insert(0, {root!r})
import django
django.setup()
from pathlib import Path
from studyapp.models import Study
def peak(): return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
said = {{"start_MiB": round(peak())}}
begun, cpu = time.perf_counter(), time.process_time()
{work}
said |= {{"s": time.perf_counter() - begun, "cpu_s": time.process_time() - cpu, "MiB": round(peak())}}
print(json.dumps(said))
"""
EXPORT = """
from studyapp.exports import export
def progress(done, total):
    if done == total:
        said.update(tables_s=time.perf_counter() - begun, tables_cpu_s=time.process_time() - cpu)
        said.update(tables_MiB=round(peak()))
files = export(Study.objects.get(slug={slug!r}), Path({folder!r}), format={format!r}, progress=progress)
data = [path for path in files if path.parent.name == "data"]
said |= {{"rows": sum(files[path] for path in data), "bytes": sum(path.stat().st_size for path in data)}}
"""
DUMP = """
from django.core.management import call_command
call_command("dumpdata", *{models!r}, output={file!r}, verbosity=0)
said |= {{"bytes": Path({file!r}).stat().st_size}}
"""

PEOPLE = """
INSERT INTO studyapp_seat (study_id, number, block, state, plan, digest)
SELECT %(study)s, n, 1 + n / 48, 'taken', %(plan)s::jsonb, md5(n::text) || md5(n::text)
FROM generate_series(1, %(people)s) n;
INSERT INTO studyapp_participant (study_id, code, seat_id, state, state_before, panel, simulated, device, consent_hash,
  enrolled_at, consented_at, eliciting_at, shots_done_at, waiting_at, judging_at, judged_at, ended_at, waited_ms,
  breaks_taken, last_seen_at)
SELECT %(study)s, 'p' || number, id, 'completed', '', 'open', false, 'desktop', %(consent)s,
  now(), now(), now(), now(), now(), now(), now(), now(), 1500, 2, now()
FROM studyapp_seat WHERE study_id = %(study)s;
INSERT INTO annotations_preference (participant_id, position, role, question_id, first_id, second_id, opaque_id, choice,
  presented_at, decided_at, page_ms)
SELECT p.id, n, CASE WHEN n > %(shots)s - 2 THEN 'probe' ELSE 'shot' END, q.ids[1 + n %% cardinality(q.ids)],
  q.firsts[1 + n %% cardinality(q.ids)], q.seconds[1 + n %% cardinality(q.ids)], 'e' || p.id || '-' || n,
  CASE WHEN random() < .5 THEN 'first' ELSE 'second' END, now(), now(), 4000
FROM studyapp_participant p, generate_series(1, %(shots)s) n, (
  SELECT array_agg(id ORDER BY id) ids, array_agg(first ORDER BY id) firsts, array_agg(second ORDER BY id) seconds
  FROM (
    SELECT q.id, min(c.id) AS first, max(c.id) AS second FROM studyapp_question q
    JOIN studyapp_candidate c ON c.question_id = q.id WHERE q.study_id = %(study)s AND q.use = 'elicit' GROUP BY q.id
  ) x) q
WHERE p.study_id = %(study)s;
"""
TEXTS = """
INSERT INTO inference_generation (study_id, owner_id, arm, question_id, purpose, context_hash, replicate, request,
  state, model_key, adapter, request_version, need, position, tries, error, queued_at, started_at, finished_at, prompt,
  raw_text, text, words, flags, finish_reason, seed, prompt_tokens, completion_tokens, engine, model_digest,
  tokenizer_digest, adapter_digest, abilities, versions, device)
SELECT %(study)s, CASE WHEN a.arm = 'fspo' THEN p.id END, a.arm, q.ids[1 + (p.id + n) %% cardinality(q.ids)], 'answer',
  md5(p.id::text), p.id * 100 + n, '{"sampling": {"temperature": 0.7, "top_p": 0.95, "max_tokens": 400}}', 'ready',
  'bench-key', '', 1, 1, n, 1, '', now(), now(), now(), repeat('A prompt of some length. ', 40), '',
  repeat('An answer. ', 30), 60, '[]', 'stop', n, 900, 80, 'scripted', md5('m'), md5('t'), '', '[]',
  '{"torch": "2"}', 'cpu'
FROM studyapp_participant p, generate_series(1, %(each)s) n, (VALUES ('fspo'), ('base')) a(arm),
  (SELECT array_agg(id ORDER BY id) ids FROM studyapp_question WHERE study_id = %(study)s AND use = 'judge') q
WHERE p.study_id = %(study)s;
INSERT INTO inference_attempt (generation_id, number, claim_id, worker, seed, outcome, detail, raw_text, words,
  completion_tokens, started_at, finished_at)
SELECT id, 1, gen_random_uuid(), 'worker-1', seed, 'ready', '', '', words, 80, now(), now() FROM inference_generation
WHERE study_id = %(study)s;
INSERT INTO inference_score (study_id, owner_id, arm, probe_id, candidate_id, context_hash, request, state, model_key,
  adapter, request_version, need, position, tries, error, queued_at, finished_at, logprob, reference_logprob, tokens)
SELECT %(study)s, e.participant_id, 'fspo', e.id, c.id, md5(e.id::text), '{}', 'ready', 'bench-key', '', 1, 3,
  e.position, 1, '', now(), now(), -random() * 100, -random() * 100, 40
FROM annotations_preference e JOIN studyapp_participant p ON p.id = e.participant_id,
  LATERAL (VALUES (e.first_id), (e.second_id)) c(id)
WHERE p.study_id = %(study)s AND e.role = 'probe';
"""
JUDGED = """
CREATE INDEX bench_replicate ON inference_generation (replicate, arm);
ANALYZE;
INSERT INTO annotations_comparison (participant_id, seat_id, position, kind, question_id, arm_a, arm_b, replicate_a,
  replicate_b, a_is_first, generation_a_id, generation_b_id, state, void_reason, opaque_id, ready_at, waited_ms,
  presented_at, judged_at)
SELECT p.id, p.seat_id, n, 'arms', a.question_id, 'fspo', 'base', a.replicate, b.replicate, random() < .5, a.id, b.id,
  'judged', '', 'c' || p.id || '-' || n, now(), 0, now(), now()
FROM studyapp_participant p CROSS JOIN generate_series(1, %(each)s) n
JOIN inference_generation a ON a.study_id = %(study)s AND a.arm = 'fspo' AND a.replicate = p.id * 100 + n
JOIN inference_generation b ON b.study_id = %(study)s AND b.arm = 'base' AND b.replicate = p.id * 100 + n
WHERE p.study_id = %(study)s;
INSERT INTO annotations_judgment (comparison_id, participant_id, choice, strength, reason, page_ms, server_ms, input,
  created_at)
SELECT id, participant_id, CASE WHEN (random() < .6) = a_is_first THEN 'first' ELSE 'second' END, 3, '', 9000, 9100,
  'key', now() FROM annotations_comparison;
INSERT INTO studyapp_event (study_id, participant_id, at, kind, data)
SELECT %(study)s, p.id, now(), k.kind, '{"seat": 1}' FROM studyapp_participant p,
  (VALUES ('enrolled'), ('consented'), ('completed')) k(kind) WHERE p.study_id = %(study)s;
DROP INDEX bench_replicate;
ANALYZE;
"""


def build(judgments: int) -> dict[str, int]:
    """The study and its rows; returns rows by model."""
    import django

    django.setup()
    from django.apps import apps
    from django.core.management import call_command
    from django.db import connection
    from django.utils import timezone

    from studyapp.models import Study
    from studyapp.services import studies

    call_command("migrate", verbosity=0)
    with tempfile.TemporaryDirectory() as folder:
        study = studies.load(_folder(Path(folder) / SLUG))[0]
    people = max(1, judgments // EACH)
    plan = {"pairs": [_pair(n) for n in range(SHOTS)], "comparisons": [_comparison(n) for n in range(EACH)]}
    values = {
        "study": study.pk, "people": people, "each": EACH, "shots": SHOTS, "plan": json.dumps(plan),
        "consent": "0" * 64,
    }  # fmt: skip
    with connection.cursor() as cursor:
        for part in (PEOPLE, TEXTS, JUDGED):
            for statement in part.strip().rstrip(";").split(";\n"):
                used = {name: value for name, value in values.items() if f"%({name})s" in statement}
                cursor.execute(statement, used or None)
    now = timezone.now()
    Study.objects.filter(pk=study.pk).update(state="unblinded", opened_at=now, closed_at=now, unblinded_at=now)
    return {label: apps.get_model(label)._default_manager.count() for label in MODELS}


def _folder(target: Path) -> Path:
    import re
    import shutil

    shutil.copytree(ROOT / "studies" / "demo", target)
    text = (target / "study.toml").read_text()
    (target / "study.toml").write_text(re.sub(r'slug = "demo"', f'slug = "{SLUG}"', text))
    return target


def _pair(n: int) -> dict[str, Any]:
    return {"role": "shot", "first": "a", "second": "b", "position": n, "question": f"e{n}", "repeat_of": None}


def _comparison(n: int) -> dict[str, Any]:
    return {"kind": "arms", "arm_a": "fspo", "arm_b": "base", "position": n, "question": f"j{n}", "a_is_first": True}


def measured(work: str) -> dict[str, Any]:
    """What a process of its own says of `work`."""
    code = MEASURED.format(root=str(ROOT), work=work)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{done.stdout}\n{done.stderr}")
    return dict(json.loads(done.stdout.splitlines()[-1]))


def run(judgments: int, formats: list[str]) -> dict[str, Any]:
    """Every figure, by name."""
    print(f"making {judgments:,} judgments ...", file=sys.stderr, flush=True)
    rows = build(judgments)
    total = sum(rows.values())
    found: dict[str, Any] = {"at": datetime.now(UTC).isoformat(), "judgments": judgments, "rows": rows, "total": total}
    with tempfile.TemporaryDirectory() as name:
        file = str(Path(name) / "dump.json")
        print("dumpdata ...", file=sys.stderr, flush=True)
        found["dumpdata"] = measured(DUMP.format(models=MODELS, file=file)) | {"rows": total}
        for format in formats:
            print(f"export {format} ...", file=sys.stderr, flush=True)
            folder = str(Path(name) / format)
            found[format] = measured(EXPORT.format(slug=SLUG, folder=folder, format=format))
    return found


def table(found: dict[str, Any]) -> str:
    """The figures for people."""
    dump = found["dumpdata"]
    base = dump["rows"] / dump["s"]
    lines = [
        f"{found['judgments']:,} judgments, {found['total']:,} rows in all tables",
        f"{'':22}{'rows/s':>10}{'x dumpdata':>12}{'x its CPU':>11}{'peak MiB':>10}{'MB':>8}",
        f"{'dumpdata':22}{base:>10,.0f}{1:>12.1f}{1:>11.1f}{dump['MiB']:>10}{dump['bytes'] / 1e6:>8,.0f}",
    ]
    for name in (name for name in ("csv", "jsonl", "parquet") if name in found):
        one = found[name]
        size_of = f"{one['bytes'] / 1e6:,.0f}"
        for what, part, size in ((", all tables", "tables_", size_of), (", whole release", "", "")):
            speed = one["rows"] / one[f"{part}s"]
            lean = dump["cpu_s"] / dump["rows"] * one["rows"] / one[f"{part}cpu_s"]
            memory = one[f"{part}MiB"]
            lines.append(f"{name + what:22}{speed:>10,.0f}{speed / base:>12.1f}{lean:>11.1f}{memory:>10}{size:>8}")
    lines.append(f"bar (parquet, all tables){BARS['times_dumpdata']:>20.1f}{BARS['memory_MiB']:>21}")
    return "\n".join(lines)


def main() -> None:
    """Start a Postgres, build, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--judgments", type=int, default=1_000_000)
    parser.add_argument("--formats", nargs="+", default=["parquet"], choices=["csv", "jsonl", "parquet"])
    parser.add_argument("--json", type=Path, help="keep the figures in this file")
    given = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="palate-bench-"))
    folder.chmod(0o711)
    servers = Servers(folder, durable=False)
    try:
        os.environ |= servers.environ() | {"SECRET_KEY": "bench " * 12, "DJANGO_SETTINGS_MODULE": "studyapp.settings"}
        found = run(given.judgments, given.formats)
    finally:
        servers.stop()
        subprocess.run(["rm", "-rf", str(folder)], check=False)
    print(table(found))
    if given.json:
        given.json.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
