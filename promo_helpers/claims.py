"""The claims of the paper: which of them this build shows, and by how much, as a sentence, a file and a table of the appendix."""

import math
from typing import Any

import pandas as pd

from promo_helpers.report import SHARES, escaped, formatted, plain_text

MARKS = {False: "not in this run", None: "not available"}
WORDS = {True: "yes", False: "no", None: "not available"}
COLUMNS = ("run", "name", "text", "holds", "value", "bound", "margin", "margin_unit", "unit", "basis", "single_draw")


def claims_of(ledgers: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The claims and findings of these ledgers as recorded, each with its run, in the order of the runs."""
    return [{"run": ledger["run"], "single_draw": False, **claim} for ledger in ledgers for claim in ledger.get("claims", [])]


def claims_table(found: list[dict[str, Any]]) -> pd.DataFrame:
    """One row a claim: `value` in `unit` (a share below 1), `bound` in words, `margin` in `margin_unit`."""
    rows = [{**c, "holds": WORDS[c["holds"]], "bound": _bound(c, [f"{b:.6g}" for b in c["bound"]])} for c in found]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def claim_mark(claim: dict[str, Any]) -> str:
    """What the paper prints where the claim is made: "holds", or as in "not in this run: rfm behind"."""
    return "holds" if claim["holds"] else f"{MARKS[claim['holds']]}: {claim['name'].replace('_', ' ')}"


def claims_sentence(found: list[dict[str, Any]]) -> str:
    """How many claims hold, and a line for each that does not: its name, text, value, bound and margin.

    Findings of a single draw are counted apart: they neither hold nor fail elsewhere.
    """
    draws, found = [c for c in found if c["single_draw"]], [c for c in found if not c["single_draw"]]
    apart = f"{len(draws)} findings of single draws, which are no claims, are listed beside them" if draws else ""
    if not found:
        return f"No claim is recorded{f'; {apart}' if apart else ''}."
    failed = [c for c in found if c["holds"] is False]
    unknown = sum(c["holds"] is None for c in found)
    held = f"{sum(c['holds'] is True for c in found)} of {len(found)} claims hold"
    lines = [held + (f", {unknown} not available" if unknown else "") + ("; not:" if failed else "")]
    for c in failed:
        value, bound, margin = claim_cells(c)
        detail = ", ".join(part for part in (value, bound, f"margin {margin}" if margin else "") if part)
        lines.append(plain_text(f"  {c['run']}.{c['name']} ({c['text']}{'; ' if detail else ''}{detail})"))
    lines += [f"{apart}."] if apart else []
    return "\n".join(lines)


HEAD = r"""\begingroup\scriptsize\setlength{\tabcolsep}{3pt}\setlength{\LTleft}{0pt}\setlength{\LTright}{0pt}
\begin{longtable}{@{}p{.40\linewidth}p{.08\linewidth}p{.11\linewidth}p{.14\linewidth}p{.09\linewidth}p{.11\linewidth}@{}}
\toprule
@title & Holds & Value & Bound & Margin & Rests on \\
\midrule
\endhead
\bottomrule
\endlastfoot
"""

DRAWS = (
    "What one trial or one list shows is no claim: another draw may show the opposite. Words of the text follow the sign that this build"
    " found, and no sentence rests on it."
)


def claims_latex(found: list[dict[str, Any]]) -> str:
    """The claims as a small table over several pages, those that do not hold first; findings of single draws in a table of their own.

    A sentence where there is none.
    """
    draws, claims = [c for c in found if c["single_draw"]], [c for c in found if not c["single_draw"]]
    count = f"Of {len(claims)} claims {sum(c['holds'] is True for c in claims)} hold." if claims else "No claim is recorded."
    parts = [f"{count}\n\n", _longtable(claims, "Claim")]
    if draws:
        parts += [f"\n{DRAWS}\n\n", _longtable(draws, "Finding of a single draw")]
    return "".join(parts)


def _longtable(found: list[dict[str, Any]], title: str) -> str:
    ordered = sorted(found, key=lambda c: [False, None, True].index(c["holds"]))
    rows = "\n".join(_row(c) for c in ordered)
    return HEAD.replace("@title", title) + rows + "\n\\end{longtable}\n\\endgroup\n" if found else ""


def _row(claim: dict[str, Any]) -> str:
    name = escaped(f"{claim['run']}.{claim['name']}").replace(r"\_", r"\_\allowbreak{}").replace(".", r".\allowbreak{}")
    holds = r"\textbf{no}" if claim["holds"] is False else WORDS[claim["holds"]]
    row = [rf"{escaped(claim['text'])} (\texttt{{{name}}})", holds, *claim_cells(claim), escaped(claim["basis"])]
    return " & ".join(rf"\raggedright {cell}" for cell in row).replace(r"\,", " ") + r" \tabularnewline[2pt]"


def claim_cells(claim: dict[str, Any]) -> tuple[str, str, str]:
    """Value, bound and margin as LaTeX text; nothing where there is none.

    A bound has as many decimals as it needs, and its unit once. A value and a margin have three digits, but no more decimals than
    tell them from the bound: four (two of standard errors), or the bound's own.
    """
    unit, margin_unit = claim["unit"], claim["margin_unit"]
    decimals = [_needed(b, unit) for b in claim["bound"]]
    ends = [formatted(b, unit=unit, digits=d) for b, d in zip(claim["bound"], decimals, strict=True)]
    ends = [*(e.removesuffix(rf"\,{escaped(unit)}") for e in ends[:-1]), *ends[-1:]]
    most = max([4, *decimals])
    value = "" if claim["value"] is None else _number(claim["value"], unit, most)
    margin = "" if claim["margin"] is None else _number(claim["margin"], margin_unit, 2 if margin_unit == "SE" else most)
    return value, _bound(claim, ends), margin


def _bound(claim: dict[str, Any], ends: list[str]) -> str:
    """The bound in words: "above 0", "between 1 and 2"; nothing where the claim has none."""
    return f"{claim['side']} {' and '.join(ends)}" if ends else ""


def _number(value: float, unit: str, most: int) -> str:
    """A number with its unit, to three digits and at most `most` decimals."""
    return formatted(value, unit=unit, digits=min(_decimals(value, unit), most))


def _decimals(value: float, unit: str) -> int:
    """The decimals that three digits of a number have, as it is printed; six at most."""
    size = abs(value * 100 if unit in SHARES else value)
    return 0 if size >= 100 or size == 0 else min(2 - math.floor(math.log10(size)), 6)


def _needed(value: float, unit: str) -> int:
    """The fewest decimals that print a number the same as three digits do."""
    size, most = value * 100 if unit in SHARES else value, _decimals(value, unit)
    return next(d for d in range(most + 1) if round(size, d) == round(size, most))
