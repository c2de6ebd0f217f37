"""Do text, numbers and files agree? Every disagreement between the paper, the ledgers and what lies there, as a sentence.

What a reader of the paper sees as typed text is LaTeX without comments, names, references, sizes and definitions: whatever is no prose
becomes blanks, so that the lines keep their numbers. A number in it that no run has computed is a disagreement.
"""

import difflib
import math
import re
import shlex
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd

from promo_helpers import depends, paths, series
from promo_helpers.claims import claims_of, claims_sentence

SAME = 1e-9  # of a recorded difference and the two that it cites: they are kept unrounded
MADE = {  # what a command shows
    "claim": "claim",
    "ifclaim": "claim",
    "val": "number",
    "interval": "interval",
    "resultfigure": "figure",
    "resulttable": "table",
}
COMMENT = re.compile(r"(?<!\\)((?:\\\\)*)%.*")
COMMAND = re.compile(r"\\([A-Za-z]+|\\)(?:\*|\([lr]*\))?")
# how many arguments in braces (and those in brackets before them) are no prose
ARGUMENTS = {
    **dict.fromkeys(("val", "interval", "claim", "ifclaim", "resultfigure", "resulttable", "fixed"), 1),
    **dict.fromkeys(
        ("label", "ref", "eqref", "pageref", "autoref", "cref", "Cref", "nocite", "bibliography", "bibliographystyle"), 1
    ),
    **dict.fromkeys(("cite", "citet", "citep", "citealt", "citealp", "citeauthor", "citeyear", "citeyearpar"), 1),
    **dict.fromkeys(("input", "include", "includegraphics", "url", "href"), 1),
    **dict.fromkeys(
        ("vspace", "hspace", "cmidrule", "cline", "multicolumn", "parbox", "raisebox", "scalebox", "begin", "end"), 1
    ),
    **dict.fromkeys(("setlength", "addtolength", "setcounter", "multirow", "rule", "resizebox", "fontsize"), 2),
}
ENVIRONMENTS = {"tabular": 1, "array": 1, "longtable": 1, "minipage": 1, "tabularx": 2, "tabular*": 2}  # the same, behind \begin
OPENING = re.compile(r"\s*([\[{])")
PIECE = re.compile(r"\\.|[{}\]]", re.S)
INDEX = re.compile(r"(?<!\\)[_^]\s*(?:\w|\{[\w\s,+=\\'-]*\})")  # of a symbol; without a decimal point, so hardly a result
LINE_SPACE = re.compile(r"\\\\\*?\[[\d.]+(?:pt|mm|cm|em|ex|in)\]")
TYPED = re.compile(r"\d[\d.,]*")


def command(profile: str, goal: str = "paper", notebook: str = "") -> str:
    """The make command of a goal for a profile and the present folder, such as: make paper PROFILE=smoke."""
    words, out, usual = ["make", goal], paths.out(), paths.ROOT
    mark = out / paths.MARK
    shop = mark.read_text(encoding="utf-8").splitlines()[:1] if mark.is_file() else []
    words += [f"N={notebook}"] * bool(notebook)
    if profile == "own" and shop:
        words[1] = "runs" if goal == "paper" else goal  # the paper is about no shop of one's own
        words.append(f"SHOP={shlex.quote(shop[0])}")
        usual = paths.ROOT / paths.folder_of_shop(shop[0])
    elif profile != "paper":
        words.append(f"PROFILE={profile}")
        usual = paths.ROOT / "build" / profile
    return " ".join(words + [f"OUT={shlex.quote(paths.display_path(out))}"] * (out != usual))


def nothing(profile: str) -> str:
    """The sentence for a profile that has no run yet."""
    return f"No run has been made yet; `{command(profile)}` makes them."


def ledgers(profile: str) -> list[dict[str, Any]]:
    """The ledgers of a profile's runs, as far as there are any, in the profile's order."""
    return [ledger for run in depends.runs(profile) if (ledger := depends.read_ledger(run))]


def problems(profile: str) -> list[str]:
    """Every disagreement as a sentence; runs that are out of date first, which often explain the others."""
    known, texts = ledgers(profile), _texts()
    return (
        _stale(profile)
        + _twice(known)
        + _unknown(known, texts)
        + _resting_on_one_draw(known, texts)
        + _lost(profile, known)
        + wrong_differences(known)
        + wrong_cells(known)
        + _typed(texts)
    )


