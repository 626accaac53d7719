"""What a project signs: itself, and each version of its apps; and how both are named. Pure.

A *project* is an Ed25519 key. Its manifest says who it is and which nodes coordinate it; an app version is a manifest that names a
WebAssembly module by the hash of its content. Both are MessagePack, signed by the project's key over their canonical bytes with a prefix that says what
they are for; the SHA-256 of the signed bytes names an app version. So a project may move to another node, and nobody
but the owner of its key can give volunteers something to run.
"""

from __future__ import annotations

import hashlib
from typing import Annotated, Literal

from msgspec import Meta, Struct

from servent.codec import Decoder, Hash, Key, Name, Signature, canonical
from servent.errors import BadMessage
from servent.identity import Identity, PeerId

PROJECT_BYTES = 16 * 1024  # of a signed manifest
APP_BYTES = 16 * 1024
MODULE_BYTES = 64 * 1024 * 1024  # of a module; a Python interpreter as a component has 18 MB
PAGE = 64 * 1024  # of WebAssembly memory
MEMORY_BYTES = 4 * 1024**3  # what 32-bit WebAssembly can address
OUTPUT_BYTES = 1024**3
INLINE_BYTES = 16 * 1024  # an input or output of up to so many bytes travels in the message itself

Abi = Literal["command", "slice", "python"]  # python: a component, see `sandbox.components`
Compare = Literal["bits", "comparer"]
Audience = Literal["friends", "network", "everyone", "invited"]
Seconds = Annotated[float, Meta(gt=0, le=365 * 86400.0)]
Wall = Annotated[float, Meta(ge=0, le=1e11)]  # seconds since 1970
Operations = Annotated[int, Meta(ge=1, le=2**53)]  # MFLOP: millions of floating-point operations
Size = Annotated[int, Meta(ge=0, le=2**53)]
Text = Annotated[str, Meta(max_length=2000)]


class Content(Struct, frozen=True, array_like=True):
    """One file of a collection (BEP 52), fetched from whoever has it.

    `infohash`: of the collection, 32 bytes. `index`: which of its files. `root`: that file's pieces root, 32 bytes. `size`: its bytes.
    """

    infohash: Hash
    index: Annotated[int, Meta(ge=0, lt=2**20)]
    root: Hash
    size: Size


class Limits(Struct, frozen=True):
    """What one unit may take on a volunteer's machine; beyond that it is ended, and reported.

    `seconds`: of one core of the reference machine (see `seconds_allowed`), `memory_bytes` of linear memory, `output_bytes` of the result
    (with what the module says on stderr), `checkpoint_bytes` of a snapshot (0: none is taken).
    """

    seconds: Seconds = 3600.0
    memory_bytes: Annotated[int, Meta(ge=PAGE, le=MEMORY_BYTES)] = 256 * 1024**2
    output_bytes: Annotated[int, Meta(ge=0, le=OUTPUT_BYTES)] = 1024**2
    checkpoint_bytes: Annotated[int, Meta(ge=0, le=OUTPUT_BYTES)] = 0


class Project(Struct, frozen=True, kw_only=True):
    """What a project says of itself. A later `serial` replaces an earlier one.

    `coordinators`: nodes that hand out work, the first to be asked first. `network`: whose members may lend to it, where `audience` is
    "network"; also where its mutual balance is kept. `owner`: the person whose credit pays for it, where it has a budget. `bonus`: k of the
    quick-return bonus max(1, sqrt(k * deadline / elapsed)), as Folding@home grants it; 0 for none. `budget`: MFLOP it may pay in all, None for no end; of a project of a
    network, `owner` pays them out of what it earned there (see `balance`), and says so by `consent` (see the function of that name).
    """

    key: Key
    serial: Annotated[int, Meta(ge=1, le=2**53)]
    name: Name
    about: Text = ""
    url: Annotated[str, Meta(max_length=256)] = ""
    created: Wall = 0.0
    coordinators: Annotated[list[Key], Meta(min_length=1, max_length=8)]
    owner: Key
    audience: Audience = "friends"
    network: Key | None = None
    bonus: Annotated[float, Meta(ge=0, le=100)] = 0.0
    closed: bool = False
    budget: Annotated[int, Meta(ge=1, le=2**53)] | None = None
    consent: Annotated[bytes, Meta(max_length=64)] = b""

    @property
    def mutual(self) -> bool:
        """Whether it spends what its owner earned in its network."""
        return self.audience == "network" and self.network is not None and self.budget is not None


