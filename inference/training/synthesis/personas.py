"""Personas for a language model: descriptions of readers, given, or written by the model from cells of traits."""

from __future__ import annotations

import itertools
import random
from dataclasses import dataclass

from inference.contracts import Sampling
from inference.training.synthesis import instructions
from inference.training.synthesis.calls import Answer, Call, Talk, seed_of
from inference.training.synthesis.config import Personas
from inference.world.users import Group


@dataclass(frozen=True, slots=True)
class Persona:
    """A reader as the judge is told about it. `traits` is the cell it comes from, empty for a given one."""

    code: str
    group: Group
    text: str
    traits: tuple[tuple[str, str], ...] = ()


def plan(settings: Personas, seed: int) -> list[Persona]:
    """The personas wanted, those of training first, described by their traits alone; no cell is in both groups."""
    rng = random.Random(f"{seed}/personas")
    if settings.given:
        texts = rng.sample(list(dict.fromkeys(settings.given)), settings.train + settings.held_out)
        return [_numbered(settings, number, text, ()) for number, text in enumerate(texts)]
    cells = [
        tuple(zip(settings.traits, values, strict=True)) for values in itertools.product(*settings.traits.values())
    ]
    rng.shuffle(cells)
    used = -(-settings.train // settings.each)
    own = [cell for cell in cells[:used] for _ in range(settings.each)][: settings.train]
    others = [cell for cell in cells[used:] for _ in range(settings.each)][: settings.held_out]
    return [_numbered(settings, number, said(cell), cell) for number, cell in enumerate([*own, *others])]


def said(cell: tuple[tuple[str, str], ...]) -> str:
    """A cell of traits as a description."""
    return f"This reader: {', '.join(f'{name} {value}' for name, value in cell)}."


def write_out(persona: Persona, sampling: Sampling, seed: int) -> Talk[Persona | None]:
    """Ask the model for a persona's description; None when it gives none."""
    call = Call("personas", instructions.write_persona(dict(persona.traits)), sampling, seed_of(seed, persona.code))
    answers: list[Answer] = yield [call]
    text = instructions.read_text(answers[0].text or "")
    return Persona(persona.code, persona.group, text, persona.traits) if text else None


def _numbered(settings: Personas, number: int, text: str, cell: tuple[tuple[str, str], ...]) -> Persona:
    return Persona(f"persona-{number:04}", "train" if number < settings.train else "held_out", text, cell)
