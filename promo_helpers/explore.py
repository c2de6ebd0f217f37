"""Sales over time: days, weeks, hours, and the long run split into trend, season and rest."""

import itertools

import numpy as np
import pandas as pd
from narwhals import stable
from scipy import sparse
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import PredefinedSplit, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from promo_helpers import draws, inference
from promo_helpers import draws as keyed
from promo_helpers.features.contact_history import PrefixSums
from promo_helpers.shop import TABLES, Shop

nw = stable.v2


def table_sizes(shop: Shop) -> pd.DataFrame:
    """One row per table: rows, columns, first and last day (missing where a table has no time, or is not there)."""
    rows = []
    for name in TABLES:
        if not shop.has(name):
            rows.append({"table": name, "rows": 0, "columns": 0, "first": None, "last": None})
            continue
        time = next((c for c in ("time", "start_date") if shop.has(name, c)), None)
        first, last = _range(shop, name, time) if time else (None, None)
        columns = sum(shop.has(name, c) for c in TABLES[name].names)
        rows.append({"table": name, "rows": shop.rows(name), "columns": columns, "first": first, "last": last})
    return pd.DataFrame(rows)


def _range(shop: Shop, table: str, time: str) -> tuple[str, str]:
    ends = (
        shop.lazy(table).select(nw.col(time).min().alias("first"), nw.col(time).max().alias("last")).collect("pandas").to_native()
    )
    return tuple(f"{pd.Timestamp(ends[c].iloc[0]):%Y-%m-%d}" for c in ("first", "last"))  # type: ignore[return-value]


def daily_sales(shop: Shop) -> pd.DataFrame:
    """Columns day, sales, listed (both in the shop's currency), units, baskets, customers; every day of the range has its row."""
    days = (
        shop.lazy("transactions")
        .with_columns(day=nw.col("time").dt.truncate("1d"))
        .group_by("day")
        .agg(
            nw.col("paid_cents").sum().cast(nw.Int64),
            nw.col("list_cents").sum().cast(nw.Int64),
            nw.col("units").sum().cast(nw.Int64),
            nw.col("basket_id").n_unique().alias("baskets"),
            nw.col("customer_id").n_unique().alias("customers"),
        )
        .collect("pandas")
        .to_native()
        .set_index("day")
        .sort_index()
    )
    days.index = pd.DatetimeIndex(days.index).astype("datetime64[us]")
    days = days.reindex(pd.date_range(days.index[0], days.index[-1], name="day"), fill_value=0)
    days["sales"], days["listed"] = days.pop("paid_cents") / 100, days.pop("list_cents") / 100
    return days.reset_index()[["day", "sales", "listed", "units", "baskets", "customers"]]


def weekly_sales(daily: pd.DataFrame) -> pd.DataFrame:
    """Columns week (its Monday), sales, listed, units, baskets; whole weeks only."""
    weeks = daily.assign(week=daily["day"] - pd.to_timedelta(daily["day"].dt.weekday, unit="D")).groupby("week")
    whole = weeks.size() == 7
    return weeks[["sales", "listed", "units", "baskets"]].sum()[whole].reset_index()


def week_hours(shop: Shop) -> pd.DataFrame:
    """Share of baskets by weekday (rows, Monday first) and hour of the day (columns 0 to 23); sums to 1."""
    counts = (
        shop.lazy("transactions")
        .group_by("basket_id")
        .agg(nw.col("time").min())
        .select(weekday=nw.col("time").dt.weekday(), hour=nw.col("time").dt.hour())
        .group_by("weekday", "hour")
        .agg(nw.len().alias("baskets"))
        .collect("pandas")
        .to_native()
        .pivot(index="weekday", columns="hour", values="baskets")
        .reindex(index=range(1, 8), columns=range(24))
        .fillna(0)
    )
    counts.index = pd.Index(["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"], name="weekday")
    return counts / counts.to_numpy().sum()


