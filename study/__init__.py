"""Hyper-parameter studies that decide, with evidence, whether one loss can replace another."""
