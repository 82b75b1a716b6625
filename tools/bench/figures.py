"""From runs to what tools/bench-peers prints: medians of rounds, ratios round by round, the goals.

A run is a dict (see bench-peers, run_once). Rates of different rounds are never set against each other: a
ratio is taken within a round, and the median of these is what counts.
SPDX-License-Identifier: Apache-2.0
"""
from statistics import median

# (of what, to what, which figure, {associations: goal}); shown without a goal where there is none.
GOALS = [
    ("sluiced", "floor-named", "rate", {1: 0.85, 4: 0.9, 16: 0.95, 64: 0.95}),
    ("sluiced", "floor-plain", "rate", {16: 0.95, 64: 0.95}),
    ("sluiced", "orthanc", "rate", {1: 2.5, 4: 15, 16: 6, 64: 5}),
    ("sluiced-none", "floor-none", "rate", {1: 0.85, 4: 0.85, 16: 0.85, 64: 0.85}),
    ("sluiced-none", "storescp-fork", "rate", {1: 1, 4: 1, 16: 1, 64: 2}),
    ("sluiced-window", "floor-named", "rate", {1: 1.5}),
    ("sluiced", "floor-named", "cpu", {1: 1.3, 4: 1.3, 16: 1.3, 64: 1.3}),
    ("sluiced-none", "floor-none", "cpu", {1: 1.3, 4: 1.3, 16: 1.3, 64: 1.3}),
    ("sluiced", "sluiced-versus", "rate", {}),
    ("sluiced", "sluiced-versus", "cpu", {}),
    ("sluiced-none", "sluiced-none-versus", "rate", {}),
    ("sluiced-none", "sluiced-none-versus", "cpu", {}),
]
AT_MOST = {"cpu"}  # figures that should be low
TROUBLES = ("refused", "unanswered", "unsent", "lost")  # objects that were not stored, or not kept
LABELS = {"rate": "objects/s", "cpu": "CPU s/object"}


def medians(runs):
    """[one dict for each receiver and number of associations], in the order they first ran."""
    groups = {}
    for run in runs:
        groups.setdefault((run["associations"], run["receiver"]), []).append(run)
    return [_median_of(group) for _, group in sorted(groups.items(), key=lambda item: item[0][0])]


def _median_of(group):
    timed = [run for run in group if run["round"] > 0]
    rates = [run["rate"] for run in timed]

    def middle(field):
        values = [run[field] for run in timed if run[field] is not None]
        return median(values) if values else None

    return {
        **{field: group[0][field] for field in ("receiver", "associations", "durable", "indexed")},
        "rounds": len(timed), "rate": middle("rate"),
        "rate_low": min(rates, default=None), "rate_high": max(rates, default=None),
        **{field: middle(field) for field in ("rate_settled", "p50_ms", "p99_ms", "cpu", "bench_cpu", "settle_ms")},
        "memory": max((run["pss"] for run in group if run["pss"] is not None), default=None),
        "rss": max((run["rss"] for run in group if run["rss"] is not None), default=None),
        **{what: sum(run[what] for run in group) for what in TROUBLES},
        "broken": [run["broken"] for run in group if run["broken"]],
    }


def ratios(runs):
    """[{of, to, figure, associations, ratio, low, high, goal, is_met}] for every pair that was measured."""
    by_round = {(run["receiver"], run["associations"], run["round"]): run for run in runs if run["round"] > 0}
    found = []
    for of, to, figure, goals in GOALS:
        for n in sorted({run["associations"] for run in runs}):
            pairs = [(run[figure], by_round[to, n, k][figure]) for (name, m, k), run in by_round.items()
                     if name == of and m == n and (to, n, k) in by_round]
            quotients = [a / b for a, b in pairs if a is not None and b]
            if quotients:
                found.append(_ratio(of, to, figure, n, quotients, goals.get(n)))
    return found


def _ratio(of, to, figure, n, quotients, goal):
    value = median(quotients)
    is_met = None if goal is None else value <= goal if figure in AT_MOST else value >= goal
    return {"of": of, "to": to, "figure": figure, "associations": n, "rounds": len(quotients), "ratio": value,
            "low": min(quotients), "high": max(quotients), "goal": goal, "is_met": is_met}


# ---- as text ---------------------------------------------------------------------------------------

def _number(value, digits=0):
    return "-" if value is None else f"{value:,.{digits}f}"


def trouble(row):
    """"3 refused, 1 lost": of all rounds together; empty when there was none."""
    return ", ".join([f"{row[what]} {what}" for what in TROUBLES if row[what]] + sorted(set(row["broken"])))


COLUMNS = [
    ("assoc", lambda r: str(r["associations"])),
    ("receiver", lambda r: r["receiver"]),
    ("objects/s", lambda r: _number(r["rate"])),
    ("low..high", lambda r: f"{_number(r['rate_low'])}..{_number(r['rate_high'])}"),
    ("until indexed", lambda r: "-" if r["indexed"] == "no" else _number(r["rate_settled"])),
    ("p50 ms", lambda r: _number(r["p50_ms"], 1)),
    ("p99 ms", lambda r: _number(r["p99_ms"], 1)),
    ("CPU s/1000", lambda r: _number(r["cpu"] and r["cpu"] * 1000, 2)),
    ("memory MiB", lambda r: _number(r["memory"] and r["memory"] / 2 ** 20)),
    ("settled ms", lambda r: _number(r["settle_ms"])),
    ("failures", lambda r: trouble(r) or "-"),
    ("durable when answered", lambda r: r["durable"]),
    ("indexed", lambda r: r["indexed"]),
]
TO_THE_LEFT = {"receiver", "failures", "durable when answered", "indexed"}


def _table(heads, rows):
    """Markdown that is also readable as it is. rows of None: a rule."""
    widths = [max(len(cell) for cell in column) for column in zip(heads, *rows)]

    def line(cells):
        padded = (cell.ljust(w) if head in TO_THE_LEFT else cell.rjust(w)
                  for head, cell, w in zip(heads, cells, widths))
        return "| " + " | ".join(padded) + " |"

    rule = "|".join("-" * (w + 1) + ("-" if head in TO_THE_LEFT else ":") for head, w in zip(heads, widths))
    return "\n".join([line(heads), f"|{rule}|", *map(line, rows)])


def table(rows):
    return _table([head for head, _ in COLUMNS], [[cell(row) for _, cell in COLUMNS] for row in rows])


def ratio_table(found):
    """A row for each pair, a column for each number of associations: ratio, [goal], yes or NO."""
    counts = sorted({r["associations"] for r in found})
    pairs = list(dict.fromkeys((r["of"], r["to"], r["figure"]) for r in found))
    cells = {(r["of"], r["to"], r["figure"], r["associations"]): _goal(r) for r in found}
    rows = [[f"{of} : {to}, {LABELS[figure]}"] + [cells.get((of, to, figure, n), "-") for n in counts]
            for of, to, figure in pairs]
    return _table(["receiver"] + [f"{n} assoc" for n in counts], rows)


def _goal(r):
    text = f"{r['ratio']:.2f}"
    if r["goal"] is None:
        return text
    sign = "<=" if r["figure"] in AT_MOST else ">="
    return f"{text} ({sign} {r['goal']:g} {'met' if r['is_met'] else 'NOT MET'})"
