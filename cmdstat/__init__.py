"""cmdstat: update the state of device commands, and be certain what became of each update."""

__version__ = "0.1.0"
