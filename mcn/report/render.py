"""The collected values to one HTML file: no network, no script, every text escaped by the template engine."""

from __future__ import annotations

import logging
from pathlib import Path

import jinja2
import markupsafe

from mcn.files import write_text
from mcn.report.collect import ReportInputs, collect
from mcn.report.figures import HEIGHT, WIDTH, chart, number, percent_of, second_ticks
from mcn.report.measures import (
    alignment_rows,
    full_video_rows,
    language_rows,
    language_tables,
    measures_of,
    other_measures,
    pair_words,
    retrieval_rows,
)
from mcn.report.tables import score_words

log = logging.getLogger(__name__)

FOLDER = Path(__file__).parent


def make_report(inputs: ReportInputs, output: Path) -> None:
    """Write the report atomically. Errors: `UserError` for inputs that are missing or damaged."""
    page = environment().get_template("template.html").render(report=collect(inputs))
    write_text(output, page)
    log.info("%s: %.1f MB", output, output.stat().st_size / 1e6)


def environment() -> jinja2.Environment:
    """Templates of this folder: autoescape always on, an undefined name is an error."""
    found = jinja2.Environment(
        loader=jinja2.FileSystemLoader(FOLDER),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    found.filters |= {"clock": clock, "number": number, "count": count, "duration": duration}
    found.globals |= {
        "style": markupsafe.Markup((FOLDER / "style.css").read_text(encoding="utf-8")),
        "chart": chart,
        "plot_width": WIDTH,
        "plot_height": HEIGHT,
        "percent_of": percent_of,
        "second_ticks": second_ticks,
        "retrieval_rows": retrieval_rows,
        "language_rows": language_rows,
        "language_tables": language_tables,
        "measures_of": measures_of,
        "full_video_rows": full_video_rows,
        "alignment_rows": alignment_rows,
        "other_measures": other_measures,
        "pair_words": pair_words,
        "score_words": score_words,
    }
    return found


def clock(seconds: float) -> str:
    """mm:ss, or h:mm:ss from an hour on, rounded down.

    >>> clock(7.9), clock(75), clock(3671)
    ('00:07', '01:15', '1:01:11')
    """
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes:02d}:{rest:02d}"


def duration(seconds: float) -> str:
    """Words for an amount of time.

    >>> duration(42.3), duration(720), duration(9000)
    ('42 s', '12.0 min', '2.5 h')
    """
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.1f} min" if seconds < 7200 else f"{seconds / 3600:,.1f} h"


def count(value: int) -> str:
    """A whole number with thousands set apart."""
    return f"{value:,}".replace(",", "\u202f")
