#!/usr/bin/env python3
"""Bench results as one HTML page that needs nothing beside it: machine, plots, tables.

    python tools/report.py bench.json [more.json ...] -o report.html
    python tools/report.py bench.json --markdown     # README's table: a row a shape, times beside each other

Reads what `flash-kda bench --json` and `python -m flash_kda bench --json` write.
"""

import argparse
import html
import json
import math
import sys
from pathlib import Path

COLOURS = ["#1b6ca8", "#d1495b", "#3d9970", "#e6a117", "#7d5ba6", "#5c5c5c", "#2aa5a0", "#a0522d"]
STYLE = """body{font:15px/1.5 system-ui,sans-serif;max-width:70em;margin:2em auto;padding:0 1em;color:#222}
table{border-collapse:collapse;margin:1em 0}td,th{padding:.2em .7em;border-bottom:1px solid #ddd;text-align:right}
td:first-child,th:first-child{text-align:left}figure{display:inline-block;margin:0 1em 1em 0}
figcaption{font-weight:600}svg text{font:11px system-ui,sans-serif;fill:#444}"""
NEEDED = ("shape", "backend", "precision", "threads", "B", "T", "H", "median_ms", "p10_ms", "p90_ms")


def load(path):
    try:
        report = json.loads(Path(path).read_text())
        rows = report["rows"]
        for index, row in enumerate(rows):
            missing = [name for name in NEEDED if name not in row]
            if missing:
                raise ValueError(f"rows[{index}] lacks {', '.join(missing)}")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise SystemExit(f"{path}: not a report of bench: {error}") from None
    return report


def method(row):
    return f"{row['backend']} {row['precision']}"


def ns_per_token_head(row):
    return 1e6 * row["median_ms"] / (row["B"] * row["T"] * row["H"])


def nice_log_range(values):
    return math.floor(math.log10(min(values))), max(math.ceil(math.log10(max(values))),
                                                    math.floor(math.log10(min(values))) + 1)


def line_plot(series, colours, width=430, height=270):
    """{name: [(x, y)]} on log axes, as SVG."""
    left, right, top, bottom = 52, 24, 8, 30
    xs = [x for points in series.values() for x, _ in points]
    low, high = nice_log_range([y for points in series.values() for _, y in points])
    x0, x1 = math.log2(min(xs)), max(math.log2(max(xs)), math.log2(min(xs)) + 1)
    px = lambda x: left + (math.log2(x) - x0) / (x1 - x0) * (width - left - right)
    py = lambda y: height - bottom - (math.log10(y) - low) / (high - low) * (height - top - bottom)
    parts = [f'<svg viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img">']
    for decade in range(low, high + 1):
        y = py(10.0**decade)
        parts.append(f'<line x1="{left}" x2="{width - right}" y1="{y:.1f}" y2="{y:.1f}" stroke="#ddd"/>'
                     f'<text x="{left - 6}" y="{y + 4:.1f}" text-anchor="end">{10.0**decade:g}</text>')
    for x in sorted(set(xs)):
        parts.append(f'<text x="{px(x):.1f}" y="{height - bottom + 16}" text-anchor="middle">{x}</text>')
    for name, points in series.items():
        colour = colours[name]
        path = " ".join(f"{px(x):.1f},{py(y):.1f}" for x, y in sorted(points))
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        parts += [f'<circle cx="{px(x):.1f}" cy="{py(y):.1f}" r="3" fill="{colour}">'
                  f'<title>{html.escape(name)}, T={x}: {y:.4g}</title></circle>' for x, y in points]
    return "".join(parts) + "</svg>"


def legend(names):
    return "<p>" + " &nbsp; ".join(
        f'<span style="color:{COLOURS[i % len(COLOURS)]}">&#9632;</span> {html.escape(name)}'
        for i, name in enumerate(names)) + "</p>"