def decompose(daily: pd.DataFrame, measure: str = "sales") -> pd.DataFrame:
    """Columns day, observed, trend, week, rest: observed = trend + week + rest, by robust STL with a period of a week.

    Cleveland et al. (1990), in statsmodels. The trend bends over about a quarter; robustness keeps holidays in the rest.
    Raises ValueError for fewer than four weeks of days.
    """
    from statsmodels.tsa.seasonal import STL

    if len(daily) < 28:
        raise ValueError(f"{len(daily)} days are too few to tell a trend from a week; four weeks are the least")
    trend = min(91, (len(daily) // 2) | 1)
    fit = STL(daily[measure].to_numpy(dtype=float), period=7, seasonal=35, trend=trend, robust=True).fit()
    return pd.DataFrame(
        {"day": daily["day"], "observed": fit.observed, "trend": fit.trend, "week": fit.seasonal, "rest": fit.resid}
    )


def strength(parts: pd.DataFrame, part: str) -> float:
    """How much of the movement a part explains, 0 to 1: max(0, 1 - var(rest) / var(part + rest)) (Wang, Smith, Hyndman 2006)."""
    return float(max(0.0, 1 - parts["rest"].var() / (parts[part] + parts["rest"]).var()))


def autocorrelation(series: pd.Series, lags: int = 60, cap: float = 0.0) -> pd.DataFrame:
    """Columns lag (days, from 1), correlation, band: of a series without correlation all lags lie within +-band 19 times in 20.

    The band is Bonferroni's over the lags, normal for white noise. With `cap`, values beyond the cap and 1 - cap quantiles are
    brought to them first, so that no pair of holidays makes a peak by itself.
    """
    from statsmodels.tsa.stattools import acf

    values = series.clip(series.quantile(cap), series.quantile(1 - cap)).to_numpy(dtype=float)
    lags = min(lags, len(values) // 2 - 1)
    correlation = acf(values, nlags=lags, fft=True, result_object=False)[1:]
    band = inference.critical(1 - 0.05 / lags) / np.sqrt(len(values))
    return pd.DataFrame({"lag": np.arange(1, lags + 1), "correlation": correlation, "band": band})


SEGMENTS = {  # recency score, mean of frequency and spending score; the first that fits counts
    "champions": (4, 4),
    "loyal": (3, 3),
    "new or rising": (4, 1),
    "at risk": (1, 3),
    "fading": (2, 1),
    "lost": (1, 1),
}


def baskets(shop: Shop) -> pd.DataFrame:
    """One row per basket, sorted: basket_id, customer_id, time, lines, units, spend (in the shop's currency)."""
    frame = (
        shop.lazy("transactions")
        .group_by("basket_id", "customer_id")
        .agg(
            nw.col("time").min(),
            nw.len().alias("lines"),
            nw.col("units").sum().cast(nw.Int64),
            nw.col("paid_cents").sum().cast(nw.Int64),
        )
        .collect("pandas")
        .to_native()
        .sort_values(["customer_id", "time", "basket_id"], ignore_index=True)
    )
    return frame.assign(spend=frame.pop("paid_cents") / 100)


def gaps(trips: pd.DataFrame) -> pd.Series:
    """Days from one day of shopping to the customer's next, over all customers (a second basket on a day is no trip)."""
    days = trips.assign(day=trips["time"].dt.normalize()).drop_duplicates(["customer_id", "day"])
    return days.groupby("customer_id")["day"].diff().dt.days.dropna().rename("days")


def concentration(spend: pd.Series) -> pd.DataFrame:
    """Lorenz curve of spending, largest customers first: columns customers, spend (cumulated shares, from 0 to 1)."""
    ordered = np.sort(spend.to_numpy(dtype=float))[::-1]
    shares = np.concatenate([[0.0], np.cumsum(ordered) / ordered.sum()])
    return pd.DataFrame({"customers": np.linspace(0, 1, len(shares)), "spend": shares})


def top_share(curve: pd.DataFrame, customers: float) -> float:
    """Share of all spending that the largest `customers` (a share) account for."""
    return float(np.interp(customers, curve["customers"], curve["spend"]))


def rfm(trips: pd.DataFrame, as_of: pd.Timestamp) -> pd.DataFrame:
    """Recency, frequency, spending as of a moment, from strictly earlier baskets: one row per customer who has any.

    Columns customer_id, recency (days since the last basket), frequency (baskets), monetary (spend), their scores r, f, m from 1 to 5
    (fifths of the customers, ties in one fifth, 5 is best), and segment (see SEGMENTS).
    """
    past = trips[trips["time"] < as_of].groupby("customer_id")
    table = pd.DataFrame({"last": past["time"].max(), "frequency": past.size(), "monetary": past["spend"].sum()})
    table.insert(0, "recency", (as_of - table.pop("last")).dt.total_seconds() / 86400)
    table["r"] = _fifths(-table["recency"])
    table["f"], table["m"] = _fifths(table["frequency"]), _fifths(table["monetary"])
    worth = (table["f"] + table["m"]) / 2
    fits = [(table["r"] >= r) & (worth >= w) for r, w in SEGMENTS.values()]
    table["segment"] = pd.Categorical(np.select(fits, list(SEGMENTS), "lost"), list(SEGMENTS))
    return table.reset_index()


def _fifths(values: pd.Series) -> pd.Series:
    return np.ceil(values.rank(method="max", pct=True) * 5).astype(int)


def segment_table(table: pd.DataFrame) -> pd.DataFrame:
    """One row per segment: customers, their share, their share of spending, and the medians of recency, frequency, spending."""
    group = table.groupby("segment", observed=True)
    return pd.DataFrame(
        {
            "customers": group.size(),
            "share": group.size() / len(table),
            "spend share": group["monetary"].sum() / table["monetary"].sum(),
            "recency": group["recency"].median(),
            "baskets": group["frequency"].median(),
            "spend": group["monetary"].median(),
        }
    ).reset_index()


def category_sales(shop: Shop, by: str = "category") -> pd.DataFrame:
    """One row per category (or department), largest first: sales, share of sales, share of customers who bought, discount share.

    `discount` is what was taken off the list price, as a share of it. Lines of products without a category count in the totals.
    """
    lines = shop.lazy("transactions").join(shop.lazy("products").select("product_id", by), on="product_id", how="left")
    frame = (
        lines.group_by(by)
        .agg(
            nw.col("paid_cents").sum().cast(nw.Int64),
            nw.col("list_cents").sum().cast(nw.Int64),
            nw.col("customer_id").n_unique().alias("customers"),
        )
        .collect("pandas")
        .to_native()
    )
    customers = lines.select(nw.col("customer_id").n_unique()).collect("pandas").to_native().iloc[0, 0]
    frame = frame.assign(
        sales=frame["paid_cents"] / 100,
        share=frame["paid_cents"] / frame["paid_cents"].sum(),
        reach=frame["customers"] / customers,
        discount=1 - frame["paid_cents"] / frame["list_cents"],
    )
    named = frame[frame[by].notna()].sort_values(["sales", by], ascending=[False, True], ignore_index=True)
    return named[[by, "sales", "share", "reach", "discount"]]


def discount_depths(shop: Shop, step: float = 0.05) -> pd.DataFrame:
    """Lines sold at a discount by its depth: columns depth (lower edge of a step), lines, share (of all lines with a known discount).

    No rows where the shop knows no discounts.
    """
    if not shop.has("transactions", "discount"):
        return pd.DataFrame({"depth": [], "lines": [], "share": []}, dtype=float)
    known = shop.lazy("transactions").filter(~nw.col("discount").is_null())
    counts = (
        known.select(step=((nw.col("discount") + 1e-9) / step).floor().cast(nw.Int64), any=nw.col("discount") > 0)
        .group_by("step", "any")
        .agg(nw.len().alias("lines"))
        .collect("pandas")
        .to_native()
    )
    total = counts["lines"].sum()
    counts = counts[counts["any"]].groupby("step")["lines"].sum().sort_index()
    return pd.DataFrame({"depth": counts.index * step, "lines": counts.to_numpy(), "share": counts.to_numpy() / total})


def pair_lift(
    shop: Shop, seed: int, *, categories: int = 30, draws: int = 500, level: float = 0.95, least: int = 10
) -> pd.DataFrame:
    """Which of the categories in most baskets share a basket more often than the size of baskets explains; most of all first.

    Columns a, b, baskets (with both), support, lift, adjusted, low, high. `lift` is P(a and b) / (P(a) P(b)) (Brin et al. 1997).
    Large baskets hold a bit of everything, so that nearly all lifts exceed 1; `adjusted` compares with what would be expected
    within baskets of the same number k of these categories C: the sum over k of n_a n_b / n, times the factor
    (k - 1) C / (k (C - 1)) by which k different categories meet less often than k independent ones (exact for equal shares).
    low and high are of `adjusted` and hold for all pairs at once: the largest |z| of its logarithm over the pairs, over bootstrap
    draws of customers (whose baskets stay together), gives one critical value. Pairs that fewer than
    `least` customers bought together are left out, since they would vanish from many a draw, where they count as beyond.
    """
    seen = _categories_of_baskets(shop)
    top = seen["category"].value_counts().sort_index().sort_values(ascending=False, kind="stable").index[:categories]
    if len(top) < 2:
        raise ValueError(f"{len(top)} category in all: two are the least that can share a basket")
    customer, people = pd.factorize(seen["customer_id"], sort=True)
    basket, names = pd.factorize(seen["basket_id"], sort=True)
    column = top.get_indexer(seen["category"])
    owner = np.zeros(len(names), dtype=np.int64)
    owner[basket] = customer
    kept = column >= 0
    has = sparse.csr_matrix((np.ones(kept.sum()), (basket[kept], column[kept])), shape=(len(names), len(top)))
    size = np.asarray(has.sum(1)).ravel().astype(int)
    belongs = sparse.csr_matrix((np.ones(len(names)), (owner, np.arange(len(names)))))
    first, second = (np.array(i) for i in zip(*itertools.combinations(range(len(top)), 2), strict=True))
    both = (belongs @ has[:, first].multiply(has[:, second])).toarray()  # [customer, pair]
    sizes = [k for k in range(2, len(top) + 1) if (size == k).any()]
    alone = [(belongs @ has.multiply((size == k)[:, None])).toarray() for k in sizes]  # per size: [customer, category]
    number = [np.asarray(belongs @ (size == k).astype(float)) for k in sizes]  # per size: [customer]

    def adjusted(weights: np.ndarray) -> np.ndarray:
        """Log of the adjusted lift of every pair, customers weighted: [draw, customer] -> [draw, pair]."""
        expected = np.zeros((len(weights), len(first)))
        for k, single, n in zip(sizes, alone, number, strict=True):
            share, baskets = weights @ single, (weights @ n)[:, None]
            meet = (k - 1) * len(top) / (k * (len(top) - 1))
            expected += meet * share[:, first] * share[:, second] / np.maximum(baskets, 1)
        with np.errstate(divide="ignore"):
            return np.asarray(np.log(weights @ both) - np.log(expected))

    counts = both.sum(0)
    met = (both > 0).sum(0) >= least  # of a pair that hardly anyone buys nothing can be said
    value = adjusted(np.ones((1, both.shape[0])))[0, met]
    drawn = adjusted(keyed.bootstrap(seed, "pairs of categories", people, n=draws))[:, met]
    low, high = inference.simultaneous(value, drawn, level)
    total = np.asarray(has.sum(0)).ravel()
    table = pd.DataFrame(
        {
            "a": top[first[met]],
            "b": top[second[met]],
            "baskets": counts[met].astype(int),
            "support": counts[met] / len(names),
            "lift": counts[met] * len(names) / (total[first[met]] * total[second[met]]),
            "adjusted": np.exp(value),
            "low": np.exp(low),
            "high": np.exp(high),
        }
    )
    return table.sort_values(["adjusted", "a", "b"], ascending=[False, True, True], ignore_index=True)


def _categories_of_baskets(shop: Shop) -> pd.DataFrame:
    """Columns customer_id, basket_id, category: what was bought (not returned), each category once a basket."""
    lines = shop.lazy("transactions").join(shop.lazy("products").select("product_id", "category"), on="product_id")
    bought = lines.filter(~nw.col("category").is_null(), nw.col("units") > 0).select("customer_id", "basket_id", "category")
    return bought.unique().collect("pandas").to_native()


BEFORE = pd.Timedelta(weeks=8)  # long enough to see a rare customer, short enough for the early campaigns


def campaign_table(shop: Shop, first_day: pd.Timestamp, last_day: pd.Timestamp) -> pd.DataFrame:
    """One row per campaign: start, end, contacted, share (of the assignments), redeemed, rate (redeemed / contacted), seen.

    `seen` says whether the whole campaign lies in the data: a rate of one that does not is too low.
    """
    contacts = shop.frame("contacts", ["campaign_id", "time", "arm", "redeemed"])
    ends = shop.frame("promotions", ["campaign_id", "end_date"]).groupby("campaign_id")["end_date"].max()
    group = contacts.assign(sent=contacts["arm"] != "none").groupby("campaign_id")
    table = pd.DataFrame({"start": group["time"].min(), "contacted": group["sent"].sum(), "share": group["sent"].mean()})
    table.insert(1, "end", ends.reindex(table.index))
    table["redeemed"] = group["redeemed"].sum().astype("int64")
    table["rate"] = table["redeemed"] / table["contacted"]
    table["seen"] = (table["start"] >= first_day) & (table["end"] <= last_day)
    return table.sort_values(["start", "contacted"]).reset_index()


def before_contact(shop: Shop, trips: pd.DataFrame) -> pd.DataFrame:
    """One row per assignment whose eight weeks before it lie in the data: campaign_id, customer_id, sent, spend, baskets (in them)."""
    contacts = shop.frame("contacts", ["campaign_id", "customer_id", "time", "arm"])
    first = trips["time"].min().normalize()
    contacts = contacts[contacts["time"] - BEFORE >= first].sort_values(["campaign_id", "time"], kind="stable")
    names = pd.Index(trips["customer_id"].unique())
    cents = np.rint(trips["spend"].to_numpy() * 100).astype(np.int64)
    known = PrefixSums.of(names.get_indexer(trips["customer_id"]), _second(trips["time"], first), {"cents": cents})
    until = _second(contacts["time"], first)
    before = known.between(names.get_indexer(contacts["customer_id"]), until - int(BEFORE.total_seconds()), until)
    return pd.DataFrame(
        {
            "customer_id": contacts["customer_id"].to_numpy(),
            "campaign_id": contacts["campaign_id"].to_numpy(),
            "sent": (contacts["arm"] != "none").to_numpy(),
            "spend": before["cents"] / 100,
            "baskets": before["rows"].astype(float),
        }
    )


def contacted_against_spared(history: pd.DataFrame, folds: int = 5, least: int = 50) -> pd.DataFrame:
    """How the contacted of each campaign differed from the spared before it. One row per campaign with `least` of both.

    Columns campaign_id, contacted, ratio (of mean spending, contacted to spared), difference (of mean log spending, in standard
    deviations) and auc: how well spending and trips tell the two apart, out of fold; .5 would be a mailing by chance.
    """
    rows = []
    for campaign, group in history.groupby("campaign_id", sort=True):
        sent = group["sent"].to_numpy(dtype=bool)
        if min(sent.sum(), (~sent).sum()) < least:
            continue
        spend, logs = group["spend"].to_numpy(), np.log1p(group[["spend", "baskets"]].clip(lower=0))
        level = logs["spend"].to_numpy()
        model = make_pipeline(StandardScaler(), LogisticRegression())
        cut = PredefinedSplit(draws.folds(0, f"contacted or spared, {campaign}", group["customer_id"], number=folds))
        chance = cross_val_predict(model, logs, sent, cv=cut, method="predict_proba")[:, 1]
        scale = np.sqrt((level[sent].var(ddof=1) + level[~sent].var(ddof=1)) / 2)
        rows.append(
            {
                "campaign_id": campaign,
                "contacted": int(sent.sum()),
                "ratio": spend[sent].mean() / spend[~sent].mean(),
                "difference": (level[sent].mean() - level[~sent].mean()) / scale,
                "auc": roc_auc_score(sent, chance),
            }
        )
    return pd.DataFrame(rows, columns=["campaign_id", "contacted", "ratio", "difference", "auc"])


def apart_by_kind(shop: Shop, apart: pd.DataFrame) -> pd.DataFrame:
    """By kind of campaign, "rule" or "trial" (the index): campaigns, mean AUC as estimate, its se, and low and high, the range.

    apart: of `contacted_against_spared`. No rows where the shop marks no contact as one of a trial.
    """
    columns = ["campaigns", "estimate", "se", "low", "high"]
    if not len(apart) or not shop.has("contacts", "trial_id"):
        return pd.DataFrame(columns=columns)
    trials = shop.frame("contacts", ["campaign_id", "trial_id"]).dropna()["campaign_id"].unique()
    kind = np.where(apart["campaign_id"].isin(trials), "trial", "rule")
    found = apart.groupby(kind)["auc"].agg(["size", "mean", "sem", "min", "max"]).set_axis(columns, axis=1)
    return found.reindex(["rule", "trial"]).fillna({"campaigns": 0})


def _second(time: pd.Series, start: pd.Timestamp) -> np.ndarray:
    return (time - start).dt.total_seconds().to_numpy(np.int64)
