"""The identity file: made once, private, never replaced; the backup opens with its passphrase only."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from servent import keyfile
from servent.errors import DiskTrouble, UsageError
from servent.identity import Identity, z32_encode

ANN = Identity(bytes(range(32)))
WORDS = "correct horse battery"
BACKUP = keyfile.backup(ANN, WORDS)


def test_a_key_is_made_once_and_is_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "identity"
    first = keyfile.load_or_create(path)
    assert keyfile.load_or_create(path).seed == first.seed
    assert path.stat().st_mode & 0o777 == 0o600
    assert os.listdir(path.parent) == ["identity"], "no draft is left behind"


def test_a_key_that_others_could_read_is_closed_to_them(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "identity"
    made = keyfile.load_or_create(path)
    path.chmod(0o644)
    assert keyfile.load_or_create(path).seed == made.seed
    assert path.stat().st_mode & 0o777 == 0o600
    assert "0600" in caplog.text and z32_encode(made.seed) not in caplog.text


def test_programs_that_start_at_once_get_one_key(tmp_path: Path) -> None:
    path = tmp_path / "identity"
    found: list[bytes] = []
    start = threading.Barrier(8)

    def begin() -> None:
        start.wait()
        found.append(keyfile.load_or_create(path).seed)

    threads = [threading.Thread(target=begin) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8 and len(set(found)) == 1


def test_an_existing_identity_is_never_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "identity"
    assert keyfile.write_new(path, ANN)
    assert not keyfile.write_new(path, Identity(bytes(32)))
    assert keyfile.load_or_create(path).seed == ANN.seed


@pytest.mark.parametrize("damage", ["empty", "short", "flip", "noise", "long", "other version", "two keys"])
def test_a_damaged_identity_is_an_error_and_stays_as_it_is(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "identity"
    keyfile.write_new(path, ANN)
    whole = path.read_bytes()
    seed = z32_encode(ANN.seed).encode()
    broken = {
        "empty": b"",
        "short": whole[:60],
        "flip": whole.replace(seed, b"y" + seed[1:] if seed[:1] != b"y" else b"b" + seed[1:]),
        "noise": bytes(range(256)) * 3,
        "long": b"x" * 100_000,
        "other version": whole.replace(b"identity 1", b"identity 2"),
        "two keys": whole.replace(str(ANN.peer).encode(), str(Identity(bytes(32)).peer).encode()),
    }[damage]
    path.write_bytes(broken)
    path.chmod(0o600)
    with pytest.raises(keyfile.KeyTrouble, match="not a whole identity") as caught:
        keyfile.load_or_create(path)
    assert path.read_bytes() == broken
    assert caught.value.__cause__ is None and seed.decode() not in str(caught.value)


def test_a_place_that_cannot_be_written_is_a_disk_trouble(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(DiskTrouble):
        keyfile.load_or_create(tmp_path / "file" / "identity")


def test_a_backup_brings_the_identity_back() -> None:
    assert keyfile.restore(BACKUP, WORDS).seed == ANN.seed
    mailed = b"Hi,\r\nhere it is:\r\n\r\n  " + BACKUP.replace(b"\n", b"\r\n  ") + b"\r\nbye"
    assert keyfile.restore(mailed, WORDS).seed == ANN.seed
    assert BACKUP.isascii() and ANN.seed not in BACKUP and z32_encode(ANN.seed).encode() not in BACKUP


def test_two_backups_share_nothing_but_the_peer_id() -> None:
    other = keyfile.backup(ANN, WORDS)
    same = [a == b for a, b in zip(BACKUP.splitlines(), other.splitlines(), strict=True)]
    assert same.count(False) >= 2


def test_the_same_letters_typed_on_another_system_open_it() -> None:
    assert keyfile.restore(keyfile.backup(ANN, "schöne Größe"), "scho\u0308ne Gro\u0308ße").seed == ANN.seed


@pytest.mark.parametrize("wrong", ["", "correct horse batterz", "CORRECT HORSE BATTERY", WORDS + " "])
def test_a_wrong_passphrase_is_told_apart_from_damage(wrong: str) -> None:
    with pytest.raises(UsageError, match="wrong passphrase"):
        keyfile.restore(BACKUP, wrong)


@settings(deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 255))
def test_a_damaged_backup_is_called_damaged(at: int, flip: int) -> None:
    start, end = BACKUP.index(b"\n\n") + 2, BACKUP.index(b"\n-----END")
    bent = bytearray(BACKUP)
    where = start + at % (end - start)
    bent[where] ^= flip
    try:
        found = keyfile.restore(bytes(bent), WORDS)
    except UsageError as wrong:
        assert "damaged" in str(wrong)
    else:
        assert found.seed == ANN.seed  # a line that ends otherwise is no damage


@pytest.mark.parametrize("blob", [b"", b"hello", BACKUP[:-40], BACKUP[:80], bytes(5000), b"\xff" * 300])
def test_what_is_no_backup_is_refused(blob: bytes) -> None:
    with pytest.raises(UsageError):
        keyfile.restore(blob, WORDS)


@given(st.binary(max_size=600))
def test_noise_is_no_backup(blob: bytes) -> None:
    with pytest.raises(UsageError):
        keyfile.restore(blob, WORDS)


def test_a_backup_cannot_ask_for_all_the_memory() -> None:
    import base64
    import hashlib

    for cost in ((30, 8, 1), (22, 32, 1), (17, 200, 1), (17, 8, 200), (1, 8, 1)):
        body = bytes((1, *cost)) + bytes(12 + 16 + 48)
        body += hashlib.sha256(body).digest()[:8]
        text = base64.b64encode(body).decode()
        blob = f"{keyfile._BEGIN}\n{text}\n{keyfile._END}".encode()
        with pytest.raises(UsageError, match="more memory"):
            keyfile.restore(blob, WORDS)


def test_a_short_passphrase_is_refused() -> None:
    with pytest.raises(UsageError, match="at least 8"):
        keyfile.backup(ANN, "1234567")
