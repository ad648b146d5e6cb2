"""Score: the gradient of the log-density of images, learned by denoising: the network and its training."""

from unlearnable.score.network import Score as Score
from unlearnable.score.network import UNet as UNet
from unlearnable.score.network import load as load
from unlearnable.score.training import ScoreTraining as ScoreTraining
from unlearnable.score.training import warm_cosine as warm_cosine
