"""BENCHMARK_<MACHINE>.md, and README's headline, from the JSON of a run on a GPU.

    python benchmarks/gpu/report.py h200 [h100 ...] [--headline README.md]

For each machine m: benchmarks/results/m.json (bench.py), and, where they are, m_fla.json (bench.py --fla)
and m_micro.json (gpu_micro). The headline is of the first machine, with the times of the others beside it.
"""

import argparse
import json
import math
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BEGIN, END = "<!-- gpu headline: begin -->", "<!-- gpu headline: end -->"
# What others published for the same shapes; nothing of it was run here. T = 8192, K = V = 128, bf16.
# Sources: FlashKDA's BENCHMARK_H20.md; Itssshikhar/FlashKDA BENCHMARK_H100 (FlashKDA and its fork);
# cuLA BENCHMARK_H200.md of 2026-08-09 (port of FlashKDA, H = 64 and 8, and its exact splitting).
PUBLISHED = {
    "fixed 8192 H=96": {"FlashKDA, H100": 1.5142, "Flash-Flash-KDA, H100": 1.0475},
    "mixed 8192 H=96": {"FlashKDA, H100": 1.5647, "Flash-Flash-KDA, H100": 0.9210},
    "8 x 1024 H=96": {"FlashKDA, H100": 1.3825, "Flash-Flash-KDA, H100": 0.9120},
    "fixed 8192 H=64": {"FlashKDA, H100": 1.2928, "cuLA, H200": 1.283},
    "mixed 8192 H=64": {"FlashKDA, H100": 1.1103, "Flash-Flash-KDA, H100": 0.6445},
    "8 x 1024 H=64": {"FlashKDA, H100": 0.9329, "Flash-Flash-KDA, H100": 0.6143},
    "fixed 8192 H=8": {"cuLA, H200": 0.318},
    "fixed 8192 H=4": {"cuLA, H200": 0.282},
    "fixed 65536 H=8": {"cuLA, H200": 1.624},
    "fixed 65536 H=4": {"cuLA, H200": 0.966},
}
GROUPS = {
    "headline": "Many heads, T = 8192",
    "few": "Few heads, T = 8192",
    "long": "Long sequences",
    "ten": "Ten shapes with few heads, states in and out (total tokens over sequences)",
    "residual": "Residuals and decode, states in and out",
    "slow": "Slow gates (0.998 a token)",
    "mixed": "Few heads whose gates differ: published, slow, every second head slow, every eighth channel slow",
}


def table(header, rows):
    lines = ["| " + " | ".join(header) + " |", "| " + " | ".join("---" for _ in header) + " |"]
    return lines + ["| " + " | ".join(row) + " |" for row in rows]


def times_by_case(rows, group=None):
    """case -> method -> (mode, l2) -> row, in the order of the file."""
    cases = {}
    for row in rows:
        if not row.get("wrong") and group in (None, row["group"]):
            cases.setdefault(row["case"], {}).setdefault(row["method"], {})[row["mode"], row["l2"]] = row
    return cases


def best_of(methods):
    ours = [t["graph", "cold"] for m, t in methods.items() if not m.startswith("FLA") and ("graph", "cold") in t]
    return min(ours, key=lambda row: row["median_ms"]) if ours else None


def planned(methods):
    return methods.get("plan", {}).get(("graph", "cold")) or best_of(methods)


class Machine:
    """What was measured on one GPU."""

    def __init__(self, name):
        self.name = name
        self.data = self.load("")
        self.fla = self.load("_fla")
        self.micro = self.load("_micro")
        self.machine, self.rows = self.data["machine"], self.data["rows"]

    def load(self, suffix):
        path = ROOT / "benchmarks" / "results" / f"{self.name}{suffix}.json"
        return json.loads(path.read_text()) if path.exists() else {"machine": {}, "rows": []}

    def plan_ms(self, case):
        row = planned(times_by_case(self.rows).get(case, {}))
        return row["median_ms"] if row else None

    def fla_time(self, case, kernel="FLA chunk_kda"):
        """Of FLA's kernel: (ms, times as long as the plan, mode, whether both are of one run), or None.

        As a graph where it could be captured: eager, launches are much of the time of small calls.
        """
        methods = times_by_case(self.fla["rows"]).get(case, {})
        times = methods.get(kernel, {})
        mode = "graph" if ("graph", "cold") in times else "eager"
        if (mode, "cold") not in times:
            return None
        beside = methods.get("plan", {}).get((mode, "cold"))
        ours = beside["median_ms"] if beside else self.plan_ms(case)
        ms = times[mode, "cold"]["median_ms"]
        return (ms, ms / ours, mode, beside is not None) if ours else None


