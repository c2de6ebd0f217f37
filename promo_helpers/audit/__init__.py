"""Why a customer is chosen, and whether the choice is fair: audits of models and of lists."""
