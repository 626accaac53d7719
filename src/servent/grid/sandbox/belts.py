"""What the operating system holds a sandbox process by, beside the sandbox itself: should wasmtime ever have a hole, little is behind it.

All of it is put on before the first foreign byte is read, and cannot be taken off again. What a system does not have is left out; `put_on` says
what holds. On Linux: resource limits, idle priority, an end with the parent, no new privileges, no files beyond the named folders (Landlock), no sockets,
no programs, no other processes (seccomp). Elsewhere: resource limits and priority, where there are any.
"""

from __future__ import annotations

import contextlib
import ctypes
import math
import os
import platform
import struct
import sys
from collections.abc import Sequence
from pathlib import Path

FILES = 64  # open at once
FILE_BYTES = 2 * 1024**3  # of one written file, unless a job says less
LIBRARY = 1024**3  # bytes beside a module's own memory: Python, the compiler and what it compiles
SLACK = 10.0  # s of a core beyond a job's own time, until the kernel ends what the sandbox should have ended

_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE, _PR_SET_SECCOMP, _PR_SET_NO_NEW_PRIVS = 1, 4, 22, 38
_SECCOMP_MODE_FILTER = 2
_LANDLOCK = (444, 445, 446)  # create_ruleset, add_rule, restrict_self: the same numbers on every processor
_READ_FILE, _READ_DIR = 1 << 2, 1 << 3
_WRITE_FILE, _REMOVE_FILE, _MAKE_REG, _TRUNCATE = 1 << 1, 1 << 5, 1 << 8, 1 << 14
_FILE_RIGHTS = {
    1: (1 << 13) - 1,
    2: (1 << 14) - 1,
    3: (1 << 15) - 1,
    4: (1 << 15) - 1,
}  # by version of Landlock
_ALL_FILE_RIGHTS = (1 << 16) - 1  # from version 5 on
_TCP = 3  # bind, connect; from version 4 on
_SCOPES = 3  # abstract sockets, signals; from version 6 on

# Refused system calls: (x86-64, arm64); None where there is none. Numbers from the kernel's tables.
_REFUSED: tuple[tuple[int | None, int | None], ...] = (
    (41, 198),  # socket
    (53, 199),  # socketpair
    (42, 203),  # connect
    (49, 200),  # bind
    (50, 201),  # listen
    (43, 202),  # accept
    (288, 242),  # accept4
    (57, None),  # fork
    (58, None),  # vfork
    (59, 221),  # execve
    (322, 281),  # execveat
    (62, 129),  # kill
    (200, 130),  # tkill
    (101, 117),  # ptrace
    (310, 270),  # process_vm_readv
    (311, 271),  # process_vm_writev
    (434, 434),  # pidfd_open
    (438, 438),  # pidfd_getfd
    (165, 40),  # mount
    (166, 39),  # umount2
    (155, 41),  # pivot_root
    (161, 51),  # chroot
    (272, 97),  # unshare
    (308, 268),  # setns
    (321, 280),  # bpf
    (298, 241),  # perf_event_open
    (323, 282),  # userfaultfd
    (425, 425),  # io_uring_setup
    (248, 217),  # add_key
    (249, 218),  # request_key
    (250, 219),  # keyctl
    (304, 265),  # open_by_handle_at
    (175, 105),  # init_module
    (313, 273),  # finit_module
    (246, 104),  # kexec_load
    (86, None),  # link
    (265, 37),  # linkat
    (88, None),  # symlink
    (266, 36),  # symlinkat
    (133, None),  # mknod
    (259, 33),  # mknodat
    (90, None),  # chmod
    (91, 52),  # fchmod
    (268, 53),  # fchmodat
    (92, None),  # chown
    (93, 55),  # fchown
    (260, 54),  # fchownat
    (94, None),  # lchown
    (452, 452),  # fchmodat2
    (188, 5),  # setxattr
    (189, 6),  # lsetxattr
    (190, 7),  # fsetxattr
    (463, 463),  # setxattrat
    (197, 14),  # removexattr
    (198, 15),  # lremovexattr
    (199, 16),  # fremovexattr
    (466, 466),  # removexattrat
    (76, 45),  # truncate: older versions of Landlock let it through
    (129, 138),  # rt_sigqueueinfo
    (297, 240),  # rt_tgsigqueueinfo
    (424, 424),  # pidfd_send_signal
    (440, 440),  # process_madvise
    (448, 448),  # process_mrelease
    (312, 272),  # kcmp
    (279, 239),  # move_pages
    (256, 238),  # migrate_pages
    (141, 140),  # setpriority
    (142, 118),  # sched_setparam
    (144, 119),  # sched_setscheduler
    (314, 274),  # sched_setattr
    (203, 122),  # sched_setaffinity
    (251, 30),  # ioprio_set
    (29, 194),  # shmget: memory that programs share has no folder that Landlock could close
    (30, 196),  # shmat
    (31, 195),  # shmctl
    (64, 190),  # semget
    (65, 193),  # semop
    (220, 192),  # semtimedop
    (66, 191),  # semctl
    (68, 186),  # msgget
    (69, 189),  # msgsnd
    (70, 188),  # msgrcv
    (71, 187),  # msgctl
    (240, 180),  # mq_open
    (241, 181),  # mq_unlink
    (253, None),  # inotify_init: who opens which file when
    (294, 26),  # inotify_init1
    (254, 27),  # inotify_add_watch
    (300, 262),  # fanotify_init
    (303, 264),  # name_to_handle_at
    (428, 428),  # open_tree
    (429, 429),  # move_mount
    (430, 430),  # fsopen
    (432, 432),  # fsmount
    (433, 433),  # fspick
    (442, 442),  # mount_setattr
    (176, 106),  # delete_module; from here on for nodes that run as root
    (320, 294),  # kexec_file_load
    (164, 170),  # settimeofday
    (227, 112),  # clock_settime
    (305, 266),  # clock_adjtime
    (159, 171),  # adjtimex
    (169, 142),  # reboot
    (167, 224),  # swapon
    (168, 225),  # swapoff
    (163, 89),  # acct
    (170, 161),  # sethostname
    (171, 162),  # setdomainname
    (172, None),  # iopl
    (173, None),  # ioperm
    (103, 116),  # syslog
)
_TGKILL, _PRLIMIT, _PRCTL = (234, 131), (302, 261), (157, 167)
_MACHINES = {"x86_64": (0, 0xC000003E), "aarch64": (1, 0xC00000B7)}  # column above, AUDIT_ARCH
_CLONE, _CLONE3, _CLONE_THREAD = (56, 220), 435, 0x10000


