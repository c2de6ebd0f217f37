"""What notebooks are run with by tests/test_variants.py: other parameters than the paper's, at sizes below those of the smoke profile."""

from typing import Any

# sizes at which a notebook is quick and says little
SMALL: dict[str, dict[str, Any]] = {
    "01_market": {"contacts": 2000, "twins": 150, "points": 60},
    "02_shop": {"draws": 50},
    "03_purchase": {"customers": 100, "items": 40, "pairs": 5000},
    "04_recommendation": {"learners": 150, "evaluated": 100},
    "05_timing": {"customers": 120},
    "07_lifetime": {"draws": 30, "scored": 200},
    "08_effect": {"samples": 3, "size": 400, "rows": 600},
    "09_uplift": {"draws": 20},
    "12_budget": {"parts": 2},
    "16_explanation": {
        "customers": 100,
        "items": 40,
        "explained": 30,
        "background": 6,
        "refits": 6,
        "hybrids": 1000,
        "list_background": 3,
    },
    "17_fairness": {"customers": 300, "minimum": 20, "draws": 50},
}

# notebook -> parameters changed in its run with seed 2, and with seed 3
VARIANTS: dict[str, list[dict[str, Any]]] = {
    "01_market": [{"preset": "uniform"}, {"preset": "hidden"}],
    "02_shop": [{"minimum": 5}, {"minimum": 1000}],  # the second: no campaign can be judged
    "03_purchase": [{"until": "2025-09-01"}, {"tests": 2, "trains": 2}],
    "04_recommendation": [{"product": "White Bread", "k": 5}, {"item": "name", "dates": 1}],  # one date: no interval
    "05_timing": [{"horizon": 21, "classes": 5}, {"embargo": 28, "tests": 1}],
    "07_lifetime": [{"arm": 20, "message": 5.0}, {"fitted": 0.5, "reach": 0.2}],
    "08_effect": [{"arm": "20", "cost": 10.0}, {"arm": "0"}],
    "09_uplift": [
        {"learners": ["T-learner", "X-learner"], "arm": "15"},
        {"learners": ["dose-response"], "message": 30.0, "arm": "20"},
    ],
    "12_budget": [{"arm": "0", "half_life": 14.0}, {"arm": "25", "message": 10.0, "held_out": 0.3}],
    "16_explanation": [{"arm": "20", "budget_share": 0.2}, {"arm": "0", "budget_share": 1.0}],
    "17_fairness": [{"parity_attribute": "gender", "product": ""}, {"protected": ["age"], "budget_share": 0.1, "tolerance": 0.0}],
    "18_campaign": [
        {"product": "", "budget": "", "channel": "e-mail", "holdout": 0.0},
        {"product": "", "budget": "", "customers": "3", "discount": "25"},
    ],
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
    ("07_lifetime", "arm", 7, "arm = 7: must be one of 0, 5, 10, 15, 20, 25"),
    ("07_lifetime", "seed", -1, "seed = -1: must be a whole number of at least 0"),
    ("08_effect", "arm", "7", "arm = '7': must be one of 0, 5, 10, 15, 20, 25, or empty"),
    ("09_uplift", "learners", ["Tlearner"], "learners = ['Tlearner']: must be a list of one or more of S-learner, T-learner,"),
    ("09_uplift", "arm", 7, "arm = 7: must be one of 0, 5, 10, 15, 20, 25, or empty"),
    ("12_budget", "parts", 1, "parts = 1: must be a whole number from 2 to 50"),
    ("16_explanation", "budget_share", 0, "budget_share = 0: must be a number from 0.01 to 1"),
    ("17_fairness", "parity_attribute", "age", "parity_attribute = 'age': must be one of gender, age_band, city,"),
]
