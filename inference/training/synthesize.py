"""Make labelled preferences of synthetic users: of the exact world, or asked of a language model.

    python -m inference.training.synthesize CONFIG.toml OUTDIR

Run the same command again after a kill: finished shards are kept, and no call to a model is made twice. Data, columns,
configuration, measures and costs: docs/synthesis.md.
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tqdm import tqdm

from inference.contracts import InferenceError
from inference.engines import load_engine
from inference.training.synthesis.calls import Caller, Pace
from inference.training.synthesis.config import Config, EngineSource, WorldSource, load_config
from inference.training.synthesis.engine_source import Model, Users, planned_calls
from inference.training.synthesis.errors import BudgetReachedError, SynthesisError
from inference.training.synthesis.ledger import Ledger
from inference.training.synthesis.measures import Measures
from inference.training.synthesis.meter import Meter
from inference.training.synthesis.records import Questionnaire
from inference.training.synthesis.store import Store
from inference.training.synthesis.world_measures import measure
from inference.training.synthesis.world_source import World, code_digest

BUNDLED = Path(__file__).parents[1] / "bundled"
ENGINE_ROWS = "engine-1"  # how rows follow from answers; the answers themselves are known by their prompts


def from_world(config: Config, source: WorldSource, folder: Path) -> None:
    """Write every shard that is not there yet, then measure."""
    world = World(config, source)
    with Store(folder, config.digest, code_digest()).opened(list(world.shards)) as store:
        print(f"{folder}: {world.rows:,} rows in {len(world.shards)} shards; no model is asked and nothing is paid")
        start, before = time.monotonic(), sum(done.rows for done in store.done.values())
        with tqdm(total=world.rows, initial=before, unit=" rows", unit_scale=True) as bar:
            for name in world.shards:
                if name not in store.done:
                    counts: Counter[str] = Counter()
                    store.write(name, _told(world.questionnaires(name, counts), bar), counts)
        seconds = time.monotonic() - start
        finish(store, measure(config, source), {"seconds": seconds}, written=world.rows - before)


def from_engine(config: Config, source: EngineSource, folder: Path) -> None:
    """Ask for what the rows are made of, label and write every shard that is not there yet, then measure."""
    engine = load_engine(source.model.spec, bundled_root=BUNDLED)
    users = Users(source, config.seed)
    with (
        Store(folder, config.digest, ENGINE_ROWS).opened(list(users.shards)) as store,
        Ledger(folder / "calls.sqlite") as ledger,
    ):
        start, before = time.monotonic(), sum(done.rows for done in store.done.values())
        with Meter(planned_calls(source, config), ledger, config.limits) as meter:
            pace = Pace(config.limits.calls_per_minute)
            model = Model(
                config, source, users, Caller(engine, source.model, ledger, config.limits, pace, meter.update)
            )
            try:
                model.prepare()
                for name in users.shards:
                    if name not in store.done:
                        counts: Counter[str] = Counter()
                        store.write(name, model.questionnaires(name, counts), counts)
                measures = model.measure()
            except (BudgetReachedError, KeyboardInterrupt) as stop:
                why = str(stop) or "interrupted"
                raise SynthesisError(f"{folder}: stopped: {why}. {meter.how_to_go_on()}") from stop
        rows = sum(done.rows for done in store.done.values())
        counted = {"seconds": time.monotonic() - start, "calls": meter.summary(), "dropped before pairs": +model.counts}
        finish(store, measures, counted, written=rows - before)


def finish(store: Store, measures: Measures, counted: dict[str, object], *, written: int) -> None:
    """Save measures and summary.json, and say what there is; no rows at all are an error."""
    measures.save(store.folder)
    counts: Counter[str] = Counter()
    for done in store.done.values():
        counts.update(done.counts)
    seconds = float(str(counted["seconds"]))
    rows = sum(done.rows for done in store.done.values())
    summary = {
        "rows": rows,
        "rows written by this run": written,
        "rows per second": round(written / seconds, 1) if written and seconds else None,
        "peak memory in MB": round(peak_memory_mb(), 1),
        "counts": dict(sorted(counts.items())),
        **counted,
    }
    (store.folder / "summary.json").write_text(json.dumps(summary, indent=1) + "\n", encoding="utf-8")
    print(measures.tables(), end="")
    print(f"{store.folder}: {rows:,} rows; {_listed(counts)}")
    pace = (
        f"{written:,} of them by this run, {summary['rows per second']:,} a second" if written else "none by this run"
    )
    print(f"{pace}; peak memory {summary['peak memory in MB']} MB")
    if not rows:
        raise SynthesisError(
            f"{store.folder}: not one pair was labelled (see the counts in {store.folder / 'summary.json'}): "
            "the model's answers could not be used; take a stronger one, and an empty folder"
        )


def peak_memory_mb() -> float:
    """The largest resident set of this process so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main(arguments: Sequence[str] | None = None) -> int:
    """Parse, run, return the exit status: 0 done, 1 a problem that the message tells, 2 wrong usage."""
    parser = argparse.ArgumentParser(
        prog="python -m inference.training.synthesize", description="Make labelled preferences of synthetic users."
    )
    parser.add_argument("config", type=Path, metavar="CONFIG.toml", help="what to make: see docs/synthesis.md")
    parser.add_argument("outdir", type=Path, metavar="OUTDIR", help="a new folder, or the one of a run to go on with")
    options = parser.parse_args(arguments)
    try:
        config = load_config(options.config)
        with _plain_interrupt(options.outdir):
            if isinstance(config.source, WorldSource):
                from_world(config, config.source, options.outdir)
            else:
                from_engine(config, config.source, options.outdir)
    except (SynthesisError, InferenceError) as error:
        print(error, file=sys.stderr)
        return 1
    except OSError as error:
        told = error.strerror or error
        print(
            f"{options.outdir}: cannot be written ({told}): make room, then run the same command again", file=sys.stderr
        )
        return 1
    return 0


@contextmanager
def _plain_interrupt(folder: Path) -> Iterator[None]:
    try:
        yield
    except KeyboardInterrupt as stop:
        raise SynthesisError(f"{folder}: interrupted: run the same command again to go on") from stop


def _told(questionnaires: Iterator[Questionnaire], bar: tqdm[None]) -> Iterator[Questionnaire]:
    for each in questionnaires:
        yield each
        bar.update(len(each.rows))


def _listed(counts: Counter[str]) -> str:
    return ", ".join(f"{name}: {count:,}" for name, count in sorted(counts.items())) or "nothing counted"


if __name__ == "__main__":
    sys.exit(main())
