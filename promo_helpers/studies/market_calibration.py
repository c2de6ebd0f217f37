"""Does the simulator follow its closed form? Simulated contact windows against `truth.expected`, at one family-wise level."""

from dataclasses import dataclass, replace

import duckdb
import numpy as np
import pandas as pd
from scipy import stats

from promo_helpers import draws
from promo_helpers.inference import critical
from promo_helpers.market.goods import Goods
from promo_helpers.market.law import PRODUCT
from promo_helpers.market.parameters import ARMS, DEPTHS, PRESETS, SPAN, Parameters, parameters
from promo_helpers.market.people import customer_ids
from promo_helpers.market.respond import replay
from promo_helpers.market.simulate import live_block
from promo_helpers.market.streams import BLOCK
from promo_helpers.market.truth import Truth
from promo_helpers.shop.shop import Shop

MEASURES = {
    "bought": "buys",
    "units": "units",
    "revenue": "revenue",
    "discount": "discount",
    "window_profit": "window_profit",
    "value": "value",
}
EVENTS = 200  # expected buyers that a cell needs for its mean to be near normal; those with fewer count in their arm's whole only
REPLICATED_SEED = 77  # of the markets and the draws; none was tuned on it
# of the kept comparison: preset, customers, contacts
REPLICATED = {preset: (preset, 4_000, 200_000) for preset in PRESETS} | {"probe": ("default", 800, 30_000)}
LEVEL = 0.01  # chance that a correct market fails, over all cells together


@dataclass(frozen=True)
class Calibration:
    """`cells`: arm, decile of the true value, measure, n, true, simulated, z. `worst`: largest |z|. `bound`: what chance allows."""

    cells: pd.DataFrame
    worst: float
    bound: float

    @property
    def holds(self) -> bool:
        """Whether no cell departs from the truth by more than chance allows, all cells together."""
        return self.worst <= self.bound


def sample_contacts(truth: Truth, n: int, seed: int, first_day: int = 0, last_day: int | None = None) -> pd.DataFrame:
    """n random contacts: customers who have registered, products of the trial, days, hours and arms, each at random.

    Contact k is drawn for itself, so that the first of 2 n are the n that a smaller sample has.

    Those who are lost by then are among them, as they are among a shop's customers: they cost the contact and nothing else.
    """
    p, k = truth.p, np.arange(3 * n)
    who = draws.parts(seed, "customer of a contact", k, number=p.customers)
    last = p.days if last_day is None else last_day
    day = first_day + draws.parts(seed, "day of a contact", k, number=last - first_day)
    k = np.flatnonzero(truth.begins(who) <= day)[:n]
    who, day = who[k], day[k]
    hours = np.array(p.send_hours)
    hour = hours[draws.parts(seed, "hour of a contact", k, number=len(hours))]
    item = truth.goods.trial[draws.parts(seed, "product of a contact", k, number=len(truth.goods.trial))]
    return pd.DataFrame(
        {
            "customer_id": customer_ids(0, p.customers)[who],
            "product_id": truth.goods.products["product_id"].to_numpy()[item],
            "time": pd.Timestamp(p.start) + pd.to_timedelta(day * 24 + hour, unit="h"),
            "arm": np.array(ARMS)[draws.parts(seed, "arm of a contact", k, number=len(DEPTHS))],
        }
    )


def lived(p: Parameters, seed: int) -> Truth:
    """A market whose first block of customers has lived through its calendar: a truth with their contacts, and nothing on disk."""
    goods = Goods(replace(p, customers=min(p.customers, BLOCK)), seed)
    life = live_block(goods, 0)
    truth = Truth(goods.p, seed, life.history())
    truth.keep(0, life.block)
    return truth