def group_table(rows, group):
    header = ["case", "method", "ms", "p10 .. p90", "eager", "warm L2", "M tokens/s", "GB/s at least",
              "% of copy", "error"]
    lines = []
    with_cuts = any(any(row.get("cut_counts", [])) for row in rows if row.get("group") == group)
    if with_cuts:
        header.append("parts after a cut: replayed, waited")
    for case, methods in times_by_case(rows, group).items():
        for method, times in methods.items():
            best = times.get(("graph", "cold")) or times["eager", "cold"]
            eager, warm = times.get(("eager", "cold")), times.get(("graph", "warm"))
            error = best["worst_head_error"]
            lines.append([
                case, method, f"{best['median_ms']:.4f}", f"{best['p10_ms']:.4f} .. {best['p90_ms']:.4f}",
                f"{eager['median_ms']:.4f}" if eager else "", f"{warm['median_ms']:.4f}" if warm else "",
                f"{best['tokens_per_s'] / 1e6:.1f}", f"{best['least_gb_per_s']:.0f}",
                f"{best['percent_of_copy']:.1f}", "" if error is None else f"{error:.1e}"])
            if with_cuts:
                lines[-1].append(", ".join(map(str, best.get("cut_counts", []))))
    return table(header, lines)


def geometric_mean(values):
    return math.exp(sum(map(math.log, values)) / len(values))


def fla_lines(m):
    """The kernels of flash-linear-attention, cold L2, and how much longer they take."""
    if not m.fla["rows"]:
        return []
    lines, ratios = [], []
    for case, methods in times_by_case(m.fla["rows"]).items():
        for kernel in (name for name in methods if name.startswith("FLA ")):
            times = methods[kernel]
            ms = lambda mode: f"{times[mode, 'cold']['median_ms']:.3f}" if (mode, "cold") in times else ""
            error = times["eager", "cold"]["worst_head_error"]
            ours = m.fla_time(case, kernel)
            if ours and kernel == "FLA chunk_kda":
                ratios.append(ours[1])
            lines.append([case, kernel.removeprefix("FLA "), ms("graph"), ms("eager"),
                          f"{ours[1]:.1f}x ({ours[2]})" if ours else "", "" if ours and ours[3] else "another run",
                          "" if error is None else f"{error:.1e}"])
    fla = m.fla["machine"]
    runs = {}  # (date, commit) -> groups, as the keys of a dict, which has an order
    for row in m.fla["rows"]:
        run = row.get("date", fla["date"]), row.get("commit", fla["commit"])
        runs.setdefault(run, {})[row["group"]] = None
    text = [f"## flash-linear-attention, {fla['gpu']}", "",
            *(f"- {', '.join(groups)}: {date}, commit {commit}" for (date, commit), groups in runs.items()), "",
            *table(["case", "kernel", "ms, graph", "ms, eager", "times the plan's", "the plan is of", "error"], lines),
            ""]
    if len(ratios) > 1:
        text += [f"Geometric mean over {len(ratios)} cases: chunk_kda takes {geometric_mean(ratios):.1f} times as long.", ""]
    return text + ["`chunk_gated_delta_rule` is another operation (one gate a head), timed for scale and not "
                   "verified here.", ""]


