"""Training of the networks on labelled music: tables of tracks, sources of targets, the trainer."""
