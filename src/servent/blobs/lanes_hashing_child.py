"""Hashes blocks that lie in shared memory; a process of its own, started by file name with nothing imported.

On stdin: (offset, size) as two 8-byte little-endian numbers. On stdout: the SHA-256 of every 16 KiB block, 32
bytes each. The memory is file descriptor argv[1]. Ends with its stdin.
"""

import mmap
import os
import struct
import sys
from hashlib import sha256


def main() -> None:
    memory = memoryview(mmap.mmap(int(sys.argv[1]), 0, prot=mmap.PROT_READ))
    request = struct.Struct("<QQ")
    while len(asked := os.read(0, request.size)) == request.size:
        begin, size = request.unpack(asked)
        end = begin + size
        leaves = [sha256(memory[at : min(at + 16384, end)]).digest() for at in range(begin, end, 16384)]
        answer = memoryview(b"".join(leaves))
        while answer:
            answer = answer[os.write(1, answer) :]


if __name__ == "__main__":
    main()