def sample_after(truth: Truth, n: int, seed: int) -> pd.DataFrame:
    """n random contacts on top of a history; half of those who had a contact before are offered its product again.

    So fatigue, what is brought forward and contacts that still govern are all among them.
    """
    contacts = sample_contacts(truth, n, seed, last_day=truth.p.days - SPAN)
    who, day = truth.customer_number(contacts["customer_id"]), truth.day_of(contacts["time"])
    first, last = truth.before(who, day)
    again = np.flatnonzero((last > first) & (draws.uniform(seed, "offered again", np.arange(len(who))) < 0.5))
    item = truth.product_number(contacts["product_id"]).copy()
    item[again] = truth.state[last[again] - 1, PRODUCT].astype(int)
    return contacts.assign(product_id=truth.goods.products["product_id"].to_numpy()[item])


def calibrate(
    simulated: Truth, closed: Truth, contacts: pd.DataFrame, seed: int, bins: int = 10, level: float = LEVEL
) -> Calibration:
    """Simulate `contacts` in one market and compare with the closed form of another (the same one, unless a test breaks one).

    Cells are arm x decile of the expected value of the contact's arm x measure, and per arm the whole. In each cell z is the mean
    of simulated less expected over its standard error; the bound is Sidak's for all cells at `level`.
    """
    real, expected = replay(simulated, contacts, seed), closed.expected(contacts)
    arm = contacts["arm"].map({a: k for k, a in enumerate(ARMS)}).to_numpy()
    rows, rowwise = np.arange(len(arm)), []
    place = expected["value"][rows, arm]
    decile = np.zeros(len(arm), int)
    for a in range(len(ARMS)):
        mine = arm == a
        decile[mine] = np.minimum(stats.rankdata(place[mine], "ordinal") - 1, mine.sum() - 1) * bins // max(mine.sum(), 1)
    buyers = expected["buys"][rows, arm]
    for measure, name in MEASURES.items():
        true = expected[name][rows, arm]
        frame = pd.DataFrame(
            {"arm": arm, "decile": decile, "true": true, "simulated": real[measure].to_numpy(float), "buyers": buyers}
        )
        for keys in (["arm", "decile"], ["arm"]):
            grouped = frame.assign(gap=frame["simulated"] - frame["true"]).groupby(keys)
            cell = grouped.agg(
                n=("gap", "size"),
                buyers=("buyers", "sum"),
                true=("true", "mean"),
                simulated=("simulated", "mean"),
                gap=("gap", "mean"),
                sd=("gap", "std"),
            )
            rowwise.append(cell.reset_index().assign(measure=measure))
    cells = pd.concat(rowwise, ignore_index=True)
    cells = cells[(cells["buyers"] >= EVENTS) | cells["decile"].isna()].reset_index(drop=True)
    error = cells.pop("sd") / np.sqrt(cells["n"])
    exact = error < 1e-12  # such as the discount of none: nothing varies, so nothing may differ
    cells["z"] = np.where(exact, np.where(cells["gap"].abs() < 1e-9, 0.0, np.inf), cells["gap"] / error.mask(exact, 1.0))
    cells["arm"] = np.array(ARMS)[cells["arm"]]
    bound = float(critical((1 - level) ** (1 / len(cells))))
    return Calibration(cells.drop(columns=["gap", "buyers"]), float(cells["z"].abs().max()), bound)


def calibration_rows(case: str) -> pd.DataFrame:
    """The kept comparison of one preset (`replications`): the cells of `calibrate`, with the bound over all cells of all presets.

    The contacts come on top of a lived shop's history.
    """
    preset, customers, many = REPLICATED[case]
    truth = lived(parameters("paper", preset, customers=customers, activity=1.0), REPLICATED_SEED)
    contacts = sample_after(truth, many, REPLICATED_SEED)
    result = calibrate(truth, truth, contacts, REPLICATED_SEED, level=LEVEL / len(PRESETS))
    return result.cells.assign(bound=result.bound)


YEAR, MONTH = 365, 28  # days: the last year of each shop is compared; repeats are asked of its last 28 days
SHAPES = {  # measure: unit
    "days between trips": "days",
    "units a basket": "units",
    "units a customer and month": "units",
    "spending against the mean": "ratio",
    "spending on the five largest kinds": "share",
}


