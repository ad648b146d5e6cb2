"""Makes image collections useless for training that their owner did not allow, and measures how well that worked."""

__version__ = "0.1.0"
