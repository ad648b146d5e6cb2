"""Training: how somebody trains a classifier. The one supervised loop, for surrogates and victims alike."""

from unlearnable.training.authorised import Authorised as Authorised
from unlearnable.training.contrastive import Contrastive as Contrastive
from unlearnable.training.handed import Form as Form
from unlearnable.training.handed import Handed as Handed
from unlearnable.training.network import accuracy as accuracy
from unlearnable.training.network import divergence as divergence
from unlearnable.training.network import forward as forward
from unlearnable.training.network import predict as predict
from unlearnable.training.pairs import Learner as Learner
from unlearnable.training.pairs import Pairs as Pairs
from unlearnable.training.parts import Augmentation as Augmentation
from unlearnable.training.parts import CropFlip as CropFlip
from unlearnable.training.parts import Loss as Loss
from unlearnable.training.parts import Objective as Objective
from unlearnable.training.parts import Purifier as Purifier
from unlearnable.training.parts import Step as Step
from unlearnable.training.parts import Teacher as Teacher
from unlearnable.training.parts import cross_entropy as cross_entropy
from unlearnable.training.pgd import attack as attack
from unlearnable.training.pgd import direction as direction
from unlearnable.training.recipe import Classifier as Classifier
from unlearnable.training.recipe import EarlyStop as EarlyStop
from unlearnable.training.recipe import Recipe as Recipe
from unlearnable.training.selfsupervised import Probe as Probe
from unlearnable.training.selfsupervised import SelfSupervised as SelfSupervised
from unlearnable.training.worst import Worst as Worst
