"""The two lines that a campaign's forecast stands on, learnt from a trial whose customers the model has not seen."""

from collections.abc import Sequence

import numpy as np

from promo_helpers.decide.forecast import Line, learn_line
from promo_helpers.evaluate.value import given, shop_profit
from promo_helpers.experiment import Experiment
from promo_helpers.models.bridge import Costs
from promo_helpers.models.response import Forecast

FIGURES: Sequence[str] = ("revenue", "profit")


def learn_lines(
    trial: Experiment, found: Forecast, policy: np.ndarray, scores: np.ndarray, tied: np.ndarray | float, costs: Costs
) -> dict[str, Line]:
    """Line of revenue (of the product in the window) and of profit (of the shop, see `value.shop_profit`) a contact of `policy` [row].

    found: forecast of models that have not seen the row's customer. scores: [row, arm] doubly robust, of shop_profit. A gain needs a
    control, so it is judged by the arm that the policy gives; a level by whatever arm was drawn, of which the trial holds far more.
    Only decisions that the policy contacts are used. Raises ValueError where these are fewer than ten.
    """
    x, n, sent = trial.features, np.arange(len(trial)), policy > 0
    price = x["product_price"].to_numpy(float)
    margin = price * (x["margin"] - x["promotion_ahead"]).to_numpy(float)
    own = found.of(trial.arm)
    scale = price**2 * own["units"].to_numpy()
    revenue = trial.outcome("revenue")
    sold = shop_profit(trial, costs, tied) + costs.of(x) * (trial.arm > 0)  # costs are known: what varies is what was sold
    expected = margin * (1 - tied) * own["units"].to_numpy() - own["discount"].to_numpy()
    level = learn_line(
        own["revenue"].to_numpy()[sent], revenue[sent], trial.customer[sent], revenue - own["revenue"].to_numpy(), scale
    )
    gain = learn_line(found.gain[n, policy][sent], given(scores, policy)[sent], trial.customer[sent], sold - expected, scale)
    return {"revenue": level, "profit": gain}
