"""Pictures for the report: originals, what was published of them, and the change made larger."""

from io import BytesIO

import torch
from PIL import Image

from unlearnable.data import ImageSet
from unlearnable.pixels import Bytes, amplified

GAIN = 16
SIDE = 128  # of one picture on the page, about


def examples(clean: ImageSet, protected: ImageSet, count: int = 6) -> tuple[tuple[str, bytes], ...]:
    """(caption, PNG) three times: the first picture of up to `count` classes, protected, and the change, GAIN times.

    They are shown as the networks get them, at the size of the training.
    """
    labels = clean.labels.unique().tolist()[:count]
    rows = [int((clean.labels == label).nonzero()[0]) for label in labels]
    before, after = clean.images[rows], protected.images[rows]
    strips = {
        "Originals, as the networks get them": before,
        "The same, protected": after,
        f"The change made {GAIN} times larger (grey: none)": amplified(before, after, GAIN),
    }
    return tuple((caption, _strip(images)) for caption, images in strips.items())


def _strip(images: Bytes) -> bytes:
    """Pictures side by side, enlarged without smoothing, as a PNG."""
    zoom = max(1, SIDE // images.shape[-1])
    row = torch.cat(list(images), dim=2).repeat_interleave(zoom, 1).repeat_interleave(zoom, 2)
    written = BytesIO()
    Image.fromarray(row.permute(1, 2, 0).contiguous().numpy()).save(written, "PNG")
    return written.getvalue()
