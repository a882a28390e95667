"""Tables of what the workers made: generations, every attempt at them, and scores."""

from __future__ import annotations

from typing import Any

from django.db.models import CharField, QuerySet
from django.db.models.functions import MD5, Cast, Concat

from inference.models import Attempt, Generation, Score
from studyapp.exports.columns import Column, Columns, Table, constant, inside
from studyapp.models import Study


def _in_order(study: Study, rows: QuerySet[Any], *order: str) -> QuerySet[Any]:
    """In the order of asking; before unblinding in that of a salted hash.

    Stock is asked for before personal texts: the order must not say which row is which.
    """
    if study.is_unblinded:
        return rows.order_by(*order)
    # A salt of its own for each table: equal numbers of two tables must not stand at equal places.
    salt = constant(f"{study.seat_salt}/{rows.model._meta.db_table}/")
    return rows.order_by(MD5(Concat(salt, Cast("id", CharField()))))


def _generations(study: Study) -> QuerySet[Any]:
    return _in_order(study, Generation.objects.filter(study=study), "id")


def _attempts(study: Study) -> QuerySet[Any]:
    return _in_order(study, Attempt.objects.filter(generation__study=study), "generation_id", "number")


def _scores(study: Study) -> QuerySet[Any]:
    return _in_order(study, Score.objects.filter(study=study), "id")


made = Columns(Generation)
GENERATIONS = Table(
    "generations",
    "One row a text asked for. Before unblinding only `purpose`, `state` and `tries` are filled, and the order of rows "
    "is that of a salted hash.",
    (
        made("generation", "id", "Number; joins `comparisons` and `attempts`.", arm=True),
        made("participant", "owner__code", "Whose text; missing for unpersonalised ones.", arm=True),
        made("arm", meaning="Arm of the protocol.", arm=True),
        made("question", "question__key", "Key of the question answered.", arm=True),
        made("purpose", meaning="answer or description."),
        made("replicate", meaning="Which sample; of unpersonalised texts the seat's number.", arm=True),
        made("context_hash", meaning="Hash of the ordered shots that went in.", arm=True),
        made("state", meaning="queued, running, ready, failed, discarded."),
        made("tries", meaning="Claims by workers so far."),
        made("error", meaning="The last error; empty when there was none.", arm=True),
        made("queued_at", meaning="Asked for.", arm=True),
        made("started_at", meaning="Last claimed.", arm=True),
        made("finished_at", meaning="Ready or failed.", arm=True),
        made("model_key", meaning="Digest of engine, source, revision and options: one queue, one batch.", arm=True),
        made("engine", meaning="Engine that made it.", arm=True),
        made("model_digest", meaning="Digest of the weights.", arm=True),
        made("tokenizer_digest", meaning="Digest of the tokenizer's files.", arm=True),
        made("adapter", meaning="Adapter on top of the model; empty when there was none.", arm=True),
        made("adapter_digest", meaning="Digest of the adapter's weights.", arm=True),
        made("abilities", meaning="What the engine could do: seeds, scores, prefix_cache.", arm=True),
        made("versions", meaning="Versions of the libraries.", arm=True),
        made("device", meaning="cpu, or the GPU.", arm=True),
        made("seed", meaning="Sampling seed of the shown text.", arm=True),
        made("finish_reason", meaning="Why decoding ended.", arm=True),
        made("shots_used", meaning="Shots in the prompt.", arm=True),
        made("shots_dropped", meaning="Oldest shots left out of an over-long prompt.", arm=True),
        made("prompt_tokens", meaning="Length of the prompt.", unit="tokens", arm=True),
        made("completion_tokens", meaning="Length of the completion.", unit="tokens", arm=True),
        made("cached_tokens", meaning="Prompt tokens computed once for several rows.", unit="tokens", arm=True),
        made("words", meaning="Words of the shown text.", unit="words", arm=True),
        made("flags", meaning="What normalisation noticed: leaks, window misses, copied shots.", arm=True),
        Column("sampling", "object", "Temperature, top_p, max_tokens.", inside("request", "sampling"), arm=True),
        made("prompt", meaning="The exact prompt; a chat as JSON.", arm=True, text=True),
        made("raw_text", meaning="As the model gave it.", arm=True, text=True),
        made("text", meaning="As it was shown.", arm=True, text=True),
    ),
    _generations,
)

tried = Columns(Attempt)
ATTEMPTS = Table(
    "attempts",
    "One row a try at a text. Before unblinding only `outcome` is filled, in the order of a salted hash.",
    (
        tried("generation", "generation_id", "Number of the text; joins `generations`.", arm=True),
        tried("attempt", "number", "Which try at that text, from 1.", arm=True),
        tried("outcome", meaning="ready, or why it was not: a transient or permanent error, a text that was refused."),
        tried("detail", meaning="What the error said.", arm=True, text=True),
        tried("worker", meaning="The process that tried.", arm=True),
        tried("seed", meaning="Sampling seed.", arm=True),
        tried("words", meaning="Words of the text.", unit="words", arm=True),
        tried("completion_tokens", meaning="Length of the completion.", unit="tokens", arm=True),
        tried("started_at", meaning="Claimed.", arm=True),
        tried("finished_at", meaning="Over.", arm=True),
        tried("raw_text", meaning="As the model gave it.", arm=True, text=True),
    ),
    _attempts,
)

scored = Columns(Score)
SCORES = Table(
    "scores",
    "One row an answer of a probe, scored by a personalised arm: does the arm predict a choice that it has not seen? "
    "Before unblinding only `state` is filled, in the order of a salted hash.",
    (
        scored("participant", "owner__code", "Whose probe.", arm=True),
        scored("arm", meaning="Arm whose model scored.", arm=True),
        scored("probe", "probe__position", "Position of the probe; joins `preferences`.", arm=True),
        scored("question", "probe__question__key", "Key of the probe's question.", arm=True),
        scored("candidate", "candidate__key", "Key of the scored answer.", arm=True),
        scored("context_hash", meaning="Hash of the ordered shots that went in.", arm=True),
        scored("state", meaning="queued, running, ready, failed, discarded."),
        scored("logprob", meaning="Log-probability of the answer after the person's shots.", unit="nats", arm=True),
        scored("reference_logprob", meaning="The same without them.", unit="nats", arm=True),
        scored("tokens", meaning="Length of the answer.", unit="tokens", arm=True),
        scored("model_key", meaning="As in `generations`.", arm=True),
        scored("tries", meaning="Claims by workers so far.", arm=True),
        scored("error", meaning="The last error; empty when there was none.", arm=True),
        scored("queued_at", meaning="Asked for.", arm=True),
        scored("finished_at", meaning="Ready or failed.", arm=True),
    ),
    _scores,
)
