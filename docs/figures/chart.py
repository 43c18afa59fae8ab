"""Bar charts as SVG, legible on light and dark pages: a chart brings its own background."""

from html import escape

WIDTH, LABEL, RIGHT = 760, 250, 120
TOP, BAR, GAP = 56, 22, 12

STYLE = """
  .card { fill: #ffffff; stroke: #d5dde2 } .ink { fill: #172026 } .muted { fill: #586873 }
  .bar { fill: #8496a1 } .own { fill: #0f6e84 } .line { stroke: #b02a37 } .note { fill: #b02a37 }
  text { font: 14px system-ui, "Segoe UI", Roboto, "DejaVu Sans", sans-serif }
  .title { font-size: 16px; font-weight: 600 } .small { font-size: 12px }
  @media (prefers-color-scheme: dark) {
    .card { fill: #161d22; stroke: #29343b } .ink { fill: #e3eaee } .muted { fill: #93a4af }
    .bar { fill: #667884 } .own { fill: #5cc1d8 } .line { stroke: #ff8e92 } .note { fill: #ff8e92 }
  }
"""


def bars(title, caption, rows, reference=None):
    """Draws one bar per row of (label, value, text, is_own); `reference` is a (value, text) to compare with."""
    rows = [row for row in rows if row[1] is not None]
    if not rows:
        return None
    most = max([row[1] for row in rows] + ([reference[0]] if reference else []))
    scale = (WIDTH - LABEL - RIGHT) / most
    height = TOP + len(rows) * (BAR + GAP) + 28
    said = "; ".join(f"{label}: {text}" for label, _, text, _ in rows)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" role="img">',
        f"<title>{escape(title)}. {escape(said)}</title>",
        f"<style>{STYLE}</style>",
        f'<rect class="card" x=".5" y=".5" width="{WIDTH - 1}" height="{height - 1}" rx="8"/>',
        f'<text class="ink title" x="16" y="28">{escape(title)}</text>',
        f'<text class="muted small" x="16" y="{height - 12}">{escape(caption)}</text>',
    ]
    for index, (label, value, text, is_own) in enumerate(rows):
        y = TOP + index * (BAR + GAP)
        length = max(2, value * scale)
        kind = "own" if is_own else "bar"
        end = LABEL + length
        if reference and 0 < LABEL + reference[0] * scale - end < 48:
            # The line would cross the number.
            end = LABEL + reference[0] * scale
        parts += [
            f'<text class="ink" x="{LABEL - 12}" y="{y + 16}" text-anchor="end">{escape(label)}</text>',
            f'<rect class="{kind}" x="{LABEL}" y="{y}" width="{length:.1f}" height="{BAR}" rx="3"/>',
            f'<text class="ink" x="{end + 8:.1f}" y="{y + 16}">{escape(text)}</text>',
        ]
    if reference:
        value, text = reference
        x, end = LABEL + value * scale, TOP + len(rows) * (BAR + GAP) - GAP + 4
        parts += [
            f'<line class="line" x1="{x:.1f}" y1="{TOP - 6}" x2="{x:.1f}" y2="{end}" stroke-width="1.5"/>',
            f'<text class="note small" x="{x:.1f}" y="{TOP - 10}" text-anchor="middle">{escape(text)}</text>',
        ]
    return "\n".join([*parts, "</svg>"]) + "\n"
