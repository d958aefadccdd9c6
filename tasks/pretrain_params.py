"""The settings of `pretrain`."""

from dataclasses import replace
from typing import Annotated, Literal

from pydantic import Field, model_validator

from tasks.core.params import Params
from tasks.methods.augmentation import Augmentation
from tasks.methods.batches import Rows
from tasks.methods.feature_settings import RepresentationCalibration
from tasks.methods.loss_settings import LossSettings
from tasks.methods.step_settings import Distillation, ViewContrast
from tasks.methods.steps import Start, Teacher
from tasks.methods.training import Recipe

NO_START = "none"


class ArmParams(Params):
    """What one arm is trained on, with which of `losses`, and from which of `starts`, if not from "none"."""

    rows: Literal["raw", "random", "curated", "not_relabelled", "basic", "text_based", "image_based", "clip_score", "image_and_clip_score"]
    weighted: bool
    loss: str
    logit_adjustment: float = Field(ge=0, le=2)
    start: str


class StartParams(Params):
    """SimCLRv2's steps around an arm's own training: contrast before it, distillation after it; see params.yaml for the reasons."""

    method: Literal["simclr"]
    rows: Literal["raw", "curated"]
    samples_seen: int = Field(ge=1)
    batch_size: int = Field(ge=2)
    learning_rate: float = Field(gt=0)
    width: int = Field(ge=1)
    temperature: float = Field(gt=0)
    min_crop: float = Field(gt=0, le=1)
    colour: float = Field(ge=0, lt=1)
    grey: float = Field(ge=0, le=1)
    distil_samples: int = Field(ge=0)
    distil_temperature: float = Field(gt=0)

    @property
    def more_samples(self) -> int:
        """Samples seen beside the arm's own budget."""
        return self.samples_seen + self.distil_samples


class TeacherParams(Params):
    """A teacher that learns `rows` by the arm's loss, and whose student learns the arm's own rows; see params.yaml for the reasons."""

    method: Literal["teacher"]
    rows: Literal["raw", "curated"]
    samples_seen: int = Field(ge=1)
    temperature: float = Field(gt=0)
    teacher_share: float = Field(gt=0, le=1)

    @property
    def more_samples(self) -> int:
        """Samples seen beside the arm's own budget."""
        return self.samples_seen


class FilterParams(Params):
    """Limits of the filters that arms may be made of; see params.yaml for the reasons."""

    min_words: int = Field(ge=0)
    image_min_words: int = Field(ge=0)
    min_characters: int = Field(ge=0)
    min_side: int = Field(ge=0)
    max_aspect_ratio: float = Field(ge=1)
    clip_share: float = Field(gt=0, le=1)
    rows_per_cluster: int = Field(ge=1)


class PretrainParams(Params):
    """Backbone, budget and recipe, the same for all arms; see params.yaml for the reasons."""

    format: int = Field(ge=1)
    arms: dict[str, ArmParams]
    losses: dict[str, Annotated[LossSettings, Field(discriminator="method")]]
    starts: dict[str, Annotated[StartParams | TeacherParams, Field(discriminator="method")]]
    filters: FilterParams
    backbone: str
    image_size: int = Field(ge=16, le=1024)
    samples_seen: int = Field(ge=1)
    batch_size: int = Field(ge=2)
    accumulate: int = Field(ge=1)
    optimizer: Literal["sgd", "adamw"]
    learning_rate: float = Field(gt=0)
    weight_decay: float = Field(ge=0)
    warmup: float = Field(ge=0, lt=1)
    ema_decay: float = Field(ge=0, lt=1)
    max_gradient_norm: float = Field(ge=0)
    max_loss: float = Field(gt=0)
    max_shift: int = Field(ge=0)
    mirror: bool
    colour: float = Field(ge=0, lt=1)
    cutout: int = Field(ge=0)
    precision: Literal["fp32", "bf16"]
    n_threads: int = Field(ge=1)
    points: int = Field(ge=1)
    checkpoint_steps: int = Field(ge=1)

    @model_validator(mode="after")
    def _shift_inside(self) -> "PretrainParams":
        if self.max_shift >= self.image_size:
            raise ValueError(f"max_shift {self.max_shift} must be smaller than image_size {self.image_size}")
        for name, arm in self.arms.items():
            if arm.loss not in self.losses:
                raise ValueError(f"arm '{name}' asks for loss '{arm.loss}', which is not among `losses`: {', '.join(self.losses)}")
            if arm.start not in (NO_START, *self.starts):
                known = ", ".join((NO_START, *self.starts))
                raise ValueError(f"arm '{name}' asks for start '{arm.start}', which is not among `starts`: {known}")
            if isinstance(self.losses[arm.loss], RepresentationCalibration) and not isinstance(self.start(arm), StartParams):
                raise ValueError(
                    f"arm '{name}': loss '{arm.loss}' calibrates features that were learnt without labels, of which start '{arm.start}' "
                    "gives none: name a start of method simclr"
                )
        return self

    def recipe(self, arm: ArmParams) -> Recipe:
        others = {"format", "arms", "losses", "starts", "filters", "backbone", "image_size", "max_shift", "mirror", "colour", "cutout"}
        own = self.model_dump(exclude=others)
        how = Augmentation(max_shift=self.max_shift, mirror=self.mirror, colour=self.colour, cutout=self.cutout)
        return Recipe(**own, loss=self.losses[arm.loss], logit_adjustment=arm.logit_adjustment, augmentation=how)

    def start(self, arm: ArmParams) -> StartParams | TeacherParams | None:
        """The arm's start; None for an arm from scratch."""
        return self.starts.get(arm.start)

    def steps(self, arm: ArmParams, rows: Rows) -> Start | Teacher | None:
        """What is trained on the rows of the arm's start, in the way of the arm but for what the start says otherwise."""
        start, own = self.start(arm), replace(self.recipe(arm), logit_adjustment=0.0)
        if start is None:
            return None
        if isinstance(start, TeacherParams):
            loss = Distillation("distillation", start.temperature, start.teacher_share)
            return Teacher(rows, replace(self.recipe(arm), samples_seen=start.samples_seen), loss)
        how = replace(own.augmentation, max_shift=0, cutout=0, colour=start.colour, min_crop=start.min_crop, grey=start.grey)
        contrast = replace(
            own,
            samples_seen=start.samples_seen,
            batch_size=start.batch_size,
            accumulate=1,  # all views of a batch stand against each other
            learning_rate=start.learning_rate,
            augmentation=how,
            loss=ViewContrast("view_contrast", start.width, start.temperature),
        )
        distil = replace(own, samples_seen=start.distil_samples, loss=Distillation("distillation", start.distil_temperature, 1.0))
        return Start(rows, contrast, distil if start.distil_samples else None)
