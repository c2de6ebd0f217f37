"""After the campaign: the form of responses, everything that can be wrong with it, and what the measured figure is worth."""

import json

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from promo_helpers import __main__ as command_line
from promo_helpers.campaign import evaluation, list_files, outcome, trial
from promo_helpers.campaign.list_files import ResponseError, read_responses
from promo_helpers.campaign.outcome import evaluate_responses, holdout_difference, measured_effects
from promo_helpers.report import Report


def plan_of(n=40, held=10):
    """A plan of n chosen customers, the first `held` of them held out."""
    rng = np.random.default_rng(0)
    base = rng.gamma(2, 1, n)
    frame = pd.DataFrame({"contact_id": [f"C-{i}" for i in range(n)], "customer_id": [f"CUST{i:05d}" for i in range(n)]})
    frame = frame.assign(product_id="P1", held_out=np.arange(n) < held, percent=10.0, send=pd.Timestamp("2026-01-02 17:00"))
    frame = frame.assign(
        probability_without=0.3,
        probability_with=0.4,
        units_without=base,
        units=1.3 * base,
        revenue_without=100 * base,
        revenue=117 * base,
    )
    return frame.assign(
        discount=13 * base,
        spend=13 * base + 1.5,
        predicted_profit=5.0,
        price=100.0,
        margin=0.3,
        displacement=4.0,
        opt_out_loss=0.5,
        message=1.5,
        currency="LKR",
    )


def form_of(plan, path, **columns):
    frame = pd.DataFrame({"ContactID": plan["contact_id"], "Units": "1", "Paid": "90.5", "Redeemed": "1"}).assign(**columns)
    frame.to_csv(path, index=False)
    return path


def test_a_filled_form_is_read_in_the_plans_order(tmp_path):
    plan = plan_of()
    path = form_of(plan, tmp_path / "form.csv")
    pd.read_csv(path, dtype=str).sample(frac=1, random_state=1).to_csv(path, index=False)
    found = read_responses(path, plan)
    assert found["contact_id"].tolist() == plan["contact_id"].tolist()
    assert found["paid"].eq(90.5).all()
    assert found["given"].all()


def test_by_customer_and_with_rows_left_out(tmp_path):
    plan = plan_of()
    pd.DataFrame({"CustomerID": ["CUST00003"], "Units": [2], "Paid": [150]}).to_csv(tmp_path / "form.csv", index=False)
    found = read_responses(tmp_path / "form.csv", plan)
    assert found["units"].sum() == found["units"][3] == 2
    assert found["given"].sum() == 1
    assert found["redeemed"].isna().all()


def test_every_problem_of_a_form_is_said_at_once(tmp_path):
    plan = plan_of()
    path = form_of(plan, tmp_path / "form.csv")
    cells = pd.read_csv(path, dtype=str)
    cells.loc[0, "ContactID"], cells.loc[1, "Units"], cells.loc[2, "Units"] = "C-999", "-1", "1.5"
    cells.loc[3, "Paid"], cells.loc[4, "Redeemed"], cells.loc[6, "ContactID"] = "much", "3", "C-5"
    cells.to_csv(path, index=False)
    with pytest.raises(ResponseError) as told:
        read_responses(path, plan)
    said = "\n".join(told.value.problems)
    for part in (
        "ContactID is not of this campaign; leave out what was not on the list or in the holdout: 1 row, row 2 ('C-999')",
        "ContactID stands there twice; add its purchases up in one row: 1 row, row 8 ('C-5')",
        "Units is negative; take returns off what was bought, and write 0 at least: 1 row, row 3 ('-1')",
        "Units is not whole; write whole units: 1 row, row 4 ('1.5')",
        "Paid is not a number; write 2 or 12.50, or leave it blank for nothing: 1 row, row 5 ('much')",
        "Redeemed is more than Units; both are units of the product: 2 rows, row 3",
    ):
        assert part in said
    assert len(told.value.problems) == 6


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "the file is empty"),
        ("ContactID,Units,Paid\n", "the file holds no rows"),
        ("Name,Units,Paid\nx,1,2\n", "a column ContactID or CustomerID is missing"),
        ("ContactID,Units\nC-1,1\n", "the column Paid is missing"),
        ("ContactID,Units,Paid\nC-1,,\nC-2,,\n", "no row says anything"),
    ],
)
def test_a_form_that_says_nothing(tmp_path, text, said):
    (tmp_path / "form.csv").write_text(text)
    with pytest.raises(ResponseError, match=said):
        read_responses(tmp_path / "form.csv", plan_of())
    with pytest.raises(ResponseError, match="there is no such file"):
        read_responses(tmp_path / "none.csv", plan_of())


