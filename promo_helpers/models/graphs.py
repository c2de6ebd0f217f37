"""The causal graph that the analysis rests on, what DoWhy identifies from it, and a graph found by an algorithm, held against it."""

import contextlib
import io
import itertools
import logging
import warnings
from collections.abc import Iterable

import networkx as nx
import numpy as np
import pandas as pd
from scipy.stats import norm, rankdata

from promo_helpers import draws

HIDDEN = ("rhythm", "taste", "price sensitivity")  # what no table holds
RULE = ("recency", "trips", "spend")  # what the old rule looked at
EDGES = (
    *(("rhythm", effect) for effect in (*RULE, "bought before", "units")),
    *(("taste", effect) for effect in ("spend", "bought before", "units")),
    *(("price sensitivity", effect) for effect in ("bought before", "units")),
    ("age", "taste"), ("age", "price sensitivity"), ("trips", "spend"), ("hour", "units"), ("offer", "units"),
)  # fmt: skip
ALPHA = 0.01  # of the tests of independence in the search for a graph


def graph(source: str) -> nx.DiGraph:
    """What causes what: in the "trial" nothing in the offer, in the "log" the rule, and "hidden" where the rule saw price sensitivity too.

    rhythm is how often a customer comes, how much she takes and whether she still comes at all. Raises ValueError for other sources.
    """
    more = {"trial": (), "log": RULE, "hidden": (*RULE, "price sensitivity")}
    if source not in more:
        raise ValueError(f"source = {source!r}: must be one of {', '.join(more)}")
    return nx.DiGraph([*EDGES, *((cause, "offer") for cause in more[source])])


def identified(source: str) -> str:
    """What DoWhy says must be held fixed for the effect of the offer on units, as a sentence."""
    from dowhy import CausalModel

    logging.getLogger("dowhy").setLevel(logging.ERROR)
    causes = graph(source)
    shown = [n for n in causes if n not in HIDDEN]
    frame = pd.DataFrame(np.zeros((2, len(shown))), columns=shown)
    with warnings.catch_warnings():  # networkx and DoWhy differ on the type of a graph's attributes
        warnings.simplefilter("ignore")
        estimand = CausalModel(frame, "offer", "units", graph=causes).identify_effect(
            proceed_when_unidentifiable=False, method_name="exhaustive-search"
        )
    found = estimand.backdoor_variables or {}
    sets = sorted((sorted(names) for name, names in found.items() if name != "backdoor"), key=lambda s: (len(s), s))
    if not sets:
        return "not identified: no set of observed causes closes every path behind the offer's back"
    if not sets[0]:
        return "identified without any adjustment: nothing that moves the offer moves the units by another way"
    return f"identified where {', '.join(sets[0][:-1])} and {sets[0][-1]} are held fixed"


def links(causes: nx.DiGraph, hidden: Iterable[str] = HIDDEN) -> pd.DataFrame:
    """The true links among observed variables: columns left, right, kind ("->" left causes right, "<-", "<>" a hidden cause of both).

    Two are linked where no set of the others makes them independent (Richardson and Spirtes 2002): it is enough to try their
    observed ancestors.
    """
    shown = sorted(set(causes) - set(hidden))
    rows = []
    for left, right in itertools.combinations(shown, 2):
        before = (nx.ancestors(causes, left) | nx.ancestors(causes, right)) & set(shown) - {left, right}
        if not nx.is_d_separator(causes, {left}, {right}, before):
            kind = "->" if left in nx.ancestors(causes, right) else "<-" if right in nx.ancestors(causes, left) else "<>"
            rows.append((left, right, kind))
    return pd.DataFrame(rows, columns=["left", "right", "kind"])


