"""What the kernel says of a process's memory."""

from pathlib import Path


def megabytes(what: str, process: int | str = "self") -> float:
    """VmHWM (the most that ever was in memory; getrusage would count what a parent had when it forked), VmRSS (what is
    there now) or VmData (private, allocated); 0 where the process has gone.
    """
    try:
        lines = Path(f"/proc/{process}/status").read_text().splitlines()
    except OSError:
        return 0.0
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith(f"{what}:")), 0.0)
