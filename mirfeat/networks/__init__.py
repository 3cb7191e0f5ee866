"""One file per paper: the network, its specs, and readers for foreign weights."""
