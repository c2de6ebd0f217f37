"""Models are fitted side by side in Python threads: what one calls must not reach into the other."""

import os
import subprocess
import sys
import textwrap

import pytest

RACE = """
    from concurrent.futures import ThreadPoolExecutor
    import numpy as np
    import promo_helpers.trees
    import lightgbm as lgb

    rng = np.random.default_rng(0)
    x = rng.poisson(0.05, (4000, 30)).astype(float)
    y = rng.poisson(1 + x[:, 0]).astype(float)
    fixed = {"objective": "poisson", "num_threads": 1, "verbose": -1, "deterministic": True, "force_row_wise": True}
    model = lgb.train(fixed, lgb.Dataset(x, y), 5)

    def train():
        for _ in range(100):
            lgb.train(fixed, lgb.Dataset(x, y), 2)

    with ThreadPoolExecutor(2) as pool:
        training = pool.submit(train)
        while not training.done():
            model.predict(x)
    training.result()
"""


@pytest.mark.slow
@pytest.mark.skipif(os.cpu_count() == 1, reason="on one core no call asks for a second thread")
def test_a_prediction_beside_a_training_does_not_end_the_process():
    """Without the cap this ends with a segmentation fault, within a second or two, on a machine of two cores or more."""
    code = textwrap.dedent(RACE)
    environment = {k: v for k, v in os.environ.items() if not k.endswith("_NUM_THREADS")}
    ended = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=300, env=environment, check=False
    )
    assert ended.returncode == 0, ended.stderr
