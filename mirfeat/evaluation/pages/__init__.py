"""Results as figures and one page."""
