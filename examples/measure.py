"""Fit a protection, train the adversary's network, compare with clean data and with random noise.

python examples/measure.py lsp
"""

import sys

from unlearnable import Recipe, Run, apply, load_dataset, protection

train, test = load_dataset("digits")
run = Run(seed=0)
for name in ("clean", "random", sys.argv[1]):
    data = train
    if name != "clean":
        method = protection(name)
        data = apply(method.fit(train, run), train, method.budget, run)
    victim = Recipe(model="cnn", epochs=4).train(data, run, test)
    print(f"{name:15} accuracy on clean test images {victim.test_acc[-1]:.3f}, best epoch {max(victim.test_acc):.3f}")
