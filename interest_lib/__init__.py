"""What shoppers are interested in, how fast it fades, where it moves, and what to show because of it."""

__version__ = "0.1.0"
