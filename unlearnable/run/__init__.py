"""Run: where and how a computation happens, never what."""

from unlearnable.run import ranks as ranks
from unlearnable.run.checkpoint import read_metadata, write_atomically
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
    "silent",
    "write_atomically",
]
