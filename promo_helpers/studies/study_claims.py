"""What the paper claims of the kept studies, as `Report.claim` takes it: each over many markets or repetitions, with its standard error."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from promo_helpers.inference import ROUNDED, interval, student
from promo_helpers.report import NORMAL, standard_error
from promo_helpers.studies import parity_markets
from promo_helpers.studies.policy_markets import PERSONAL

RULE, BLIND = "best rule on one variable", "informed of all but other baskets"
DOSE = "dose-response"
MECHANICAL = ("interval misses the truth", "placebo, weighting", "subset, whole seed")  # always alarm, or are no refuter

Claim = dict[str, Any]


def of_effects(covered: pd.DataFrame, alarms: pd.DataFrame, turned: pd.DataFrame, markets: int) -> Iterator[Claim]:
    """Claims on `effect_markets`: coverage, alarms of refuters over so many markets each, and the dials of confounding."""
    rows = covered.set_index(["source", "outcome", "method"])
    sound = rows.drop(index="difference in means", level="method")["covered"]
    off = (sound - 0.95).abs()
    basis = f"{int(covered['markets'].min())} markets"
    worst = float(sound[off.idxmax()])
    yield {
        "name": "adjusted_cover", "text": "intervals of every adjusted estimate hold the truth in 95 %, give or take 5",
        "value": worst, "between": (0.9, 1.0), "se": _binomial(0.9, int(covered["markets"].min())), "basis": basis,
    }  # fmt: skip
    naive = float(rows.loc[("log", "units", "difference in means"), "covered"])
    yield {
        "name": "naive_misses", "text": "in logs, intervals of the difference in means mostly miss the truth",
        "value": naive, "below": 0.5, "se": _binomial(0.5, int(covered["markets"].min())), "basis": basis,
    }  # fmt: skip
    rate = alarms.set_index(["case", "refuter"])["alarms"]
    quiet = float(rate["hidden"].drop(list(MECHANICAL)).max())
    yield {
        "name": "refuters_quiet", "text": "where the rule saw what the table lacks, no refuter alarms in a fifth of the markets",
        "value": quiet, "below": 0.2, "se": _binomial(0.2, markets), "basis": f"{markets} markets",
    }  # fmt: skip
    null, hidden = (float(rate[case, "unobserved common cause"]) for case in ("null", "hidden"))
    yield {
        "name": "cause_misleads", "text": "a simulated common cause alarms more often where nothing is wrong than where something is",
        "value": null - hidden, "above": 0.0, "se": _apart(null, hidden, markets), "basis": f"{markets} markets each",
    }  # fmt: skip
    averaging = turned[(turned["confounding"] == 1.5) & (turned["method"] != "double machine learning")]
    errors = [standard_error(low, high) for low, high in averaging[["low", "high"]].to_numpy()]
    least = averaging.assign(se=errors).assign(z=lambda t: t["error"] / t["se"]).sort_values("z").iloc[0]
    yield {
        "name": "hidden_one_way", "text": "where the rule saw price sensitivity, every average over all contacts is too large",
        "value": float(least["error"]), "above": 0.0, "se": float(least["se"]), "basis": f"{int(least['markets'])} markets a setting",
    }  # fmt: skip


def of_uplift(study: pd.DataFrame, nothing: pd.DataFrame) -> Iterator[Claim]:
    """Claims on `studies.uplift_markets` and, clustered by market, on `studies.uplift_nothing`."""
    default = study[study["case"] == "default"]
    for name, text, other, contacts, size in (
        ("rule_passed", "with 60,000 contacts the dose-response earns more than the best rule", RULE, 0, 60_000),
        ("structure_ahead", "with 60,000 contacts the dose-response earns more than the X-learner", "X-learner", 60_000, 60_000),
        ("constant_passed", "with 60,000 contacts the dose-response earns more than a constant", "constant", 60_000, 60_000),
    ):
        yield {"name": name, "text": text, "above": 0.0, **_mean(_ahead(default, (DOSE, size), (other, contacts)))}
    few = _ahead(default, (DOSE, 5_000), (RULE, 0))
    yield {"name": "rule_first", "text": "with 5,000 contacts the best rule earns more", "below": 0.0, **_mean(few)}
    blind = _ahead(default, (DOSE, 60_000), (BLIND, 0))
    yield {"name": "blind_ahead", "text": "it earns less than who knows all but other baskets", "below": 0.0, **_mean(blind)}
    ranks = default.pivot_table(index="seed", columns=["learner", "contacts"], values="correlation")
    gap = (ranks[DOSE, 60_000] - ranks["constant", 60_000]).dropna()
    yield {
        "name": "ranks_alike",
        "text": "it ranks no better than a constant, within .05",
        "between": (-0.05, 0.05),
        **_mean(gap),
    }
    part = nothing[nothing["learner"] == DOSE]
    promised = [_mean(p.groupby("seed")["promised"].mean()) for _, p in part.groupby("case", sort=False)]
    lead = part["promised"] - part["estimated"]
    caught = [_mean(lead[p.index].groupby(p["seed"]).mean()) for _, p in part.groupby("case", sort=False)]
    least, shown = (min(found, key=lambda m: m["value"] / max(m["se"], 1e-12)) for found in (promised, caught))
    yield {"name": "nothing_promised", "text": "where nothing can be earned, it still promises a profit", "above": 0.0, **least}
    yield {"name": "nothing_caught", "text": "there, held-out estimates are lower than promises", "above": 0.0, **shown}
    often = (part["bound"] > 0).groupby(part["case"]).agg(["mean", "size"]).sort_values("mean").iloc[-1]
    yield {
        "name": "nothing_claimed", "text": "a held-out bound claims a profit of nothing in fewer than one trial of ten",
        "value": float(often["mean"]), "below": 0.1, "se": _binomial(0.1, int(often["size"])), "basis": f"{int(often['size'])} trials",
    }  # fmt: skip


def of_policies(markets: pd.DataFrame, covering: pd.DataFrame) -> Iterator[Claim]:
    """Claims on `studies.policy_markets`, LKR for a thousand decisions, and on what `policy_markets.coverage_of_figures` says
    of intervals."""
    values = markets.assign(value=1000 * markets["value"]).pivot(index=["case", "seed"], columns="policy", values="value")
    large, money = values.loc["default, 60,000"], {"unit": "LKR"}
    constants = [c for c in values if c == "nobody" or str(c).startswith("everybody")]
    best = str(large[constants].mean().idxmax())
    for name, text, other in (
        ("headline_ahead", "expected profit earns more than the best constant policy", best),
        ("ahead_of_uplift", "expected profit earns more than as many contacts by uplift", "uplift"),
        ("ahead_of_probability", "expected profit earns more than as many likeliest buyers", "purchase probability"),
    ):
        yield {"name": name, "text": text, "above": 0.0, **money, **_mean(large[PERSONAL] - large[other])}
    for case, name, text, bound in (
        (
            "uniform",
            "uniform_little",
            "where all respond alike, personalising gains next to nothing",
            {"between": (-200.0, 200.0)},
        ),
        ("additive", "additive_loses", "where an offer adds the same units for all, expected profit loses", {"below": 0.0}),
        ("null", "null_loses", "where offers do nothing, expected profit loses little", {"between": (-200.0, 0.0)}),
    ):
        yield {"name": name, "text": text, **bound, **money, **_mean(values.loc[case][PERSONAL])}
    mine = markets[markets["policy"] == PERSONAL]
    gap = 1000 * (mine["promised"] - mine["value"])[mine["case"] == "default, 60,000"]
    yield {"name": "promises_high", "text": "the model promises more than is true", "above": 0.0, **money, **_mean(gap)}
    trials = mine[mine["case"] == "default, 60,000"]
    wider = 1000 * (2 * NORMAL * trials["se"] - trials["value"].abs())
    yield {
        "name": "held_out_wide",
        "text": "the interval of a policy's held-out value is wider than the value",
        "above": 0.0,
        **money,
        **_mean(wider),
    }
    shown = float((interval(trials["ahead"], trials["ahead_se"], ROUNDED)["low"] > 0).mean())
    yield {
        "name": "trials_seldom_show", "text": "fewer than half of the trials show the lead by their own interval",
        "value": shown, "below": 0.5, "se": _binomial(0.5, len(trials)), "basis": f"{len(trials)} markets",
    }  # fmt: skip
    cover = covering.set_index("figure")
    for figure, name in (("doubly robust", "value_covered"), ("lead over everybody", "lead_covered")):
        n = int(cover.loc[figure, "replications"])
        yield {
            "name": name, "text": f"intervals hold the truth in 95 %, give or take 3: {figure}", "value": float(cover.loc[figure, "cover"]),
            "between": (0.92, 0.98), "se": _binomial(0.92, n), "basis": f"{n:,} replications",
        }  # fmt: skip
    most = cover.loc[["expected revenue", "realised revenue", "realised profit"], "cover"].max()
    n = int(cover["replications"].min())
    yield {
        "name": "forecasts_narrow", "text": "intervals of forecast revenue and measured profit hold the truth in fewer than 95 %",
        "value": float(most), "below": 0.95, "se": _binomial(0.95, n), "basis": f"{n:,} replications",
    }  # fmt: skip


def of_noise(counts: pd.DataFrame) -> Iterator[Claim]:
    """Claims on `explanation_noise.noise_counts`: planted noise, in the larger trials."""
    large = counts[counts["contacts"] == "60,000"].set_index("key")
    n = int(large.loc["all_below", "of"])
    yield {
        "name": "hope_missed", "text": "all five columns of noise lie below the bar in fewer than 19 of 20 plantings",
        "value": float(large.loc["all_below", "share"]), "below": 0.95, "se": _binomial(0.95, n), "basis": f"{n} plantings",
    }  # fmt: skip
    found, chance = (float(large.loc["sensitivity", c]) for c in ("share", "by_chance"))
    yield {
        "name": "sensitivity_told", "text": "what stands for price sensitivity ranks above noise more often than its copies do",
        "value": found - chance, "above": 0.0, "se": _apart(found, chance, n), "basis": f"{n} plantings",
    }  # fmt: skip


def of_parity(study: pd.DataFrame) -> Iterator[Claim]:
    """Claims on `studies.parity_markets`, in the markets with most contacts to learn from: shares of the profit with all columns."""
    wide = study[study["case"] == study["case"].iloc[0]].pivot(index="seed", columns="policy")
    value, full = wide["value"], wide["value"][parity_markets.FULL].mean()
    for name, text, gap in (
        (
            "limit_costs",
            "to treat ages alike by a limit on the allocation costs true profit",
            value[parity_markets.WITH_PARITY] - value[parity_markets.FULL],
        ),
        (
            "blindness_costs",
            "to withhold age from the model costs true profit",
            value[parity_markets.AGELESS] - value[parity_markets.FULL],
        ),
        (
            "blindness_dearer",
            "withholding age costs more than a limit on the allocation",
            value[parity_markets.AGELESS] - value[parity_markets.WITH_PARITY],
        ),
    ):
        yield {"name": name, "text": text, "below": 0.0, **_mean(gap / full)}
    for name, text, figure, policy, side in (
        ("blindness_evens_ages", "without protected columns the gap between ages narrows", "age", parity_markets.BLIND, "below"),
        (
            "blindness_evens_genders",
            "without protected columns that between genders narrows",
            "gender",
            parity_markets.BLIND,
            "below",
        ),
        (
            "blindness_widens_segments",
            "and that between segments in who is left out widens",
            "left_out",
            parity_markets.BLIND,
            "above",
        ),
        (
            "ageless_widens_segments",
            "without age that between segments in who is left out widens",
            "left_out",
            parity_markets.AGELESS,
            "above",
        ),
    ):
        yield {"name": name, "text": text, side: 0.0, **_mean(wide[figure][policy] - wide[figure][parity_markets.FULL])}
    steeper = wide["believed"][parity_markets.FULL] - wide["true"][parity_markets.FULL]
    yield {
        "name": "age_overrated",
        "text": "the model believes in more of age than is true",
        "above": 0.0,
        "unit": "LKR",
        **_mean(steeper),
    }


def of_audits(summary: pd.DataFrame) -> Iterator[Claim]:
    """Claims on `studies.fairness_audits.summary`: which null accuses the fair, and which finds the unfair."""
    rows = summary.set_index(["case", "null"])
    shares, features = "equal shares", "equal given features"
    for name, text, key, column, bound in (
        ("shares_accuse", "equal shares accuses the fair where groups differ", ("fair, groups differ", shares), "any", {"above": 0.5}),
        ("given_spares", "equal given purchases accuses them in fewer than 7 %", ("fair, groups differ", features), "any", {"below": 0.07}),
        ("given_finds", "equal given past purchases finds two tenths of a deviation", ("planted, 0.2", features), "gender", {"above": 0.9}),
        ("shares_pass", "equal shares mostly passes them", ("planted, 0.2", shares), "gender", {"below": 0.5}),
    ):  # fmt: skip
        n, [limit] = int(rows.loc[key, "audits"]), bound.values()
        yield {
            "name": name, "text": text, "value": float(rows.loc[key, column]), **bound, "se": _binomial(limit, n),
            "basis": f"{n} audits",
        }  # fmt: skip


def _ahead(kept: pd.DataFrame, mine: tuple[str, int], other: tuple[str, int]) -> pd.Series:
    """[market] true value of a learner less that of another policy in the same market, LKR a decision."""
    value = kept.set_index(["learner", "contacts", "seed"])["value"]
    return (value[mine] - value[other]).dropna()


def _mean(values: pd.Series) -> Claim:
    mean = student(values)
    return {"value": mean["estimate"], "se": mean["se"], "basis": f"{len(values)} markets"}


def _binomial(share: float, n: int) -> float:
    """Standard error of a share of n, were it as large as the bound that it is held against."""
    return float(np.sqrt(share * (1 - share) / n))


def _apart(first: float, second: float, n: int) -> float:
    return float(np.sqrt((first * (1 - first) + second * (1 - second)) / n))


def of_real_shop(rest: pd.DataFrame, days: int, champions: float, pairs: pd.DataFrame, campaigns: int) -> list[dict[str, Any]]:
    """What the paper says of Complete Journey in words; numbers that the notebook recorded are named.

    rest: the autocorrelation of the rest (`explore.autocorrelation`) over so many days. champions: their share of the sales over their
    share of the customers. pairs: of `explore.pair_lift`. campaigns: how many were judged.
    """
    band, error, basis = rest["band"].iloc[0], days**-0.5, f"{campaigns} campaigns"
    return [
        {
            "name": "always_discounted",
            "text": "no week is without discounts: more than a tenth is off in each",
            "value": "off_low",
            "above": 0.1,
        },
        {
            "name": "closed_at_night",
            "text": "hardly anything is sold from midnight to 6:00: less than 3 %",
            "value": "night_share",
            "below": 0.03,
        },
        {"name": "weekly", "text": "the strength of the weekly pattern exceeds 0.3", "value": "strength_week", "above": 0.3},
        {"name": "little_trend", "text": "the strength of the trend lies below 0.3", "value": "strength_trend", "below": 0.3},
        {
            "name": "carries_over",
            "text": "a day's surprise carries over to the next",
            "value": "acf_rest",
            "above": band,
            "se": error,
        },
        {
            "name": "monthly",
            "text": "a second peak stands at the length of a month",
            "value": "acf_month",
            "above": band,
            "se": error,
        },
        {
            "name": "champions_more",
            "text": "champions make more than one and a half times their share of the sales",
            "value": champions,
            "above": 1.5,
        },
        {
            "name": "all_together",
            "text": "before the adjustment nearly every pair seems to go together: more than 95 % have a lift above 1",
            "value": float((pairs["lift"] > 1).mean()),
            "above": 0.95,
            "unit": "%",
        },
        {
            "name": "some_apart",
            "text": "after it some pairs avoid each other: the least adjusted lift lies below 1",
            "value": "lift_least",
            "below": 1,
            "distinguishable": True,
        },
        {
            "name": "mailed_spend_more",
            "text": "in every campaign the mailed had spent 1.5 times as much as the others",
            "value": "ratio_low",
            "above": 1.5,
            "basis": basis,
        },
        {
            "name": "mailing_told",
            "text": "past spending tells in every campaign who is mailed: the area under the curve exceeds 0.6",
            "value": "auc_low",
            "above": 0.6,
            "basis": basis,
        },
    ]
