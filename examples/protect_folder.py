"""Protect a folder of photographs and check what was written.

python examples/protect_folder.py photos/ protected/
"""

import sys
from pathlib import Path

from unlearnable import Job, Run, protect, verify

source, destination = map(Path, sys.argv[1:3])
summary = protect(Job(source, destination, method="lsp", eps=8 / 255), Run(seed=0))
print(f"{summary.protected} protected, {summary.failed} failed, largest change {summary.max_abs_delta} levels")
for name, reason in summary.failures:
    print(f"failed: {name}: {reason}")
checked = verify(source, destination)
print(f"{checked.checked} checked, {checked.bad} bad, {checked.missing} missing")
