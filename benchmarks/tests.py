"""How long the tests take: `python -m benchmarks.tests test --out benchmarks/results/tests.json`, or test-slow.

Runs `make test` or `make test-slow` in this checkout and keeps what pytest says at its end, and how long the tests of
`NAMED` took; what the other target took stays.
"""

import argparse
import json
import os
import re
import subprocess
from pathlib import Path
from typing import Any

from unlearnable.provenance import provenance
from unlearnable.run import Run, write_atomically

ROOT = Path(__file__).parent.parent
SUMMARY = re.compile(r"^(?P<counts>\d+ \w+(?:, \d+ \w+)*) in (?P<seconds>[\d.]+)s", re.MULTILINE)
DURATION = re.compile(r"^([\d.]+)s (?:call|setup|teardown) +(tests/\w+\.py)::", re.MULTILINE)
NAMED = {
    "tests/test_ui_browser.py": "the page in a browser",
    "tests/test_ray.py": "Ray",
    "tests/test_offline.py": "no network",
}


def measured(target: str) -> dict[str, Any]:
    """Counts by outcome, seconds, and seconds of the named files. Raises ValueError where a test failed."""
    every = os.environ | {"PYTEST_ADDOPTS": "--durations=0 --durations-min=0"}
    done = subprocess.run(["make", "-s", target], cwd=ROOT, capture_output=True, text=True, check=False, env=every)
    found = SUMMARY.findall(done.stdout)
    if done.returncode or not found:
        raise ValueError(f"make {target} ended with {done.returncode}: {done.stdout[-2000:]}{done.stderr[-500:]}")
    counts, seconds = found[-1]
    outcomes = {name: int(count) for count, name in re.findall(r"(\d+) (\w+)", counts)}
    took = dict.fromkeys(NAMED, 0.0)
    for part, file in DURATION.findall(done.stdout):
        if file in took:
            took[file] = round(took[file] + float(part), 2)
    return outcomes | {"seconds": float(seconds), "named": took, "provenance": provenance(Run())}


def sentence(record: dict[str, Any]) -> str:
    """What was measured, in a line."""
    said = [
        f"`make {target}`: {one['passed']:,} tests in {one['seconds'] / 60:.0f} min on "
        f"{one['provenance']['hardware']['cores']} cores{_named(one.get('named', {}))}"
        for target, one in sorted(record.items())
    ]
    return "; ".join(said) + "."


def _named(took: dict[str, float]) -> str:
    """What the tests of each file took, in words; nothing for what took none, or did not run."""
    said = [f"{NAMED[file]} {seconds:.0f} s" for file, seconds in took.items() if round(seconds)]
    return f" (of it, in processes side by side: {', '.join(said)})" if said else ""


def main() -> None:
    """Measures one target and writes it beside the other."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("target", choices=("test", "test-slow"))
    parser.add_argument("--out", type=Path, required=True)
    asked = parser.parse_args()
    record = json.loads(asked.out.read_text()) if asked.out.exists() else {}
    record[asked.target] = measured(asked.target)
    write_atomically(asked.out, (json.dumps(record, indent=1) + "\n").encode())
    print(sentence(record))


if __name__ == "__main__":
    main()
