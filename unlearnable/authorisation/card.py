"""The data card of a release: what whoever downloads the pictures should know, as Markdown."""

from typing import Any

from unlearnable.authorisation.published import policy_digest
from unlearnable.flags import FLAGS, LEAST_EFFECT
from unlearnable.messages import printable

_HEAD = """\
# Data card

{pictures} pictures in {many} classes, one folder each. Every picture was changed a little by its owner, so that one
authorised network learns from them and others learn less.

**Training on these pictures without authorisation is not allowed, and it is hindered: the change raises the cost of
training.** It does not make training impossible, and it works on no model that exists already. Authorisation, and what
the authorised network begins with, come from the owner; nothing of that is in this folder.

## The pictures

{classes}
## What was changed

| | |
|---|---|
| method | `{method}` of `unlearnable`: ungeneralizable examples, after Ye and Wang, CVPR 2024 |
| bound | eps {eps}, of the range of a value |
| largest change | {max_abs_delta} of 255 grey levels |
| PSNR | {psnr} |
| other files | {copied} copied as they were |
| not among them | {failed} that could not be protected |
"""
_MEASURED = """
## Measured

Accuracy on {pictures} test pictures that were not changed, after training `{model}` for {epochs} epochs, one seed:

| trained | accuracy |
|---|---|
| the authorised network, on these pictures | {authorised} |
| an outsider, the same but for its initial weights, on these pictures | {outsider} |
| an outsider, on the pictures before they were changed: the control | {outsider_clean} |

The margin is {margin}. Other networks, other ways of training and pictures that are cleaned first were not measured.
{doubts}"""
_VERIFY = """
## To verify

The SHA-256 fingerprint of the set, of every file below `pictures/`:

    {pictures_sha256}

It is what this says:

```sh
(cd pictures && find . -type f -print0 | LC_ALL=C sort -z | xargs -0 sha256sum) | sha256sum
find pictures ! -type d ! -type f     # prints nothing: a link is in no fingerprint
```
"""
_SIGNED = """
Signed by the Ed25519 key with the SHA-256 fingerprint

    {key}

which is worth as much as the way that you got it: ask the owner for it, not this folder. The key, and what it signed:
the set, and the policy in `report.json`, which is printed and must be the text above:

```sh
cat > owner.pub <<'KEY'
{public_key}KEY
openssl pkey -pubin -in owner.pub -outform DER | sha256sum     # the fingerprint of the key
python3 -c "import json; print(json.load(open('report.json'))['policy'] or '', end='')" | sha256sum    # of the policy
python3 -c "import json
said = json.load(open('report.json'))['policy'] or ''
for line in said.splitlines(): print(line if line.isprintable() else repr(line)[1:-1])"
printf 'unlearnable release\\npictures %s\\npolicy %s\\n' {pictures} {policy} > said.txt
echo {signature} | base64 -d > said.sig
openssl pkeyutl -verify -pubin -inkey owner.pub -rawin -in said.txt -sigfile said.sig
```
"""
_UNSIGNED = """
This release is **unsigned**: nothing says who made it.
"""
_ORIGIN = """
## Where it comes from

Made on {date} by `unlearnable` {version}, commit `{commit}`, with

{command}
`report.json` says the same as data.
"""


def card(report: dict[str, Any]) -> str:
    """The card of what `report.json` says."""
    classes = "".join(f"{count:7} {name}\n" for name, count in report["classes"].items())
    changed = report["psnr_mean"] is not None
    psnr = f"{report['psnr_mean']} dB on average, {report['psnr_lowest']} dB at the lowest" if changed else "unchanged"
    text = _HEAD.format(**report | {"many": len(report["classes"]), "classes": _block(classes), "psnr": psnr})
    if report["measured"] is not None:
        text += _measured(report["measured"])
    policy = "The owner gave none.\n" if report["policy"] is None else _block(report["policy"])
    text += f"\n## The owner's policy\n\n{policy}" + _VERIFY.format(**report)
    if (signed := report["signed"]) is None:
        text += _UNSIGNED
    else:
        values = {"pictures": report["pictures_sha256"], "policy": policy_digest(report["policy"])}
        text += _SIGNED.format(**signed | values)
    origin = report["provenance"]
    return text + _ORIGIN.format(**origin | {"command": _block(origin["command"])})


def _measured(found: dict[str, Any]) -> str:
    shown = {name: f"{value:.3f}" for name, value in found.items() if isinstance(value, float)}
    shown["authorised"] = ", ".join(f"{one:.3f}" for one in found["authorised"])
    doubts = [f"* {name}: {FLAGS[name]}\n" for name in found["flags"]]
    if not separates(found):
        doubts.insert(0, "* **these figures do not show that the change hinders anybody**\n")
    return _MEASURED.format(**found | shown | {"doubts": "".join(["What to doubt:\n\n", *doubts]) if doubts else ""})


def separates(found: dict[str, Any]) -> bool:
    """Whether the figures show that the authorised network learns, and more than an outsider."""
    return found["margin"] >= LEAST_EFFECT and not {"undertrained", "no-effect"} & set(found["flags"])


def _block(text: str) -> str:
    """Indented, so that nothing in it is Markdown; what a terminal would obey is escaped."""
    lines = map(printable, text.splitlines())
    return "".join(f"    {line}\n" if line else "\n" for line in lines)
