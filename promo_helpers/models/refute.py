"""The causal graph that the analysis rests on, what DoWhy identifies from it, and a graph found by an algorithm, held against it."""

import contextlib
import io
import itertools
import logging
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import networkx as nx
import numpy as np
import pandas as pd
from scipy.stats import norm, rankdata

from promo_helpers import draws
from promo_helpers.models.effects import Design, chance_model

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


def search_links(frame: pd.DataFrame, alpha: float = ALPHA) -> pd.DataFrame:
    """Links that FCI finds (Spirtes et al. 2000; causal-learn), which allows for hidden causes: columns left, right, mark.

    Columns are turned into normal scores, and tested by partial correlation at `alpha`. mark is "->" or "<-" where one end is an
    arrow and the other not (a tail or undecided), "<>" where both are arrows, "--" where neither is.
    """
    from causallearn.search.ConstraintBased.FCI import fci

    names = sorted(frame)
    with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():  # it prints as it goes
        warnings.simplefilter("ignore")
        found, _ = fci(normal_scores(frame[names]), "fisherz", alpha, verbose=False, show_progress=False)
    ends = found.graph  # [i, j] is the mark at j's side of i, as causal-learn has it: 1 an arrow into i
    rows = []
    for i, j in itertools.combinations(range(len(names)), 2):
        if ends[i, j] or ends[j, i]:
            into_left, into_right = ends[i, j] == 1, ends[j, i] == 1
            mark = {(True, True): "<>", (False, True): "->", (True, False): "<-"}.get((into_left, into_right), "--")
            rows.append((names[i], names[j], mark))
    return pd.DataFrame(rows, columns=["left", "right", "mark"])


def compare_links(
    frame: pd.DataFrame, customer: np.ndarray, causes: nx.DiGraph, samples: int, size: int, seed: int
) -> pd.DataFrame:
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
        found.append(search_links(frame.iloc[rows]))
    table = pd.concat(found).value_counts(["left", "right", "mark"]).rename("times").reset_index()
    true = links(causes).set_index(["left", "right"])["kind"]
    rows_out = []
    for pair in itertools.combinations(sorted(frame), 2):
        times = table[(table["left"] == pair[0]) & (table["right"] == pair[1])].set_index("mark")["times"] / samples
        kind = str(true.get(pair, ""))
        right, undecided = float(times.get(kind, 0)), float(times.get("--", 0))
        rows_out.append((pair[0], kind, pair[1], times.sum(), right, times.sum() - right - undecided, undecided))
    return pd.DataFrame(rows_out, columns=["left", "truth", "right", "linked", "right_way", "reversed", "open"])


def link_counts(edges: pd.DataFrame) -> dict[str, int]:
    """Counts of the pairs of `compare_links`, by what holds in at least half of the samples: links (true ones), found, missed,
    invented (linked
    without a true link), right (found, marked as in truth), reversed (found, marked against it)."""
    true, often = edges["truth"] != "", edges["linked"] >= 0.5
    which = {"links": true, "found": true & often, "missed": true & ~often, "invented": ~true & often}
    which |= {"right": true & (edges["right_way"] >= 0.5), "reversed": true & (edges["reversed"] >= 0.5)}
    return {name: int(rows.sum()) for name, rows in which.items()}


def normal_scores(frame: pd.DataFrame) -> np.ndarray:
    """[row, column] normal scores of the ranks; a column of two values stays such a column."""
    ranks = np.column_stack([rankdata(frame[c]) for c in frame])
    return norm.ppf(ranks / (len(frame) + 1))


SIMULATIONS = 12
FLIPPED, MOVED = (
    0.05,
    0.1,
)  # strength of the simulated cause: offers that it flips, standard deviations by which it moves the outcome
REFUTERS = {
    "placebo": "an offer drawn anew seems to have an effect (p < .05)",
    "placebo, weighting": "the same, where the estimate is by weighting",
    "random common cause": "a column of noise moves the estimate (p < .05)",
    "subset": "four fifths of the rows, drawn anew each time, give another estimate (p < .05)",
    "subset, whole seed": "the same, where the seed is a whole number",
    "unobserved common cause": f"a cause that flips {FLIPPED:.0%} of the offers turns the sign",
    "E-value": "a cause as strong as the strongest known one would bring the interval to nothing",
}


