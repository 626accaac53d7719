"""What kind of thing a file is: by its name first, corrected by what its first bytes say. Pure.

Neither is proof of anything; a kind is for finding and for showing. A program is called one whatever its name says.
"""

from __future__ import annotations

from typing import Literal

Kind = Literal["other", "audio", "video", "image", "document", "archive", "program"]
KINDS: tuple[Kind, ...] = ("other", "audio", "video", "image", "document", "archive", "program")  # by number

_BY_EXT: dict[Kind, str] = {
    "audio": "mp3 flac ogg oga opus m4a m4b aac wav aif aiff aifc wma ape wv mpc mid midi spx mka alac amr au ra dsf dff tta mod xm s3m it",
    "video": "mp4 mkv webm avi mov m4v mpg mpeg wmv flv ogv ts m2ts mts vob 3gp asf rm rmvb divx f4v",
    "image": "jpg jpeg jpe png gif webp bmp tif tiff svg avif heic heif ico psd xcf raw cr2 cr3 nef arw dng orf rw2 jxl tga pcx ppm pgm pbm eps ai",
    "document": "pdf txt md markdown rst doc docx odt rtf epub mobi azw azw3 fb2 djvu djv tex html htm xml json csv tsv xls xlsx ods ppt pptx odp "
    "ps log nfo cue srt sub vtt chm cbz cbr yaml yml toml ini bib ipynb c h cpp hpp py js rs go java rb pl lua sql css",
    "archive": "zip tar gz tgz bz2 tbz xz txz zst 7z rar lz lzma lz4 cab iso img dmg arj lha cpio z vhd vmdk qcow2 torrent par2",
    "program": "exe msi com bat cmd ps1 sh bash scr jar apk appimage deb rpm dll so dylib app pkg vbs vbe jse wsf hta lnk bin elf run xpi crx ipa",
}  # fmt: skip
_KIND_OF = {ext: kind for kind, exts in _BY_EXT.items() for ext in exts.split()}
NUMBER: dict[str, int] = {kind: number for number, kind in enumerate(KINDS)}
SNIFFED = 16  # bytes that `by_head` looks at

_HEADS: tuple[tuple[bytes, Kind], ...] = (
    (b"\x7fELF", "program"),
    (b"MZ", "program"),
    (b"\xfe\xed\xfa\xce", "program"),
    (b"\xfe\xed\xfa\xcf", "program"),
    (b"\xce\xfa\xed\xfe", "program"),
    (b"\xcf\xfa\xed\xfe", "program"),
    (b"#!", "program"),
)


def ext_of(name: str) -> str:
    """The ending without its dot, in small letters; "" for none, or for what is no usual ending."""
    stem, dot, ext = name.rpartition(".")
    return ext.lower() if dot and stem and len(ext) <= 16 else ""


def by_name(name: str) -> Kind:
    """What the ending says."""
    return _KIND_OF.get(ext_of(name), "other")


def by_head(head: bytes) -> Kind | None:
    """A program tells by its first bytes; None for anything else."""
    for magic, kind in _HEADS:
        if head.startswith(magic):
            return kind
    return None


def by_mime(mime: str) -> Kind:
    """What a sniffer's media type comes to."""
    main, _, sub = mime.partition("/")
    if main in ("audio", "video", "image"):
        return main  # type: ignore[return-value]
    if main == "text" or sub in ("pdf", "epub+zip", "rtf", "msword") or "document" in sub:
        return "document"
    if sub in ("zip", "gzip", "x-7z-compressed", "x-rar-compressed", "x-tar", "x-bzip2", "x-xz", "zstd"):
        return "archive"
    if sub in (
        "x-dosexec",
        "x-executable",
        "x-msdownload",
        "x-mach-binary",
        "vnd.microsoft.portable-executable",
    ):
        return "program"
    return "other"


def kind_of(name: str, head: bytes = b"") -> Kind:
    """Name and first bytes together. A script that is meant as text keeps its kind by name."""
    named = by_name(name)
    told = by_head(head) if head else None
    if told is None or (head.startswith(b"#!") and named not in ("other", "audio", "video", "image")):
        return named
    if (
        head.startswith(b"MZ")
        and named == "document"
        and len(head) >= 4
        and head[:4].isascii()
        and head[:4].isalnum()
    ):
        return named  # a text that happens to begin so
    return told


def number_of(name: str, head: bytes, sniffed: str = "") -> int:
    """The kind's number in `query.kinds.KINDS`, all together: what a sniffer said counts where name and head say nothing."""
    kind = kind_of(name, head)
    return NUMBER[kind] or NUMBER.get(sniffed, 0)
