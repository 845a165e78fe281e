"""Experiments: their plan, their health, their statistics and their answer in a sentence."""
