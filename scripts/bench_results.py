"""make bench-results: what results of a large study take: win rates, the results page, the report, the export.

Its own Postgres in a temporary folder; the rows are made by SQL, in a database that grows. Every figure comes from a
process of its own, so that its peak memory is its own. Prints a table; `--json FILE` keeps the figures; `--judgments N`
sets the size (1,000,000). Django's `dumpdata` is measured while the study is small (`--dumped N` judgments): it
streams, and the whole study would take it an hour and more.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, datetime
from multiprocessing import get_context
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "scripts")]

from bench_results_rows import EACH, MODELS, SLUG, begin, grow, write_csv  # noqa: E402

from studyapp.embedded import Servers  # noqa: E402

PAGE_PEOPLE = 10_000
FORMATS = ("csv", "jsonl", "parquet")
ENVIRONMENT = {
    "SECRET_KEY": "bench " * 12, "DJANGO_SETTINGS_MODULE": "studyapp.settings", "PALATE_HTTPS": "0",
    "PALATE_MANIFEST_STATIC": "0", "ALLOWED_HOSTS": "testserver",
}  # fmt: skip

# A process of its own: what it did, how long that took and the most memory it ever held.
MEASURED = """
import json, os, resource, sys, time
sys.path.insert(0, {root!r})
import django
django.setup()
from pathlib import Path
from studyapp.models import Study
def peak(): return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
said = {{"start_MiB": round(peak())}}
begun, cpu = time.perf_counter(), time.process_time()
{work}
said = {{"s": time.perf_counter() - begun, "cpu_s": time.process_time() - cpu, "MiB": round(peak())}} | said
print(json.dumps(said))
"""
EXPORT = """
from studyapp.exports import export
def progress(done, total):
    if done == total:
        said.update(tables_s=time.perf_counter() - begun, tables_cpu_s=time.process_time() - cpu)
        said.update(tables_MiB=round(peak()))
files = export(Study.objects.get(slug={slug!r}), Path({folder!r}), format={format!r}, progress=progress)
data = [path for path in files if path.parent.name == "data"]
said |= {{"rows": sum(files[path] for path in data), "bytes": sum(path.stat().st_size for path in data)}}
"""
DUMP = """
from django.core.management import call_command
call_command("dumpdata", *{models!r}, output={file!r}, verbosity=0)
said |= {{"bytes": Path({file!r}).stat().st_size}}
"""
FROM_CSV = """
from annotations.winrate.collected import collected_tables
rows = collected_tables(Path({file!r}), by="domain", rates_only=True)["rates"]
said |= {{"judgments": rows[0]["n_judgments"], "people": rows[0]["n_participants"]}}
"""
FROM_DATABASE = """
from studyapp.results import win_rates
rows = win_rates(Study.objects.get(slug={slug!r}), by="domain")
said |= {{"judgments": rows[0].n_judgments, "people": rows[0].n_participants}}
"""
REPORT = """
from studyapp.report import write_report
write_report(Study.objects.get(slug={slug!r}), Path({folder!r}))
"""
# What a researcher waits for, the worker having made the results; `made_s` is what that took.
PAGE = """
from statistics import median
from django.contrib.auth import get_user_model
from django.test import Client
from studyapp.models import Results
from studyapp.services import computing, standing
study = Study.objects.get(slug={slug!r})
Results.objects.all().delete()
standing.ask(study)
computing.make(study.pk)
said |= {{"made_s": time.perf_counter() - begun, "made_cpu_s": time.process_time() - cpu}}
client = Client()
client.force_login(get_user_model().objects.get_or_create(username="rosa", is_staff=True, is_superuser=True)[0])
taken, asked = [], f"/admin/studyapp/study/{{study.pk}}/results/"
for _ in range(9):
    start = time.perf_counter()
    answer = client.get(asked)
    taken.append(time.perf_counter() - start)
    assert answer.status_code == 200 and b"data-main-result" in answer.content, answer
