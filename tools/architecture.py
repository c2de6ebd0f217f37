"""Draw the package's folders and their imports: `.venv/bin/python tools/architecture.py` writes docs/architecture.csv, .png and .svg.

Rows and their order come from LAYERS in tests/test_project.py, arrows from the import statements; nothing of the package is imported.
tests/test_architecture.py compares the CSV file with the code.
"""

import ast
import csv
import io
from collections import defaultdict
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = "promo_helpers"
INK, LINE, PALE, BACKWARD = "#22313f", "#5b6b79", "#c8d2da", "#D55E00"
# a box of modules without a folder is named after one of its modules
TITLES = {
    "paths": "foundations",
    "depends": "dependencies",
    "run": "commands",
    "series": "series",
    "check": "paper",
    "release": "releases",
    "__main__": "command line",
}
GROUPS = {  # a colour and what its boxes have in common
    "#dfe5ea": ("what everything rests on", ("foundations",)),
    "#cfe3f3": ("tables, features and pictures", ("shop", "explore", "features", "plots")),
    "#d3ecdf": ("experiments, models and metrics", ("experiment", "models", "evaluate")),
    "#fbe6c4": ("decisions, audits and campaigns", ("decide", "audit", "campaign")),
    "#f3d9e7": ("the simulated market, and studies of it", ("market", "studies")),
    "#e6e2f1": ("the series of notebooks, and commands", ()),
}
OTHER = "#e6e2f1"
HOLDS = {
    "shop": "six tables, their rules and sources",
    "explore": "what the tables show",
    "features": "the past, as of a moment",
    "plots": "a frame and an axis in, the axis out",
    "experiment": "who got which arm; gates",
    "models": "purchase, waiting, effects, demand",
    "evaluate": "metrics, values of policies, oracles",
    "decide": "policies, allocation, holdout, forecast",
    "audit": "groups, two nulls, reasons in words",
    "campaign": "from a request to a list, and its outcome",
    "market": "the simulator and its truth",
    "studies": "analyses repeated over many markets",
}
Boxes = list[list[tuple[str, tuple[str, ...]]]]  # by layer: name of a box, and the folders or modules in it


def layers(root: Path = ROOT) -> list[set[str]]:
    """The layers of the package, the first one below all others: LAYERS of tests/test_project.py."""
    tree = ast.parse((root / "tests" / "test_project.py").read_text(encoding="utf-8"))
    [value] = [s.value for s in tree.body if isinstance(s, ast.Assign) and ast.unparse(s.targets[0]) == "LAYERS"]
    return ast.literal_eval(value)


@cache
def imports(root: Path = ROOT) -> dict[tuple[str, str], set[str]]:
    """Modules of one place that import another place; a place is a folder, or a module beside the folders."""
    package, found = root / PACKAGE, defaultdict[tuple[str, str], set[str]](set)
    for file in sorted(package.rglob("*.py")):
        relative = file.relative_to(package)
        place = relative.parts[0].removesuffix(".py")
        names = set()
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                names |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
        for other in {n.split(".")[1] for n in names if n.startswith(f"{PACKAGE}.")} - {place}:
            if place != "__init__" and _is_place(package, other):
                found[place, other].add(relative.as_posix())
    return found


def _is_place(package: Path, name: str) -> bool:
    return (package / name).is_dir() or (package / f"{name}.py").is_file()