def put_on(reads: Sequence[Path], writes: Sequence[Path], gentle: bool = True) -> list[str]:
    """All belts that this system has. Before the first thread is started: some hold only for later ones.

    Args:
        reads, writes: folders whose files may be read, or read and written. gentle: run only when nothing else wants to.

    Returns: what holds, in words.
    """
    held = []
    if gentle and _idle():
        held.append("idle priority")
    if _limits():
        held.append("limits of files and memory")
    if not sys.platform.startswith("linux"):
        return held
    libc = ctypes.CDLL(None, use_errno=True)
    libc.syscall.restype = ctypes.c_long
    parent = os.getppid()
    if libc.prctl(_PR_SET_PDEATHSIG, 9, 0, 0, 0) == 0:
        held.append("ends with its node")
        if os.getppid() != parent:  # it went in between
            os._exit(1)
    libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
    if libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0:
        return held
    held.append("no new privileges")
    version = _landlock(libc, reads, writes)
    if version:
        held.append("no files but its own")
    if _seccomp(libc):
        held += ["no network", "no other programs"]
    elif version >= 4:
        held.append("no TCP")
    return held


def limit_job(memory_bytes: int, seconds: float, file_bytes: int) -> None:
    """The limits of the kernel, from now on: it kills where the sandbox itself could not.

    Args:
        seconds: of a core.
    """
    try:
        import resource
    except ImportError:
        return
    used = resource.getrusage(resource.RUSAGE_SELF)
    spent = int(used.ru_utime + used.ru_stime)
    for what, most in (
        (resource.RLIMIT_CPU, spent + 1 + math.ceil(min(seconds, 1e8))),
        (resource.RLIMIT_FSIZE, file_bytes),
        (getattr(resource, "RLIMIT_DATA", None), memory_bytes + LIBRARY),
    ):
        if what is None:
            continue
        _, hard = resource.getrlimit(what)
        soft = most if hard == resource.RLIM_INFINITY else min(most, hard)
        try:
            resource.setrlimit(what, (soft, hard))
        except (ValueError, OSError):
            continue


def _idle() -> bool:
    if os.name == "nt":
        import psutil

        psutil.Process().nice(psutil.IDLE_PRIORITY_CLASS)
        return True
    try:
        os.nice(19)
    except OSError:
        return False
    if hasattr(os, "sched_setscheduler"):
        with contextlib.suppress(OSError):  # nice holds then
            os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    return True


def _limits() -> bool:
    try:
        import resource
    except ImportError:
        return False
    for what, most in (
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_NOFILE, FILES),
        (resource.RLIMIT_FSIZE, FILE_BYTES),
    ):
        try:
            resource.setrlimit(what, (most, most))
        except (ValueError, OSError):
            return False
    return True


