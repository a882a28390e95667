"""Measure a model family on synthetic people by the exact judge, arm by arm, beside the ideal observer.

    python -m inference.training.evaluate inference/training/evaluate.toml OUTDIR [--full] [--strict]

OUTDIR receives the texts (kept: what is there is not made again), `judgments/*.csv` (as `manage.py winrates --from-csv`
reads them), `report.md`, `bars.json` and `figures/`. docs/evaluation.md says what each arm and column is.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from tqdm import tqdm

from inference.training.evaluation import figures
from inference.training.evaluation.answers import Cost, Job, Maker
from inference.training.evaluation.arms import ARMS, BASE, CHECKPOINTS
from inference.training.evaluation.bars import Bar, bars
from inference.training.evaluation.ceiling import IDEAL, ideal_text, known_text
from inference.training.evaluation.checkpoints import Found, Load, find, load_checkpoint
from inference.training.evaluation.config import Config, load_config
from inference.training.evaluation.errors import EvaluationError
from inference.training.evaluation.judges import Opinion, Pair, language_verdicts
from inference.training.evaluation.judgments import BASE_SHOWN, Board, judge, write_csv
from inference.training.evaluation.measures import Measures
from inference.training.evaluation.people import FIELDS, KEPT, MAIN, PARTS, SEEN, TRAINED, Person, draw_people
from inference.training.evaluation.report import report

# Which arms a part has; the main one has all, and the curve besides.
FEW = (BASE, "fspo")
ARMS_OF = {KEPT: FEW, SEEN: FEW, TRAINED: (BASE, "prompted", "pref-ft", "fspo", "fspo+rat")}
ARMS_OF[FIELDS] = ARMS_OF[TRAINED]
KEPT_TEXTS = "the texts made so far are kept, and the same command goes on from there"

Answers = dict[str, dict[Person, str]]
"""Treatment -> person -> the text that is judged."""


def jobs_of(part: str, people: Sequence[Person], found: Found, config: Config) -> list[Job]:
    """Everything to be made for the people of one part and shot set."""
    number = config.shots.number
    arms = [arm for arm in found.arms if arm.name in ARMS_OF.get(part, ARMS)]
    jobs = [Job(arm, number, tuple(people)) for arm in arms]
    if part == MAIN and ARMS["fspo"] in arms:
        few = tuple(person for person in people if person.number < config.people.curve)
        jobs += [Job(ARMS["fspo"], count, few) for count in config.shots.curve if count != number]
    return jobs


def draw_jobs(found: Found, config: Config, shot_sets: int) -> list[Job]:
    """All jobs of all parts, shot set after shot set."""
    jobs = []
    for part in PARTS.values():
        people = draw_people(part, config, shot_sets)
        for shot_set in range(1, shot_sets + 1):
            jobs += jobs_of(part.name, [each for each in people if each.shot_set == shot_set], found, config)
    return jobs


def make_texts(
    jobs: Sequence[Job], found: Found, config: Config, out: Path, load: Load
) -> tuple[dict[str, Answers], list[Cost]]:
    """Part -> answers, and what they cost; checkpoint after checkpoint, so that one is in memory at a time."""
    made: dict[str, Answers] = {part: defaultdict(dict) for part in PARTS}
    costs: list[Cost] = []
    for checkpoint in CHECKPOINTS:
        own = [job for job in jobs if job.arm.checkpoint == checkpoint]
        if not own:
            continue
        spec = found.spec(checkpoint)
        maker = Maker(load(spec), spec, config.sampling.sampling, config.seed, out / "texts", costs)
        for job in own:
            maker.check_room(job)
        for job in own:
            texts = zip(job.people, maker.answers(job), strict=True)
            made[job.people[0].part][job.arm.shown(job.shots)].update(texts)
    return made, costs


def add_ideal(answers: Answers, config: Config) -> None:
    """Put the ideal observer's answers beside the arms': at every number of shots, and with the user known."""
    people = list(answers[BASE_SHOWN])
    asked = {0: people, config.shots.number: people}
    for count in config.shots.curve:
        asked.setdefault(count, list(answers.get(ARMS["fspo"].shown(count), {})))
    for count, those in sorted(asked.items()):
        answers[f"{IDEAL}@{count}"] = {person: ideal_text(person, count, config.seed) for person in those}
    answers[f"{IDEAL}@known"] = {person: known_text(person, config.seed) for person in people}


def judge_all(made: dict[str, Answers]) -> Board:
    """Every answer against the base answer to the same person, by the exact judge."""
    board = Board()
    for answers in made.values():
        base = answers[BASE_SHOWN]
        for treatment, texts in answers.items():
            board.add(treatment, judge(list(texts), treatment, [*texts.values()], [base[person] for person in texts]))
    return board


def ask_language_judge(answers: Answers, config: Config, out: Path, load: Load) -> list[Opinion]:
    """What the language model says of the first people of each domain, arm by arm; empty without one."""
    asked = config.language_judge
    if asked is None:
        return []
    engine, opinions = load(asked.spec), []
    for treatment in (ARMS[name].shown(config.shots.number) for name in asked.arms):
        there = answers.get(treatment, {})
        people = [person for person in there if person.number < asked.people and person.shot_set == 1]
        base = [answers[BASE_SHOWN][person] for person in people]
        texts = [there[person] for person in people]
        pairs = [Pair(*each) for each in zip(people, texts, base, strict=True)]
        path, title = out / "verdicts" / f"{treatment}.jsonl", f"judge/{treatment}"
        verdicts = language_verdicts(engine, pairs, path, title, seed=config.seed, layout=asked.layout)
        opinions.append(Opinion(treatment, verdicts, tuple(judge(people, treatment, texts, base))))
    return opinions


def write_judgments(board: Board, opinions: Sequence[Opinion], out: Path) -> None:
    """One CSV a part, and one of the language judge; what is judged against itself (base) is left out."""
    folder = out / "judgments"
    folder.mkdir(parents=True, exist_ok=True)
    for part in board.parts():
        treatments = [name for name in board.treatments(part) if name != BASE_SHOWN]
        write_csv(folder / f"{part}.csv", (row for name in treatments for row in board.rows(part, name)))
    if opinions:
        write_csv(folder / "language-judge.csv", (row for opinion in opinions for row in opinion.judgments()))


def draw_figures(measures: Measures, few: Measures, config: Config, out: Path) -> None:
    """The figures there is something for, as SVG and PNG."""
    charts = {
        "by_arm": figures.by_arm(measures, config.shots.number),
        "by_domain": figures.by_domain(measures, config.shots.number),
        "by_shots": figures.by_shots(few, config.shots.curve),
    }
    for name, chart in charts.items():
        if chart is not None:
            figures.save(chart, out / "figures", name)


def evaluate(config: Config, out: Path, *, full: bool, load: Load) -> list[Bar]:
    """The whole evaluation into `out`; returns the bars. Raises EvaluationError, with what was made kept."""
    found = find(config)
    for sentence in found.left_out:
        print(sentence)
    jobs = draw_jobs(found, config, config.full.shot_sets if full else 1)
    print(f"{sum(job.texts for job in jobs):,} texts in {len(jobs)} files, those already in {out / 'texts'} included")
    made, costs = make_texts(jobs, found, config, out, load)
    for answers in tqdm(made.values(), desc="ideal observer", unit="part"):
        add_ideal(answers, config)
    board = judge_all(made)
    measures, few = Measures(board), Measures(board.first(config.people.curve))
    opinions = ask_language_judge(made[MAIN], config, out, load)
    write_judgments(board, opinions, out)
    draw_figures(measures, few, config, out)
    found_bars = bars(measures, few, config.shots.number, config.shots.curve)
    (out / "bars.json").write_text(json.dumps([bar.to_json() for bar in found_bars], indent=2) + "\n", encoding="utf-8")
    text = report(measures, few, found_bars, opinions, costs, found, config)
    (out / "report.md").write_text(text, encoding="utf-8")
    print(text)
    return found_bars


def main(arguments: Sequence[str] | None = None, *, load: Load = load_checkpoint) -> int:
    """Parse, evaluate; 0, or 1 when nothing could be measured or, with --strict, a bar was missed."""
    parser = argparse.ArgumentParser(prog="python -m inference.training.evaluate", description="Measure every arm.")
    parser.add_argument("config", type=Path, help="a TOML file, such as inference/training/evaluate.toml")
    parser.add_argument("out", type=Path, help="folder for texts, judgments, report and figures")
    parser.add_argument("--full", action="store_true", help="several shot sets and questions a user (full.shot_sets)")
    parser.add_argument("--strict", action="store_true", help="exit 1 unless every bar of this program passes")
    options = parser.parse_args(arguments)
    # The engine leaves cores to the servers that it usually runs beside; here there are none.
    os.environ.setdefault("PALATE_TORCH_THREADS", str(os.cpu_count() or 1))
    started = time.monotonic()
    try:
        config = load_config(options.config)
        _writable(options.out)
        found = evaluate(config, options.out, full=options.full, load=load)
    except EvaluationError as error:
        print(f"evaluate: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"evaluate: {error.filename or options.out}: {error.strerror}: {KEPT_TEXTS}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"\nevaluate: stopped: {KEPT_TEXTS}", file=sys.stderr)
        return 130
    print(f"{time.monotonic() - started:.0f} s; report, judgments and figures are in {options.out}")
    return int(options.strict and not all(bar.passed for bar in found if bar.measured_here))


def _writable(out: Path) -> None:
    try:
        out.mkdir(parents=True, exist_ok=True)
        (out / "texts").mkdir(exist_ok=True)
    except OSError as error:
        raise EvaluationError(f"{out}: cannot be written ({error.strerror}): give another OUTDIR") from error


if __name__ == "__main__":
    sys.exit(main())
