"""What people ask about: subjects in three domains, the questions asked of them, and which of them training never sees.

Every subject is a singular noun phrase, so that one surface form fits them all. Titles are invented.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Literal, get_args

from inference.world.forms import DOMAINS, EXPLANATIONS, OPEN, REVIEWS

FILMS = (
    "The Glass Harbour", "Night Ferry", "The Quiet Orchard", "Salt and Copper", "The Last Lighthouse",
    "Winter Circus", "The Paper Bridge", "Blue Station", "The Long Meadow", "Silver Kites", "The Clockmaker",
    "Harvest Road", "The Borrowed Garden", "Red Umbrella", "The Seventh Window", "Morning Tide", "The Iron Sparrow",
    "Distant Bells", "The Salt Road", "Paper Moons", "The Lantern Keeper", "An Ordinary Storm",
    "The Long Goodbye Party", "Copper Sky", "The Orchard Thief", "Half Past Summer", "The Silent Ferryman",
    "Dust and Violets", "A Train to Verona", "The Ninth Passenger", "Snow over Lisbon", "The Kindest Liar",
    "Green Harbour Nights", "The Last Projectionist", "Hollow Drums", "The Girl with the Kite", "Where Rivers Meet",
    "The Broken Carousel",
)  # fmt: skip
SERIES = (
    "The Velvet Archive", "Stone Valley", "The Hidden Bakery", "Northern Signal", "The Amber Room", "Market Street",
    "The Wandering Doctor", "Cold Lanterns", "The Hollow Crown", "River Detectives", "The Green Hotel",
    "Second Summer", "The Tower Above", "Broken Compass", "The Island Kitchen", "Golden Hour", "The Night Library",
    "Falling Leaves", "The Baker Street Choir", "Cloud Station", "The Orange House", "Seven Bridges",
    "The Understudy", "Low Water", "The Missing Gardener", "Saturday Court", "The Copper Mine", "Little Kingdoms",
    "The Long Corridor", "Harbour Police", "A Quiet Block", "The Paper Trail", "Mountain Rescue",
    "The Honest Thieves", "Old Money New Town", "The Weather Makers", "Blind Alley", "The Twelfth Floor",
)  # fmt: skip
NOVELS = (
    "The Fox at the Gate", "Small Rivers", "The Empty Chair", "Letters from Anna", "The Weaver of Storms",
    "Honey and Ash", "The Map of Shadows", "Running North", "The Painted Door", "Seven Sisters", "The Cartographer",
    "A Kingdom of Rain", "The Stolen Piano", "Under the Almond Tree", "The Winter Guest", "Tomorrow and the Sea",
    "The Bird Keeper", "Quiet Thunder", "The Salt Merchant", "Nine Winters", "The Lighthouse Sisters",
    "A House of Doors", "The Cellist", "Ink and Iron", "The Long Field", "Every Second Sunday", "The Botanist",
    "Grey Geese", "The Last Ferry Home", "Wild Fennel", "The Cousin from Trieste", "Under Slow Stars",
    "The Tin Drummer Boy", "Sparrow Hill", "The Unwritten Map", "Cold Plums", "The Glass Beehive", "Tides of Amber",
)  # fmt: skip
FIELDS: dict[str, tuple[str, ...]] = {
    "living things": (
        "photosynthesis", "natural selection", "pollination", "migration", "hibernation", "fermentation",
        "the food chain", "crop rotation", "symbiosis", "a gene", "echolocation", "composting", "osmosis",
        "the butterfly effect", "cellular respiration", "camouflage",
    ),
    "the body": (
        "the immune system", "a vaccine", "memory", "sleep", "digestion", "blood pressure", "hearing", "metabolism",
        "the placebo effect", "homeostasis", "tooth decay", "the circadian rhythm", "muscle growth", "eyesight",
        "a reflex", "balance",
    ),
    "matter and motion": (
        "gravity", "electricity", "magnetism", "friction", "buoyancy", "combustion", "an echo", "nuclear fusion",
        "surface tension", "the doppler effect", "refraction", "corrosion", "superconductivity", "a rainbow",
        "evaporation", "condensation", "the periodic table",
    ),
    "earth and sky": (
        "the water cycle", "the greenhouse effect", "erosion", "a solar eclipse", "a lunar eclipse", "the tide",
        "lightning", "a black hole", "an earthquake", "plate tectonics", "the carbon cycle", "the nitrogen cycle",
        "the ozone layer", "the jet stream", "a glacier", "the rock cycle", "a thunderstorm", "a cold front",
        "a tsunami", "a mirage",
    ),
    "technology": (
        "radar", "a search engine", "encryption", "a battery", "machine translation", "a heat pump", "radio",
        "a steam engine", "a fibre-optic cable", "satellite navigation", "a touch screen", "recycling",
        "a transistor", "desalination", "a suspension bridge", "a hash table", "a laser", "error correction",
        "a wind turbine", "a microwave oven", "stainless steel", "spam filtering",
    ),
    "money and society": (
        "inflation", "supply and demand", "the stock market", "compound interest", "an auction", "peer review",
        "game theory", "insurance", "central banking", "bargaining", "the trade deficit", "a tariff", "a pension",
        "public debt", "a monopoly",
    ),
}  # fmt: skip
"""Field of knowledge -> its topics."""
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
    "speaking in public", "writing letters by hand", "eating dinner without screens", "learning to sail",
    "adopting an old cat", "baking your own bread", "moving back home", "walking to work", "starting a book club",
    "taking a job abroad", "keeping a garden pond", "singing in public", "spending a month offline",
    "buying a used van", "learning to juggle", "sharing an office", "teaching evening classes",
    "training for a triathlon", "living without a television", "painting the kitchen yourself",
    "writing a family history", "joining a rowing club", "changing schools midyear", "hiking alone", "retiring early",
    "learning sign language", "hosting exchange students", "cancelling every subscription",
    "building a model railway", "going vegetarian for a month", "mentoring a student", "restoring a wooden boat",
    "taking the night train", "planting fruit trees", "swapping homes for the summer", "learning to knit",
    "living on a houseboat", "standing for election", "keeping a dream journal", "going car free",
    "inviting strangers to dinner", "relearning mathematics", "skipping coffee",
)  # fmt: skip

# Every form but one of a subject is asked in training; see questions_about.
ASKED: dict[str, tuple[str, ...]] = {
    "film": (
        "Is the film {s} worth an evening?",
        "What do you make of the film {s}?",
        "Should I go and see {s}?",
        "Would you give the film {s} a chance?",
    ),
    "series": (
        "Is the series {s} worth starting?",
        "What do you make of the series {s}?",
        "Should I watch {s}?",
        "Would you give the series {s} a chance?",
    ),
    "novel": (
        "Is the novel {s} worth my time?",
        "What do you make of the novel {s}?",
        "Should I read {s}?",
        "Would you give the novel {s} a chance?",
    ),
    "topic": (
        "How would you explain {s}?",
        "What should I know about {s}?",
        "Can you help me understand {s}?",
        "What is the idea behind {s}?",
    ),
    "choice": (
        "Is {s} a good idea?",
        "What do you think about {s}?",
        "Would you recommend {s}?",
        "I am thinking about {s}. Should I?",
    ),
}
"""Kind of subject -> the forms in which people ask about it."""


Split = Literal["train", "questions", "subjects"]
"""What a model is trained on; held-out questions on subjects of training; held-out subjects."""


@dataclass(frozen=True, slots=True)
class Subject:
    """A thing to ask about. Training never sees a `held_out` one. `field` is set for topics alone."""

    name: str
    domain: str
    kind: str
    held_out: bool = False
    field: str = ""


@dataclass(frozen=True, slots=True)
class Question:
    """One question of the world, about one subject."""

    subject: Subject
    text: str
    split: Split

    @property
    def domain(self) -> str:
        """The domain of its subject."""
        return self.subject.domain


def _subjects(names: Sequence[str], domain: str, kind: str, field: str = "") -> list[Subject]:
    # Every fifth subject is held out: a fixed rule, so that adding subjects at the end moves none across the border.
    return [Subject(name, domain, kind, index % 5 == 4, field) for index, name in enumerate(names)]


SUBJECTS: tuple[Subject, ...] = (
    *_subjects(FILMS, REVIEWS, "film"),
    *_subjects(SERIES, REVIEWS, "series"),
    *_subjects(NOVELS, REVIEWS, "novel"),
    *(subject for field, topics in FIELDS.items() for subject in _subjects(topics, EXPLANATIONS, "topic", field)),
    *_subjects(CHOICES, OPEN, "choice"),
)


@cache
def _number(subject: Subject) -> int:
    return SUBJECTS.index(subject)


def questions_about(subject: Subject) -> tuple[Question, ...]:
    """Every question the world asks about a subject; of a subject of training one is kept as a held-out question."""
    forms = ASKED[subject.kind]
    kept = _number(subject) % len(forms)
    splits: list[Split] = ["questions" if number == kept else "train" for number in range(len(forms))]
    if subject.held_out:
        splits = ["subjects"] * len(forms)
    texts = (form.format(s=subject.name) for form in forms)
    return tuple(Question(subject, text, split) for text, split in zip(texts, splits, strict=True))


@cache
def questions(split: Split, domain: str | None = None) -> tuple[Question, ...]:
    """All questions of a split, of one domain or of all; raises ValueError for a split or domain there is not."""
    if domain is not None and domain not in DOMAINS:
        raise ValueError(f"domain must be one of {DOMAINS}, not {domain!r}")
    if split not in get_args(Split):
        raise ValueError(f"split must be one of {get_args(Split)}, not {split!r}")
    asked = (q for s in SUBJECTS if domain in (None, s.domain) for q in questions_about(s))
    return tuple(question for question in asked if question.split == split)


def draw_question(rng: random.Random, split: Split, domain: str | None = None) -> Question:
    """A question drawn uniformly over domains (or of one), then over the questions of the domain."""
    return rng.choice(questions(split, domain or rng.choice(DOMAINS)))


def subject_of(question: str) -> Subject | None:
    """The subject a question's text is about (the longest name in it), or None if the world has none."""
    lowered = question.lower()
    named = [s for s in SUBJECTS if s.name.lower() in lowered]
    return max(named, key=lambda s: len(s.name), default=None)
