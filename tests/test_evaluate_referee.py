"""The referee: each definition against values that its library gave, where they part ways, and what is refused; and the pictures."""

import json

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from scipy import stats

from promo_helpers import paths
from promo_helpers.evaluate import cost_curves, referee, uplift

REFERENCE = paths.ROOT / "tests" / "reference"
DATA = pd.read_csv(REFERENCE / "uplift_data.csv")
LIBRARIES = json.loads((REFERENCE / "uplift_libraries.json").read_text())


def judged(frame: pd.DataFrame, score: str, outcome: str) -> pd.Series:
    found = referee.referee(frame[score], frame[outcome], frame["treated"], frame["robust"].to_numpy())
    return found.set_index("definition")["value"]


@pytest.mark.parametrize("score", ["smooth", "tied", "constant"])
@pytest.mark.parametrize("outcome", ["bought", "money"])
def test_every_definition_gives_what_its_library_gave(score, outcome):
    wanted = LIBRARIES[f"{outcome} {score}"]
    mine = judged(DATA, score, outcome)
    theirs = judged(DATA.iloc[LIBRARIES["order of CausalML"][score]], score, outcome)  # its order of ties
    for name, value in wanted.items():
        found = (theirs if name.startswith("CausalML") else mine)[name]
        assert found == pytest.approx(value, rel=1e-9, abs=1e-12), name
    names = {name for name in referee.WEIGHS if name.split()[0] in ("CausalML", "scikit-uplift")}
    assert set(wanted) == (names if outcome == "bought" else {n for n in names if n.startswith("CausalML")})


@pytest.mark.parametrize("score", ["smooth", "tied"])
def test_the_definitions_from_doubly_robust_scores(score):
    mine = judged(DATA, score, "money")
    grf = json.loads((REFERENCE / "uplift_grf.json").read_text())
    econml = json.loads((REFERENCE / "uplift_econml.json").read_text())
    assert mine["grf AUTOC"] == pytest.approx(grf[f"{score} AUTOC"]["estimate"], abs=1e-12)
    assert mine["grf Qini"] == pytest.approx(grf[f"{score} QINI"]["estimate"], abs=1e-12)
    assert mine["EconML AUTOC"] == pytest.approx(econml[f"{score} toc"]["area"], abs=1e-12)
    assert mine["EconML Qini"] == pytest.approx(econml[f"{score} qini"]["area"], abs=1e-12)


def test_what_a_library_refuses_is_not_a_number():
    money = judged(DATA, "smooth", "money")
    assert money[["scikit-uplift qini_auc_score", "scikit-uplift uplift_auc_score"]].isna().all()
    assert np.isfinite(money["scikit-uplift uplift_at_k, overall"])
    assert "neither increasing nor decreasing" in LIBRARIES["scikit-uplift where the total effect is negative"]
    harmful = judged(DATA.assign(treated=1 - DATA["treated"]), "smooth", "bought")
    assert np.isnan(harmful["scikit-uplift qini_auc_score, negative_effect=False"])
    assert np.isfinite(harmful["scikit-uplift qini_auc_score"])


def test_of_a_constant_score_some_definitions_make_something_of_the_order_of_the_rows():
    shuffled = [judged(DATA.sample(frac=1, random_state=seed), "constant", "bought") for seed in range(5)]
    spread = pd.DataFrame(shuffled).std()
    by_order = [name for name in spread.index if spread[name] > 1e-9]
    assert all(name.startswith("CausalML") or "uplift_at_k" in name for name in by_order)
    assert len(by_order) == 8
    for name in ("grf AUTOC", "grf Qini", "EconML AUTOC", "scikit-uplift qini_auc_score", "scikit-uplift uplift_auc_score"):
        assert pd.DataFrame(shuffled)[name].abs().max() < 1e-9


def test_the_same_score_has_many_qinis():
    qinis = {name: value for name, value in judged(DATA, "smooth", "bought").items() if "ini" in name}
    assert len({round(v, 3) for v in qinis.values()}) == len(qinis) == 7


def test_without_scores_of_its_own_a_trial_has_those_of_two_means():
    found = referee.referee(DATA["smooth"], DATA["bought"], DATA["treated"]).set_index("definition")["value"]
    y, w = DATA["bought"].to_numpy(float), DATA["treated"].to_numpy()
    e, up, down = w.mean(), y[w == 1].mean(), y[w == 0].mean()
    effect = up - down + w * (y - up) / e - (1 - w) * (y - down) / (1 - e)
    rates = uplift.rate({"a": DATA["smooth"]}, effect, np.arange(len(y)), 0, 2).table
    assert found[["grf AUTOC", "grf Qini"]].tolist() == pytest.approx(rates["estimate"].tolist())


def test_every_row_says_what_it_weighs():
    table = referee.referee(DATA["smooth"], DATA["bought"], DATA["treated"])
    assert table["weighs"].str.endswith(".").all()
    assert table["weighs"].is_unique


