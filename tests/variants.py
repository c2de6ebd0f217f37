"""What notebooks are run with by tests/test_variants.py: other parameters than the paper's, at sizes below those of the smoke profile."""

from typing import Any

# sizes at which a notebook is quick and says little
SMALL: dict[str, dict[str, Any]] = {
    "01_market": {"contacts": 2000, "twins": 150, "points": 60},
    "02_shop": {"draws": 50},
    "03_purchase": {"customers": 100, "items": 40, "pairs": 5000},
    "04_recommendation": {"learners": 150, "judged": 100},
    "05_timing": {"customers": 120},
    "06_lifetime": {"draws": 30, "told": 200},
}

# notebook -> parameters changed in its run with seed 2, and with seed 3
VARIANTS: dict[str, list[dict[str, Any]]] = {
    "01_market": [{"preset": "uniform"}, {"preset": "hidden"}],
    "02_shop": [{"least": 5}, {"least": 1000}],  # the second: no campaign can be judged
    "03_purchase": [{"until": "2025-09-01"}, {"item": "name"}],
    "04_recommendation": [{"product": "White Bread", "k": 5}, {"item": "name", "dates": 1}],  # one date: no interval
    "05_timing": [{"horizon": 21, "classes": 5}, {"embargo": 28, "tests": 1}],
    "06_lifetime": [{"arm": 20, "message": 5.0}, {"fitted": 0.5, "reach": 0.2}],
}

# notebook -> a parameter that is wrong, its value, and what is said of it before anything slow runs
WRONG: list[tuple[str, str, Any, str]] = [
    ("01_market", "preset", "nosuch", "preset = 'nosuch': must be one of default, null,"),
    ("01_market", "profile", "tiny", "profile = 'tiny': must be one of smoke, seed, paper, large"),
    ("02_shop", "data", "nosuch", "data = 'nosuch': must be one of simulated, completejourney, own"),
    ("03_purchase", "item", "bar code", "item = 'bar code': must be one of product_id, name"),
    ("03_purchase", "until", "yesterday", "until = 'yesterday': must be a date such as 2025-10-31, or empty"),
    ("04_recommendation", "k", 0, "k = 0: must be a whole number of at least 1"),
    ("05_timing", "horizon", 3, "horizon = 3: must be a whole number of at least 14"),
    ("06_lifetime", "arm", 7, "arm = 7: must be one of 0, 5, 10, 15, 20, 25"),
    ("06_lifetime", "seed", -1, "seed = -1: must be a whole number of at least 0"),
]
