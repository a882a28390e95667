"""What people ask about: subjects in three domains, the questions asked of them, and which of them training never sees.

Every subject is a singular noun phrase, so that one surface form fits them all. Titles are invented.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

from inference.demoworld.forms import DOMAINS, EXPLANATIONS, OPEN, REVIEWS

FILMS = (
    "The Glass Harbour", "Night Ferry", "The Quiet Orchard", "Salt and Copper", "The Last Lighthouse",
    "Winter Circus", "The Paper Bridge", "Blue Station", "The Long Meadow", "Silver Kites", "The Clockmaker",
    "Harvest Road", "The Borrowed Garden", "Red Umbrella", "The Seventh Window", "Morning Tide", "The Iron Sparrow",
    "Distant Bells",
)  # fmt: skip
SERIES = (
    "The Velvet Archive", "Stone Valley", "The Hidden Bakery", "Northern Signal", "The Amber Room", "Market Street",
    "The Wandering Doctor", "Cold Lanterns", "The Hollow Crown", "River Detectives", "The Green Hotel",
    "Second Summer", "The Tower Above", "Broken Compass", "The Island Kitchen", "Golden Hour", "The Night Library",
    "Falling Leaves",
)  # fmt: skip
NOVELS = (
    "The Fox at the Gate", "Small Rivers", "The Empty Chair", "Letters from Anna", "The Weaver of Storms",
    "Honey and Ash", "The Map of Shadows", "Running North", "The Painted Door", "Seven Sisters", "The Cartographer",
    "A Kingdom of Rain", "The Stolen Piano", "Under the Almond Tree", "The Winter Guest", "Tomorrow and the Sea",
    "The Bird Keeper", "Quiet Thunder",
)  # fmt: skip
TOPICS = (
    "photosynthesis", "the water cycle", "gravity", "inflation", "a rainbow", "the immune system", "radar", "erosion",
    "natural selection", "the greenhouse effect", "electricity", "a vaccine", "memory", "sleep", "magnetism",
    "evaporation", "a solar eclipse", "the tide", "friction", "digestion", "a search engine", "encryption",
    "supply and demand", "lightning", "a black hole", "fermentation", "an earthquake", "plate tectonics",
    "the carbon cycle", "a battery", "condensation", "the stock market", "machine translation", "an echo",
    "pollination", "a heat pump", "the nitrogen cycle", "buoyancy", "blood pressure", "a lunar eclipse", "radio",
    "the ozone layer", "compound interest", "a steam engine", "migration", "nuclear fusion", "hibernation",
    "a fibre-optic cable", "osmosis", "the jet stream", "satellite navigation", "hearing", "a touch screen",
    "combustion", "the food chain", "recycling", "a glacier", "metabolism", "an auction", "peer review",
)  # fmt: skip
CHOICES = (
    "keeping a diary", "moving to a smaller town", "learning to cook at home", "working from home",
    "getting up at five", "adopting a dog", "taking a year off", "selling the car", "learning a second language",
    "giving up social media", "starting a small business", "going back to school", "eating less meat",
    "joining a choir", "running a marathon", "buying second-hand clothes", "growing vegetables",
    "lending money to a friend", "travelling alone", "living with flatmates", "meditating every day",
    "volunteering abroad", "cycling to work", "teaching a child chess", "writing a will early",
    "switching careers at forty", "saying no more often", "reading before bed", "renting instead of buying",
    "camping in winter", "taking cold showers", "tidying once a week", "learning the piano as an adult",
    "keeping bees", "working four days a week", "cooking for the neighbours", "buying a house with friends",
    "skipping breakfast", "hosting a weekly dinner", "quitting a safe job", "drawing every day",
    "sharing a family calendar", "moving abroad for love", "fasting once a week", "repairing old furniture",
    "keeping a strict budget", "leaving the phone at home", "joining a local council", "learning to dance",
    "caring for an older relative", "taking evening classes", "building a cabin", "sleeping outdoors",
    "giving money to strangers", "going to bed early", "raising chickens", "fixing your own bicycle",
    "speaking in public", "writing letters by hand", "eating dinner without screens",
)  # fmt: skip

ASKED: dict[str, tuple[str, ...]] = {
    "film": ("Is the film {s} worth an evening?", "What do you make of the film {s}?", "Should I go and see {s}?"),
    "series": ("Is the series {s} worth starting?", "What do you make of the series {s}?", "Should I watch {s}?"),
    "novel": ("Is the novel {s} worth my time?", "What do you make of the novel {s}?", "Should I read {s}?"),
    "topic": ("How would you explain {s}?", "What should I know about {s}?", "Can you help me understand {s}?"),
    "choice": ("Is {s} a good idea?", "What do you think about {s}?", "Would you recommend {s}?"),
}
"""Kind of subject -> the forms in which people ask about it."""


@dataclass(frozen=True, slots=True)
class Subject:
    """A thing to ask about. `held_out` subjects occur in no preference a model is trained on, only in plain answers."""

    name: str
    domain: str
    kind: str
    held_out: bool = False


@dataclass(frozen=True, slots=True)
class Question:
    """One question of the world, about one subject."""

    subject: Subject
    text: str

    @property
    def domain(self) -> str:
        """The domain of its subject."""
        return self.subject.domain


def _subjects(names: Sequence[str], domain: str, kind: str) -> list[Subject]:
    # Every fifth subject is held out: a fixed rule, so that adding subjects at the end moves none across the border.
    return [Subject(name, domain, kind, held_out=index % 5 == 4) for index, name in enumerate(names)]


SUBJECTS: tuple[Subject, ...] = (
    *_subjects(FILMS, REVIEWS, "film"),
    *_subjects(SERIES, REVIEWS, "series"),
    *_subjects(NOVELS, REVIEWS, "novel"),
    *_subjects(TOPICS, EXPLANATIONS, "topic"),
    *_subjects(CHOICES, OPEN, "choice"),
)


def questions_about(subject: Subject) -> tuple[Question, ...]:
    """Every question the world asks about a subject."""
    return tuple(Question(subject, form.format(s=subject.name)) for form in ASKED[subject.kind])


@cache
def questions(*, held_out: bool, domain: str | None = None) -> tuple[Question, ...]:
    """All questions on seen or on held-out subjects, of one domain or of all."""
    if domain is not None and domain not in DOMAINS:
        raise ValueError(f"domain must be one of {DOMAINS}, not {domain!r}")
    chosen = [s for s in SUBJECTS if s.held_out == held_out and domain in (None, s.domain)]
    return tuple(question for subject in chosen for question in questions_about(subject))


def draw_question(rng: random.Random, *, held_out: bool) -> Question:
    """A question drawn uniformly over domains, then over the questions of the domain."""
    return rng.choice(questions(held_out=held_out, domain=rng.choice(DOMAINS)))


def subject_of(question: str) -> Subject | None:
    """The subject a question's text is about (the longest name in it), or None if the world has none."""
    lowered = question.lower()
    named = [s for s in SUBJECTS if s.name.lower() in lowered]
    return max(named, key=lambda s: len(s.name), default=None)
