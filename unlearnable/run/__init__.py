"""Run: where and how a computation happens, never what."""

from unlearnable.run import ranks as ranks
from unlearnable.run.checkpoint import read_metadata, scratch_of, write_atomically
from unlearnable.run.run import KEPT, Cancelled, DeviceName, Precision, Progress, Run, silent

__all__ = [
    "KEPT",
    "Cancelled",
    "DeviceName",
    "Precision",
    "Progress",
    "Run",
    "ranks",
    "read_metadata",
    "scratch_of",
    "silent",
    "write_atomically",
]
