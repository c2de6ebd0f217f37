"""What a reader of the paper sees as typed text: LaTeX without comments, names, references, sizes and definitions.

Whatever is no prose becomes blanks, so that the lines keep their numbers.
"""

import re
from collections.abc import Iterator

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
    """Line, name and (last) argument of each use of the commands `names` ("val|interval") in a comment-free text."""
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
    """Where the last of `braced` arguments behind `at` starts and ends; one that never closes is no argument."""
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