def test_the_contrast_covers_and_the_forecast_narrows_it():
    rng, truth, plain, adjusted, widths = np.random.default_rng(1), 0.4, [], [], []
    for _ in range(600):
        x = rng.gamma(2, 1, 150)
        sent = rng.permutation(150) >= 30
        y = 1.5 * x + truth * sent + rng.normal(0, 0.7, 150)
        one, two = holdout_difference(y, sent), holdout_difference(y, sent, x)
        plain.append(one["low"] <= truth <= one["high"])
        adjusted.append((two["low"] <= truth <= two["high"], two["estimate"]))
        widths.append((two["high"] - two["low"]) / (one["high"] - one["low"]))
    assert 0.92 < np.mean(plain) < 0.98
    assert 0.92 < np.mean([a for a, _ in adjusted]) < 0.98
    assert abs(np.mean([e for _, e in adjusted]) - truth) < 4 * np.std([e for _, e in adjusted]) / np.sqrt(600)
    assert np.mean(widths) < 0.5


def test_measured_adds_up_by_hand():
    plan = plan_of(6, 3)
    got = pd.DataFrame({"units": [1.0, 0, 0, 2, 1, 0], "paid": [100.0, 0, 0, 180, 90, 0]})
    table = measured_effects(got, plan).set_index("figure")
    assert table.loc["units", "unadjusted"] == pytest.approx(3 * (3 / 3 - 1 / 3))
    assert table.loc["revenue", "unadjusted"] == pytest.approx(3 * (270 / 3 - 100 / 3))
    profit = [
        (180 - 2 * 74 - 2) + (90 - 74 - 2) + (0 - 2),
        100 - 74,
    ]  # of each unit 70 are cost, 4 other sales' margin; 2 a contact
    assert table.loc["profit", "unadjusted"] == pytest.approx(3 * (profit[0] / 3 - profit[1] / 3))
    assert table.loc["profit", "predicted"] == 15.0
    none = measured_effects(got, plan.assign(held_out=False))
    assert none["adjusted"].isna().all()


def test_responses_from_a_shops_lines():
    plan = plan_of(3, 1)
    day = pd.Timestamp("2026-01-02")
    rows = [
        ("CUST00000", "P1", day + pd.Timedelta(days=1, hours=9), 2, 19_000, None),
        ("CUST00001", "P1", day + pd.Timedelta(days=14, hours=20), 3, 27_000, "C-1"),
        ("CUST00001", "P1", day + pd.Timedelta(days=15), 9, 90_000, None),  # the window is over
        ("CUST00001", "P1", day + pd.Timedelta(hours=20), 9, 90_000, None),  # the day of sending
        ("CUST00002", "P2", day + pd.Timedelta(days=2), 9, 90_000, None),
    ]
    lines = pd.DataFrame(rows, columns=["customer_id", "product_id", "time", "units", "paid_cents", "contact_id"])
    form = list_files.from_lines(lines, plan)
    assert form["Units"].tolist() == [2, 3, 0]
    assert form["Paid"].tolist() == [190.0, 270.0, 0.0]
    assert form["Redeemed"].tolist() == [0, 3, 0]


def test_a_form_is_held_against_the_plan_that_lies_beside_it(tmp_path, capsys):
    plan = plan_of()
    plan.to_parquet(tmp_path / "campaign_tea_2026-01-02_plan.parquet")
    path = form_of(plan, tmp_path / "campaign_tea_2026-01-02_responses.csv")
    outcome.print_outcome(path)
    said = capsys.readouterr().out
    assert "The campaign's profit beyond the holdout's" in said
    assert "Predicted: 150." in said
    assert (tmp_path / "campaign_tea_2026-01-02_measured.csv").is_file()
    with pytest.raises(ResponseError, match="no plan lies beside it"):
        evaluate_responses(form_of(plan, tmp_path / "other.csv"))
    with pytest.raises(SystemExit, match="no plan lies beside it"):
        outcome.print_outcome(tmp_path / "other.csv")
    asked = CliRunner().invoke(command_line.main, ["responses"])
    assert asked.exit_code == 1
    assert "Which file?" in str(asked.exception)


def test_a_plan_and_a_form_of_the_version_before_are_still_read(tmp_path):
    """Their headings changed: a campaign that went out with the old ones is measured to the same figures."""
    plan, old = plan_of(), {new: name for name, new in list_files.RENAMED_PLAN.items()}
    results = []
    for name, written in (("new", plan), ("old", plan.rename(columns=old))):
        assert ("held" in written) == (name == "old")
        written.to_parquet(tmp_path / f"campaign_{name}_2026-01-02_plan.parquet")
        results.append(evaluate_responses(form_of(plan, tmp_path / f"campaign_{name}_2026-01-02_responses.csv")))
    pd.testing.assert_frame_equal(results[0][0], results[1][0])
    assert results[0][1] == results[1][1]