def answers(shop: Shop, product: str = "product_id") -> dict[str, np.ndarray]:
    """Per measure of SHAPES a sample of its values, and single numbers: discount share, repeat share and others; of the last year.

    `product` names the column that says what was bought: where a shop's product is a bar code, its category (some 300) is what
    the other's product is (250).
    """
    connection = duckdb.connect()
    connection.execute("SET memory_limit='2GB'; SET threads=2; SET enable_progress_bar=false")
    lines, products = shop.path("transactions"), shop.path("products")
    connection.execute(
        f"CREATE TABLE line AS SELECT customer_id, {product} AS product, basket_id, time::DATE AS day, units, "
        f"list_cents, paid_cents FROM '{lines}' LEFT JOIN '{products}' USING (product_id) "
        f"WHERE units > 0 AND time > (SELECT max(time) FROM '{lines}') - INTERVAL {YEAR} DAY"
    )

    def column(query: str) -> np.ndarray:
        return connection.execute(query).df().iloc[:, 0].to_numpy(float)

    trips = "SELECT DISTINCT customer_id, day FROM line"
    gaps = f"SELECT date_diff('day', lag(day) OVER (PARTITION BY customer_id ORDER BY day), day) AS gap FROM ({trips})"
    spend = column("SELECT sum(paid_cents) FROM line GROUP BY customer_id ORDER BY customer_id")
    kinds = (
        "SELECT customer_id, spend, row_number() OVER (PARTITION BY customer_id ORDER BY spend DESC, product) AS place FROM "
        "(SELECT customer_id, product, sum(paid_cents) AS spend FROM line GROUP BY ALL)"
    )
    late = f"(SELECT max(day) FROM line) - INTERVAL {MONTH} DAY"
    pairs = f"SELECT customer_id, product, min(day) <= {late} AS known FROM line GROUP BY ALL HAVING max(day) > {late}"
    return {
        "days between trips": column(f"SELECT gap FROM ({gaps}) WHERE gap IS NOT NULL ORDER BY gap"),
        "units a basket": column("SELECT sum(units) FROM line GROUP BY basket_id ORDER BY basket_id"),
        "units a customer and month": column("SELECT sum(units) / 12.0 FROM line GROUP BY customer_id ORDER BY customer_id"),
        "spending against the mean": spend / spend.mean(),
        "spending on the five largest kinds": column(
            f"SELECT sum(spend) FILTER (place <= 5) / sum(spend) FROM ({kinds}) GROUP BY customer_id HAVING sum(spend) > 0 "
            "ORDER BY customer_id"
        ),
        "trips a customer and month": column(f"SELECT count(*) / 12.0 / count(DISTINCT customer_id) FROM ({trips})"),
        "taken off by discounts": column("SELECT 1 - sum(paid_cents) / sum(list_cents) FROM line"),
        "lines at a discount": column("SELECT avg((paid_cents < list_cents)::INT) FROM line"),
        "products bought before": column(f"SELECT avg(known::INT) FROM ({pairs})"),
        "spending of the top fifth": np.array([np.sort(spend)[-len(spend) // 5 :].sum() / spend.sum()]),
        "weekend trips": column("SELECT avg((dayofweek(day) IN (0, 6))::INT) FROM (SELECT DISTINCT basket_id, day FROM line)"),
    }


def distances(simulated: dict[str, np.ndarray], real: dict[str, np.ndarray]) -> pd.DataFrame:
    """Per measure: the simulated and the real value (medians of samples), and their distance.

    For samples the distance is Kolmogorov and Smirnov's (largest gap of the two distribution functions, 0 to 1); for single
    numbers it is the difference in units of the real one.
    """
    rows = []
    for name, value in simulated.items():
        ours, theirs = float(np.median(value)), float(np.median(real[name]))
        gap = stats.ks_2samp(value, real[name]).statistic if name in SHAPES else abs(ours / theirs - 1)
        rows.append((name, ours, theirs, float(gap), "distribution" if name in SHAPES else "relative"))
    return pd.DataFrame(rows, columns=["measure", "simulated", "real", "distance", "kind"])
