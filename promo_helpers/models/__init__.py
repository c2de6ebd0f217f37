"""Models that learn from a shop. None of them may import the market: a test holds that."""
