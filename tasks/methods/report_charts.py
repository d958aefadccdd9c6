"""Draw charts: plain SVG that takes its colours from the page's style, so that it follows light and dark."""

from collections.abc import Sequence
from html import escape
from math import floor, log10

from markupsafe import Markup

WIDTH, HEIGHT = 560, 230  # units of the drawing; the page scales it
LEFT, RIGHT, TOP, BOTTOM = 46, 12, 12, 34


def paired_histogram(*, kept: Sequence[int], dropped: Sequence[int], title: str) -> Markup:
    """Shares of kept and dropped rows per bin of [0, 1]: kept upwards, dropped downwards, each scaled to its own largest bin."""
    width, height = 300, 150
    middle, half, step = 70, 56, (width - 20) / max(len(kept), 1)
    parts = []
    for counts, sign, name in ((kept, -1, "kept"), (dropped, 1, "dropped")):
        largest = max([1, *counts])
        for place, count in enumerate(counts):
            size = half * count / largest
            if count:
                top = middle - size - 0.5 if sign < 0 else middle + 0.5
                parts.append(_rect(10 + place * step + 0.5, top, step - 1, max(size, 0.6), name))
    parts.append(_line(10, middle, width - 10, middle, "axis"))
    parts += [_text(10, height - 8, "0", "start"), _text(width / 2, height - 8, "0.5"), _text(width - 10, height - 8, "1", "end")]
    return _svg(width, height, title, parts)


def dots_with_intervals(
    rows: Sequence[tuple[str, float, float | None, float | None, Sequence[float]]], *, baseline: str, title: str
) -> Markup:
    """One line per row (name, value, low, high, single runs), all shares: a dot, its interval if it has one, and the runs as rings.

    The baseline's value is drawn through all lines: an interval that doesn't touch it is a difference.
    """
    values = [value for row in rows for value in (*row[1:4], *row[4]) if value is not None]
    ticks = _ticks(min(values, default=0.0), max(values, default=1.0))
    low, high = ticks[0], ticks[-1]
    height, left = 44 * len(rows) + 40, 130

    def x(value: float) -> float:
        return left + (WIDTH - left - 24) * (value - low) / (high - low)

    parts = [_line(x(tick), 8, x(tick), height - 30, "grid") for tick in ticks]
    parts += [_text(x(tick), height - 12, f"{100 * tick:g} %") for tick in ticks]
    parts += [_line(x(row[1]), 8, x(row[1]), height - 30, "baseline") for row in rows if row[0] == baseline]
    for place, (name, value, least, most, runs) in enumerate(rows):
        y = 44 * place + 30
        kind = "kept" if name == "curated" else "other"
        parts.append(_text(left - 14, y + 4, name, "end", "name"))
        if least is not None and most is not None:
            parts.append(_line(x(least), y, x(most), y, f"interval {kind}"))
        parts += [f'<circle cx="{x(run):.1f}" cy="{y + 11}" r="2.6" class="ring {kind}"/>' for run in runs]
        parts.append(f'<circle cx="{x(value):.1f}" cy="{y}" r="5.5" class="dot {kind}"/>')
        parts.append(_text(x(value), y - 10, f"{100 * value:.1f}", "middle", "value"))
    return _svg(WIDTH, height, title, parts)


def shares_with_intervals(
    rows: Sequence[tuple[str, float, float, float | None, float | None]], *, baseline: str, title: str, x_title: str
) -> Markup:
    """One dot per row (name, share across, share upwards, low, high), its interval upright; the baseline's value is drawn through all."""
    ups = [value for row in rows for value in row[2:] if value is not None]
    xs, ys = _ticks(0.0, max((row[1] for row in rows), default=1.0)), _ticks(*_span(ups))

    def place(across: float, up: float) -> tuple[float, float]:
        x = LEFT + (WIDTH - LEFT - RIGHT - 80) * (across - xs[0]) / (xs[-1] - xs[0])
        return x, TOP + (HEIGHT - TOP - BOTTOM) * (1 - (up - ys[0]) / (ys[-1] - ys[0]))

    right = WIDTH - RIGHT - 80
    parts = [_line(LEFT, place(0, y)[1], right, place(0, y)[1], "grid") for y in ys]
    parts += [_text(LEFT - 6, place(0, y)[1] + 4, f"{100 * y:g} %", "end") for y in ys]
    parts += [_text(place(x, ys[0])[0], HEIGHT - BOTTOM + 15, f"{100 * x:g} %") for x in xs] + [_text(WIDTH / 2, HEIGHT - 3, x_title)]
    parts += [_line(LEFT, place(0, row[2])[1], right, place(0, row[2])[1], "baseline") for row in rows if row[0] == baseline]
    taken: list[tuple[float, float]] = []
    for name, across, up, low, high in rows:
        kind, (x, y) = "kept" if name == "curated" else "other", place(across, up)
        if low is not None and high is not None:
            parts.append(_line(x, place(across, low)[1], x, place(across, high)[1], f"interval {kind}"))
        parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="5" class="dot {kind}"/>')
        while any(abs(x - other) < 80 and abs(y - above) < 12 for other, above in taken):
            y += 3
        taken.append((x, y))
        parts.append(_text(x + 9, y + 4, name, "start", "name"))
    return _svg(WIDTH, HEIGHT, title, parts)


