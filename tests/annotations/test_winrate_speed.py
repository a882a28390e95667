"""A million judgments of fifty thousand people are read and analysed in seconds, in little memory."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

BASE = Path(__file__).resolve().parents[2]
PEOPLE, EACH, BANK = 50_000, 20, 200
# Processor time, imports included: the wall clock of a shared machine says nothing about the program.
RUN = """
import json, resource, sys, time
from pathlib import Path
from annotations.winrate.collected import collected_tables
rows = collected_tables(Path(sys.argv[1]), by="domain", rates_only=True)["rates"]
memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024**2
print(json.dumps({"seconds": time.process_time(), "gib": memory, "rows": rows}))
"""


def million(path: Path) -> None:
    rng = np.random.default_rng(1)
    own = np.repeat(rng.beta(6, 4, PEOPLE), EACH)
    words = np.where(rng.random(PEOPLE * EACH) < own, "win", np.where(rng.random(PEOPLE * EACH) < 0.2, "tie", "loss"))
    questions = rng.integers(0, BANK, PEOPLE * EACH)
    with path.open("w") as file:
        file.write("participant,question,baseline,outcome,treatment,domain,treatment_first,position\n")
        file.writelines(
            f"p{n // EACH:06d},q{q},base,{word},fspo,d{q % 4},{side},{n % EACH + 1}\n"
            for n, (q, word, side) in enumerate(
                zip(questions.tolist(), words.tolist(), rng.integers(0, 2, PEOPLE * EACH).tolist(), strict=True)
            )
        )


@pytest.mark.slow
def test_a_million_judgments_in_twenty_seconds_and_a_gibibyte_and_a_half(tmp_path: Path) -> None:
    million(tmp_path / "million.csv")
    done = subprocess.run(
        [sys.executable, "-c", RUN, str(tmp_path / "million.csv")], cwd=BASE, capture_output=True, text=True, check=True
    )
    found = json.loads(done.stdout)
    assert found["rows"][0]["n_judgments"] == PEOPLE * EACH
    assert found["rows"][0]["n_participants"] == PEOPLE
    assert len(found["rows"]) == 5
    assert found["seconds"] <= 20
    assert found["gib"] <= 1.5
