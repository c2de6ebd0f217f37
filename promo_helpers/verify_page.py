"""The page of `make verify`: one HTML file without anything beside it, which a reviewer can print or attach."""

from collections.abc import Mapping
from pathlib import Path

from jinja2 import Environment

from promo_helpers import verify
from promo_helpers.files import write_text
from promo_helpers.release import Build

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


def page(a: Build, b: Build, rows: list[verify.Row], lines: list[str], file: Path) -> Path:
    """Write the page of a comparison into `file`; returns it. lines: sentences on what was not compared."""
    lists = {
        "What differs": [r for r in rows if r.grade == "differs"],
        "Lists of customers": [r for r in rows if r.what == "list"],
        "Claims": [r for r in rows if r.what == "claim"],
        "What is close": [r for r in rows if r.grade == "close" and r.what != "list"],
    }
    text = (
        Environment(autoescape=True)
        .from_string(PAGE)
        .render(
            a=a,
            b=b,
            alike=verify.alike(rows),
            sentence=verify.sentence(rows),
            aside=lines,
            facts=list(_facts(a.facts, b.facts)),
            lists=list(lists.items()),
            runs=verify.by_run(rows),
            rule=(verify.__doc__ or "").partition("\n\n")[2],
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


def _apart(row: verify.Row) -> str:
    if not row.by < float("inf"):
        return ""
    return f"{row.by:.2%} {row.unit}" if row.by >= 1e-4 or not row.by else f"{row.by:.1e} {row.unit}"