said |= {{"s": median(taken), "first_s": taken[0], "longest_s": max(taken), "bytes": len(answer.content)}}
"""


def measured(what: str, work: str, **values: Any) -> dict[str, Any]:
    """What a process of its own says of `work`."""
    print(f"{what} ...", file=sys.stderr, flush=True)
    code = MEASURED.format(root=str(ROOT), work=work.format(**values))
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{done.stdout}\n{done.stderr}")
    said = dict(json.loads(done.stdout.splitlines()[-1]))
    print(
        f"  {said['s']:.2f} s, {said['cpu_s']:.2f} s of its processor, {said['MiB']} MiB", file=sys.stderr, flush=True
    )
    return said


def run(judgments: int, dumped: int, formats: list[str], place: Path, keep: Callable[[dict[str, Any]], None]) -> None:
    """Every figure by name, in one database that grows; told to `keep` as they come."""
    all_people = max(1, judgments // EACH)
    found: dict[str, Any] = {"at": datetime.now(UTC).isoformat(), "judgments": all_people * EACH}

    def figure(name: str, what: str, work: str, **values: Any) -> None:
        found[name] = measured(what, work, slug=SLUG, **values) | {"people": len_people}
        keep(found)

    begin()
    len_people = min(all_people, max(1, dumped // EACH))
    rows = _grown(len_people)
    figure("dumpdata", "dumpdata", DUMP, models=MODELS, file=str(place / "dump.json"))
    found["dumpdata"]["rows"] = sum(rows.values())
    len_people = min(all_people, PAGE_PEOPLE)
    _grown(len_people)
    figure("page", "results page", PAGE)
    figure("report", "report", REPORT, folder=str(place / "report"))
    len_people = all_people
    found["total"] = sum(_grown(len_people).values())
    # in a process of its own too: a child's peak memory is never told as less than its parent's
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as other:
        other.submit(write_csv, place / "judgments.csv", judgments).result()
    figure("csv", "win rates from CSV", FROM_CSV, file=str(place / "judgments.csv"))
    figure("database", "win rates from the database", FROM_DATABASE)
    for format in formats:
        figure(f"export {format}", f"export {format}", EXPORT, folder=str(place / format), format=format)


def _grown(people: int) -> dict[str, int]:
    print(f"{people:,} people ...", file=sys.stderr, flush=True)
    begun = time.perf_counter()
    rows = grow(people)
    print(f"  {sum(rows.values()):,} rows, {time.perf_counter() - begun:.0f} s", file=sys.stderr, flush=True)
    return rows


def table(found: dict[str, Any]) -> str:
    """The figures for people, with their bars."""
    lines = [f"{'':40}{'people':>8}{'s':>9}{'CPU s':>9}{'MiB':>7}  bar"]
    for name, what, bar in (
        ("csv", "win rates from CSV", "20 s, 1,536 MiB"), ("database", "win rates from the database", "30 s"),
        ("page", "results page, made before", "1 s"), ("report", "report", "60 s"),
    ):  # fmt: skip
        one = found[name]
        shown = "" if name == "page" else f"{one['cpu_s']:.1f}"
        lines.append(f"{what:40}{one['people']:>8,}{one['s']:>9.2f}{shown:>9}{one['MiB']:>7}  {bar}")
        if name == "page":
            lines.append(f"{'  making it':40}{'':8}{one['made_s']:>9.2f}{one['made_cpu_s']:>9.1f}")
    return "\n".join([*lines, "", *_exports(found)])


def _exports(found: dict[str, Any]) -> list[str]:
    dump = found["dumpdata"]
    base, lean = dump["rows"] / dump["s"], dump["rows"] / dump["cpu_s"]
    lines = [
        f"{'':28}{'rows':>11}{'rows/s':>10}{'x dumpdata':>12}{'x its CPU':>11}{'MiB':>6}{'MB':>8}",
        f"{'dumpdata':28}{dump['rows']:>11,}{base:>10,.0f}{1:>12.1f}{1:>11.1f}{dump['MiB']:>6}"
        f"{dump['bytes'] / 1e6:>8,.0f}",
    ]
    for name in (name for name in FORMATS if f"export {name}" in found):
        one = found[f"export {name}"]
        for what, part in ((", all tables", "tables_"), (", whole release", "")):
            speed, own = one["rows"] / one[f"{part}s"], one["rows"] / one[f"{part}cpu_s"]
            size = f"{one['bytes'] / 1e6:,.0f}" if part else ""
            lines.append(
                f"{name + what:28}{one['rows']:>11,}{speed:>10,.0f}{speed / base:>12.1f}{own / lean:>11.1f}"
                f"{one[f'{part}MiB']:>6}{size:>8}"
            )
    return [*lines, f"{'bar: parquet, all tables':49}{'5.0':>12}{'':11}{'300':>6}"]


def main() -> None:
    """Start a Postgres, build, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--judgments", type=int, default=1_000_000)
    parser.add_argument("--dumped", type=int, default=20_000, help="judgments when dumpdata is measured")
    parser.add_argument("--formats", nargs="+", default=["parquet"], choices=FORMATS)
    parser.add_argument("--json", type=Path, help="keep the figures in this file, each as soon as it is there")
    given = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="palate-bench-"))
    folder.chmod(0o711)
    place = folder / "out"
    place.mkdir()
    servers = Servers(folder, durable=False)
    found: dict[str, Any] = {}

    def keep(figures: dict[str, Any]) -> None:
        found.update(figures)
        if given.json:
            given.json.write_text(json.dumps(figures, indent=1) + "\n")

    try:
        os.environ |= servers.environ() | ENVIRONMENT | {"PALATE_DATA": str(folder / "data")}
        import django

        django.setup()
        run(given.judgments, given.dumped, given.formats, place, keep)
    finally:
        servers.stop()
        subprocess.run(["rm", "-rf", str(folder)], check=False)
    print(table(found))


if __name__ == "__main__":
    main()