def refute(design: Design, y: np.ndarray, seed: int, simulations: int = SIMULATIONS) -> pd.DataFrame:
    """One row per entry of REFUTERS: refuter, estimate, refuted (the estimate under it), alarm.

    The estimate is DoWhy's regression on the offer and all covariates, but for "placebo, weighting". Two combinations are known
    to mislead and are there to be seen: under weighting the placebo is given the chances of the true offer (DoWhy issue 1728), and
    a subset with a whole number as its seed is the same subset each time. For the E-value, estimate and refuted are those of the limit of
    the interval and of the strongest covariate (1 where the interval has nothing in it, and then no alarm).
    """
    from dowhy import CausalModel

    logging.getLogger("dowhy").setLevel(logging.ERROR)
    names = [f"x{k}" for k in range(design.x.shape[1])]
    frame = pd.DataFrame(design.x, columns=names).assign(offer=design.offered.astype(int), y=y)
    everywhere = draws.number(seed, "refuters")
    with warnings.catch_warnings(), _seeded(everywhere):  # of NumPy, pandas and statsmodels, about DoWhy's calls of them
        warnings.simplefilter("ignore")
        model = CausalModel(frame, "offer", "y", common_causes=names)
        estimand = model.identify_effect(proceed_when_unidentifiable=True)
        line = model.estimate_effect(estimand, method_name="backdoor.linear_regression")
        weighted = model.estimate_effect(estimand, method_name="backdoor.propensity_score_weighting")

        def ask(name: str, of: Any, **settings: Any) -> Any:
            return model.refute_estimate(estimand, of, method_name=name, **settings)

        def state(refuter: str) -> np.random.RandomState:
            return np.random.RandomState(draws.number(seed, f"refuter: {refuter}"))

        drawn: dict[str, Any] = {"num_simulations": simulations}
        rows = []
        for name, of, kind, settings in (
            ("placebo", line, "placebo_treatment_refuter", {"placebo_type": "permute", "random_state": state("placebo")}),
            (
                "placebo, weighting",
                weighted,
                "placebo_treatment_refuter",
                {"placebo_type": "permute", "random_state": state("placebo, weighting")},
            ),
            ("random common cause", line, "random_common_cause", {"random_state": state("random common cause")}),
            ("subset", line, "data_subset_refuter", {"subset_fraction": 0.8, "random_state": state("subset")}),
            ("subset, whole seed", line, "data_subset_refuter", {"subset_fraction": 0.8, "random_state": 1}),
        ):
            same = {"num_simulations": 3} if name == "subset, whole seed" else {}  # they are all alike
            said = ask(kind, of, **drawn | same, **settings)
            rows.append((name, of.value, said.new_effect, bool(said.refutation_result["is_statistically_significant"])))
        said = ask(
            "add_unobserved_common_cause", line, simulation_method="direct-simulation", confounders_effect_on_treatment="binary_flip",
            confounders_effect_on_outcome="linear", effect_strength_on_treatment=FLIPPED, effect_strength_on_outcome=MOVED * y.std(),
            plotmethod=None,
        )  # fmt: skip
        rows.append(("unobserved common cause", line.value, float(said.new_effect), bool(said.new_effect * line.value <= 0)))
        limit, strongest = _e_value(ask("add_unobserved_common_cause", line, simulation_method="e-value", plot_estimate=False))
        rows.append(("E-value", limit, strongest, limit > 1 and limit < strongest))
    return pd.DataFrame(rows, columns=["refuter", "estimate", "refuted", "alarm"])


def _e_value(said: Any) -> tuple[float, float]:
    """E-value of the interval's limit nearer to nothing, and that of the strongest known covariate (VanderWeele and Ding 2017)."""
    limits = [said.stats[f"evalue_{end}_ci"] for end in ("lower", "upper")]
    limit = min(float(v) for v in limits if v is not None)
    table = said.benchmarking_results
    return limit, float(table["observed_covariate_e_value"].max()) if table is not None else 1.0


@contextmanager
def _seeded(number: int) -> Iterator[None]:
    """Some of DoWhy's refuters draw from NumPy's global state: it is set for them, and put back."""
    before = np.random.get_state()  # noqa: NPY002
    np.random.seed(number)  # noqa: NPY002
    try:
        yield
    finally:
        np.random.set_state(before)  # noqa: NPY002


NAMED = {
    "regression": "linear_regression",
    "weighting": "propensity_score_weighting",
    "matching": "propensity_score_matching",
    "stratification": "propensity_score_stratification",
    "doubly robust": "doubly_robust",
}


def dowhy_points(design: Design, y: np.ndarray) -> dict[str, float]:
    """Our method's name -> the effect by DoWhy's estimator of that name, all covariates as common causes, its defaults else.

    They differ from ours by design: its regression has no interactions (so that it does not estimate an average over all rows),
    its matching takes one neighbour, its weighting cuts chances at .05, and its doubly robust estimate has no folds.
    """
    from dowhy import CausalModel

    logging.getLogger("dowhy").setLevel(logging.ERROR)
    names = [f"x{k}" for k in range(design.x.shape[1])]
    frame = pd.DataFrame(design.x, columns=names).assign(offer=design.offered.astype(int), y=y)
    found = {}
    with warnings.catch_warnings():  # of pandas and statsmodels, about DoWhy's calls of them
        warnings.simplefilter("ignore")
        for ours, theirs in NAMED.items():
            # a model each: it writes the chances that one estimator found into the data, and the next takes them for its own
            model = CausalModel(frame.copy(), "offer", "y", common_causes=names)
            estimand = model.identify_effect(proceed_when_unidentifiable=True)
            settings: dict[str, Any] = {} if ours == "regression" else {"propensity_score_model": chance_model()}
            said = model.estimate_effect(estimand, method_name=f"backdoor.{theirs}", method_params={"init_params": settings})
            found[ours] = float(said.value)
    return found
