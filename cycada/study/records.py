"""The two kinds of files of a study, the key and a participant's answers, checked when they are read."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, TypeVar

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from cycada.config.schema import mistakes
from cycada.core.errors import CycadaError

KEY: Literal["cycada-study-key"] = "cycada-study-key"
RATES, RATES_SIGN = "study.json", b'"trials_left_out"'
"""The file that rates are written to, which may lie among the answers, and what only such a file holds."""
Side = Literal["left", "right"]
StudyId = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{16}$")]
PictureId = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{8}$")]
Code = Annotated[str, StringConstraints(pattern=r"^[A-Z]{3}$")]
Participant = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{1,32}$")]
Amount = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class Record(BaseModel):
    """Base of all records, which reads strictly: a number in quotes or an unknown key is a mistake."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Settings(Record):
    """The settings of a page.

    Attributes:
        title: The heading of the page.
        trials: The number of scored pairs in a session.
        practice: The number of practice pairs in a session.
        scored: The number of scored pairs of each method, from which a session draws `trials`.
        seconds: How long a pair is shown.
        size: (height, width) of a picture in pixels.
        pairing: How photos and generated pictures were paired.
        format: The format of the pictures.
        seed: The seed that drew the pairs.
    """

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
    """The origin of a picture in the page.

    Attributes:
        file: The name of its file.
        method: The code of the method that made it, or None for a real picture.
    """

    file: str
    method: Code | None


class Pairs(Record):
    """The pairs of a method, as the ids of their two pictures in an order that reveals nothing."""

    practice: list[tuple[PictureId, PictureId]]
    scored: list[tuple[PictureId, PictureId]]


class Key(Record):
    """The key of a page, which says which pictures are real and which names stand behind the codes."""

    format: Literal["cycada-study-key"] = KEY
    version: Literal[1] = 1
    study: StudyId
    settings: Settings
    methods: dict[Code, str]
    pictures: dict[PictureId, Picture]
    pairs: dict[Code, Pairs]

    def is_real(self, picture: str) -> bool:
        """Return whether the picture with this id is real."""
        return self.pictures[picture].method is None


class Trial(Record):
    """One trial of a session.

    Attributes:
        practice: Whether it was a practice trial.
        left: The id of the left picture.
        right: The id of the right picture.
        answer: The side that was taken for the real picture.
        milliseconds: The time from the end of the pair to the answer.
        exposure: The measured time on screen, in milliseconds.
        hidden: Whether the tab was hidden.
        by: Whether the answer was given by a key or by a pointer.
    """

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
        """The id of the picture that was taken for the real one."""
        return self.left if self.answer == "left" else self.right


class Viewport(Record):
    """The participant's screen, in CSS pixels.

    Attributes:
        width: The width of the window.
        height: The height of the window.
        ratio: The number of device pixels per CSS pixel.
        shown: The width of a picture.
    """

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
    """Parse a record from JSON.

    Args:
        kind: The type of the record.
        text: The JSON.
        where: What an error message begins with.

    Raises:
        CycadaError: The text is not such a record; the message names the first mistake.
    """
    try:
        return kind.model_validate_json(text)
    except ValidationError as error:
        problem = error.errors()[0]
        first = problem["msg"] if problem["type"] == "json_invalid" else mistakes(error)[0]
        raise CycadaError(f"{where}: {first if len(first) <= 300 else first[:300] + '…'}") from None


def read_bytes(path: Path) -> bytes:
    """Return the bytes of a file.

    Raises:
        CycadaError: The file cannot be read.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        raise CycadaError(f"{path}: cannot be read ({error.strerror}).") from None
