"""Looking at music and listening: what comes with the package, neighbours, maps, tags over time."""
