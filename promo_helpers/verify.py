"""Two builds compared, row by row: `make verify` holds the present one against the last release, or folder B against folder A.

Settings, counts and text agree exactly or differ. An estimate and its interval "agree" where none of the three moved by more than
5 % of the interval's half-width (the smaller of the two), are "close" within one half-width, and "differ" beyond. An estimate
without an interval agrees where it prints the same or moved by at most a millionth of itself; it is close within 1 %, or one unit
of its last printed digit. What differs by at most 1e-12 is the same: rounding leaves that much of a sum that is 0. In a table, a
column is of counts where it is whole in both builds; an interval is a pair of columns with `low` and `high` in their names.
Claims are the same or flipped. A text that differs is a choice, such as the learner with the smallest error, which a last digit
can tip.
"""

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from jinja2 import Environment

from promo_helpers import paths
from promo_helpers.files import write_text
from promo_helpers.release import Build, aside, common, sides
from promo_helpers.report import NOT_AVAILABLE, SHARES, plain_text

AGREES, CLOSE = 0.05, 1.0  # of the half-width of the interval, the smaller one of the two
SAME, NEAR = 1e-6, 0.01  # of the larger of the two values, where there is no interval
EXACT = 1e-11  # of the value: what printing and reading a setting back may change
ZERO = 1e-12  # in the number's own unit: what rounding leaves of a sum that is 0
GRADES = ("differs", "close", "agrees")
ORDER = ("claim", "finding", "count", "setting", "estimate", "choice", "missing", "list")  # in which differences are listed
LISTED = 12  # differences that the terminal shows; the page has all


@dataclass(frozen=True)
class Row:
    """One comparison: what it is of, both texts, how it is judged, and how far apart the two are."""

    what: str  # a word of ORDER
    run: str
    name: str
    texts: tuple[str, str]  # in A and in B
    grade: str
    by: float = math.nan  # in half-widths, or in shares of the value
    unit: str = ""


def compare(a: Build, b: Build) -> list[Row]:
    """All comparisons of two builds; what differs comes first, the largest differences before the others."""
    rows = [*_runs(a, b), *_numbers(a, b), *_tables(a, b), *_claims(a, b), *_lists(a, b)]
    if a.altered or b.altered:
        altered = [build.place for build in (a, b) if build.altered]
        rows.append(Row("setting", "", "rows of the release", ("as `make release` wrote them", f"altered: {altered}"), "differs"))
    return sorted(rows, key=lambda r: (GRADES.index(r.grade), ORDER.index(r.what), -r.by if r.by == r.by else 0, r.run, r.name))


def _runs(a: Build, b: Build) -> Iterator[Row]:
    for run in sorted(a.runs.keys() | b.runs.keys()):
        if run not in a.runs or run not in b.runs:
            yield Row("missing", run, "the whole run", _there(run in a.runs, run in b.runs), "differs")
            continue
        ours, theirs = ({"seed": x["seed"], **x["settings"]} for x in (a.runs[run], b.runs[run]))
        for name in sorted(ours.keys() | theirs.keys()):
            texts = (str(ours.get(name, "not there")), str(theirs.get(name, "not there")))
            yield Row("setting", run, f"setting {name}", texts, "agrees" if texts[0] == texts[1] else "differs")
        for figure in sorted(set(a.runs[run]["figures"]) ^ set(b.runs[run]["figures"])):
            there = _there(figure in a.runs[run]["figures"], figure in b.runs[run]["figures"])
            yield Row("missing", run, f"figure {figure}", there, "differs")


def _numbers(a: Build, b: Build) -> Iterator[Row]:
    for run, name, ours, theirs in _pairs(a.numbers, b.numbers, a, b):
        if ours is None or theirs is None:
            unknown = (ours or theirs or {})["text"] == NOT_AVAILABLE  # not recorded, or recorded as not available, says the same
            yield Row("missing", run, name, _there(ours, theirs), "agrees" if unknown else "differs")
        else:
            yield _number(run, name, ours, theirs)


