"""Many files, here."""
