#!/usr/bin/env python3
"""Tables and curves of what measure.sh has asked.

    table.py known ANSWERS ROWS     the rows that were answered rightly
    table.py line OUT RUN           a run's last measurement in one line
    table.py all OUT                forgetting.md, forgetting.csv and forgetting.html in OUT
"""

import csv
import glob
import html
import json
import os
import sys

KINDS = ["new", "near", "middle", "far"]
GOAL = 0.9


def load(path):
    with open(path) as file:
        return json.load(file)


def known(answers, rows):
    with open(answers) as file:
        lines = {answer["line"] for answer in map(json.loads, file) if answer["matches"]}
    with open(rows) as file:
        for number, row in enumerate(file, 1):
            if number in lines:
                print(row, end="")


def share(path):
    """Of right answers; none of a kind of which the base model knew nothing."""
    return load(path)["exact_match"]["share"] if os.path.exists(path) else None


def measured(folder):
    """Shares of right answers by kind, perplexity and KL on prose; nothing of a folder that is not complete."""
    if not os.path.exists(folder + "/done"):
        return None
    row = {kind: share(f"{folder}/{kind}.json") for kind in KINDS}
    plain = load(folder + "/plain.json")
    return dict(row, perplexity=plain["perplexity"], kl=plain.get("kl_to_base", 0.0))


def curve(out, run):
    """(step, measurement) of every checkpoint, ascending."""
    found = []
    for folder in sorted(glob.glob(f"{out}/runs/{run}/asked/checkpoint_*")):
        row = measured(folder)
        if row:
            found.append((int(folder.rsplit("_", 1)[1]), row))
    return found


def text(step, row):
    shares = ", ".join(f"{kind} {row[kind]:.2f}" for kind in KINDS if row[kind] is not None)
    return f"{step:4} steps: {shares}, perplexity {row['perplexity']:.1f}, KL {row['kl']:.2f}"


def table(title, rows):
    lines = [f"### {title}", "", "| arm | steps | new | near | middle | far | perplexity | KL |",
             "|---|---|---|---|---|---|---|---|"]
    for name, step, row in rows:
        if row is None:
            lines.append(f"| {name} | not reached | | | | | | |")
            continue
        shares = " | ".join(cell(row[kind]) for kind in KINDS)
        spread = row.get("spread")
        if spread:
            shares = " | ".join(f"{cell(row[kind])} ± {spread[kind]:.2f}" for kind in KINDS)
        lines.append(f"| {name} | {step} | {shares} | {row['perplexity']:.1f} | {row['kl']:.2f} |")
    return "\n".join(lines) + "\n"


def cell(share):
    return "–" if share is None else f"{share:.2f}".lstrip("0") if share < 1 else "1.00"


def html_tables(markdown):
    """The same tables, for the page."""
    parts = []
    for line in markdown.splitlines():
        if line.startswith("### "):
            parts.append(f"<h2>{html.escape(line[4:])}</h2><table>")
        elif line.startswith("|---"):
            continue
        elif line.startswith("|"):
            parts.append("<tr>" + "".join(f"<td>{html.escape(c.strip())}" for c in line.strip("|").split("|")) + "</tr>")
        elif parts and parts[-1].endswith("</tr>"):
            parts.append("</table>")
    return "".join(parts) + "</table>"


def chart(curves, kind):
    """Recall of a kind over recall of what is new, a line for each run."""
    colors = ["#4269d0", "#efb118", "#ff725c", "#6cc5b0", "#3ca951", "#ff8ab7", "#a463f2", "#97bbf5", "#9c6b4e", "#9498a0"]
    parts = [f"<figure><figcaption>{kind} facts kept, over new facts learned</figcaption>",
             '<svg viewBox="0 0 460 320" role="img">']
    for tick in range(0, 11, 2):
        x, y = 40 + 40 * tick, 290 - 27 * tick
        parts.append(f'<text x="{x}" y="308" text-anchor="middle">{tick / 10}</text>'
                     f'<text x="34" y="{y + 4}" text-anchor="end">{tick / 10}</text>'
                     f'<path d="M40 {y}H440" stroke="currentColor" stroke-opacity=".15"/>')
    for number, (name, points) in enumerate(curves.items()):
        color = colors[number % len(colors)]
        path = " ".join(
            f"{40 + 400 * row['new']:.1f},{290 - 270 * row[kind]:.1f}" for _, row in points if row[kind] is not None)
        parts.append(f'<polyline points="{path}" fill="none" stroke="{color}" stroke-width="2"/>')
    return "\n".join(parts) + "</svg></figure>", colors


