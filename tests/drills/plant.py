"""`python -m tests.drills.plant COUNT OPTIONS`: ask for texts as the web process does; prints their ids as JSON."""

from __future__ import annotations

import json
import os
import sys
from typing import Any


def plant(count: int, options: dict[str, Any], owned: bool = False) -> list[int]:
    """Ask for `count` texts of a scripted engine with `options`; `owned` texts belong to a participant."""
    from inference import queue
    from inference.contracts import ModelSpec
    from tests.inference.cast import a_person, a_study, orders

    study = a_study()
    model = ModelSpec(engine="scripted", source="drill", options=options)
    return queue.request_many(orders(study, count, model=model, owner=a_person(study) if owned else None))


if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "studyapp.settings")
    import django

    django.setup()
    print(json.dumps(plant(int(sys.argv[1]), json.loads(sys.argv[2]))))
