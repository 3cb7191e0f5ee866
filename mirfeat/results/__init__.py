"""Results: rows of a clip, the vector over them, tables of many clips, outcomes of a run."""
