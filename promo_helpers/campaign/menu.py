"""The campaign as a menu, for people who read no code: product, discounts, number, budget, and a button."""

from collections.abc import Callable
from pathlib import Path

import ipywidgets as widgets
import pandas as pd
from IPython.display import display

from promo_helpers import paths
from promo_helpers.audit.contacted import groups_of, in_words
from promo_helpers.campaign.build import Campaign, build
from promo_helpers.campaign.kit import Kit
from promo_helpers.campaign.list_files import list_table, write_campaign
from promo_helpers.campaign.outcome import campaign_sentence, summary
from promo_helpers.campaign.request import CampaignRequest, RequestError, parse_request

WIDE = {"description_width": "11em"}
SHOWN = ("CustomerID", "Name", "Priority", "Discount", "SendDay", "SendHour", "Bundle", "ExpectedProfit", "Reason")


def menu(
    kit: Kit, folder: Path, *, costs: dict[str, float], holdout: float, seed: int, suffix: str = "",
    make: Callable[[Kit, CampaignRequest, int], Campaign] = build,
) -> widgets.VBox:  # fmt: skip
    """Widgets that make a list when the button is pressed, and do nothing before. The files go to `folder`
    (`list_files.write_campaign`).

    `make` builds the campaign. What cannot be done is said in sentences below the button.
    """
    layout = widgets.Layout(width="36em")
    names = sorted(kit.items["name"].astype(str).unique(), key=str.lower)
    tried = [str(kit.items["name"].iloc[n]) for n in kit.tried()]
    first = tried[0] if tried else names[0]
    product = widgets.Combobox(
        value=first, options=names, description="Product", style=WIDE, layout=layout, placeholder="type a name"
    )
    depth = widgets.IntRangeSlider(
        value=(0, 25), min=0, max=50, step=5, description="Discount from to", style=WIDE, layout=layout
    )
    number = widgets.Text(value="", placeholder="all who pay", description="At most customers", style=WIDE, layout=layout)
    budget = widgets.Text(
        value="", placeholder="what pays", description=f"Budget ({kit.shop.currency})", style=WIDE, layout=layout
    )
    channel = widgets.Dropdown(options=list(costs), description="Channel", style=WIDE, layout=layout)
    bundle = widgets.Checkbox(value=True, description="Name what goes with it", style=WIDE, layout=layout)
    kinds = [in_words(str(k)) for k in groups_of(kit.shop, pd.Series(kit.purchases.customers))]
    even = widgets.Dropdown(
        options=[("as it earns most", ""), *((f"alike by {k}", k) for k in kinds)],
        description="Choose customers",
        style=WIDE,
        layout=layout,
    )
    apart = widgets.IntSlider(
        value=5, min=0, max=25, description="Shares within points", style=WIDE, layout=layout, disabled=True
    )
    even.observe(lambda change: setattr(apart, "disabled", not change["new"]), "value")
    button = widgets.Button(description="Make the list", button_style="primary", icon="list")
    state, out = widgets.HTML(), widgets.Output()

    def pressed(_: widgets.Button) -> None:
        button.disabled = True
        state.value = "Working; a large shop takes about half a minute ..."
        out.clear_output()
        try:
            low, high = depth.value
            fixed = f"{low}" if low == high else ""
            alike = f"{even.value} {apart.value}" if even.value else ""
            ask = parse_request(
                product.value, budget.value, number.value, fixed, "", channel.value, holdout, bundle.value, costs, alike
            )
            found = make(kit, CampaignRequest(**{**vars(ask), "between": (float(low), float(high))}), seed)
            told = summary(found, kit)
            files = write_campaign(found, folder, suffix, told)
            state.value = f"<b>{campaign_sentence(found, told)}.</b> The list: {paths.display_path(files['list'])}"
            with out:
                _show(found, told)
        except (RequestError, FileNotFoundError) as problem:
            state.value = "<br>".join(str(problem).splitlines())
        finally:
            button.disabled = False

    button.on_click(pressed)
    box = widgets.VBox([product, depth, number, budget, channel, even, apart, bundle, button, state, out])
    box.parts = {
        "product": product,
        "depth": depth,
        "number": number,
        "budget": budget,
        "channel": channel,
        "even": even,
        "apart": apart,
        "button": button,
        "state": state,
    }
    return box


def _show(found: Campaign, told: pd.DataFrame) -> None:
    for note in (found.basis, *((found.why,) if found.why else ()), *found.notes):
        print(note)
    frame = list_table(found)
    rows = frame.loc[frame["Holdout"] == "no", list(SHOWN)].head(10)
    left = {"text-align": "left"}
    whole = {"Discount": "{:g} %", "SendHour": "{:.0f}:00", "ExpectedProfit": "{:,.0f}"}
    display(rows.style.hide(axis="index").format(whole, na_rep="").set_properties(subset=["Name", "Bundle", "Reason"], **left))
    display(
        told[["name", "value", "low", "high", "unit", "meaning"]]
        .style.hide(axis="index")
        .format(precision=1, thousands=",", na_rep="")
    )
