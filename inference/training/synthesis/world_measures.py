"""Diversity and coherence of the exact world, with and without what each of them is for.

View-conditioning off: the answers to a question come from one plan, the writer's own, put into words again and again.
Persona improvement skipped: a persona of which only the most important clause was written down, so that a coin labels
whatever that clause does not decide.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from inference.training.synthesis.coherence import PAIRS, Labels
from inference.training.synthesis.config import Config, WorldSource
from inference.training.synthesis.diversity import Diversity, diversity
from inference.training.synthesis.measures import Measures, Panel
from inference.training.synthesis.world_source import users_of
from inference.world import OPEN, Question, draw_plan, questions, write
from inference.world.answers import TIE, Plan, viewpoints
from inference.world.users import IMPORTANCES, VIEWS, Persona, User, personas

ANSWERS = 10  # to a prompt, when diversity is measured
IMPROVING_PAIRS = 24  # pairs over which a persona is improved
Choice = Callable[[Plan, Plan, Question], int]
"""1 when the first plan is liked more, -1 when the second is, 0 when both alike."""


def measure(config: Config, source: WorldSource) -> Measures:
    """Everything, on the parts of the configuration."""
    found = Measures()
    for domain in dict.fromkeys(users_of(part.users, "train")[0].domain for part in source.parts):
        made = "by view" if domain == OPEN else "steered"
        found.diversity[f"{domain}, {made}"] = answers_diversity(domain, config, conditioned=True)
        found.diversity[f"{domain}, not {made}"] = answers_diversity(domain, config, conditioned=False)
    if config.measure.users:
        found.panels = [_panel(part.users, config) for part in source.parts]
        if any(part.users == OPEN for part in source.parts):
            found.panels += persona_panels(config)
    return found


def answers_diversity(domain: str, config: Config, *, conditioned: bool) -> Diversity:
    """Ten answers to each of several questions, by as many viewpoints (open-ended) or personas, or by one."""
    rng = random.Random(f"{config.seed}/diversity/{domain}")
    asked = questions("train", domain)
    groups = []
    for question in rng.sample(asked, min(config.measure.prompts, len(asked))):
        own = draw_plan(domain, rng)
        if not conditioned:
            plans: list[Plan] = [own] * ANSWERS
        elif domain == OPEN:
            plans = rng.sample(viewpoints(), ANSWERS)
        else:
            plans = [draw_plan(domain, rng) for _ in range(ANSWERS)]
        groups.append([write(question, plan, rng) for plan in plans])
    return diversity(groups)


def persona_panels(config: Config) -> list[Panel]:
    """The same personas with one clause only, and after improvement."""
    rng = random.Random(f"{config.seed}/underspecified")
    whole = rng.sample(list(personas("train")), config.measure.users)
    short = [forget(persona) for persona in whole]
    better = [improve(persona, config.seed) for persona in short]
    names = tuple(persona.code for persona in whole)
    return [
        Panel(f"{OPEN}, {said}", names, panel_labels([choice_of(p) for p in people], OPEN, config))
        for said, people in (("one clause of each persona", short), ("after improvement", better))
    ]


def _panel(kind: str, config: Config) -> Panel:
    rng = random.Random(f"{config.seed}/panel/{kind}")
    everybody = list(dict.fromkeys([*users_of(kind, "train"), *users_of(kind, "held_out")]))
    people = sorted(rng.sample(everybody, min(len(everybody), 2 * config.measure.users)), key=lambda user: user.code)
    names = tuple(user.code for user in people)
    return Panel(kind, names, panel_labels([choice_of(user) for user in people], people[0].domain, config))


def choice_of(user: User) -> Choice:
    """How a user chooses."""

    def choose(first: Plan, second: Plan, question: Question) -> int:
        difference = user.likes(first, question.subject) - user.likes(second, question.subject)
        return 0 if abs(difference) < TIE else 1 if difference > 0 else -1

    return choose


def panel_labels(choices: Sequence[Choice], domain: str, config: Config) -> Labels:
    """Users x questions x 3 x times labels; a coin where a user likes both alike."""
    size = config.measure
    rng = random.Random(f"{config.seed}/panel questions/{domain}")
    asked = [rng.choice(questions("train", domain)) for _ in range(size.questions)]
    triads = [_different_plans(domain, rng) for _ in asked]
    labels = np.zeros((len(choices), len(asked), len(PAIRS), size.times), dtype=np.int8)
    for who, choose in enumerate(choices):
        for at, (question, plans) in enumerate(zip(asked, triads, strict=True)):
            for pair, (a, b) in enumerate(PAIRS):
                said = choose(plans[a], plans[b], question)
                labels[who, at, pair] = [said or rng.choice((1, -1)) for _ in range(size.times)]
    return labels


def _different_plans(domain: str, rng: random.Random) -> list[Plan]:
    found: list[Plan] = []
    while len(found) < len(PAIRS):
        plan = draw_plan(domain, rng)
        if plan not in found:
            found.append(plan)
    return found


def forget(persona: Persona, *, keep: int = 1) -> Persona:
    """The persona with its `keep` most important clauses: no other view counts. At least one must be kept."""
    order = sorted(range(len(VIEWS)), key=lambda at: -persona.importances[at])[:keep]
    return replace(persona, importances=tuple(i if at in order else 0 for at, i in enumerate(persona.importances)))


def improve(persona: Persona, seed: int) -> Persona:
    """Iterative improvement: each pair that is not decided gets a side by a coin, and the persona one view from it."""
    rng = random.Random(f"{seed}/improve/{persona.code}")
    for _ in range(IMPROVING_PAIRS):
        plans = rng.sample(viewpoints(), 2)
        if abs(persona.likes(plans[0]) - persona.likes(plans[1])) >= TIE:
            continue
        side, other = rng.sample(plans, 2)
        unsaid = [at for at in range(len(VIEWS)) if not persona.importances[at] and side[at].value != other[at].value]
        if unsaid:
            persona = _with_view(persona, rng.choice(unsaid), side, rng)
    return persona


def _with_view(persona: Persona, at: int, side: Plan, rng: random.Random) -> Persona:
    views, importances = list(persona.views), list(persona.importances)
    views[at], importances[at] = side[at].value, rng.choice(IMPORTANCES)
    return Persona(tuple(views), tuple(importances))