def _texts() -> dict[Path, str]:
    """The paper's sources without their comments."""
    folder = paths.ROOT / "paper"
    files = [*sorted(folder.glob("*.tex")), *sorted(folder.glob("sections/*.tex"))]
    return {f: without_comments(f.read_text(encoding="utf-8")) for f in files}


def _twice(known: list[dict[str, Any]]) -> list[str]:
    names = Counter(f"{ledger['run']}.{n['name']}" for ledger in known for n in ledger["numbers"])
    return [f"{name} is recorded {n} times; a number has one source" for name, n in names.items() if n > 1]


def _unknown(known: list[dict[str, Any]], texts: dict[Path, str]) -> list[str]:
    cited = [
        (f"{ledger['run']}.{n['name']}".replace(" ", ""), n)
        for ledger in known
        for n in (*ledger["numbers"], *ledger.get("cells", []))
    ]
    there = {
        "val": {name for name, _ in cited},
        "interval": {name for name, n in cited if n["interval"]},
        "claim": {f"{ledger['run']}.{c['name']}" for ledger in known for c in ledger.get("claims", [])},
        "ifclaim": {f"{ledger['run']}.{c['name']}" for ledger in known for c in ledger.get("claims", [])},
        "resultfigure": {f for ledger in known for f in ledger["figures"]},
        "resulttable": {t for ledger in known for t in ledger["tables"]} | {"runs", "versions"},
    }
    return [
        f"{paths.display_path(path)}:{line} uses the {MADE[word]} '{name}', which no run has made{_meant(name, there[word])}"
        for path, text in texts.items()
        for line, word, name in arguments(text, "|".join(MADE))
        if name.replace(" ", "") not in there[word] and "#" not in name
    ]


def _resting_on_one_draw(known: list[dict[str, Any]], texts: dict[Path, str]) -> list[str]:
    draws = {f"{c['run']}.{c['name']}" for c in claims_of(known) if c["single_draw"]}
    return [
        f"{paths.display_path(path)}:{line} rests on '{name}', the finding of a single draw: let words follow it"
        " (\\ifclaim), or claim it of more"
        for path, text in texts.items()
        for line, _, name in arguments(text, "claim")
        if name.replace(" ", "") in draws
    ]


def _meant(name: str, there: set[str]) -> str:
    """The most alike of the names that there are, as a question."""
    alike = difflib.get_close_matches(name, sorted(there), 1, cutoff=0.85)
    return f"; did you mean '{alike[0]}'?" if alike else ""


def _lost(profile: str, known: list[dict[str, Any]]) -> list[str]:
    return [
        f"{paths.display_path(f)} is missing, though the run {ledger['run']} made it; `{command(profile)}` makes it again"
        for ledger in known
        for f in depends.outputs(ledger)
        if not f.exists()
    ]


def wrong_differences(known: list[dict[str, Any]]) -> list[str]:
    """Recorded differences that are not the difference of the two numbers or cells that they cite."""
    found = []
    for ledger in known:
        for n in (n for n in ledger["numbers"] if n.get("difference")):
            name, (a, b) = f"{ledger['run']}.{n['name']}", (_cited(ledger, part) for part in n["difference"])
            words = " less ".join(_words(part) for part in n["difference"])
            if a is None or b is None:
                found.append(f"{name} is recorded as {words}, of which one is not there")
            elif n["value"] is None:
                found += [] if math.isnan(a - b) else [f"{name} is not available, and {words} is {a - b:.6g}"]
            elif not abs(n["value"] - (a - b)) <= SAME * max(1.0, abs(a), abs(b)):
                found.append(f"{name} is {n['value']:.6g}, and {words} is {a - b:.6g}; is it in another unit?")
    return found


