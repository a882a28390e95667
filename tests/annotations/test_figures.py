"""Figures: what they draw is what the tables say; files are the same each time; nothing leaks into a page."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import pytest
from django.core.management import call_command
from matplotlib.figure import Figure

from annotations.figures import as_svg, by_length, by_shots, by_side, flow_chart, forest, own_rates, power_curves, save
from annotations.figures.style import FigureError
from annotations.winrate import strata, table
from annotations.winrate.columns import Judgments
from annotations.winrate.power import Design, power
from annotations.winrate.records import Outcome
from annotations.winrate.tabular import headline

MAIN = "fspo>base"


def judged(people: int = 8) -> Judgments:
    """Six judgments a person: won where the treatment came first, or was longer."""
    return Judgments.of(
        [
            Outcome(
                f"p{p}",
                f"q{(p * 6 + q) % 9}",
                MAIN,
                float(q % 2 == 0 or q == 5),
                focal_first=q % 2 == 0,
                domain=("near", "far")[q % 2],
                treatment_words=40 + 4 * q + p % 3,
                baseline_words=45,
            )
            for p in range(people)
            for q in range(6)
        ]
    )


def charts() -> dict[str, Figure | None]:
    part = judged()
    rows = [row.to_json() for row in table(part, comparisons=[MAIN], primary=[MAIN], scopes=("all", "domain"))]
    design = Design(participants=10, items=3, win_rate=0.6, icc=0.1)
    return {
        "forest": forest(rows),
        "people": own_rates([0.0, 0.5, 1.0]),
        "side": by_side(strata.sides(part, MAIN, 0.95)),
        "length": by_length(strata.lengths(part, MAIN, 0.95)),
        "shots": by_shots(strata.shots({"a>b": (2, part), "c>b": (8, part)}, 0.95)),
        "flow": flow_chart({"entered": 9, "consented": 8, "withdrawn": 1, "excluded by slow": 2}),
        "power": power_curves([power(design, repetitions=100)]),
    }


def test_the_forest_has_every_rate_interval_and_n() -> None:
    rows = [row.to_json() for row in table(judged(), comparisons=[MAIN], primary=[MAIN], scopes=("all", "domain"))]
    chart = forest(rows)
    assert chart is not None
    axes, beside = chart.axes
    drawn = [bar.lines for bar in axes.containers]
    for row, (point, _, (reach,)) in zip(rows, drawn, strict=True):
        assert point.get_xdata()[0] == row["win_rate"]
        assert reach.get_segments()[0][:, 0] == pytest.approx(headline(row))
    labels = [label.get_text() for label in axes.get_yticklabels()]
    assert labels[0] == "fspo > base\n8 people, 48 pairs"
    assert next(label.get_text() for label in beside.get_yticklabels()).startswith("0.67 [")


def test_strata_are_the_win_rates_of_their_parts() -> None:
    part = judged()
    first, second = strata.sides(part, MAIN, 0.95)
    assert (first.measure.estimate, first.measure.n) == (1.0, 24)
    assert second.measure.estimate == pytest.approx(1 / 3)
    parts = strata.lengths(part, MAIN, 0.95)
    assert sum(one.measure.n for one in parts) == part.size
    assert [one.at for one in parts] == sorted(one.at for one in parts)
    assert strata.lengths(part.where(np.arange(part.size) < 7), MAIN, 0.95) == []


def test_without_data_there_is_no_figure() -> None:
    nothing = Judgments.of([])
    rows = [row.to_json() for row in table(nothing, comparisons=[MAIN], primary=[MAIN])]
    assert forest(rows) is None
    assert own_rates([]) is None
    assert by_side(strata.sides(nothing, MAIN, 0.95)) is None
    assert by_length(strata.lengths(nothing, MAIN, 0.95)) is None
    assert by_shots(strata.shots({MAIN: (8, judged())}, 0.95)) is None
    assert flow_chart({"entered": 0}) is None
    assert power_curves([]) is None


def test_a_figure_in_a_page_is_sound_and_shares_no_name_with_another() -> None:
    chart = own_rates([0.25, 0.5, 1.0])
    assert chart is not None
    text = as_svg(chart)
    root = ET.fromstring(text)
    assert root.tag.endswith("svg")
    groups = [node for node in root.iter() if node.tag.endswith("}g") and "id" in node.attrib]
    assert groups == []
    assert "<metadata" not in text
    assert "a person's own win rate" in "".join(root.itertext())


def test_another_ending_and_a_bad_place_are_named(tmp_path: Path) -> None:
    chart = own_rates([1.0])
    assert chart is not None
    with pytest.raises(FigureError, match=r"ends in \.svg, \.pdf, \.png"):
        save(chart, tmp_path / "x.jpg")
    (tmp_path / "file").write_text("")
    with pytest.raises(FigureError, match="cannot be written"):
        save(chart, tmp_path / "file" / "x.svg")


def test_power_draws_its_curves_where_it_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "power.svg"
    design = ("--participants", "10", "20", "--items", "3", "--repetitions", "100")
    call_command("power", *design, "--figure", str(path))
    assert "participants" in path.read_text()
    with pytest.raises(SystemExit):
        call_command("power", *design, "--figure", str(tmp_path / "power.doc"))
    assert "a figure ends in" in capsys.readouterr().err


@pytest.mark.slow
def test_every_figure_is_written_in_every_format(tmp_path: Path) -> None:
    starts = {"svg": b"<?xml", "pdf": b"%PDF", "png": b"\x89PNG"}
    anew = charts()
    for name, chart in charts().items():
        again = anew[name]
        assert chart is not None, name
        assert again is not None
        for kind, start in starts.items():
            one = save(chart, tmp_path / f"{name}.{kind}").read_bytes()
            assert one.startswith(start)
            assert kind == "pdf" or save(again, tmp_path / f"{name}-2.{kind}").read_bytes() == one
