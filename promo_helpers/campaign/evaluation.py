"""The evaluation in one text: how well models predict, what each campaign promised and earned, and what to do next.

python -m promo_helpers.campaign.evaluation        reads data/numbers/, writes data/campaigns/evaluation_report.txt
"""

import json
from pathlib import Path
from typing import Any

from promo_helpers import paths
from promo_helpers.files import write_text
from promo_helpers.report import interval_text, plain_text

PREDICTION = ("customers_auc", "customers_precision_10", "customers_precision_100", "customers_recall_100")
CAMPAIGN = (
    "basis", "contacts", "holdout", "discount", "spend", "profit_promised", "profit", "measured", "true_measured", "true_profit",
    "everybody_spend", "everybody_promised", "everybody_true", "random_true", "likeliest_true", "bought", "bought_promised",
)  # fmt: skip
TRIAL = ("trial_contacts", "worth_5000", "worth_20000", "worth_60000")
# noun of a run -> the numbers of it that the report reads; tests hold them against what the runs record
RECORDED = {"purchase": PREDICTION, "campaign": ("product", *CAMPAIGN, *TRIAL)}
MISSING = "not available"


def numbers(ledger: Path) -> dict[str, dict[str, Any]]:
    """The numbers of a run by name; none where it was not run."""
    if not ledger.is_file():
        return {}
    return {n["name"]: n for n in json.loads(ledger.read_text(encoding="utf-8"))["numbers"]}


def number_line(entry: dict[str, Any]) -> str:
    """A number with its interval and meaning, on one line."""
    between = f" ({plain_text(interval_text(entry))})" if entry["interval"] else ""
    return f"  {plain_text(entry['text'])}{between}: {entry['meaning']}".replace("\N{NO-BREAK SPACE}", " ").replace(
        "\N{MINUS SIGN}", "-"
    )


def text() -> str:
    """The report as text, from the ledgers of the runs that there are."""
    lines = ["Evaluation", "==========", "", "Who will buy: the purchase model on the windows that it has not seen"]
    bought = numbers(paths.ledger("purchase"))
    found = [number_line(bought[n]) for n in PREDICTION if n in bought]
    lines += found or [f"  {MISSING}: make notebook N=03_purchase"]
    runs = sorted(p.stem for p in paths.data("numbers").glob("campaign*.json"))
    surely, lost = [], []
    for run in runs:
        mine = numbers(paths.ledger(run))
        lines += ["", f"{run}: {mine['product']['value'] if 'product' in mine else MISSING}"]
        lines += [number_line(mine[n]) for n in CAMPAIGN if n in mine]
        surely.append("measured" in mine and mine["measured"]["interval"][0] > 0)
        lost.append("measured" in mine and mine["measured"]["interval"][1] < 0)
    lines += ["", "Conclusion"]
    if not runs:
        lines.append(f"  {MISSING}: no campaign was made")
    elif all(surely):
        lines.append("  Each campaign earned distinguishably more than its holdout.")
    else:
        lines.append(
            f"  {sum(surely)} of {len(runs)} campaigns earned distinguishably more than their holdouts, {sum(lost)} distinguishably"
            " less; of the"
            " others it is unknown."
        )
        lines.append("  What campaigns so small cannot show, a trial can: its size and its value stand below.")
    first = numbers(paths.ledger(runs[0])) if runs else {}
    lines += [number_line(first[n]) for n in TRIAL if n in first]
    return "\n".join(lines) + "\n"


def print_report() -> None:
    """Write the report as data/campaigns/evaluation_report.txt, and print it."""
    place, report = paths.data("campaigns", "evaluation_report.txt"), text()
    write_text(place, report)
    print(report)
    figures = "campaign_precision_recall.png, campaign_strategies.png"
    print(
        f"This is {paths.display_path(place)}; the lists lie beside it, the pictures in {paths.display_path(paths.figures())}/: {figures}"
    )
