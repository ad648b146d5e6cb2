"""Writes the card of the generator that is shipped, from what was said when it was trained and from records.

python -m benchmarks.generator --folder unlearnable/weights/one_for_all --records benchmarks/results/quick
"""

import argparse
import json
from pathlib import Path
from typing import Any

from benchmarks.universal import table
from unlearnable.perturbation import CONFIG, WEIGHTS
from unlearnable.run import write_atomically

CARD = """# one_for_all: the generator that `protect` uses unless told otherwise

Told what the encoder `mini` sees in a picture, it says a change of {grid} x {grid} values within {levels}/255, which is
resized to the picture. No label is needed, then or now.

* Data: {images:,} pictures at {side} px, digest `{digest}`: those that `mini` was trained on,
  without their labels. None of the pictures below, and no class of Imagenette or of the 20 scenes.
* Command: `python scripts/train_generator.py`:
{passes}
* Size: {kilobytes} kB, half precision.

Accuracy of networks trained on pictures that the generator never saw (`unlearnable bench universal`), by record:

{rows}
"""


def card(config: dict[str, Any], kilobytes: int, rows: str) -> str:
    """What the folder holds, in words."""
    method = config["protection"]
    passes = [_pass(about) for about in (*config.get("earlier", []), config)]
    return CARD.format(
        grid=method["grid"], levels=round(255 * method["budget"]["eps"]), images=config["images"], side=config["side"],
        digest=config["digest"], passes="\n".join(passes), kilobytes=kilobytes, rows=rows,
    )  # fmt: skip


def _pass(about: dict[str, Any]) -> str:
    """One pass of training."""
    method, origin = about["protection"], about["provenance"]
    asked = f"groups {', '.join(map(str, method['groups']))}"
    if method.get("regress"):
        asked += f", directions with weight {method['regress']:g}, views tinted {method['tinted']:g} and grey "
        asked += f"{method['greyed']:g}"
    return (
        f"  * {asked}; {method['steps']:,} steps of {method['batch']} at {method['lr']:g}, head {method['head']}, "
        f"{about['seconds']:,} seconds on {origin['hardware']['threads']} thread(s) of "
        f"{origin['hardware']['processor']}, commit `{origin['commit']}`"
    )


def main() -> None:
    """Reads config.json and the records, and writes card.md."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--records", type=Path, required=True)
    asked = parser.parse_args()
    config = json.loads((asked.folder / CONFIG).read_text())
    text = card(config, (asked.folder / WEIGHTS).stat().st_size // 1000, table(asked.records, "universal"))
    write_atomically(asked.folder / "card.md", text.encode())
    print(text)


if __name__ == "__main__":
    main()
