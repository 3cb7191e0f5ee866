"""Files, URLs and arrays on their way to segments."""