def wrong_cells(known: list[dict[str, Any]]) -> list[str]:
    """Cells as the paper cites them, and numbers that name a cell, that are not what lies in the table."""
    found = []
    for ledger in known:
        tables = {t: _texts_of(ledger["run"], t, key) for t, key in ledger.get("keys", {}).items()}
        for n in (n for n in (*ledger.get("cells", []), *ledger["numbers"]) if "cell" in n):
            table, row, column = n["cell"]
            name, cell = f"{ledger['run']}.{n['name']}", tables[table].get((*row, column))
            if cell is None:
                found.append(f"{name} cites a cell that the table {table} does not hold")
            elif not _same(n["value"], cell):
                cited = "not available" if n["value"] is None else n["value"]
                found.append(f"{name} is {cited}, and its cell in the table {table} is {cell or 'empty'}")
    return found


def _texts_of(run: str, table: str, key: list[str]) -> dict[tuple[str, ...], str]:
    """Every cell of a saved table as text, by the parts of its row's key and its column; empty where the table is not there."""
    source = paths.find("tables", f"{run}_{table}.csv")
    rows = pd.read_csv(source, dtype=str, keep_default_na=False).to_dict("records") if source.is_file() else []
    return {(*(row.get(k, "") for k in key), column): text for row in rows for column, text in row.items()}


def _same(value: Any, text: str) -> bool:
    """Whether a value of a ledger is what a table holds: numbers nearly, a moment with or without its hour, nothing as an empty cell."""
    if value is None or isinstance(value, str):
        return (value or "") == text or (value or "").replace("T", " ").removesuffix(" 00:00:00") == text
    try:
        return abs(float(text) - value) <= SAME * max(1.0, abs(value))
    except ValueError:
        return False


def _cited(ledger: dict[str, Any], part: str | list[Any]) -> float | None:
    """The value of a recorded number, or of a cell [table, first cells of the row, column].

    None where there is none, or not one.
    """
    if isinstance(part, str):
        values = [n["value"] for n in ledger["numbers"] if n["name"] == part]
    else:
        table, row, column = part
        source = paths.find("tables", f"{ledger['run']}_{table}.csv")
        cells = pd.read_csv(source, keep_default_na=False, na_values=[""]) if source.is_file() else pd.DataFrame()
        if column not in cells:
            return None
        same = (cells.iloc[:, : len(row)].astype(str) == [str(r) for r in row]).all(axis=1)
        values = cells.loc[same, column].tolist()
    return float(values[0]) if len(values) == 1 else None


def _words(part: str | list[Any]) -> str:
    return part if isinstance(part, str) else f"'{part[2]}' of {', '.join(str(r) for r in part[1])} in the table {part[0]}"


def _typed(texts: dict[Path, str]) -> list[str]:
    return [
        f"{paths.display_path(path)}:{line} has '{number}' typed by hand;"
        f" a result comes as \\val{{run.name}}, a definition as \\fixed{{...}}"
        for path, text in texts.items()
        for line, number in typed(text if path.parent.name == "sections" else body(text))
    ]


def _stale(profile: str) -> list[str]:
    """Runs that are not whole, that Make would make again, or whose files have changed, as sentences."""
    found, parameters = [], series.profile(profile)
    for name in depends.runs(profile):
        stamp = depends.stamp_of(name, profile)
        try:
            newest = max(depends.prerequisites(name, profile), key=lambda f: f.stat().st_mtime)
        except depends.Unreadable as problem:
            found.append(str(problem))
            continue
        ledger, sealed = depends.ledger_of(name), series.seal_of(stamp)
        if not depends.read_ledger(name) or not stamp.is_file():
            found.append(f"the run {name} has not come to its end; `{command(profile)}` makes it")
        elif sealed and sealed["parameters"] != parameters.get(name, {}):
            other = ", ".join(f"{k} = {v!r}" for k, v in sealed["parameters"].items()) or "no parameters of its own"
            found.append(
                f"{paths.display_path(ledger)} was made with {other}, which the profile {profile} does not say; "
                f"`{command(profile)}` makes it again"
            )
        elif stamp.stat().st_mtime < newest.stat().st_mtime:
            found.append(
                f"{paths.display_path(ledger)} is older than {paths.display_path(newest)}; `{command(profile)}` makes it again"
            )
        elif not sealed or ledger not in _sealed(sealed):
            found.append(
                f"{paths.display_path(ledger)} is not known to the run {name}; `{command(profile, 'notebook', name)}` makes it again"
            )
        else:
            found += [
                f"{paths.display_path(file)} is not what the run {name} wrote; `{command(profile, 'notebook', name)}` makes it again"
                for file in series.altered(paths.out(), sealed)
            ]
    return found


