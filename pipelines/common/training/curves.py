"""One logged value as an SVG chart. Colours come from the page's CSS."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from math import ceil, floor, log10

from .logs import Curve

WIDTH, HEIGHT = 420, 210
LEFT, RIGHT, TOP, BOTTOM = 56, 12, 26, 28
MOST = 400  # points drawn; longer curves are averaged in runs
SPAN = 100.0  # a positive curve that spans more than this is drawn on a logarithmic axis


def chart(curve: Curve) -> str:
    """The chart: every value as a thin line, their running mean as a strong one, the last value in words."""
    title = f'<text class="name" x="{LEFT}" y="16">{escape(curve.name)}</text>'
    head = f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(curve.name)} over updates">'
    if not curve.values:
        return f'{head}{title}<text class="tick" x="{LEFT}" y="60">no finite value</text></svg>'
    steps, values = thinned(curve.steps, curve.values)
    logarithmic = min(values) > 0 and max(values) / min(values) > SPAN
    scaled = [log10(value) for value in values] if logarithmic else list(values)
    low, high, ticks = axis(min(scaled), max(scaled), logarithmic)
    first, last = steps[0], steps[-1]
    place = Place(first, last, low, high)
    parts = [head, title, f'<text class="last" x="{WIDTH - RIGHT}" y="16">{short(curve.values[-1])}</text>']
    for tick in ticks:
        y = place.y(tick)
        label = short(10**tick) if logarithmic else short(tick)
        parts.append(f'<line class="rule" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(f'<text class="tick" x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{label}</text>')
    for step in sorted({first, (first + last) // 2, last}):
        x = place.x(step)
        anchor = "start" if step == first and first != last else "end" if step == last else "middle"
        parts.append(
            f'<text class="tick" x="{x:.1f}" y="{HEIGHT - 9}" text-anchor="{anchor}">{step:,}</text>'
        )
    few = len(scaled) < 8
    parts.append(_line(place, steps, scaled, "raw" if not few else "mean"))
    if few:
        parts += [
            f'<circle class="dot" cx="{place.x(step):.1f}" cy="{place.y(value):.1f}" r="3"/>'
            for step, value in zip(steps, scaled, strict=True)
        ]
    else:
        parts.append(_line(place, steps, smoothed(scaled), "mean"))
    return "".join([*parts, "</svg>"])


class Place:
    """Where steps and values lie in the chart."""

    def __init__(self, first: int, last: int, low: float, high: float) -> None:
        self.first, self.wide = first, max(1, last - first)
        self.low, self.tall = low, high - low

    def x(self, step: float) -> float:
        """Pixels from the left."""
        return LEFT + (step - self.first) / self.wide * (WIDTH - LEFT - RIGHT)

    def y(self, value: float) -> float:
        """Pixels from the top."""
        return HEIGHT - BOTTOM - (value - self.low) / self.tall * (HEIGHT - TOP - BOTTOM)


def _line(place: Place, steps: Sequence[float], values: Sequence[float], kind: str) -> str:
    points = " ".join(f"{place.x(s):.1f},{place.y(v):.1f}" for s, v in zip(steps, values, strict=True))
    return f'<polyline class="{kind}" points="{points}"/>'


def thinned(steps: Sequence[int], values: Sequence[float]) -> tuple[list[int], list[float]]:
    """At most ``MOST`` points, each the mean of a run of neighbours at the run's last step."""
    size = ceil(len(values) / MOST)
    cuts = range(0, len(values), size)
    return (
        [steps[min(i + size, len(steps)) - 1] for i in cuts],
        [sum(values[i : i + size]) / len(values[i : i + size]) for i in cuts],
    )


def smoothed(values: Sequence[float]) -> list[float]:
    """Mean over a window of a fifteenth of the curve, centred, narrower at the ends."""
    half = max(1, len(values) // 30)
    windows = [values[max(0, i - half) : i + half + 1] for i in range(len(values))]
    return [sum(window) / len(window) for window in windows]


def axis(low: float, high: float, logarithmic: bool = False) -> tuple[float, float, list[float]]:
    """Round limits around ``low`` and ``high``, and three to six round places between them."""
    if high - low < 1e-12 * max(1.0, abs(high)):
        pad = abs(high) * 0.1 or 1.0
        low, high = low - pad, high + pad
    if logarithmic:
        low, high = floor(low), ceil(high)
        step = ceil((high - low) / 5)
        return low, high, [float(tick) for tick in range(low, high + 1, step)]
    raw = (high - low) / 4
    unit = 10 ** floor(log10(raw))
    step = unit * next(nice for nice in (1, 2, 2.5, 5, 10) if nice * unit >= raw)
    start, end = floor(low / step), ceil(high / step)
    return start * step, end * step, [index * step for index in range(start, end + 1)]


def short(value: float) -> str:
    """A number in a few characters."""
    if value == 0:
        return "0"
    if 1e-3 <= abs(value) < 1e6:
        return f"{value:,.4g}" if abs(value) < 10_000 else f"{value:,.0f}"
    return f"{value:.2e}"