def page(out, curves, tables):
    charts = [chart(curves, kind) for kind in KINDS[1:]]
    colors = charts[0][1] if charts else []
    legend = "".join(f'<li><span style="background:{colors[n % len(colors)]}"></span>{html.escape(name)}</li>'
                     for n, name in enumerate(curves))
    style = ("body{font:15px/1.5 system-ui;margin:2rem auto;max-width:60rem;padding:0 1rem;color-scheme:light dark}"
             "svg{width:100%;max-width:30rem;font-size:11px;fill:currentColor}figure{margin:1rem 1.5rem 1rem 0;display:inline-block}"
             "ul{list-style:none;padding:0;columns:2}span{display:inline-block;width:1em;height:.3em;margin-right:.5em;"
             "vertical-align:middle}table{border-collapse:collapse}td{padding:.15em .8em;text-align:right;"
             "border-bottom:1px solid #8884}td:first-child{text-align:left}")
    with open(out + "/forgetting.html", "w") as file:
        file.write(f"<!doctype html><meta charset=utf-8><title>Forgetting</title><style>{style}</style>"
                   f"<h1>What is kept while something new is learned</h1><ul>{legend}</ul>"
                   + "".join(c for c, _ in charts) + html_tables(tables))


def mean_over_seeds(rows):
    """(arm and number of seeds, step, means) of runs that are named ARM-SEED."""
    arms = {}
    for run, step, row in rows:
        arms.setdefault(run.rsplit("-", 1)[0], []).append((step, row))
    found = []
    for arm, measured_rows in arms.items():
        row, spread = {}, {}
        for key in KINDS + ["perplexity", "kl"]:
            values = [r[key] for _, r in measured_rows if r[key] is not None]
            row[key] = sum(values) / len(values) if values else None
            spread[key] = (max(values) - min(values)) / 2 if values else 0.0
        row["spread"] = spread
        found.append((f"{arm} ({len(measured_rows)})", measured_rows[-1][0], row))
    return found


def everything(out):
    runs = sorted(os.path.basename(r) for r in glob.glob(out + "/runs/*") if os.path.isdir(r + "/asked"))
    curves = {run: points for run in runs if (points := curve(out, run))}
    base = measured(out + "/base")
    last = [("before", 0, base)] + [(run, *points[-1]) for run, points in curves.items()]
    reached = []
    for run, points in curves.items():
        step, row = next(((s, r) for s, r in points if r["new"] >= GOAL), (None, None))
        reached.append((run, step, row))
    tables = table("After the last step", last) + "\n" + table(f"Where new recall reaches {GOAL}", reached)
    means = [("before", 0, base)] + mean_over_seeds([(run, *points[-1]) for run, points in curves.items()])
    if len(means) < len(last):
        tables += "\n" + table("After the last step, mean over seeds (± half of the range)", means)
    with open(out + "/forgetting.md", "w") as file:
        file.write(tables)
    with open(out + "/forgetting.csv", "w") as file:
        writer = csv.writer(file)
        writer.writerow(["run", "step"] + KINDS + ["perplexity", "kl_to_base"])
        for run, points in curves.items():
            for step, row in points:
                writer.writerow([run, step] + [row[kind] for kind in KINDS] + [row["perplexity"], row["kl"]])
    page(out, {run: [(0, base)] + points for run, points in curves.items()}, tables)
    print(tables)


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["known", answers, rows]:
            known(answers, rows)
        case ["line", out, run]:
            points = curve(out, run)
            print("   " + (text(*points[-1]) if points else "nothing was asked"))
        case ["all", out]:
            everything(out)
        case _:
            sys.exit(__doc__)