def _number(run: str, name: str, ours: dict[str, str], theirs: dict[str, str]) -> Row:
    texts = (_shown(ours), _shown(theirs))
    values = (_float(ours["value"]), _float(theirs["value"]))
    if any(math.isnan(v) for v in values):
        return Row("choice", run, name, texts, "agrees" if ours["value"] == theirs["value"] else "differs")
    whole = all(v.is_integer() and not x["low"] for v, x in zip(values, (ours, theirs), strict=True))
    kind = "estimate" if (ours["digits"] or theirs["digits"]) and not whole else "count" if whole else "setting"
    if any(ours[key] != theirs[key] for key in ("unit", "digits")) or bool(ours["low"]) != bool(theirs["low"]):
        return Row(kind, run, name, texts, "differs")
    if kind != "estimate":
        return Row(kind, run, name, texts, _exact(*values), _relative(*values), "of the value")
    if ours["low"]:
        ends = [tuple(_float(x[key]) for key in ("value", "low", "high")) for x in (ours, theirs)]
        return Row(kind, run, name, texts, *_by_interval(*ends))
    digits, share = int(ours["digits"]), 100 if ours["unit"] in SHARES else 1
    prints = {f"{v * share:.{digits}f}" for v in values}
    return Row(kind, run, name, texts, *_by_value(*values, 10.0**-digits / share, len(prints) == 1))


def _by_interval(ours: tuple[float, ...], theirs: tuple[float, ...]) -> tuple[str, float, str]:
    """Judged by the largest move of value, low and high against the half-width.

    Without a width, by the value alone.
    """
    half = min((side[2] - side[1]) / 2 for side in (ours, theirs))
    if not (math.isfinite(half) and half > 0):
        judged = [_by_value(x, y) for x, y in zip(ours, theirs, strict=True)]
        return min(judged, key=lambda j: GRADES.index(j[0]))
    moved = [0.0 if _relative(x, y) == 0 else abs(x - y) for x, y in zip(ours, theirs, strict=True)]
    by = max(math.inf if math.isnan(m) else m for m in moved) / half
    return "agrees" if by <= AGREES else "close" if by <= CLOSE else "differs", by, "of the half-width"


def _by_value(x: float, y: float, unit: float = 0.0, printed: bool = False) -> tuple[str, float, str]:
    by = _relative(x, y)
    if by <= SAME or printed:
        return "agrees", by, "of the value"
    return "close" if by <= NEAR or abs(x - y) <= unit * (1 + EXACT) else "differs", by, "of the value"


def _relative(x: float, y: float) -> float:
    if x == y or abs(x - y) <= ZERO or (math.isnan(x) and math.isnan(y)):
        return 0.0
    by = abs(x - y) / max(abs(x), abs(y))
    return math.inf if math.isnan(by) else by


def _exact(x: float, y: float) -> str:
    return "agrees" if _relative(x, y) <= EXACT else "differs"


RENAMED = {  # table -> heading as release 0.1 has it -> heading now
    "discount_forecast": {
        "promised": "predicted",
        "low": "confidence_low",
        "high": "confidence_high",
        "least": "prediction_low",
        "most": "prediction_high",
    },
    "campaign_trial": {"pays": "break_even_gain", "sees": "detectable_gain"},
    "campaign_completejourney_trial": {"pays": "break_even_gain", "sees": "detectable_gain"},
    "campaign_closed": {"what": "figure"},
}


def _tables(a: Build, b: Build) -> Iterator[Row]:
    for name in sorted(a.tables.keys() | b.tables.keys()):
        run = max((r for r in (*a.runs, *b.runs) if name.startswith(f"{r}_")), key=len, default="")
        if run and (run not in a.runs or run not in b.runs):
            continue  # the whole run is missing, which is said once
        table = f"table {name.removeprefix(f'{run}_')}"
        if name not in a.tables or name not in b.tables:
            yield Row("missing", run, table, _there(name in a.tables, name in b.tables), "differs")
        else:
            ours, theirs = (side.tables[name].rename(columns=RENAMED.get(name, {})) for side in (a, b))
            yield from _table(run, table, ours, theirs)


def _table(run: str, table: str, ours: pd.DataFrame, theirs: pd.DataFrame) -> Iterator[Row]:
    for column in ours.columns.symmetric_difference(theirs.columns):
        yield Row("missing", run, f"{table}, column {column}", _there(column in ours, column in theirs), "differs")
    columns = [c for c in ours if c in theirs.columns]
    kinds = {c: _kind(ours[c], theirs[c]) for c in columns}
    keys = _keys(ours, theirs, kinds)
    left, right = (_indexed(t, keys) for t in (ours, theirs))
    for row in left.index.symmetric_difference(right.index, sort=False):
        yield Row("choice", run, f"{table}, row {row}", _there(row in left.index, row in right.index), "differs")
    both = [row for row in left.index if row in right.index]
    if keys and both != [row for row in right.index if row in left.index]:
        yield Row("choice", run, f"{table}, order of the rows", ("as in A", "another"), "close")
    halves = _halves(columns, kinds, left.loc[both], right.loc[both])
    for column in columns:
        for row, x, y in zip(both, left.loc[both, column], right.loc[both, column], strict=True):
            half = float(halves[column][row]) if column in halves else 0.0
            yield _cell(run, f"{table}/{row}/{column}", x, y, kinds[column], half)


