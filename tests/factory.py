"""Small studies on real rows: a folder written from Python, loaded and opened through the services.

The cast: `small` asks three shots, one probe and one repeat, then four judged pairs and three controls; its texts come
from the scripted engine.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

from django.db.models import TextField, Value
from django.db.models.functions import Cast, Concat

from annotations import selectors
from annotations import services as judging
from annotations.models import Comparison, Preference
from inference.models import Generation
from studyapp.models import Participant, Study
from studyapp.services import entry, progress, studies
from studyapp.services.entry import Entry

TOPICS = ("garden", "kitchen", "street", "school", "river", "market", "music", "winter")


def protocol(slug: str = "small", **changes: Any) -> dict[str, Any]:
    """The protocol of the small study as plain values; `changes` replace whole top-level tables or keys."""
    values: dict[str, Any] = {
        "slug": slug,
        "version": 1,
        "title": "Which answer do you like?",
        "max_enrolled": 6,
        "elicitation": {"shots": 3, "probes": 1, "repeats": 1, "words": [3, 40], "overlap": "none"},
        "models": {"script": {"engine": "scripted", "layout": "fspo"}},
        "arms": {
            "fspo": {"model": "script", "context": "own_shots", "shots": 3},
            "base": {"model": "script", "context": "none"},
        },
        "sampling": {"temperature": 0.7, "top_p": 0.95, "max_tokens": 120, "seed": 7},
        "normalise": {"words": [5, 300]},
        "comparisons": [{"treatment": "fspo", "baseline": "base", "items": 4}],
        "controls": [
            {"kind": "null", "items": 1, "arm": "base"},
            {"kind": "repeat", "items": 1, "lag": 2},
            {"kind": "attention", "items": 1},
        ],
        "judging": {"scale": "choice+strength", "reason": "optional", "break_every": 3},
        "wait": {"deadline_s": 30},
        "sessions": {"lease_min": 10, "resume_hours": 2},
        "exits": {"completed": "DONE-1", "excused": "SORRY-2", "stopped": "STOP-3"},
        "analysis": {"primary": ["fspo>base"]},
    }
    values.update(changes)
    return {k: v for k, v in values.items() if v is not None}


def write_folder(folder: Path, values: dict[str, Any]) -> Path:
    """Write a whole study folder for a protocol."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "study.toml").write_text(to_toml(values))
    for name in ("consent", "instructions", "debrief"):
        (folder / f"{name}.md").write_text(f"# About {name}\n\nA *short* text for tests.\n")
    questions, candidates = [], []
    for number, topic in enumerate(TOPICS * 2):
        key = f"e{number}"
        questions.append(_question(key, "elicit", number, f"{topic} talk", f"What about the {topic}, part {number}?"))
        for style in ("short", "long", "warm"):
            text = f"The {topic} is {style} and good number {number}."
            candidates.append({"id": f"{key}-{style}", "question": key, "text": text, "viewpoint": style})
    for number in range(12):
        topic = TOPICS[number % len(TOPICS)]
        questions.append(
            _question(f"j{number}", "judge", number, f"{topic} work", f"How is the {topic}, number {number}?")
        )
    attention = [
        {"id": f"a{n}", "text": f"Please choose the answer that says blue ({n}).", "expected": "It says blue.",
         "other": "It says green."}
        for n in range(3)
    ]  # fmt: skip
    for name, rows in (("questions", questions), ("candidates", candidates), ("attention", attention)):
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


def _question(key: str, use: str, number: int, topic: str, text: str) -> dict[str, str]:
    return {"id": key, "use": use, "domain": ("near", "far")[number % 2], "topic": topic, "text": text}


def to_toml(values: dict[str, Any]) -> str:
    """TOML of plain values: scalars and lists first, then tables and arrays of tables."""
    lines = [f"{k} = {_scalar(v)}" for k, v in values.items() if not _is_table(v)]
    for key, value in values.items():
        if isinstance(value, dict):
            nested = all(isinstance(v, dict) for v in value.values()) and value
            for name, table in value.items() if nested else [("", value)]:
                lines += [f"[{key}.{name}]" if name else f"[{key}]", *(f"{k} = {_scalar(v)}" for k, v in table.items())]
        elif _is_table(value):
            for table in value:
                lines += [f"[[{key}]]", *(f"{k} = {_scalar(v)}" for k, v in table.items())]
    return "\n".join(lines) + "\n"


def _is_table(value: Any) -> bool:
    return isinstance(value, dict) or (isinstance(value, list) and bool(value) and isinstance(value[0], dict))


def _scalar(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{k} = {_scalar(v)}" for k, v in value.items()) + "}"
    return json.dumps(value, ensure_ascii=False)


def loaded_study(slug: str = "small", **changes: Any) -> Study:
    """A study in draft."""
    with tempfile.TemporaryDirectory() as folder:
        return studies.load(write_folder(Path(folder) / slug, protocol(slug, **changes)))[0]


def open_study(slug: str = "small", **changes: Any) -> Study:
    """A study that takes people, its seats drawn and its unpersonalised texts asked for."""
    return studies.open_study(loaded_study(slug, **changes), skip_preflight="test")


def finish_texts(study: Study, **filters: Any) -> int:
    """Make every asked-for text ready, as a worker would have, and settle its pairs; returns how many."""
    asked = Generation.objects.filter(study=study, state__in=["queued", "running"], **filters)
    keys = list(asked.values_list("pk", flat=True))
    words = (Value("An answer about it, made as text "), Cast("pk", TextField()), Value(" for this test."))
    text = Concat(*words, output_field=TextField())
    Generation.objects.filter(pk__in=keys).update(state="ready", text=text, words=10, claim_id=None)
    judging.settle(keys)
    return len(keys)


def consented(study: Study, **values: Any) -> Participant:
    """Somebody who has entered and consented."""
    person = entry.enrol(study, Entry(**values))
    entry.consent(person)
    return person


def elicited(study: Study, choice: str = "first", **values: Any) -> Participant:
    """Somebody who has given every elicitation choice."""
    person = consented(study, **values)
    progress.begin(person)
    answer_all(person, choice)
    person.refresh_from_db()
    return person


def answer_all(person: Participant, choice: str = "first") -> None:
    """Give every elicitation choice that is still owed."""
    while pair := selectors.next_preference(person.pk):
        judging.present(pair)
        progress.choose(person, pair.opaque_id, choice, 900)


def judge_all(person: Participant, choice: str = "first", limit: int | None = None) -> int:
    """Judge what is ready, at most `limit` pairs, breaks taken; returns the number of judgments."""
    done = 0
    progress.advance(person)
    while (limit is None or done < limit) and (row := selectors.next_comparison(person.pk)):
        if row.state != Comparison.State.READY:
            break
        judging.present(row)
        progress.judge(person, row.opaque_id, choice=choice, strength=3, page_ms=1200)
        progress.take_break(person)
        done += 1
    person.refresh_from_db()
    return done


def completed(study: Study, choice: str = "first", **values: Any) -> Participant:
    """Somebody who has judged everything."""
    person = elicited(study, **values)
    finish_texts(study)
    judge_all(person, choice)
    return person


def choices_of(person: Participant) -> list[str | None]:
    """A person's elicitation choices in order."""
    return list(Preference.objects.filter(participant=person).order_by("position").values_list("choice", flat=True))
