"""Who may train, with what: bundles signed, verified and trained from. UGE (Ye and Wang, CVPR 2024, arXiv 2404.14016)
protects images for one network; `training.Authorised` is that network, and here is the proof of where it comes from.
"""

from unlearnable.authorisation.card import separates as separates
from unlearnable.authorisation.inspecting import inspect as inspect
from unlearnable.authorisation.keys import make_key as make_key
from unlearnable.authorisation.release import Release as Release
from unlearnable.authorisation.release import Released as Released
from unlearnable.authorisation.release import release as release
from unlearnable.authorisation.reproducing import TOLERANCE as TOLERANCE
from unlearnable.authorisation.reproducing import Trained as Trained
from unlearnable.authorisation.reproducing import train as train
from unlearnable.authorisation.signing import Signed as Signed
from unlearnable.authorisation.signing import sign as sign
from unlearnable.authorisation.verifying import Verified as Verified
from unlearnable.authorisation.verifying import verify as verify
