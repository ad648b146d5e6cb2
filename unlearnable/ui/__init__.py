"""The page: a thin face in a browser, for this computer alone. It starts jobs, shows what came of them, packs it."""

from unlearnable.ui.server import Address as Address
from unlearnable.ui.server import serve as serve
from unlearnable.ui.uploads import Limits as Limits
