"""The version, in a room of its own: everything may import it."""

__version__ = "0.1.0"