def test_a_list_of_the_version_before_is_still_read(tmp_path):
    heads = list(list_files.RENAMED_LIST)
    row = {"ContactID": "C-1", "CustomerID": "0001"} | {h: "a fact" if h in ("Unless", "Basis") else "0.5" for h in heads}
    path = tmp_path / "list.csv"
    pd.DataFrame([row]).to_csv(path, index=False)
    found = list_files.read_campaign_file(path)
    assert list(found) == ["ContactID", "CustomerID", *list_files.RENAMED_LIST.values()]
    assert found["CustomerID"].tolist() == ["0001"]
    assert found["WouldNotBeListedIf"].tolist() == ["a fact"]
    assert found["UpliftConfidenceLow"].tolist() == [0.5]


def test_precision_and_recall_by_hand():
    table = outcome.precision_recall(np.array([0.9, 0.1, 0.5, 0.4]), np.array([True, False, False, True]))
    assert table["precision"].tolist() == [1, 0.5, 2 / 3, 0.5]
    assert table["recall"].tolist() == [0.5, 0.5, 1, 1]


def test_the_trial_sees_what_it_says_it_sees():
    plan = trial.propose_trial(0.1, 190, 0.31, 1.5, 9000)
    row = plan.arms.set_index("arm").loc["10%"]
    rng, n = np.random.default_rng(1), row["contacts"].astype(int)
    control = int(plan.arms["contacts"].iloc[0])
    a, b = rng.binomial(n, 0.1 + row["detectable_gain"], 4000) / n, rng.binomial(control, 0.1, 4000) / control
    seen = np.abs(a - b) > 1.96 * np.sqrt(a * (1 - a) / n + b * (1 - b) / control)
    assert 0.75 < seen.mean() < 0.83
    assert plan.contacts <= 20_000 + 9_000
    assert (190 * (0.31 - 0.10)) * row["break_even_gain"] == pytest.approx(190 * 0.10 * 0.1 + 1.5)
    assert plan.arms["share"].sum() == pytest.approx(1)
    assert set(trial.propose_trial(0.1, 190, 0.12, 1.5, 90).arms["arm"]) == {
        "none",
        "a reminder",
        "5%",
        "10%",
    }  # below the margin only
    with pytest.raises(ValueError, match="no customers may be written to"):
        trial.propose_trial(0.1, 190, 0.3, 1.5, 0)
    with pytest.raises(ValueError, match="all must be above 0"):
        trial.propose_trial(0.0, 190, 0.3, 1.5, 10)


def test_what_more_contacts_are_worth():
    rows = [("default", s, c, "dose-response", v + 0.1 * s) for s in range(4) for c, v in ((5_000, 1.0), (20_000, 1.6))]
    kept = pd.DataFrame(
        [*rows, ("null", 0, 5_000, "dose-response", 99.0)], columns=["case", "seed", "contacts", "learner", "value"]
    )
    table = trial.trial_value(kept)
    assert table["value"].tolist() == pytest.approx([1.15, 1.75])
    assert table["more"].tolist() == pytest.approx([1.15, 0.2])
    assert table.loc[1, "more_high"] - table.loc[1, "more_low"] == pytest.approx(0, abs=1e-9)  # paired by market
    said = trial.trial_value_sentences(table, 1000)
    assert said[1].startswith("5,000 more contacts, between 5,000 and 20,000, earn Rs 200 ")
    assert all("to 1,000 customers, in the simulated market (4 markets)" in s for s in said)


def test_the_evaluation_reads_the_ledgers(out, capsys):
    evaluation.print_report()
    assert "not available" in capsys.readouterr().out
    report = Report("campaign", seed=1)
    report.record("product", "White Bread", meaning="the product")
    report.record("measured", 10.0, unit="LKR", digits=0, interval=(-5.0, 25.0), meaning="profit measured")
    evaluation.print_report()
    said = (out / "data" / "campaigns" / "evaluation_report.txt").read_text()
    assert "campaign: White Bread" in said
    assert "10 LKR (-5 to 25 LKR): profit measured" in said
    assert "0 of 1 campaigns earned distinguishably more" in said
    assert json.loads((out / "data" / "numbers" / "campaign.json").read_text())


def test_a_holdout_in_which_nobody_bought_is_no_proof():
    """Half a group buys by chance alone: with seven held out, an interval from their own spread leaves out nothing far too often."""
    rng, wrong, naive = np.random.default_rng(0), 0, 0
    for _ in range(400):
        y, sent = (rng.random(70) < 0.15) * 100.0, np.arange(70) >= 7
        wrong += holdout_difference(y, sent, few=True)["low"] > 0
        naive += holdout_difference(y, sent)["low"] > 0
    assert naive > 60  # an eighth and more, where a fortieth was promised
    assert wrong <= 400 * 0.05