def test_what_the_referee_refuses():
    y, w, s = np.zeros(6), np.array([0, 1] * 3), np.arange(6.0)
    with pytest.raises(ValueError, match="without a control"):
        referee.referee(s, y, w * 0 + 1)
    with pytest.raises(ValueError, match="y has 5 rows, priority 6"):
        referee.referee(s, y[:5], w)
    with pytest.raises(ValueError, match="k = 1"):
        referee.referee(s, y, w, k=1)
    with pytest.raises(ValueError, match="priority: 1 numbers are missing"):
        referee.referee(np.append(s[:5], np.nan), y, w)


@pytest.mark.filterwarnings("error", "ignore::ResourceWarning")  # what the collector finds is not of this test
def test_a_constant_outcome_is_no_crash_and_no_warning():
    found = referee.referee(np.arange(40.0), np.zeros(40), np.array([0, 1] * 20)).set_index("definition")["value"]
    assert found["grf AUTOC"] == 0
    assert np.isnan(found["scikit-uplift qini_auc_score"])


def test_agreement_is_rank_correlation_pairs_and_regret():
    true = pd.Series({"a": 1.0, "b": 2.0, "c": 3.0, "d": 4.0})
    metrics = pd.DataFrame(
        {"right": [1, 2, 3, 9], "swapped": [1, 2, 4, 3], "blind": [1, 1, 1, 1], "part": [1, np.nan, np.nan, 2]}, list("abcd")
    )
    found = referee.agreement(metrics, true).set_index("definition")
    assert found.loc["right", ["spearman", "pairs", "regret"]].tolist() == [1, 1, 0]
    assert found.loc["swapped", "spearman"] == pytest.approx(stats.spearmanr([1, 2, 4, 3], true).statistic)
    assert found.loc["swapped", ["pairs", "regret"]].tolist() == pytest.approx([5 / 6, 1])
    assert found.loc[["blind", "part"], ["spearman", "pairs"]].isna().to_numpy().all()
    with pytest.raises(KeyError, match="no true value for d"):
        referee.agreement(metrics, true.drop("d"))


@pytest.mark.slow
def test_a_weight_of_one_over_q_lets_random_tie_with_good():
    """1,000 rows: a good score loses to a random one far more often by CausalML's AUTOC than by the others (Fisher's exact test)."""
    table = referee.share_misranked(referee.duels(1000, 150, 0)).set_index("definition")
    wrong = {name: [row["share"] * 150, 150 - row["share"] * 150] for name, row in table.iterrows()}
    for other in ("grf AUTOC", "CausalML rate_score, qini"):
        table_of_both = np.rint([wrong["CausalML rate_score, autoc"], wrong[other]])
        assert stats.fisher_exact(table_of_both, alternative="greater").pvalue < 0.005
    assert (table["low"] <= table["share"]).all()
    assert (table["share"] <= table["high"]).all()


@pytest.mark.slow
@pytest.mark.filterwarnings("error", "ignore::ResourceWarning")  # what the collector finds is not of this test
def test_the_pictures_draw_what_the_frames_hold():
    from promo_helpers.plots import uplift_figures as plots

    rng = np.random.default_rng(0)
    x, who = rng.normal(size=400), np.arange(400)
    effect = np.column_stack([np.zeros(400), x])
    curves = cost_curves.multi_arm_qini(
        {"DR-learner": (effect, np.tile([0, 1.0], (400, 1)))}, effect, who, np.array([0.1, 0.2]), 0, 5
    )
    groups = uplift.by_decile(x, x + rng.normal(size=400), who)
    rates = uplift.rate({"T-learner": x, "mine": -x, "another": rng.random(400)}, x, who, 0, 5)
    rows = [(name, n, n / 20, 0.5, 0.4, 0.6) for name in ("DR-learner", "constant") for n in (5000, 20_000)]
    frame = pd.DataFrame(rows, columns=["learner", "contacts", "events", "share", "low", "high"])
    with mpl.rc_context({"figure.constrained_layout.use": True}):
        figure, axes = plt.subplots(2, 2)
        plots.toc(rates.curve, axes[0, 0], "rupees")
        plots.budget(curves.curve, axes[0, 1], "rupees")
        plots.uplift_calibration(groups, axes[1, 0], "rupees")
        plots.attainable(frame, axes[1, 1], goal=0.85)
        figure.canvas.draw()
    lines = {line.get_label(): line for line in axes[0, 0].get_lines()}
    assert len({lines[name].get_color() for name in ("T-learner", "mine", "another")}) == 3
    assert lines["T-learner"].get_color() == plots.LEARNERS["T-learner"]
    assert axes[0, 1].get_lines()[1].get_ydata().tolist() == pytest.approx([0, *curves.curve["gain"][:2]])
    assert [t.get_text() for t in axes[1, 1].get_xticklabels()] == ["250", "1,000"]
    plt.close(figure)


def test_no_metric_agrees_with_a_truth_that_is_not_known():
    metrics = pd.DataFrame({"Qini": [1.0, 2.0, 3.0]}, index=["a", "b", "c"])
    assert referee.agreement(metrics, dict.fromkeys("abc", np.nan))[["spearman", "pairs", "regret"]].isna().all(axis=None)
