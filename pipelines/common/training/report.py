"""A run as one HTML page that needs nothing else: curves, sample grids over time, figures, settings."""

from __future__ import annotations

import base64
import io
import json
from html import escape
from pathlib import Path

from ..files import atomic_path
from .curves import chart, short
from .logs import Curve, Run, read_run

NEWEST = (1100, 640)  # pixels within which the newest grid is enlarged, by a whole number
PAGES = 12  # grids shown per name: first, last, and evenly between
LARGE = 400_000  # bytes; a larger grid is stored as JPEG
RARE = 0.5  # a value logged on fewer than this share of the lines is a measurement, not a loss

STYLE = """
:root { --ground: #fdfcfa; --ink: #24262b; --soft: #6b7078; --rule: #e3e1dc; --line: #b3541e;
  --card: #ffffff; }
@media (prefers-color-scheme: dark) {
  :root { --ground: #17181b; --ink: #e8e6e1; --soft: #9a9ea6; --rule: #34363b; --line: #f0945a;
    --card: #1e2024; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 1340px; padding: 28px 24px 60px; background: var(--ground);
  color: var(--ink); font: 15px/1.5 system-ui, sans-serif; }
h1 { font-size: 26px; margin: 0; } h2 { font-size: 18px; margin: 36px 0 10px; }
h3 { font-size: 15px; margin: 18px 0 6px; }
p.sub { color: var(--soft); margin: 2px 0 0; }
.facts { display: flex; flex-wrap: wrap; gap: 10px 34px; margin: 18px 0 0; padding: 0; }
.facts dt { color: var(--soft); font-size: 12.5px; } .facts dd { margin: 0; font-size: 18px; }
.charts { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(380px, 100%), 1fr)); gap: 14px; }
.charts figure { margin: 0; padding: 8px; border: 1px solid var(--rule);
  border-radius: 6px; background: var(--card); }
svg { display: block; width: 100%; height: auto; font: 11px system-ui, sans-serif; }
svg .name { fill: var(--ink); font-size: 13px; font-weight: 600; }
svg .last { fill: var(--line); font-size: 13px; text-anchor: end; }
svg .tick { fill: var(--soft); } svg .rule { stroke: var(--rule); stroke-width: 1; }
svg polyline { fill: none; stroke: var(--line); stroke-linejoin: round; }
svg .raw { stroke-width: 1; opacity: .35; } svg .mean { stroke-width: 1.8; } svg .dot { fill: var(--line); }
figure.newest { margin: 0 0 16px; } .newest img { image-rendering: pixelated; }
.grids { display: flex; flex-wrap: wrap; gap: 12px; } .grids figure { margin: 0; }
.grids img { height: 190px; width: auto; } .grids.wide img { height: 84px; }
.newest img, .grids img { display: block; max-width: 100%; border-radius: 4px; }
figcaption { color: var(--soft); font-size: 13px; }
.scroll { overflow-x: auto; } table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { text-align: right; white-space: nowrap; padding: 3px 14px 3px 0;
  border-bottom: 1px solid var(--rule); }
th:first-child, td:first-child { text-align: left; } th { color: var(--soft); font-weight: 500; }
pre { overflow-x: auto; font-size: 12.5px; } summary { cursor: pointer; }
"""


def write_report(folder: Path, out: Path | None = None) -> Path:
    """Write the page of the run in ``folder`` (``report.html`` in it, or ``out``); returns its path.

    Raises:
        FiguraInputError: no run there, or nothing logged yet.
    """
    page = page_of(read_run(folder))
    target = out or folder / "report.html"
    with atomic_path(target) as temporary:
        temporary.write_text(page, encoding="utf-8")
    return target


def page_of(run: Run) -> str:
    """The whole page as text."""
    most = max((len(curve.steps) + curve.lost for curve in run.curves), default=0)
    measured = [curve for curve in run.curves if len(curve.steps) + curve.lost < RARE * most]
    losses = [curve for curve in run.curves if curve not in measured]
    name = escape(run.name)
    return "\n".join(
        [
            f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{name}</title>',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<style>{STYLE}</style></head><body>",
            f'<h1>{name}</h1><p class="sub">A training run of Figura, from its own log.</p>',
            _facts(run),
            *(_grids(name, pages) for name, pages in run.grids.items()),
            _charts("Measured during training", measured),
            _charts("Losses and rates", losses),
            _table([*measured, *losses]),
            _bad(run),
            _settings(run),
            "</body></html>\n",
        ]
    )


def _facts(run: Run) -> str:
    planned = run.about.get("trainer", {}).get("steps")
    of = f" of {planned:,}" if isinstance(planned, int) and planned != run.steps else ""
    facts = {"updates": f"{run.steps:,}{of}", "samples seen": f"{run.samples:,}"}
    if run.seconds:
        facts["time in updates"] = duration(run.seconds)
        facts["samples per second"] = short(run.rate)
    if run.peak_bytes:
        facts["peak GPU memory"] = f"{run.peak_bytes / 2**30:.2f} GiB"
    facts["device"] = str(run.about.get("device", "unknown"))
    facts["processes"] = str(run.about.get("processes", 1))
    cut = sum(bool(line.get("applied")) for line in run.bad)
    if len(run.bad) > cut:
        facts["updates skipped"] = str(len(run.bad) - cut)
    if cut:
        facts["updates cut short"] = str(cut)
    return (
        '<dl class="facts">'
        + "".join(f"<div><dt>{escape(k)}</dt><dd>{escape(v)}</dd></div>" for k, v in facts.items())
        + "</dl>"
    )


