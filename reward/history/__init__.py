"""What was really measured: every recipe that was trained on, with its scores and features."""

from datachef.reward.history.measured import Measured
from datachef.reward.history.standing import Comparison, Difference, Standing, standing_of
from datachef.reward.history.store import History

__all__ = ["Comparison", "Difference", "History", "Measured", "Standing", "standing_of"]