def search(frame: pd.DataFrame, alpha: float = ALPHA) -> pd.DataFrame:
    """Links that FCI finds (Spirtes et al. 2000; causal-learn), which allows for hidden causes: columns left, right, mark.

    Columns are turned into normal scores, and tested by partial correlation at `alpha`. mark is "->" or "<-" where one end is an
    arrow and the other not (a tail or undecided), "<>" where both are arrows, "--" where neither is.
    """
    from causallearn.search.ConstraintBased.FCI import fci

    names = sorted(frame)
    with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():  # it prints as it goes
        warnings.simplefilter("ignore")
        found, _ = fci(scores(frame[names]), "fisherz", alpha, verbose=False, show_progress=False)
    ends = found.graph  # [i, j] is the mark at j's side of i, as causal-learn has it: 1 an arrow into i
    rows = []
    for i, j in itertools.combinations(range(len(names)), 2):
        if ends[i, j] or ends[j, i]:
            into_left, into_right = ends[i, j] == 1, ends[j, i] == 1
            mark = {(True, True): "<>", (False, True): "->", (True, False): "<-"}.get((into_left, into_right), "--")
            rows.append((names[i], names[j], mark))
    return pd.DataFrame(rows, columns=["left", "right", "mark"])


def against(frame: pd.DataFrame, customer: np.ndarray, causes: nx.DiGraph, samples: int, size: int, seed: int) -> pd.DataFrame:
    """Every pair of variables over bootstrap samples of customers: left, truth, right, linked, right_way, reversed, open.

    A customer counts Poisson(1) times in each sample, each time in a place of its own, and `size` rows are taken. linked is the share
    of samples in which the pair is linked; of all samples again, in right_way the marks are those of the truth, in reversed they
    contradict it (an arrow the other way, or a cause where there is a hidden one, or the reverse), in open they leave it undecided.
    truth is "" where there is no link.
    """
    found = []
    code, people = pd.factorize(customer)
    order = np.argsort(code, kind="stable")
    start = np.searchsorted(code[order], np.arange(len(people) + 1))
    times_in = draws.bootstrap(seed, "samples of a graph", people, n=samples).astype(int)
    who = draws.words(seed, "order in samples of a graph", people)
    for k in range(samples):
        drawn = np.repeat(np.arange(len(people)), times_in[k])
        copy = np.arange(len(drawn)) - np.repeat(np.cumsum(times_in[k]) - times_in[k], times_in[k])
        drawn = drawn[draws.order(seed, "turns in samples of a graph", who[drawn], copy, np.full(len(drawn), k))]
        rows = np.concatenate([order[start[p] : start[p + 1]] for p in drawn])[:size]
        found.append(search(frame.iloc[rows]))
    table = pd.concat(found).value_counts(["left", "right", "mark"]).rename("times").reset_index()
    true = links(causes).set_index(["left", "right"])["kind"]
    rows_out = []
    for pair in itertools.combinations(sorted(frame), 2):
        times = table[(table["left"] == pair[0]) & (table["right"] == pair[1])].set_index("mark")["times"] / samples
        kind = str(true.get(pair, ""))
        right, undecided = float(times.get(kind, 0)), float(times.get("--", 0))
        rows_out.append((pair[0], kind, pair[1], times.sum(), right, times.sum() - right - undecided, undecided))
    return pd.DataFrame(rows_out, columns=["left", "truth", "right", "linked", "right_way", "reversed", "open"])


def tally(edges: pd.DataFrame) -> dict[str, int]:
    """Counts of the pairs of `against`, by what holds in at least half of the samples: links (true ones), found, missed, invented (linked
    without a true link), right (found, marked as in truth), reversed (found, marked against it)."""
    true, often = edges["truth"] != "", edges["linked"] >= 0.5
    which = {"links": true, "found": true & often, "missed": true & ~often, "invented": ~true & often}
    which |= {"right": true & (edges["right_way"] >= 0.5), "reversed": true & (edges["reversed"] >= 0.5)}
    return {name: int(rows.sum()) for name, rows in which.items()}


def scores(frame: pd.DataFrame) -> np.ndarray:
    """[row, column] normal scores of the ranks; a column of two values stays such a column."""
    ranks = np.column_stack([rankdata(frame[c]) for c in frame])
    return norm.ppf(ranks / (len(frame) + 1))
