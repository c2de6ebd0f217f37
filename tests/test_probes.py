"""Each kept study is still what its code makes: one seed of a small case, computed anew (see promo_helpers/kept.py)."""

import pytest

from promo_helpers import kept

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("noun", kept.JOBS)
def test_the_probe_of_a_kept_study_gives_the_same_numbers(noun):
    said = kept.probe_differences(noun, kept.kept_probe(noun), kept.probe(noun))
    shown = said[:8] + ([f"and {len(said) - 8} more"] if len(said) > 8 else [])
    assert not said, "\n".join([*shown, f"where that is meant: make replications N={noun}"])