def _cell(run: str, name: str, x: str, y: str, kind: str, half: float) -> Row:
    if x == y:
        return Row(kind, run, name, (x, y), "agrees", 0.0)
    values = (_float(x), _float(y))
    if not (x and y) or (kind == "choice" and any(math.isnan(v) for v in values)):
        return Row(kind, run, name, (x or "empty", y or "empty"), "differs", math.inf)
    if half > 0:
        return Row(
            "estimate", run, name, (_brief(x), _brief(y)), *_by_interval((values[0], -half, half), (values[1], -half, half))
        )
    if kind == "count":
        return Row(kind, run, name, (x, y), _exact(*values), _relative(*values), "of the value")
    return Row("estimate", run, name, (_brief(x), _brief(y)), *_by_value(*values))


def _kind(ours: pd.Series, theirs: pd.Series) -> str:
    """What a column holds: text is a choice, whole numbers on both sides are counts, else estimates."""
    cells = [c for c in (*ours, *theirs) if c]
    numbers = [_float(c) for c in cells]
    if any(math.isnan(n) and c.lower() != "nan" for n, c in zip(numbers, cells, strict=True)):
        return "choice"
    return "count" if all(n.is_integer() for n in numbers if math.isfinite(n)) else "estimate"


def _keys(ours: pd.DataFrame, theirs: pd.DataFrame, kinds: dict[str, str]) -> list[str]:
    """The fewest columns of text, then of whole numbers, that tell all rows apart.

    None where rows are matched by their place.
    """
    chosen: list[str] = []
    for column in sorted((c for c in kinds if kinds[c] != "estimate"), key=lambda c: kinds[c] != "choice"):
        chosen.append(column)
        if not (ours.duplicated(chosen).any() or theirs.duplicated(chosen).any()):
            same = len(ours[chosen].merge(theirs[chosen]))
            return chosen if 2 * same >= max(len(ours), len(theirs)) else []
    return []


def _indexed(table: pd.DataFrame, keys: list[str]) -> pd.DataFrame:
    names = table[keys].agg(", ".join, axis=1) if keys else pd.Series(range(1, len(table) + 1), index=table.index).astype(str)
    return table.set_axis(pd.Index(names, dtype=object), axis=0)


def _halves(columns: list[str], kinds: dict[str, str], table: pd.DataFrame, other: pd.DataFrame) -> dict[str, pd.Series]:
    """Half-width of each row's interval, the smaller of both sides, by column of an interval or its value."""
    halves: dict[str, pd.Series] = {}
    for low in columns:
        high = re.sub(r"(?<![a-z])low(?![a-z])", "high", low)
        if high == low or high not in columns or "choice" in (kinds[low], kinds[high]):
            continue
        ends = [table[c].map(_float) for c in (low, high)]
        half = np.fmin((ends[1] - ends[0]) / 2, (other[high].map(_float) - other[low].map(_float)) / 2).fillna(0.0)
        halves |= {low: half, high: half}
        stem = re.sub(r"[ _]*(?<![a-z])low(?![a-z])[ _]*", "", low)
        before = [c for c in reversed(columns[: columns.index(low)]) if kinds[c] != "choice" and c not in halves]
        inside = (c for c in before if _between(table[c].map(_float), *ends))
        value = stem if stem in columns else next(inside, None) if not stem else None
        if value is not None and kinds[value] != "choice":
            halves[value] = half
    return halves


def _between(values: pd.Series, low: pd.Series, high: pd.Series) -> bool:
    known = values.notna() & low.notna() & high.notna()
    return bool(known.any() and values[known].between(low[known], high[known]).all())


def _claims(a: Build, b: Build) -> Iterator[Row]:
    for run, name, ours, theirs in _pairs(a.claims, b.claims, a, b):
        if ours is None or theirs is None:
            yield Row("missing", run, f"claim {name}", _there(ours, theirs), "differs")
        else:
            same, what = ours["holds"] == theirs["holds"], "finding" if ours.get("single_draw") == "yes" else "claim"
            yield Row(what, run, name, (_claimed(ours), _claimed(theirs)), "agrees" if same else "differs")


def _lists(a: Build, b: Build) -> Iterator[Row]:
    """Whom campaigns' lists hold, where both folders have the files.

    Whoever is on one list only was tipped, or is new.
    """
    for name in sorted(a.lists.keys() & b.lists.keys()):
        ours, theirs = set(a.lists[name]), set(b.lists[name])
        both = len(ours & theirs)
        sizes = tuple(f"{len(side):,} customers, {len(side) - both:,} of them only here" for side in (ours, theirs))
        yield Row(
            "list", "", name, (sizes[0], sizes[1]), "agrees" if ours == theirs else "close", 1 - both / max(1, len(ours | theirs))
        )