def _own_files() -> list[Path]:
    """Where Python and what it loads live."""
    import sysconfig

    named = [sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")]
    here = str(Path(__file__).resolve().parents[3])
    found = {
        Path(place) for place in (*named, *sys.path, here, sys.prefix, sys.base_exec_prefix + "/lib") if place
    }
    return [place for place in found if place.exists()] + [
        Path("/dev/urandom"),
        Path("/proc/self"),
        Path("/etc/ld.so.cache"),
    ]


def _landlock(libc: ctypes.CDLL, reads: Sequence[Path], writes: Sequence[Path]) -> int:
    """The version of Landlock that holds now, 0 for none."""
    create, add, restrict = _LANDLOCK
    version = libc.syscall(create, None, ctypes.c_size_t(0), 1)
    if version < 1:
        return 0
    rights = _FILE_RIGHTS.get(version, _ALL_FILE_RIGHTS)
    said = struct.pack("=QQQ", rights, _TCP if version >= 4 else 0, _SCOPES if version >= 6 else 0)
    size = 24 if version >= 6 else 16 if version >= 4 else 8
    rules = libc.syscall(create, ctypes.create_string_buffer(said[:size], size), ctypes.c_size_t(size), 0)
    if rules < 0:
        return 0
    try:
        look = _READ_FILE | _READ_DIR
        change = (look | _WRITE_FILE | _REMOVE_FILE | _MAKE_REG | _TRUNCATE) & rights
        for folders, allowed in (((*reads, *_own_files()), look), (writes, change)):
            for folder in folders:
                try:
                    at = os.open(folder, os.O_PATH | os.O_CLOEXEC)
                except OSError:
                    continue
                try:
                    here = allowed if folder.is_dir() else allowed & ~_READ_DIR
                    rule = ctypes.create_string_buffer(struct.pack("=Qi", here, at), 12)
                    if libc.syscall(add, ctypes.c_int(rules), 1, rule, 0) != 0:
                        return 0
                finally:
                    os.close(at)
        return version if libc.syscall(restrict, ctypes.c_int(rules), 0) == 0 else 0
    finally:
        os.close(rules)


def _seccomp(libc: ctypes.CDLL) -> bool:
    """A filter over system calls. `clone` stays for threads only; `clone3`, whose flags a filter cannot see, is said not to exist."""
    if platform.machine() not in _MACHINES or sys.byteorder != "little":
        return False
    column, arch = _MACHINES[platform.machine()]
    load, jump_equal, jump_least, jump_bits, give = 0x20, 0x15, 0x35, 0x45, 0x06
    allow, kill, refuse, missing = 0x7FFF0000, 0x80000000, 0x00050000 | 1, 0x00050000 | 38  # EPERM, ENOSYS
    refused = [number for row in _REFUSED if (number := row[column]) is not None]
    code: list[tuple[int, int, int, int]] = [
        (load, 0, 0, 4),  # seccomp_data.arch
        (jump_equal, 1, 0, arch),
        (give, 0, 0, kill),
        (load, 0, 0, 0),  # seccomp_data.nr
        (jump_least, 0, 1, 0x40000000),  # the x32 interface
        (give, 0, 0, refuse),
        (jump_equal, 0, 1, _CLONE3),
        (give, 0, 0, missing),
        (jump_equal, 0, 4, _CLONE[column]),
        (load, 0, 0, 16),  # its first argument
        (jump_bits, 0, 1, _CLONE_THREAD),
        (give, 0, 0, allow),
        (give, 0, 0, refuse),
    ]
    # Its own threads may be signalled (that is how `abort` works), its own limits lowered; the end with the parent stays.
    for numbers, value, equal, other in (
        (_TGKILL, os.getpid(), allow, refuse),
        (_PRLIMIT, 0, allow, refuse),
        (_PRCTL, _PR_SET_PDEATHSIG, refuse, allow),
    ):
        code += [
            (jump_equal, 0, 4, numbers[column]),
            (load, 0, 0, 16),
            (jump_equal, 0, 1, value),
            (give, 0, 0, equal),
            (give, 0, 0, other),
        ]
    for number in refused:
        code += [(jump_equal, 0, 1, number), (give, 0, 0, refuse)]
    code.append((give, 0, 0, allow))
    program = b"".join(struct.pack("=HBBI", *one) for one in code)
    body = ctypes.create_string_buffer(program, len(program))
    head = ctypes.create_string_buffer(struct.pack("@HP", len(code), ctypes.addressof(body)))
    return bool(libc.prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, head, 0, 0) == 0)