def _sealed(sealed: dict[str, Any]) -> set[Path]:
    return {paths.out() / name for name in sealed["written"]}


def agreement(profile: str) -> str:
    """What was compared, in a sentence. Raises SystemExit with every disagreement where there is any."""
    try:
        known = ledgers(profile)
        found = problems(profile) if known else []
    except depends.Unreadable as problem:
        sys.exit(str(problem))
    if not known:
        sys.exit(nothing(profile))
    if found:
        sys.exit("\n  ".join([f"The paper and the results disagree in {_counted(len(found), 'place')}:", *found]))
    numbers = _counted(sum(len(ledger["numbers"]) for ledger in known), "number")
    return f"{numbers} of {_counted(len(known), 'run')}: text, numbers and files agree"


def claims_held(profile: str) -> str:
    """How many claims of a profile's runs hold, and which do not, a line each."""
    return claims_sentence(claims_of(ledgers(profile)))


def definitions(each: bool = False) -> str:
    r"""How many \fixed{...} the text has, and with `each` a line for every one, for a person to judge."""
    found = [f"  {paths.display_path(p)}:{n}: {what}" for p, text in _texts().items() for n, _, what in arguments(text, "fixed")]
    head = f"{_counted(len(found), 'definition')} as \\fixed{{...}}"
    return "\n".join([head, *found]) if each else head + ("; `make check V=1` lists them" if found else "")


def _counted(n: int, noun: str) -> str:
    return f"{n} {noun}" if n == 1 else f"{n} {noun}s"


def without_comments(text: str) -> str:
    """LaTeX without its comments, line for line."""
    return COMMENT.sub(r"\1", text)


def body(text: str) -> str:
    """The document's body, in its own lines; nothing where there is none."""
    preamble, begin, rest = text.partition(r"\begin{document}")
    return _blank(preamble + begin) + rest


def typed(text: str) -> Iterator[tuple[int, str]]:
    """Line and text of each number that stands in the prose of a comment-free text."""
    for number in TYPED.finditer(_prose(text)):
        yield line(text, number.start()), number.group().rstrip(".,")


def arguments(text: str, names: str) -> Iterator[tuple[int, str, str]]:
    """Line, name and last argument of each use of the commands `names` ("val|interval") in a text."""
    for command in COMMAND.finditer(text):
        if re.fullmatch(names, command.group(1)):
            start, end = _last_argument(text, command.end(), 1)
            yield line(text, command.start()), command.group(1), " ".join(text[start:end].strip("{}").split())


def line(text: str, at: int) -> int:
    """The number of the line at a place in the text."""
    return text.count("\n", 0, at) + 1


def _prose(text: str) -> str:
    kept = list(text)
    for command in COMMAND.finditer(text):
        braced = ARGUMENTS.get(command.group(1), 0)
        if command.group(1) == "begin":
            start, end = _last_argument(text, command.end(), 1)
            braced += ENVIRONMENTS.get(text[start:end].strip("{}"), 0)
        if braced:
            end = _last_argument(text, command.end(), braced)[1]
            kept[command.start() : end] = _blank(text[command.start() : end])
    for pattern in (INDEX, LINE_SPACE):
        kept = list(pattern.sub(lambda m: _blank(m.group()), "".join(kept)))
    return "".join(kept)


def _last_argument(text: str, at: int, braced: int) -> tuple[int, int]:
    """Where the last of `braced` arguments behind `at` starts and ends.

    One that never closes is no argument.
    """
    start = at
    while braced and (opening := OPENING.match(text, at)):
        end = _closing(text, opening.end() - 1)
        if end is None:
            break
        start, at = opening.end() - 1, end
        braced -= opening.group(1) == "{"
    return start, at


def _closing(text: str, at: int) -> int | None:
    close, depth = {"{": "}", "[": "]"}[text[at]], 0
    for piece in PIECE.finditer(text, at + 1):
        if piece.group() == close and depth == 0:
            return piece.end()
        depth += {"{": 1, "}": -1}.get(piece.group(), 0)
    return None


def _blank(text: str) -> str:
    return re.sub(r"[^\n]", " ", text)