def _pairs(ours: pd.DataFrame, theirs: pd.DataFrame, a: Build, b: Build) -> Iterator[tuple]:
    """Rows of the same run and name, None for the side that lacks it.

    A run that one side lacks altogether is left out.
    """
    left, right = ours.to_dict("index"), theirs.to_dict("index")
    for run, name in dict.fromkeys((*left, *right)):
        if run in a.runs and run in b.runs:
            yield run, name, left.get((run, name)), right.get((run, name))


def sentence(rows: list[Row]) -> str:
    """What the comparison comes to, in a sentence or two."""
    graded = {g: [r for r in rows if r.grade == g and r.what not in SIGNS] for g in GRADES}
    signs = {what: [r.grade == "agrees" for r in rows if r.what == what] for what in SIGNS}
    same = [f"{sum(those)} of {len(those)} {SIGNS[what]}" for what, those in signs.items() if those or what == "claim"]
    counted = f"{sum(map(len, graded.values())):,} values"
    first = f"{len(graded['agrees']):,} of {counted} agree, {len(graded['close']):,} are close, {len(graded['differs']):,} differ"
    return f"{first}; {' and '.join(same)} come out the same. {VERDICT[is_same(rows)]}"


SIGNS = {"claim": "claims", "finding": "findings of single draws"}


VERDICT = {True: "The two builds say the same.", False: "The two builds do not say the same."}


def is_same(rows: list[Row]) -> bool:
    """Whether all agree or are close, nothing is missing and no claim flips."""
    return all(r.grade != "differs" for r in rows)


def by_run(rows: list[Row]) -> pd.DataFrame:
    """One row a run: how many values agree, are close and differ, and how many claims and findings are the same."""
    frame = pd.DataFrame([{"run": r.run or "-", "claim": r.what in SIGNS, "grade": r.grade} for r in rows])
    counts = (
        frame[~frame["claim"]].groupby(["run", "grade"]).size().unstack(fill_value=0).reindex(columns=GRADES[::-1], fill_value=0)
    )
    claims = frame[frame["claim"]].groupby("run")["grade"]
    counts["claims the same"] = (claims.agg(lambda g: f"{(g == 'agrees').sum()} of {len(g)}")).reindex(counts.index).fillna("-")
    return counts.reset_index()


def _there(ours: object, theirs: object) -> tuple[str, str]:
    """Where something is of which one side has nothing (None or False)."""
    return tuple("there" if x not in (None, False) else "not there" for x in (ours, theirs))  # type: ignore[return-value]


def _shown(number: dict[str, str]) -> str:
    """A number as it prints, with its interval."""
    value = plain_text(number["text"]) if not number["digits"] else f"{_brief(number['value'])} ({plain_text(number['text'])})"
    return f"{value} [{_brief(number['low'])}, {_brief(number['high'])}]" if number["low"] else value


def _claimed(claim: dict[str, str]) -> str:
    margin = f", by {_brief(claim['margin'])} {claim['margin_unit']}".rstrip() if claim["margin"] else ""
    return f"holds: {claim['holds']}{margin}; {claim['text']}"


def _brief(cell: str) -> str:
    number = _float(cell)
    return cell if math.isnan(number) or len(cell) <= 10 else f"{number:.7g}"


def _float(cell: str) -> float:
    try:
        return float(cell)
    except ValueError:
        return math.nan


MOST = 500  # rows of a list on the page; how many were left out is said below it
FACTS = {
    "date": "date",
    "commit": "commit",
    "system": "system",
    "processor": "processor",
    "kernels": "BLAS and its kernels",
    "vectors": "vector instructions of NumPy",
}

PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{{ a.place }} and {{ b.place }} compared</title>
<style>
body { font: 11pt/1.4 Georgia, "Times New Roman", serif; color: #111; max-width: 60em; margin: 2em auto; padding: 0 1em }
h1 { font-size: 1.5em } h2 { font-size: 1.15em; margin: 1.6em 0 .4em }
table { border-collapse: collapse; width: 100%; font-size: .85em; border-top: 1.5pt solid; border-bottom: 1.5pt solid }
th { border-bottom: .75pt solid; text-align: left } th, td { padding: .2em .6em; vertical-align: top; overflow-wrap: anywhere }
td.number { text-align: right; white-space: nowrap } tr { break-inside: avoid } thead { display: table-header-group }
.verdict { border-left: 4pt solid {{ "#1a7f37" if alike else "#b42318" }}; padding: .2em 1em; font-size: 1.05em }
@media print { body { margin: 0; max-width: none; font-size: 9pt } }
</style></head><body>
<h1>Is the run the same?</h1>
<p class="verdict">{{ sentence }}</p>
{% for line in aside %}<p>{{ line }}</p>
{% endfor %}<h2>The two builds</h2>
<table><thead><tr><th></th><th>A: {{ a.place }}</th><th>B: {{ b.place }}</th></tr></thead><tbody>
{% for name, ours, theirs in facts %}<tr><td>{{ name }}</td><td>{{ ours }}</td><td>{{ theirs }}</td></tr>
{% endfor %}</tbody></table>
{% for title, rows in lists %}<h2>{{ title }} ({{ rows | length }})</h2>
{% if rows %}<table><thead><tr><th>what</th><th>where</th><th>A</th><th>B</th><th>apart by</th></tr></thead><tbody>
{% for r in rows[:most] %}<tr><td>{{ r.what }}</td><td>{{ r.run }}{{ "." if r.run }}{{ r.name }}</td>
<td>{{ r.texts[0] }}</td><td>{{ r.texts[1] }}</td><td class="number">{{ apart(r) }}</td></tr>
{% endfor %}</tbody></table>{% if rows | length > most %}<p>and {{ rows | length - most }} more.</p>{% endif %}
{% else %}<p>None.</p>{% endif %}
{% endfor %}<h2>By run</h2>
<table><thead><tr>{% for c in runs.columns %}<th>{{ c }}</th>{% endfor %}</tr></thead><tbody>
{% for row in runs.values.tolist() %}<tr><td>{{ row[0] }}</td>{% for cell in row[1:] %}<td class="number">{{ cell }}</td>{% endfor %}</tr>
{% endfor %}</tbody></table>
<h2>How values are judged</h2>
<p>{{ rule }}</p>
</body></html>
"""


def page(a: Build, b: Build, rows: list[Row], lines: list[str], file: Path) -> Path:
    """Write the page of a comparison into `file`; returns it. lines: sentences on what was not compared."""
    lists = {
        "What differs": [r for r in rows if r.grade == "differs"],
        "Lists of customers": [r for r in rows if r.what == "list"],
        "Claims": [r for r in rows if r.what == "claim"],
        "Findings of single draws": [r for r in rows if r.what == "finding"],
        "What is close": [r for r in rows if r.grade == "close" and r.what != "list"],
    }
    text = (
        Environment(autoescape=True)
        .from_string(PAGE)
        .render(
            a=a,
            b=b,
            alike=is_same(rows),
            sentence=sentence(rows),
            aside=lines,
            facts=list(_facts(a.facts, b.facts)),
            lists=list(lists.items()),
            runs=by_run(rows),
            rule=(__doc__ or "").partition("\n\n")[2],
            most=MOST,
            apart=_apart,
        )
    )
    write_text(file, text + "\n")
    return file


def _facts(ours: Mapping, theirs: Mapping) -> list[tuple[str, str, str]]:
    sides = [{FACTS[key]: side[key] for key in FACTS if key in side} | side.get("versions", {}) for side in (ours, theirs)]
    names = dict.fromkeys((*FACTS.values(), *sides[0], *sides[1]))
    return [(name, *(side.get(name, "not recorded") for side in sides)) for name in names]


def _apart(row: Row) -> str:
    if not row.by < float("inf"):
        return ""
    return f"{row.by:.2%} {row.unit}" if row.by >= 1e-4 or not row.by else f"{row.by:.1e} {row.unit}"


def compare_builds(profile: str, a: str = "", b: str = "") -> bool:
    """Compare two builds, write the page, print what differs and then one sentence.

    Returns whether they say the same.
    a: a folder that runs wrote below, or a release; the profile's last release where empty. b: the same; the present build where empty.
    """
    ours, theirs, lines = common(profile, *sides(profile, a, b))
    rows = compare(ours, theirs)
    lines += aside(ours, theirs)
    file = page(ours, theirs, rows, lines, paths.out() / "build" / "verify.html")
    different = [r for r in rows if r.grade == "differs"]
    for r in different[:LISTED]:
        print(f"  {r.what} {r.run}{'.' if r.run else ''}{r.name}: {' -> '.join(r.texts)}")
    if len(different) > LISTED:
        print(f"  and {len(different) - LISTED:,} more, on the page")
    for line in lines:
        print(f"  {line}")
    print(f"{sentence(rows)} The page: {paths.display_path(file)}")
    return is_same(rows)
