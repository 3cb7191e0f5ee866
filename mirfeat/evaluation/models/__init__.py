"""Classifiers, factorisations and statistics of the protocols."""
