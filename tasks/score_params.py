"""The settings of `score`."""

from typing import Annotated, Literal

from pydantic import Field

from tasks.core.params import Params

Count = Annotated[int, Field(ge=1)]
Positive = Annotated[float, Field(gt=0)]
Share = Annotated[float, Field(ge=0, le=1)]


class NetworkParams(Params):
    """The fold networks; one round per entry of `epochs`, each learning the beliefs of the one before."""

    epochs: Annotated[list[Count], Field(min_length=1)]
    side: Annotated[int, Field(ge=8)]
    widths: Annotated[list[Count], Field(min_length=4, max_length=4)]
    batch_size: Count
    learning_rate: Positive
    weight_decay: Annotated[float, Field(ge=0)]
    word_weight: Annotated[float, Field(ge=0)]
    max_shift: Annotated[int, Field(ge=0)]
    precision: Literal["fp32", "bf16"]
    n_threads: Count


class FusionParams(Params):
    """The EM and its probes."""

    rounds: Annotated[int, Field(ge=0)]
    steps: Count
    transition_strength: Positive
    smoothing: Positive
    first_empty_share: Share
    l2: Annotated[float, Field(ge=0)]
    probe_steps: Count
    subfolds: Annotated[int, Field(ge=2)]


class SenseParams(Params):
    """When a distractor counts as another sense of its concept's word."""

    min_agreement: Annotated[float, Field(ge=0, le=1)]
    confidence: Annotated[float, Field(gt=0.5, lt=1)]


class CalibrationParams(Params):
    """How far the chances are drawn down to what text and given concept bear out."""

    bins: Count
    least_rows: Positive
    least_text_chance: Share
    draws: Annotated[int, Field(ge=2)]


class LearnedParams(Params):
    """What is learned of people's verdicts for the confidence."""

    min_verdicts: Count
    folds: Annotated[int, Field(ge=2)]
    bins: Count
    l2: Annotated[float, Field(ge=0)]
    steps: Count


class ScoreParams(Params):
    """Who judges the rows, how the signals are weighed, and what is suggested."""

    predictor: Literal["network", "probe"]
    n_neighbors: Count
    min_word_count: Positive
    concept_word_count: Annotated[float, Field(ge=0)]
    network: NetworkParams
    fusion: FusionParams
    senses: SenseParams
    calibration: CalibrationParams
    learned: LearnedParams
    min_given_share: Share
    covariance_shrinkage: Share
