"""Whole models from torch.nn to Ostinato and back, weights kept."""
