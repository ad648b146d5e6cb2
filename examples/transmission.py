"""Pictures made for the network of whoever asks: receiver and protector, every command a process of its own.

python examples/transmission.py [FOLDER]; `bundle` and `answer/authorised` must go by a way that nobody else reads.
"""

import json
import subprocess
import sys
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

from unlearnable.demo import write_digits


def authorise(*words: str) -> dict[str, Any]:
    """What a command says."""
    program = [sys.executable, "-m", "unlearnable", "authorise", *words, "--json", "--quiet"]
    return dict(json.loads(subprocess.run(program, cwd=home, check=True, stdout=subprocess.PIPE).stdout))


if __name__ == "__main__":
    home = Path(*sys.argv[1:] or [mkdtemp()])
    write_digits(home)
    authorise("create", "bundle", "--classes", "test", "--blind", "--epochs", "10")  # the receiver, who sends it
    authorise("key", "owner.pem")  # the protector, who answers: pictures for that network, and the bundle, signed
    how = ("--method", "uge:blind-quick", "--steps", "80", "--bundles", '["bundle"]', "--key", "owner.pem")
    made = authorise("release", "clean", "answer", *how, "--test", "test")
    received = ("answer/authorised/bundle-0", "answer/public/pictures", "trained", "--key", "owner.pub")
    print(json.dumps(made | authorise("train", *received, "--test", "test")))  # the receiver again
