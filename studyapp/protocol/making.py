"""The tables that say how texts come about: models, arms, sampling, normalisation."""

from __future__ import annotations

from typing import Literal

from studyapp.protocol.fields import Flag, FullLine, Line, LongText, Name, Number, Positive, Table, Whole, Words, key

Engine = Literal["scripted", "transformers", "vllm", "openai", "http", "callable", "static"]
Context = Literal["none", "own_shots", "donor_shots", "population_shots", "own_description"]
OWN_CONTEXTS = ("own_shots", "donor_shots", "own_description")
MAX_SHOTS = 64
MAX_TOKENS = 32768
MAX_SEED = 2**63 - 1


class ModelDef(Table):
    """[models.NAME]: where a model comes from and how its prompt is laid out."""

    engine: Engine = key(..., "What runs the model.", built=("scripted", "transformers", "vllm", "openai"))
    source: Line = key("", "A path, a hub id, or `bundled:NAME`. Every engine but `scripted` needs it.")
    revision: Line = key("", "Commit or tag of a hub model; without it a later run may get other weights.")
    layout: Literal["fspo", "chat"] = key("fspo", "Prompt layout: FSPO's plain markdown or the model's chat template.")
    adapter: FullLine | None = key(
        None,
        "LoRA adapter on top of the source: a folder for `vllm`, a name that the server knows for `openai`.",
    )
    reference: Name | None = key(
        None, "Another model of this study, against which scores are taken; left out: the model itself without shots."
    )
    target: FullLine | None = key(None, "What the `http` or `callable` engine calls.", later=True)
    responses: FullLine | None = key(None, "File of ready-made responses for the `static` engine.", later=True)


class SamplingPart(Table):
    """[arms.NAME.sampling]: what differs from [sampling]."""

    temperature: Number | None = key(None, "As in [sampling].", ge=0, le=2)
    top_p: Number | None = key(None, "As in [sampling].", gt=0, le=1)
    max_tokens: int | None = key(None, "As in [sampling].", strict=True, ge=1, le=MAX_TOKENS)


class SamplingDef(Table):
    """[sampling]: decoding, the same for both arms of a comparison unless it says why not."""

    temperature: Number = key(0.7, "0 is greedy.", ge=0, le=2)
    top_p: Number = key(0.95, "Nucleus mass.", gt=0, le=1)
    max_tokens: int = key(512, "New tokens at most.", strict=True, ge=1, le=MAX_TOKENS)
    seed: Whole = key(0, "Root of every text's seed.", ge=0, le=MAX_SEED)


class ArmDef(Table):
    """[arms.NAME]: a model and what it is told about the participant."""

    model: Name = key(..., "Name of a model of this study.")
    context: Context = key("none", "What goes into the context.", built=("none", "own_shots"))
    shots: int | None = key(
        None,
        "How many of the participant's shots go in, the latest ones; left out: all of [elicitation] shots.",
        strict=True, ge=0, le=MAX_SHOTS,
    )
    flip_rate: Number = key(0.0, "Share of shots whose labels are turned round.", later=True, ge=0, le=1)
    rationale: Flag = key(False, "Describe the user first, once a participant, then answer (RAT); own_shots only.")
    instruction: LongText | None = key(None, "Said to the model before the question; chat layout only.")
    sampling: SamplingPart = key(SamplingPart(), "What differs from [sampling].")
    samples: Literal["per_seat", "shared"] = key(
        "per_seat", "A text of its own for every planned seat, or one text a question for everybody."
    )
    pool: FullLine | None = key(None, "Where donors' shots come from.", later=True)
    max_uses: Positive | None = key(None, "How often one donor may be used.", later=True)


class Normalise(Table):
    """[normalise]: what every shown text must look like, whatever its arm."""

    words: Words = key((200, 300), "Length window of a judged text in words, both ends included.")
    pair_ratio: Number = key(
        1.15, "Longer text over shorter text of a pair, at most: whichever comes second is asked for so.", ge=1, le=10
    )
    plain_text: Flag = key(True, "Plain paragraphs: no markdown.")
    tries: int = key(3, "How often a text is asked for until it fits.", strict=True, ge=1, le=20)
    on_exhausted: Literal["show_nearest"] = key("show_nearest", "After the last try: the nearest text, flagged.")
