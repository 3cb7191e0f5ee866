"""Looking at music and listening to it: neighbours, a map with players, tags over time."""