class App(Struct, frozen=True, kw_only=True):
    """One version of an app.

    `compare`: two results agree when their bits do, or when `comparer` says so: a "command" module that reads both results (each after its length as 8 bytes,
    big-endian) from stdin and ends with code 0 where they agree, 1 where not. `quorum`: how many must agree, of hosts that are not trusted yet.
    `canonical_nans`: every NaN has the same bits; it slows floating point down by 2.8 times, so only where NaNs reach the result.
    `operations`: of a unit that says nothing else. `slices`: of a "slice" app, how often `slice` is called at most.
    """

    project: Key
    name: Name
    version: Annotated[int, Meta(ge=1, le=2**31)]
    module: Content
    abi: Abi = "command"
    limits: Limits = Limits()
    operations: Operations = 1000
    compare: Compare = "bits"
    comparer: Content | None = None
    quorum: Annotated[int, Meta(ge=1, le=8)] = 2
    slices: Annotated[int, Meta(ge=1, le=2**31)] = 2**31
    canonical_nans: bool = False
    about: Text = ""
    created: Wall = 0.0
    retired: bool = False


class Signed(Struct, frozen=True, array_like=True):
    """`body`: canonical bytes of a manifest. `signature`: of the project's key over `purpose` and body."""

    body: Annotated[bytes, Meta(max_length=PROJECT_BYTES)]
    signature: Signature


PROJECT_PURPOSE = b"servent grid project\0"
APP_PURPOSE = b"servent grid app\0"
UNIT_PURPOSE = b"servent grid unit\0"
OWNER_PURPOSE = b"servent grid owner pays\0"

_projects: Decoder[Project] = Decoder(Project, PROJECT_BYTES)
_apps: Decoder[App] = Decoder(App, APP_BYTES)


def sign_project(project: Project, key: Identity) -> Signed:
    """Raises ValueError where `key` is not the project's."""
    return _sign(project, project.key, key, PROJECT_PURPOSE)


def sign_app(app: App, key: Identity) -> Signed:
    """Raises ValueError where `key` is not the project's."""
    return _sign(app, app.project, key, APP_PURPOSE)


def consent(owner: Identity, project: bytes, network: bytes, budget: int) -> bytes:
    """The owner's signature: up to `budget` MFLOP of what it earned in `network` may go to whoever computes for `project`. 64 bytes."""
    return owner.sign(_consented(project, network, budget))


def open_project(signed: Signed, key: bytes | None = None) -> Project:
    """The manifest, after its signature and its bytes were checked.

    Args:
        key: the project that is meant; None takes any.

    Raises:
        BadMessage: malformed, of another project, or not signed by it.
    """
    project = _projects.decode(signed.body)
    _check(signed, project.key, key, PROJECT_PURPOSE)
    if project.audience == "network" and project.network is None:
        raise BadMessage("a project for a network names none")
    if project.network is not None and project.budget is not None and project.mutual:
        said = _consented(project.key, project.network, project.budget)
        if not PeerId(project.owner).verify(project.consent, said):
            raise BadMessage("a project whose owner has not agreed to pay for it")
    return project


def open_app(signed: Signed, key: bytes | None = None) -> App:
    """As `open_project`. Raises BadMessage."""
    app = _apps.decode(signed.body)
    _check(signed, app.project, key, APP_PURPOSE)
    if (app.comparer is None) == (app.compare == "comparer"):
        raise BadMessage("an app names a comparer just where results are compared by it")
    if app.module.size > MODULE_BYTES or (app.comparer is not None and app.comparer.size > MODULE_BYTES):
        raise BadMessage(f"a module of more than {MODULE_BYTES} bytes")
    return app


def app_id(signed: Signed) -> bytes:
    """32 bytes: the name of this version of an app."""
    return hashlib.sha256(APP_PURPOSE + signed.body).digest()


def unit_id(
    app: bytes,
    args: list[str],
    stdin: bytes | None,
    content: Content | None,
    seed: bytes,
    generation: int = 0,
) -> bytes:
    """32 bytes: the same work has the same name, so what is asked twice is computed once.

    Args:
        app: see `app_id`. seed: 32 bytes, see `wire.Task`. generation: counts up where the same work shall be done again.
    """
    said = canonical([app, args, stdin, content, seed, generation])
    return hashlib.sha256(UNIT_PURPOSE + said).digest()


def _consented(project: bytes, network: bytes, budget: int) -> bytes:
    return OWNER_PURPOSE + canonical([bytes(project), bytes(network), budget])


def _sign(manifest: Struct, project: bytes, key: Identity, purpose: bytes) -> Signed:
    if key.peer != project:
        raise ValueError("only the project's own key signs for it")
    body = canonical(manifest)
    return Signed(body, key.sign(purpose + body))


def _check(signed: Signed, owner: bytes, wanted: bytes | None, purpose: bytes) -> None:
    if wanted is not None and owner != wanted:
        raise BadMessage("a manifest of another project")
    if not PeerId(owner).verify(signed.signature, purpose + signed.body):
        raise BadMessage("a manifest that its project has not signed")
