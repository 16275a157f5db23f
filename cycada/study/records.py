"""The two files of a study, checked as they are read: the key, which stays with who runs it, and a participant's answers."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, TypeVar

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from cycada.config.schema import mistakes
from cycada.core.errors import CycadaError

KEY: Literal["cycada-study-key"] = "cycada-study-key"
Side = Literal["left", "right"]
StudyId = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{16}$")]
PictureId = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{8}$")]
Code = Annotated[str, StringConstraints(pattern=r"^[A-Z]{3}$")]
Participant = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{1,32}$")]
Amount = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class Record(BaseModel):
    """Nothing is guessed: a number in quotes or an unknown key is a mistake."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Settings(Record):
    """seconds: how long a pair is shown. size: (height, width) in pixels. scored: how many pairs there are to draw `trials` from."""

    title: str
    trials: int
    practice: int
    scored: int
    seconds: float
    size: tuple[int, int]
    pairing: Literal["same", "random"]
    format: Literal["jpeg", "png"]
    seed: int


class Picture(Record):
    """Which file a picture of the page was made from. method: the code of the method that made it, None of a real one."""

    file: str
    method: Code | None


class Pairs(Record):
    """A method's pairs: the ids of their two pictures, in no telling order."""

    practice: list[tuple[PictureId, PictureId]]
    scored: list[tuple[PictureId, PictureId]]


class Key(Record):
    """What the page does not know: which pictures are real, and the names behind the codes."""

    format: Literal["cycada-study-key"] = KEY
    version: Literal[1] = 1
    study: StudyId
    settings: Settings
    methods: dict[Code, str]
    pictures: dict[PictureId, Picture]
    pairs: dict[Code, Pairs]

    def is_real(self, picture: str) -> bool:
        return self.pictures[picture].method is None


class Trial(Record):
    """milliseconds: from the pair's end to the answer. exposure: measured milliseconds. hidden: whether the tab was out of sight."""

    practice: bool
    left: PictureId
    right: PictureId
    answer: Side
    milliseconds: Amount
    exposure: Amount
    hidden: bool
    by: Literal["key", "pointer"]

    @property
    def chosen(self) -> str:
        """The picture that was taken for the real one."""
        return self.left if self.answer == "left" else self.right


class Viewport(Record):
    """CSS pixels. ratio: device pixels to one of them. shown: how wide a picture was."""

    width: Amount
    height: Amount
    ratio: Amount
    shown: Amount


class Answers(Record):
    """One session of one participant."""

    format: Literal["cycada-study-answers"]
    version: Literal[1]
    study: StudyId
    participant: Participant
    session: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{16}$")]
    method: Code
    started: AwareDatetime
    finished: AwareDatetime
    screen: Viewport
    trials: Annotated[list[Trial], Field(max_length=2000)]


R = TypeVar("R", bound=Record)


def parsed(kind: type[R], text: str | bytes, where: str) -> R:
    """A record from JSON. Raises CycadaError with the first mistake."""
    try:
        return kind.model_validate_json(text)
    except ValidationError as error:
        problem = error.errors()[0]
        first = problem["msg"] if problem["type"] == "json_invalid" else mistakes(error)[0]
        raise CycadaError(f"{where}: {first if len(first) <= 300 else first[:300] + '…'}") from None


def content(path: Path) -> bytes:
    """A file's bytes. Raises CycadaError."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise CycadaError(f"{path}: cannot be read ({error.strerror}).") from None