def duration(seconds: float) -> str:
    """Seconds in words: ``41 s``, ``12 min 5 s``, ``3 h 20 min``."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def _charts(title: str, curves: list[Curve]) -> str:
    """Charts of all but single values, which the table of figures shows better."""
    drawn = [f"<figure>{chart(curve)}</figure>" for curve in curves if len(curve.values) != 1]
    return f'<h2>{title}</h2><div class="charts">{"".join(drawn)}</div>' if drawn else ""


def _grids(name: str, pages: list[tuple[int, Path]]) -> str:
    """The newest grid large, and below it in small how it came about."""
    shown = [(step, found) for step, path in chosen(pages) if (found := inlined(path)) is not None]
    if not shown:
        return ""
    *earlier, (last, (source, size)) = shown
    times = max(1, min(NEWEST[0] // size[0], NEWEST[1] // size[1]))
    newest = _figure(name, last, source, (size[0] * times, size[1] * times), "newest")
    kind = "grids wide" if any(width > 1.6 * height for _, (_, (width, height)) in earlier) else "grids"
    small = "".join(_figure(name, step, source, size) for step, (source, size) in earlier)
    left_out = len(pages) - len(shown)
    note = f'<p class="sub">{left_out} more in the folder.</p>' if left_out else ""
    title = "Samples" if name == "samples" else f"Samples: {escape(name)}"
    return f'<h2>{title}</h2>{newest}<div class="{kind}">{small}</div>{note}'


def _figure(name: str, step: int, source: str, size: tuple[int, int], kind: str = "") -> str:
    when = f"after {step:,} updates"
    return (
        f'<figure class="{kind}"><img src="{source}" width="{size[0]}" height="{size[1]}" '
        f'alt="{escape(name)} {when}"><figcaption>{when}</figcaption></figure>'
    )


def chosen(pages: list[tuple[int, Path]]) -> list[tuple[int, Path]]:
    """At most ``PAGES`` of them: the first, the last, and evenly between."""
    if len(pages) <= PAGES:
        return pages
    return [pages[round(i * (len(pages) - 1) / (PAGES - 1))] for i in range(PAGES)]


def inlined(path: Path) -> tuple[str, tuple[int, int]] | None:
    """A picture as a data address, and its size; None for a file that is no picture."""
    from PIL import Image

    try:
        data = path.read_bytes()
        with Image.open(io.BytesIO(data)) as image:
            size, kind = image.size, "png"
            if len(data) > LARGE:
                buffer, kind = io.BytesIO(), "jpeg"
                image.convert("RGB").save(buffer, "JPEG", quality=88)
                data = buffer.getvalue()
    except (OSError, SyntaxError, ValueError):
        return None
    return f"data:image/{kind};base64,{base64.b64encode(data).decode()}", size


def _table(curves: list[Curve]) -> str:
    rows = "".join(_row(curve) for curve in curves if curve.values)
    if not rows:
        return ""
    head = "".join(f"<th>{word}</th>" for word in ("value", "last", "first", "least", "most", "not finite"))
    return (
        f'<h2>Figures</h2><div class="scroll"><table><tr>{head}</tr>{rows}</table></div>'
        '<p class="sub">Least and most with the update at which they were logged.</p>'
    )


def _row(curve: Curve) -> str:
    values = curve.values
    cells = [short(values[-1]), "", "", ""]
    if len(values) > 1:
        low, high = min(values), max(values)
        ends = (f"{short(value)} at {curve.steps[values.index(value)]:,}" for value in (low, high))
        cells = [short(values[-1]), short(values[0]), *ends]
    cells.append(str(curve.lost or ""))
    return f"<tr><td>{escape(curve.name)}</td>{''.join(f'<td>{cell}</td>' for cell in cells)}</tr>"


def _bad(run: Run) -> str:
    if not run.bad:
        return ""
    rows = [
        f"<tr><td>{escape(str(line.get('step', '')))}</td><td>{escape(_listed(line, 'applied'))}</td>"
        f"<td>{escape(_listed(line, 'names'))}</td></tr>"
        for line in run.bad[:50]
    ]
    head = "<tr><th>update</th><th>steps that stay</th><th>samples of its batch</th></tr>"
    return f'<h2>Skipped updates</h2><div class="scroll"><table>{head}{"".join(rows)}</table></div>'


def _listed(line: dict, name: str) -> str:
    return ", ".join(map(str, line.get(name, [])))


def _settings(run: Run) -> str:
    text = escape(json.dumps(run.about, indent=1))
    return f"<h2>Settings</h2><details><summary>run.json</summary><pre>{text}</pre></details>"
