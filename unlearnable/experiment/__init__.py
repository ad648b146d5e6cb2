"""Experiments: Cell (what is to be measured) -> Result (what happened), a JSON record each; and evaluation at once."""

from unlearnable.experiment.cell import CLEAN as CLEAN
from unlearnable.experiment.cell import CONTROLS as CONTROLS
from unlearnable.experiment.cell import Cell as Cell
from unlearnable.experiment.cell import Result as Result
from unlearnable.experiment.evaluating import Evaluation as Evaluation
from unlearnable.experiment.evaluating import Row as Row
from unlearnable.experiment.evaluating import evaluate as evaluate
from unlearnable.experiment.evaluating import flags_of as flags_of
from unlearnable.experiment.evaluating import rows_of as rows_of
from unlearnable.experiment.measuring import bench as bench
from unlearnable.experiment.measuring import measure as measure
from unlearnable.experiment.mixing import mix as mix
from unlearnable.experiment.watching import watch as watch