def edges(root: Path = ROOT) -> str:
    """The imports as CSV text: importer, imported, modules (of the importer that do)."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("importer", "imported", "modules"))
    writer.writerows((*pair, len(modules)) for pair, modules in sorted(imports(root).items()))
    return text.getvalue()


def boxes(root: Path = ROOT) -> Boxes:
    """The boxes of each layer: a folder each, and modules that have a layer to themselves in one box."""
    package, known, rows = root / PACKAGE, imports(root), []
    for names in layers(root):
        there = {n for n in names if _is_place(package, n)}
        if any((package / n).is_dir() for n in there):  # who imports least of its own layer stands first
            order = sorted(there, key=lambda n: (sum(len(known.get((n, m), ())) for m in there), n))
            rows.append([(n, (n,)) for n in order])
        elif there:
            title = next((t for n, t in TITLES.items() if n in there), min(there))
            rows.append([(title, tuple(sorted(there)))])
    return rows


def draw(root: Path, folder: Path) -> None:
    """Draw the boxes down a diagonal: a line from a box goes up, and then left to each box that it imports."""
    import matplotlib as mpl

    mpl.use("agg")
    from matplotlib import pyplot as plt
    from matplotlib.patches import FancyBboxPatch

    mpl.rcParams.update({"svg.hashsalt": "promo", "font.family": "DejaVu Sans", "font.size": 8})
    rows = boxes(root)
    flat = [(name, members, k) for k, row in enumerate(rows) for name, members in row]
    box_of = {m: i for i, (_, members, _) in enumerate(flat) for m in members}
    between = defaultdict[tuple[int, int], set[str]](set)
    for (a, b), modules in imports(root).items():
        if a in box_of and b in box_of and box_of[a] != box_of[b]:
            between[box_of[a], box_of[b]] |= modules
    left, step, width, high, pitch = 2.55, 0.47, 1.12, 0.34, 0.5  # inches
    size = (left + step * (len(flat) - 1) + width + 0.25, pitch * len(flat) + 0.35)
    figure = plt.figure(figsize=size)
    axis = figure.add_axes((0, 0, 1, 1))
    axis.set(xlim=(0, size[0]), ylim=(size[1], 0))
    axis.axis("off")
    x = [left + step * i for i in range(len(flat))]
    y = [0.5 + pitch * i for i in range(len(flat))]
    for k in range(0, len(rows), 2):  # bands that hold a layer together
        mine = [i for i, (_, _, layer) in enumerate(flat) if layer == k]
        axis.axhspan(y[mine[0]] - pitch / 2, y[mine[-1]] + pitch / 2, color="#f6f8f9", lw=0, zorder=0)
    port = [v + width - 0.16 for v in x]  # where a box's line leaves, to the right of all boxes above it
    for i in range(len(flat)):
        ups = [b for a, b in between if a == i and b < i]
        if ups:
            axis.plot([port[i]] * 2, [y[i] - high / 2, y[min(ups)]], color=PALE, lw=1.6, zorder=1, solid_capstyle="round")
        users = [a for a, b in between if b == i and a > i]
        if users:
            axis.annotate(
                "", (x[i] + width, y[i]), (port[max(users)], y[i]),
                arrowprops={"arrowstyle": "-|>", "color": PALE, "lw": 1.6, "shrinkA": 0, "shrinkB": 0, "mutation_scale": 9}, zorder=1,
            )  # fmt: skip
    for (a, b), modules in sorted(between.items()):
        if b < a:
            axis.scatter(port[a], y[b], s=86, color="white", edgecolor=LINE, lw=0.9, zorder=3)
            axis.text(port[a], y[b] + 0.005, str(len(modules)), size=6.2, ha="center", va="center", color=INK, zorder=4)
        else:  # within a layer, the other way round
            at = x[a] + 0.16
            axis.plot([at, at, x[b]], [y[a] + high / 2, y[b], y[b]], color=BACKWARD, lw=1.0, ls=(0, (3, 2)), zorder=1)
            axis.scatter(at, y[b], s=86, color="white", edgecolor=BACKWARD, lw=0.9, zorder=3)
            axis.text(at, y[b] + 0.005, str(len(modules)), size=6.2, ha="center", va="center", color=INK, zorder=4)
    for i, (name, members, _) in enumerate(flat):
        tint = next((colour for colour, (_, names) in GROUPS.items() if name in names), OTHER)
        axis.add_patch(
            FancyBboxPatch(
                (x[i], y[i] - high / 2), width, high, boxstyle="round,pad=0,rounding_size=.07", fc=tint, ec=INK, lw=0.8, zorder=5
            )
        )
        axis.text(x[i] + width / 2, y[i], name, ha="center", va="center", weight="bold", size=8.5, color=INK, zorder=6)
        words = HOLDS.get(name) or ", ".join(members)
        half = len(words) // 2
        if len(words) > 46 and name not in HOLDS:  # in two lines, broken at the comma nearest to the middle
            at = min((k for k, c in enumerate(words) if c == ","), key=lambda k: abs(k - half))
            words = words[: at + 1] + "\n" + words[at + 2 :]
        away = 0.12 if not any(b == i and a < i for a, b in between) else 0.55
        axis.text(x[i] - away, y[i], words, ha="right", va="center", size=7, color=LINE, linespacing=1.25, zorder=6)
    for k, (colour, (words, _)) in enumerate(GROUPS.items()):
        at = y[-1] - 0.27 * (len(GROUPS) - 1 - k)
        axis.add_patch(
            FancyBboxPatch((0.2, at - 0.08), 0.26, 0.16, boxstyle="round,pad=0,rounding_size=.04", fc=colour, ec=INK, lw=0.6)
        )
        axis.text(0.56, at, words, size=7.5, color=INK, va="center")
    lines = "A line goes up from a folder, and left to each that it imports; the number says in how many modules."
    if any(b > a for a, b in between):
        lines += " Dashed: within a layer, both ways."
    axis.text(0.15, 0.13, lines, size=7.5, color=INK, va="center")
    for ending, metadata in (("png", {"Software": None}), ("svg", {"Date": None})):
        figure.savefig(folder / f"architecture.{ending}", dpi=150, metadata=metadata, facecolor="white")
    plt.close(figure)


if __name__ == "__main__":
    (ROOT / "docs" / "architecture.csv").write_text(edges(), encoding="utf-8")
    draw(ROOT, ROOT / "docs")
