"""The page as a person meets it: seconds from the command to the first protected picture, and many large ones at once.

    python -m benchmarks.ui --out benchmarks/results/ui.json
    python -m benchmarks.ui --screenshot docs/ui.png

Everything goes through the page in Chromium: files are dropped, a button is pressed, the zip is fetched and read. The
large pictures are photographs of Imagenette and scikit-learn (those of `benchmarks.photos`) enlarged to 12 megapixels,
JPEG (quality 92); they are smoother than what a camera gives, so their PNGs take less time. Memory is the peak that the
kernel noted for the server (VmHWM). Other programs were at work where `load` is above 0.
"""

import argparse
import json
import os
import tempfile
import time
import zipfile
from io import BytesIO
from pathlib import Path
from typing import Any

import PIL
import sklearn.datasets
from PIL import Image

from benchmarks.browser import Person, browser, served
from benchmarks.memory import megabytes
from benchmarks.photos import photographs
from unlearnable.provenance import provenance
from unlearnable.run import Run, write_atomically

BARS = {"first_picture_seconds": 15, "peak_mb": 2048}
LARGE, QUALITY = (4000, 3000), 92
PATIENCE = 3000.0  # seconds
SHOT = 680  # pixels across


def main() -> None:
    """Measures and writes one JSON file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--large", type=int, default=50, help="how many pictures of 12 megapixels")
    parser.add_argument("--repeats", type=int, default=3, help="starts of the server")
    wanted = parser.add_mutually_exclusive_group(required=True)
    wanted.add_argument("--out", type=Path)
    wanted.add_argument("--screenshot", type=Path, help="no measurement: a picture of the page for the docs")
    asked = parser.parse_args()
    if asked.screenshot:
        screenshot(asked.screenshot)
        return
    record: dict[str, Any] = {"bars": BARS} | provenance(Run(device="cpu")) | {"pillow": PIL.__version__}
    record["load"] = round(os.getloadavg()[0], 1)
    with tempfile.TemporaryDirectory() as folder, browser() as chromium:
        first = Path(folder) / "first.jpg"
        first.write_bytes(next(photographs(1))[1])
        starts = [started(chromium, first) for _ in range(asked.repeats)]
        record["start_seconds"] = sorted(starts, key=lambda taken: taken["first_picture"])[len(starts) // 2]
        record["starts"] = [taken["first_picture"] for taken in starts]
        record["large"] = large(chromium, Path(folder), asked.large)
    write_atomically(asked.out, (json.dumps(record, indent=1) + "\n").encode())
    print(json.dumps(record, indent=1))


def started(chromium: Any, picture: Path) -> dict[str, float]:
    """Seconds since the command was given until its address was said, the page could be used, a picture protected."""
    began = time.monotonic()
    with served() as running:
        said = time.monotonic()
        person = Person(chromium, running.url)
        usable = time.monotonic()
        person.drop(picture)
        person.press("protect-go")
        assert person.said().startswith("1 protected"), person.said()
        moments = {"address": said, "page": usable, "first_picture": time.monotonic()}
        person.page.close()
    return {name: round(moment - began, 2) for name, moment in moments.items()}


def screenshot(out: Path) -> None:
    """The page with scikit-learn's two photographs protected, shrunk."""
    pictures = sorted((Path(sklearn.datasets.__file__).parent / "images").glob("*.jpg"))
    with browser() as chromium, served() as running:
        person = Person(chromium, running.url)
        person.drop(*pictures)
        person.press("protect-go")
        person.said()
        person.until(".views img")
        time.sleep(3)  # until all three are drawn
        taken = Image.open(BytesIO(person.page.screenshot(full_page=True)))
        # fewer colours would show steps in the sky that are not there; fewer pixels do not
        taken.convert("RGB").resize((SHOT, SHOT * taken.height // taken.width), Image.Resampling.LANCZOS).save(
            out, optimize=True
        )
        person.page.close()


def large(chromium: Any, folder: Path, count: int) -> dict[str, Any]:
    """Many pictures of 12 megapixels: dropped, protected, looked at, fetched; the server's memory before and after."""
    files = [_enlarged(folder / name, data) for name, data in photographs(count)]
    with served() as running:
        person = Person(chromium, running.url)
        idle = int(megabytes("VmRSS", running.process.pid))
        began = time.monotonic()
        person.drop(*files)
        dropped = time.monotonic()
        person.press("protect-go")
        said = person.said(seconds=PATIENCE)
        done = time.monotonic()
        person.until(".views img")
        person.page.click("text=all of it")
        time.sleep(5)
        with zipfile.ZipFile(person.fetch(folder / "got.zip")) as archive:
            whole, pictures = archive.testzip() is None, sum(name.endswith(".png") for name in archive.namelist())
        peak = int(megabytes("VmHWM", running.process.pid))
        alive = running.process.poll() is None
        person.page.close()
    return {
        "count": count, "pixels": LARGE[0] * LARGE[1], "said": said, "protected": pictures if whole else 0,
        "alive": alive, "upload_seconds": round(dropped - began, 1), "protect_seconds": round(done - dropped, 1),
        "zip_mb": round((folder / "got.zip").stat().st_size / 2**20, 1), "idle_mb": idle, "peak_mb": peak,
    }  # fmt: skip


def _enlarged(path: Path, data: bytes) -> Path:
    with Image.open(BytesIO(data)) as image:
        image.resize(LARGE, Image.Resampling.BICUBIC).save(path, "JPEG", quality=QUALITY)
    return path


if __name__ == "__main__":
    main()
