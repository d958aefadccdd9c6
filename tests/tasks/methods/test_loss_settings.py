"""What a loss may be given, and what is refused."""

import pytest

from tasks.methods.loss_settings import CoTeaching, CrossEntropy, EarlyLearning, GeneralisedCrossEntropy, PseudoLoss, SmallLoss


def test_values_inside_their_ranges_are_taken() -> None:
    assert EarlyLearning("elr", 0.0, 3.0).momentum == 0.0
    assert GeneralisedCrossEntropy("generalised_cross_entropy", 1.0, 0.5, 0.0).q == 1.0
    assert CoTeaching("co_teaching", 0.0, 0.0, 0.0) == CoTeaching("co_teaching", 0.0, 0.0, 0.0)


def test_values_outside_name_themselves_and_the_range() -> None:
    with pytest.raises(ValueError, match=r"momentum of elr is 1.0: it must be a number from 0 to below 1"):
        EarlyLearning("elr", 1.0, 3.0)
    with pytest.raises(ValueError, match=r"strength of elr is -1.0: it must be a number from 0$"):
        EarlyLearning("elr", 0.5, -1.0)
    with pytest.raises(ValueError, match=r"q of generalised_cross_entropy is 0.0: it must be a number above 0 to 1"):
        GeneralisedCrossEntropy("generalised_cross_entropy", 0.0, 0.5, 0.0)
    with pytest.raises(ValueError, match=r"label_smoothing of cross_entropy is nan"):
        CrossEntropy("cross_entropy", float("nan"))
    with pytest.raises(ValueError, match=r"warmup_epochs of pseudo_loss is 0.5: it must be a number from 1"):
        PseudoLoss("pseudo_loss", 0.5, 0.5, 1.0, True, 2.0, 1.0, 0.0, 0.5)
    with pytest.raises(ValueError, match=r"temperature of small_loss is 0.0: it must be a number above 0"):
        SmallLoss("small_loss", 1.0, 0.5, 1.0, True, 0.0, 0.5, 0.0, 3.0, 1.0, 0.5)
