"""Every message of the service `servent.share/1`: search, browse, a folder as a collection, a sample. Limits stand in the types.

One stream, one question; the stream of a question may be closed at any time, which ends the work on it. What lies
in folders that the asker may not see does not exist: neither in hits, nor in listings, nor in counts.
"""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

from servent.codec import Decoder, Hash

SERVICE = "servent.share/1"

QUESTION_BYTES = 24 * 1024  # limit for the frame of a question; a path may have 4,096 letters
ANSWER_BYTES = 64 * 1024  # limit for a frame of an answer
BATCH_BYTES = 32 * 1024  # a frame is closed when it has grown so far, so that hits stream
MOST_BATCH = 200  # hits or rows in one frame
MOST_HITS = 1000  # of one search
MOST_ROWS = 1000  # of one listing
MOST_SAMPLE = 512
MOST_TAGS = 24
MOST_NAME = 255
MOST_PATH = 4096

Path = Annotated[str, Meta(max_length=MOST_PATH)]
Name = Annotated[str, Meta(min_length=1, max_length=MOST_NAME)]
Size = Annotated[int, Meta(ge=0, le=2**53)]
Count = Annotated[int, Meta(ge=0, le=10**12)]
Time = Annotated[float, Meta(ge=0, le=1e11)]  # wall clock in seconds
TagName = Annotated[str, Meta(min_length=1, max_length=32)]
TagText = Annotated[str, Meta(max_length=300)]
TagNumber = Annotated[int, Meta(ge=-(2**53), le=2**53)]
TagFraction = Annotated[float, Meta(ge=-(2.0**53), le=2.0**53)]  # never inf or nan, which JSON cannot say
Tags = Annotated[dict[TagName, TagText | TagNumber | TagFraction], Meta(max_length=MOST_TAGS)]
Text = Annotated[str, Meta(max_length=300)]
KindNumber = Annotated[int, Meta(ge=0, le=255)]  # of `query.kinds.KINDS`; others are "other"
Sort = Literal["name", "size", "modified"]


class Search(Struct, frozen=True, tag="search"):
    """Asker: what answers this query? Answered by `Hits`, best first, then `Done`; or by `Refuse`.

    `text`: in the language of `query.language`, without `peer:`.
    """

    text: Annotated[str, Meta(min_length=1, max_length=500)]
    limit: Annotated[int, Meta(ge=1, le=MOST_HITS)] = 300


class Browse(Struct, frozen=True, tag="browse"):
    """Asker: rows `offset` to `offset + limit` of this folder. Answered by `Listing`s, the last with `last`; or by `Refuse`.

    `path`: "/"-separated, "" is the list of shared folders. `filter`: letters that a name contains. Folders come first.
    """

    path: Path = ""
    offset: Annotated[int, Meta(ge=0, le=10**9)] = 0
    limit: Annotated[int, Meta(ge=1, le=MOST_ROWS)] = 200
    sort: Sort = "name"
    down: bool = False
    filter: Annotated[str, Meta(max_length=200)] = ""


class Resolve(Struct, frozen=True, tag="resolve"):
    """Asker: make a collection of this folder, so that I can fetch it. Answered by `Folder` or `Refuse`."""

    path: Annotated[str, Meta(min_length=1, max_length=MOST_PATH)]


class Sample(Struct, frozen=True, tag="sample"):
    """Asker: of all files you show me, the `limit` whose contents come first from `start` on. As `Search` is answered.

    Everybody is asked for the same stretch of contents, so that samples can be compared.
    """

    start: Hash
    limit: Annotated[int, Meta(ge=1, le=MOST_SAMPLE)] = MOST_SAMPLE


class Hit(Struct, frozen=True, array_like=True):
    """One file. `path`: from the shared folder's name to its own, "/"-separated. `tags` are what it says of itself."""

    content: Hash
    size: Annotated[int, Meta(ge=1, le=2**53)]
    path: Annotated[str, Meta(min_length=1, max_length=MOST_PATH)]
    kind: KindNumber = 0
    modified: Time = 0.0
    tags: Tags = {}


class Hits(Struct, frozen=True, tag="hits"):
    """Answerer: some of what was found. `free`: an upload slot is free now; `queue`: how many wait for one."""

    hits: Annotated[list[Hit], Meta(max_length=MOST_BATCH)]
    free: bool = True
    queue: Annotated[int, Meta(ge=0, le=1 << 20)] = 0


class Done(Struct, frozen=True, tag="done"):
    """Answerer: that was all. `more`: of what there is, this was the best."""

    more: bool = False


class Row(Struct, frozen=True, array_like=True):
    """A row of a listing. Of a folder, `size` and `files` count everything below. `content` is empty until it is hashed."""

    name: Name
    folder: bool = False
    size: Size = 0
    files: Count = 0
    content: Annotated[bytes, Meta(max_length=32)] = b""
    kind: KindNumber = 0
    modified: Time = 0.0
    tags: Tags = {}


class Listing(Struct, frozen=True, tag="listing"):
    """Answerer: the next rows. `total` rows are in the folder (or pass the filter); `files`, `size`: everything below.

    `partial`: something is not there yet (it is being hashed), or was not looked at (a filter on a huge folder).
    """

    rows: Annotated[list[Row], Meta(max_length=MOST_BATCH)]
    last: bool
    total: Count = 0
    files: Count = 0
    size: Size = 0
    partial: bool = False


class Folder(Struct, frozen=True, tag="folder"):
    """Answerer: fetch this collection from me. `missing`: files that are not in it, since they are not hashed yet."""

    infohash: Hash
    name: Name
    size: Size
    files: Count
    missing: Count = 0


class Refuse(Struct, frozen=True, tag="refuse"):
    """Answerer, in place of any answer; the same words for what is not there and what is not for the asker.

    `retry_after`: seconds; None: no use.
    """

    reason: Text
    retry_after: Annotated[float, Meta(ge=0, le=86400)] | None = None


Question = Search | Browse | Resolve | Sample
Answer = Hits | Done | Listing | Folder | Refuse

read_question: Decoder[Question] = Decoder(Question, QUESTION_BYTES)
read_answer: Decoder[Answer] = Decoder(Answer, ANSWER_BYTES)
