"""The forms of UGE: the paper's, its ablations, several networks, and this project's, which is blind."""

from typing import Any

_BLIND: dict[str, Any] = {
    "blind": True, "told": True, "match": 0.0, "feature": 0.0, "undistil": 0.0, "shortcut": 1.0,
    "lr": 2e-3, "width": 16, "blocks": 2, "passes": 15,
}  # fmt: skip
_FORMS: dict[str, dict[str, Any]] = {
    "": {}, "unlearn": {"match": 0.0, "undistil": 0.0}, "undistill": {"match": 0.0, "feature": 0.0},
    "no-undistill": {"undistil": 0.0}, "two": {"networks": 2}, "four": {"networks": 4}, "clamp": {"head": "image"},
    "four-worst": {"networks": 4, "combine": "worst"},
    "blind": _BLIND | {"students": 1.0, "passes": 20},
    "blind-no-undistill": _BLIND,
}  # fmt: skip
_QUICK: dict[str, Any] = {"model": "cnn", "epochs": 12, "checkpoints": 8, "width": 16, "blocks": 2, "steps": 300,
                          "lr": 1e-3, "hacker": "resnet32"}  # fmt: skip
_LONG = {"epochs": 100}
"""Until the small network knows its images, or its answers to them tell a student more than labels do."""
PRESETS: dict[str, dict[str, Any]] = {
    "paper": {"encoder": "clip:openai/clip-vit-base-patch32"},
    **{name: values for name, values in _FORMS.items() if name},
    **{
        f"{name}-quick".lstrip("-"): _QUICK | values | (_LONG if "blind" in values else {})
        for name, values in _FORMS.items()
    },
    "long-quick": _QUICK | _LONG,
}