def lines(
    series: Sequence[tuple[str, str, Sequence[tuple[float, float]]]],
    *,
    title: str,
    x_title: str,
    dots: Sequence[tuple[float, float]] = (),
) -> Markup:
    """Curves: name, kind (the colour's class) and points of each; names stand at the curves' ends. `dots` are points to mark."""
    points = [*(point for _, _, curve in series for point in curve), *dots]
    xs, ys = _ticks(*_span([x for x, _ in points])), _ticks(*_span([y for _, y in points]))

    def place(x: float, y: float) -> tuple[float, float]:
        across = LEFT + (WIDTH - LEFT - RIGHT - 60) * (x - xs[0]) / (xs[-1] - xs[0])
        return across, TOP + (HEIGHT - TOP - BOTTOM) * (1 - (y - ys[0]) / (ys[-1] - ys[0]))

    parts = [_line(LEFT, place(xs[0], y)[1], WIDTH - RIGHT - 60, place(xs[0], y)[1], "grid") for y in ys]
    parts += [_text(LEFT - 6, place(xs[0], y)[1] + 4, f"{y:g}", "end") for y in ys]
    parts += [_text(place(x, ys[0])[0], HEIGHT - BOTTOM + 15, f"{x:g}") for x in xs]
    parts += [_text(WIDTH / 2, HEIGHT - 3, x_title)]
    taken: list[float] = []
    for name, kind, curve in series:
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in (place(*point) for point in curve))
        parts.append(f'<polyline points="{path}" class="curve {escape(kind)}"/>')
        if curve and name:
            x, y = place(*curve[-1])
            while any(abs(y - other) < 12 for other in taken):
                y += 3
            taken.append(y)
            parts.append(_text(x + 6, y + 4, name, "start", "name"))
    parts += [f'<circle class="dot kept" cx="{x:.1f}" cy="{y:.1f}" r="5"/>' for x, y in (place(*dot) for dot in dots)]
    return _svg(WIDTH, HEIGHT, title, parts)


def _svg(width: float, height: float, title: str, parts: Sequence[str]) -> Markup:
    body = "".join(parts)
    return Markup(
        f'<svg viewBox="0 0 {width:g} {height:g}" role="img" aria-label="{escape(title)}" class="chart">'
        f"<title>{escape(title)}</title>{body}</svg>"
    )


def _rect(x: float, y: float, width: float, height: float, kind: str) -> str:
    return f'<rect x="{x:.2f}" y="{y:.2f}" width="{width:.2f}" height="{height:.2f}" class="{kind}"/>'


def _line(x1: float, y1: float, x2: float, y2: float, kind: str) -> str:
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" class="{kind}"/>'


def _text(x: float, y: float, text: str, anchor: str = "middle", kind: str = "tick") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" class="{kind}">{escape(text)}</text>'


def _span(values: Sequence[float]) -> tuple[float, float]:
    return (min(values), max(values)) if values else (0.0, 1.0)


def _ticks(low: float, high: float) -> list[float]:
    """Four to eight round numbers around [low, high]."""
    spread = max(high - low, 1e-3)
    step = 10.0 ** floor(log10(spread / 3))
    step *= next(factor for factor in (1, 2, 5, 10) if spread / (step * factor) <= 6)
    first, last = floor(low / step), -floor(-high / step)
    return [round(place * step, 10) for place in range(first, max(last, first + 1) + 1)]
