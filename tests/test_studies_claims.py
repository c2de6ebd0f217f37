"""Claims on kept studies: each holds on what is kept, with room, and each fails where its data are turned upside down."""

import numpy as np
import pandas as pd
import pytest

from promo_helpers.kept import read_study
from promo_helpers.report import Report
from promo_helpers.studies import effect_markets, explanation_noise, fairness_audits, parity_markets, policy_markets, study_claims


def recorded(found, folder, monkeypatch) -> pd.DataFrame:
    """The claims as a ledger holds them, by name."""
    monkeypatch.setenv("PROMO_OUT", str(folder))
    report = Report("claims")
    for claim in found:
        report.claim(**claim)
    return pd.DataFrame(report.ledger["claims"]).set_index("name")


def effects(change=lambda covered, alarms, turned: None):
    kept = read_study("effect_refuters")
    covered = effect_markets.coverage_table(read_study("effect_coverage"))
    alarms = effect_markets.alarm_table(kept)
    turned = effect_markets.bias_table(read_study("effect_dial"), ["overlap", "confounding", "method"])
    change(covered, alarms, turned)
    return study_claims.of_effects(covered, alarms, turned, kept["seed"].nunique())


def noise():
    kept = read_study("explanation_noise").groupby("case", sort=False)
    return explanation_noise.noise_counts(pd.concat([explanation_noise.noise_verdicts(p).assign(contacts=c) for c, p in kept]))


def kept_claims():
    yield from effects()
    yield from study_claims.of_uplift(read_study("uplift_markets"), read_study("uplift_nothing"))
    covering = policy_markets.coverage_of_figures(read_study("forecast_coverage"))
    yield from study_claims.of_policies(read_study("policy_markets"), covering)
    yield from study_claims.of_noise(noise())
    yield from study_claims.of_parity(read_study("parity_markets"))
    yield from study_claims.of_audits(fairness_audits.summary(read_study("fairness_audits")))


@pytest.mark.slow
def test_each_claim_on_a_kept_study_says_what_it_rests_on_and_how_much_room_it_has(tmp_path, monkeypatch):
    found = recorded(kept_claims(), tmp_path, monkeypatch)
    assert len(found) > 33
    assert (found["margin_unit"] == "SE").all()
    assert found["basis"].str.contains(r"\d").all()
    assert (found["text"].str.len() < 120).all()
    assert found["holds"].notna().all()


def swapped(frame: pd.DataFrame, column: str, first: str, second: str) -> pd.DataFrame:
    return frame.assign(**{column: frame[column].replace({first: second, second: first})})


def test_claims_on_learners_turn_with_their_markets(tmp_path, monkeypatch):
    markets, nothing = read_study("uplift_markets"), read_study("uplift_nothing")
    turned = recorded(
        study_claims.of_uplift(swapped(markets, "learner", "dose-response", "X-learner"), nothing), tmp_path, monkeypatch
    )
    assert not turned.loc[["structure_ahead", "rule_passed", "constant_passed"], "holds"].any()
    lucky = nothing.assign(estimated=-nothing["promised"], promised=-nothing["promised"].abs(), bound=1.0)
    turned = recorded(study_claims.of_uplift(markets, lucky), tmp_path, monkeypatch)
    assert not turned.loc[["nothing_promised", "nothing_claimed"], "holds"].any()


def test_claims_on_policies_turn_with_their_markets(tmp_path, monkeypatch):
    markets = read_study("policy_markets")
    covering = policy_markets.coverage_of_figures(read_study("forecast_coverage"))
    worse = markets.assign(
        value=np.where(markets["policy"] == "expected profit", -markets["value"], markets["value"]),
        promised=-10.0,
        ahead=1.0,
        ahead_se=0.1,
    )
    turned = recorded(study_claims.of_policies(worse, covering.assign(cover=0.99)), tmp_path, monkeypatch)
    gone = ["headline_ahead", "ahead_of_uplift", "ahead_of_probability", "additive_loses", "promises_high"]
    assert not turned.loc[[*gone, "trials_seldom_show", "value_covered", "lead_covered", "forecasts_narrow"], "holds"].any()


def test_claims_on_effects_turn_with_their_tables(tmp_path, monkeypatch):
    def upside_down(covered, alarms, turned):
        covered["covered"] = 1 - covered["covered"]
        alarms["alarms"] = 1 - alarms["alarms"]
        turned[["error", "low", "high"]] = -turned[["error", "high", "low"]].to_numpy()

    turned = recorded(effects(upside_down), tmp_path, monkeypatch)
    assert not turned["holds"].any()


def test_claims_on_parity_and_audits_turn_with_their_tables(tmp_path, monkeypatch):
    kept = read_study("parity_markets")
    dear = swapped(kept, "policy", parity_markets.FULL, parity_markets.AGELESS)
    turned = recorded(study_claims.of_parity(dear), tmp_path, monkeypatch)
    assert not turned.loc[["blindness_costs", "ageless_widens_segments", "blindness_dearer"], "holds"].any()
    audits = fairness_audits.summary(read_study("fairness_audits"))
    other = swapped(audits, "null", "equal shares", "equal given features")
    assert not recorded(study_claims.of_audits(other), tmp_path, monkeypatch)["holds"].any()


def test_the_count_of_kinds_whose_promise_is_too_high():
    kept = pd.DataFrame(
        {"case": ["a"] * 4 + ["b"] * 4, "policy": "expected profit", "promised": [3.0, 3.1, 2.9, 3.0, 1, -1, 1, -1]}
    )
    kept["value"] = 0.0
    assert policy_markets.overpromising_cases(kept) == (1, 2)
    assert policy_markets.overpromising_cases(kept.assign(promised=-kept["promised"])) == (0, 2)
