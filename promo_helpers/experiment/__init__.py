"""Experiments: who got which arm, with which probability, and what came of it."""

from promo_helpers.experiment.experiment import Experiment

__all__ = ["Experiment"]
