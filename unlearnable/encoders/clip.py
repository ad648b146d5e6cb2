"""CLIP (Radford et al., ICML 2021, arXiv 2103.00020) through transformers: from a folder, or by name from the hub."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor
from torch.nn import functional as F

from unlearnable.encoders import clip_files
from unlearnable.encoders.encoder import Vectors
from unlearnable.encoders.words import cleaned
from unlearnable.models.layers import Bicubic
from unlearnable.pixels import Pixels
from unlearnable.run import Run


@dataclass(frozen=True, eq=False)
class Clip:
    """A published CLIP, frozen. template: what is said of a name, in place of {}.

    All of a picture is seen, squashed to the network's size; the paper crops the middle of one that is not square.
    Raises ValueError for a template without {}.
    """

    name: str
    model: Any
    tokenizer: Any
    mean: tuple[float, ...] = clip_files.MEAN
    std: tuple[float, ...] = clip_files.STD
    template: str = "a photo of a {}"

    def __post_init__(self) -> None:
        if "{}" not in self.template:
            raise ValueError(
                f"template must say where the name goes, as 'a photo of a {{}}' does, got {self.template!r}"
            )

    @property
    def dimension(self) -> int:
        """How long its vectors are."""
        return int(self.model.config.projection_dim)

    def image(self, x: Pixels) -> Vectors:
        """(n, 3, h, w) in 0..1, any h and w, -> (n, dimension) of unit length; differentiable in x."""
        mean, std = (x.new_tensor(values)[:, None, None] for values in (self.mean, self.std))
        seen = Bicubic(self.model.config.vision_config.image_size)(x)
        found: Tensor = self.model.vision_model(pixel_values=(seen - mean) / std).pooler_output
        return F.normalize(self.model.visual_projection(found).float(), dim=1)

    def text(self, names: Sequence[str]) -> Vectors:
        """k names, in the words of the template, -> (k, dimension) of unit length.

        Raises ValueError where there are none, or one has no letter or digit.
        """
        said = [self.template.replace("{}", name) for name in cleaned(names)]
        longest = self.model.config.text_config.max_position_embeddings
        tokens = self.tokenizer(said, padding=True, truncation=True, max_length=longest, return_tensors="pt")
        found: Tensor = self.model.text_model(**tokens.to(self.model.device)).pooler_output
        return F.normalize(self.model.text_projection(found).float(), dim=1)

    def to(self, run: Run) -> "Clip":
        """The same, on the device of a run."""
        run.place(self.model)
        return self


def load(place: str, template: str = Clip.template, fetch: bool = True) -> Clip:
    """The CLIP of a folder, which needs no network, or else of a hub repository: OWNER/NAME or OWNER/NAME@REVISION.

    What came from the hub is named with its commit; without `fetch` only its cache is looked at. Raises ValueError
    where transformers, the network or a file is missing, where the folder holds another model, or one that would have
    to be unpickled.
    """
    folder, name = clip_files.located(place, fetch)
    model, tokenizer, mean, std = clip_files.opened(folder)
    return Clip(f"clip:{name}", model.float().eval().requires_grad_(False), tokenizer, mean, std, template)
