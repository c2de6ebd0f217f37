"""The yardsticks: rankings, and later values of policies."""
