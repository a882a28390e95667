"""The whole protocol as one frozen model."""

from __future__ import annotations

from inference.contracts import ModelSpec, Sampling, Window
from studyapp.protocol.asking import ComparisonDef, ControlDef, Elicitation, FormDef, Judging
from studyapp.protocol.fields import Count, Flag, Name, Positive, Slug, Table, Title, key
from studyapp.protocol.making import ArmDef, ModelDef, Normalise, SamplingDef
from studyapp.protocol.running import (
    Analysis,
    Disclosure,
    Eligibility,
    ExclusionDef,
    Exits,
    Pay,
    Privacy,
    QuotaDef,
    Sessions,
    Stopping,
    Wait,
)

# Engines that load adapters into the model they hold, and have to know so beforehand.
LOADS_ADAPTERS = ("vllm",)
# Under so many minutes one missed check may count; panels' policies ask for two in longer studies.
SHORT_MINUTES = 5


class Protocol(Table):
    """A study protocol, `study.toml`. `model_dump(mode="json")` and `model_validate` are inverse to each other."""

    slug: Slug = key(..., "Name of the study in addresses and commands.")
    version: Positive = key(1, "Goes up whenever a study that was opened changes.")
    title: Title = key(..., "Shown to participants; neutral.")
    target_participants: Count = key(0, "People wanted; 0: no cap.")
    max_enrolled: Positive | None = key(None, "Seats; left out: as many as `target_participants`.")
    demo: Flag = key(False, "A demonstration: simulated and real people may mix.")
    elicitation: Elicitation = key(Elicitation(), "How tastes are shown.")
    models: dict[Name, ModelDef] = key(..., "Models by name.", min_length=1)
    arms: dict[Name, ArmDef] = key(..., "Arms by name.", min_length=1)
    sampling: SamplingDef = key(SamplingDef(), "Decoding.")
    normalise: Normalise = key(Normalise(), "The look of texts.")
    comparisons: tuple[ComparisonDef, ...] = key(..., "What is compared.", min_length=1)
    controls: tuple[ControlDef, ...] = key((), "Pairs that test the study itself.")
    judging: Judging = key(Judging(), "What is asked of a pair.")
    forms: tuple[FormDef, ...] = key((), "Questionnaires.", later=True)
    quotas: tuple[QuotaDef, ...] = key((), "Caps by form answer.", later=True)
    eligibility: Eligibility = key(Eligibility(), "Who may take part.")
    disclosure: Disclosure = key(Disclosure(), "What people are told.")
    wait: Wait = key(Wait(), "Waiting for a text.")
    sessions: Sessions = key(Sessions(), "How long a place is kept.")
    exits: Exits = key(Exits(), "Ways out.")
    pay: Pay = key(Pay(), "Pay.")
    analysis: Analysis = key(Analysis(), "The analysis.")
    exclusions: tuple[ExclusionDef, ...] = key((), "Exclusion rules.")
    stopping: Stopping = key(Stopping(), "End of enrolment.")
    privacy: Privacy = key(Privacy(), "Data protection.")

    @property
    def seats(self) -> int | None:
        """How many seats there are; None: drawn as needed."""
        return self.max_enrolled or self.target_participants or None

    @property
    def main_items(self) -> int:
        """Judged pairs a participant that are not controls."""
        return sum(comparison.items for comparison in self.comparisons)

    @property
    def control_items(self) -> int:
        """Control pairs a participant, on top of the items."""
        return sum(control.items for control in self.controls)

    @property
    def checks_to_fail(self) -> int:
        """Missed attention checks that lead to `exits.failed_checks`."""
        return 1 if self.pay.minutes is not None and self.pay.minutes < SHORT_MINUTES else 2

    @property
    def primary(self) -> tuple[str, ...]:
        """Names of the primary comparisons; every comparison when [analysis] names none."""
        names = dict.fromkeys(comparison.name for comparison in self.comparisons)
        return self.analysis.primary or tuple(n for n in names if n not in self.analysis.secondary)

    def arm_sampling(self, name: str) -> Sampling:
        """Effective decoding of an arm: [sampling] with the arm's own on top. Raises KeyError for an unknown arm."""
        own = self.arms[name].sampling
        base = self.sampling
        return Sampling(
            temperature=base.temperature if own.temperature is None else own.temperature,
            top_p=base.top_p if own.top_p is None else own.top_p,
            max_tokens=base.max_tokens if own.max_tokens is None else own.max_tokens,
        )

    def arm_shots(self, name: str) -> int:
        """How many shots an arm sees: 0 without a context. Raises KeyError for an unknown arm."""
        arm = self.arms[name]
        if arm.context == "none":
            return 0
        return self.elicitation.shots if arm.shots is None else arm.shots

    @property
    def compared_arms(self) -> tuple[str, ...]:
        """The arms that occur in a comparison, each once."""
        return tuple(dict.fromkeys(arm for c in self.comparisons for arm in (c.treatment, c.baseline)))

    def model_spec(self, name: str) -> ModelSpec:
        """The base model an arm runs on, as workers know it. Raises KeyError for an unknown arm or model."""
        return self.base_model(self.arms[name].model)

    def base_model(self, name: str) -> ModelSpec:
        """The base model behind a model of this study: the same for all its adapters. Raises KeyError for another name.

        One that has to take adapters says so, because an engine is told when it loads.
        """
        model = self.models[name]
        base = (model.engine, model.source, model.revision)
        others = (other for other in self.models.values() if (other.engine, other.source, other.revision) == base)
        adapted = model.engine in LOADS_ADAPTERS and any(other.adapter for other in others)
        return ModelSpec(*base, options={"lora": True} if adapted else {})

    def window(self) -> Window:
        """What [normalise] asks of every judged text."""
        low, high = self.normalise.words
        return Window(low, high, self.normalise.tries, self.normalise.plain_text)