def micro_lines(m):
    if not m.micro["rows"]:
        return []
    number = lambda x: "" if x is None else f"{x:.4g}"
    lines = [[row["group"], row["name"].strip(), number(row["median"]), f"{number(row['low'])} .. {number(row['high'])}",
              row["unit"]] for row in m.micro["rows"]]
    return [f"## Micro-benchmarks ({m.micro['gpu']})", "",
            "`benchmarks/gpu/micro`: one instruction, barrier, copy or launch at a time; medians.", "",
            *table(["group", "what", "median", "p10 .. p90", "unit"], lines), ""]


def report(m):
    machine = m.machine
    lines = [f"# {machine['gpu']}", "",
             "Generated by `benchmarks/gpu/report.py` from `benchmarks/results/`; do not edit.", "",
             f"- {machine['nvidia_smi']}; {machine['multiprocessors']} multiprocessors; CUDA {machine['cuda']}, "
             f"PyTorch {machine['torch']}",
             f"- {machine['date']}, commit {machine['commit']}, FlashKDA {machine['flash_kda']}",
             f"- a copy moves {machine['copy_gb_per_s']:.0f} GB/s (read and written), an 8192^3 bf16 product runs at "
             f"{machine['bf16_tflops']:.0f} TFLOP/s", "",
             "*ms*: CUDA graph, cold L2, median. *GB/s at least*: the bytes that any method must move (q, k, v, g "
             "read, out written, states) over that time. *error*: the worst head's relative RMS of outputs and "
             "states against the fp32 CPU backend; a call that is not right is not timed. *plan* is what the "
             "library chose at that commit.", ""]
    for group, title in GROUPS.items():
        cases = times_by_case(m.rows, group)
        if cases:
            lines += [f"## {title}", "", *group_table(m.rows, group), ""]
            if group == "ten":
                mean = geometric_mean([planned(methods)["median_ms"] for methods in cases.values()])
                lines += [f"Geometric mean of the plan: {1e3 * mean:.0f} us.", ""]
    return lines + fla_lines(m) + micro_lines(m)


def headline(machines):
    first, others = machines[0], machines[1:]
    lines, same_run = [], True
    for group in ("headline", "few"):
        for case, methods in times_by_case(first.rows, group).items():
            ours = planned(methods)
            fla = first.fla_time(case)
            same_run &= fla is None or fla[3]
            beside = [m.plan_ms(case) for m in others]
            published = "; ".join(f"{name} {ms:.2f}" for name, ms in PUBLISHED.get(case, {}).items())
            lines.append([case, f"{ours['median_ms']:.3f}", f"{ours['percent_of_copy']:.0f}",
                          *(f"{ms:.3f}" if ms else "" for ms in beside),
                          f"{fla[0]:.2f} ({fla[1]:.1f}x)" if fla else "", published])
    where = [f"{m.machine['gpu']}, driver {m.machine['nvidia_smi'].split(',')[1].strip()}, {m.machine['date']}, commit "
             f"{m.machine['commit']}" for m in machines]
    kernel = "FLA's Triton kernel, " + ("same run" if same_run else "another run")
    return [f"{'; '.join(where)}; ms of one call (CUDA graph, cold L2, median), every result verified:", "",
            *table(["T = 8192, bf16, K = V = 128", "ms", "% of copy bandwidth",
                    *(f"ms, {m.name.upper()}" for m in others), kernel, "published by others, ms"], lines)]


def replace_block(path, lines):
    text = path.read_text()
    begin, end = text.index(BEGIN) + len(BEGIN), text.index(END)
    path.write_text(text[:begin] + "\n" + "\n".join(lines) + "\n" + text[end:])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("machines", nargs="+", help="as the results are named: h200, h100, ...")
    parser.add_argument("--headline", help="file whose marked block is replaced")
    options = parser.parse_args()
    machines = [Machine(name) for name in options.machines]
    for m in machines:
        path = ROOT / f"BENCHMARK_{m.name.upper()}.md"
        path.write_text("\n".join(report(m)).rstrip() + "\n")
    if options.headline:
        replace_block(Path(options.headline), headline(machines))


if __name__ == "__main__":
    main()