def figures(rows):
    """Nanoseconds a token and head over T, one plot for each H and thread count."""
    fixed = [row for row in rows if not row.get("lengths") and row["T"] > 0 and row["median_ms"] > 0]
    names = list(dict.fromkeys(method(row) for row in fixed))
    colours = {name: COLOURS[i % len(COLOURS)] for i, name in enumerate(names)}
    groups = dict.fromkeys((row["H"], row["threads"]) for row in fixed)
    parts = []
    for heads, threads in sorted(groups):
        series = {name: [(row["T"], ns_per_token_head(row)) for row in fixed
                         if (row["H"], row["threads"], method(row)) == (heads, threads, name)]
                  for name in names}
        if len({x for points in series.values() for x, _ in points}) < 2:
            continue  # one length makes no curve
        drawn = {name: points for name, points in series.items() if points}
        parts.append(f"<figure><figcaption>H={heads}, {threads} thread{'s' if threads != 1 else ''}"
                     f"</figcaption>{line_plot(drawn, colours)}</figure>")
    return (legend(names) + "".join(parts)) if parts else ""


def table(header, rows):
    cells = lambda tag, row: "".join(f"<{tag}>{html.escape(str(cell))}</{tag}>" for cell in row)
    return (f"<table><tr>{cells('th', header)}</tr>"
            + "".join(f"<tr>{cells('td', row)}</tr>" for row in rows) + "</table>")


def first_of_shape(rows, row):
    return next(r for r in rows if (r["shape"], r["threads"]) == (row["shape"], row["threads"]))


def rows_table(rows):
    lines = []
    for row in rows:
        base = first_of_shape(rows, row)
        error = row.get("output_error")
        lines.append([row["shape"], row["threads"], method(row), f"{row['median_ms']:.3f}",
                      f"{row['p10_ms']:.3f} .. {row['p90_ms']:.3f}", f"{ns_per_token_head(row):.0f}"
                      if row["T"] > 0 else "", f"{row['median_ms'] / base['median_ms']:.2f}",
                      f"{error:.1e}" if error is not None else ""])
    return table(["shape", "threads", "method", "median ms", "p10 .. p90", "ns / token / head",
                  "time / first's", "output error"], lines)


def overhead_table(rows):
    return "<h3>What Python adds to a call</h3>" + table(
        ["call", "fwd us", "library us", "overhead us"],
        [[r["call"], f"{r['call_us']:.2f}", f"{r['library_us']:.2f}", f"{r['overhead_us']:.2f}"]
         for r in rows])


def section(path, report):
    machine = report.get("machine", {})
    facts = ", ".join(f"{name}: {value}" for name, value in machine.items()
                      if isinstance(value, (str, int, float)))
    parts = [f"<h2>{html.escape(Path(path).name)}</h2><p>{html.escape(facts)}</p>"]
    if report["rows"]:
        plots = figures(report["rows"])
        parts.append(f"<h3>Nanoseconds per token and head, over T</h3>{plots}" if plots else "")
        parts.append(rows_table(report["rows"]))
    if report.get("overhead"):
        parts.append(overhead_table(report["overhead"]))
    return "".join(parts)


def markdown(rows):
    """One row a shape and thread count, one column a method, and how much faster the first is."""
    names = list(dict.fromkeys(method(row) for row in rows))
    others = [name for name in names if name.startswith("FLA")]
    lines = ["| T | H | threads | " + " | ".join(names) + " | faster by |",
             "| --- " * (len(names) + 4) + "|"]
    for shape, threads in dict.fromkeys((row["shape"], row["threads"]) for row in rows):
        here = {method(r): r for r in rows if (r["shape"], r["threads"]) == (shape, threads)}
        first = here[names[0]]
        times = [f"{here[n]['median_ms']:.1f}" if n in here else "" for n in names]
        ratios = [f"{here[n]['median_ms'] / first['median_ms']:.0f}x" for n in others if n in here]
        lines.append(f"| {first['T']} | {first['H']} | {threads} | {' | '.join(times)} | {', '.join(ratios)} |")
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("reports", nargs="+", metavar="BENCH.json")
    parser.add_argument("-o", "--output", default="report.html")
    parser.add_argument("--markdown", action="store_true", help="print a table instead")
    options = parser.parse_args()
    if options.markdown:
        print("\n\n".join(markdown(load(path)["rows"]) for path in options.reports))
        return
    body = "".join(section(path, load(path)) for path in options.reports)
    Path(options.output).write_text(
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>FlashKDA benchmark</title>'
        f"<style>{STYLE}</style><h1>FlashKDA benchmark</h1>{body}</html>\n")
    print(f"{options.output}: {sum(len(load(path)['rows']) for path in options.reports)} rows")


if __name__ == "__main__":
    sys.exit(main())
