"""Lethe's projections."""
