#!/usr/bin/env python3
"""Servers of git:// that misbehave, each on a port of its own, for the fetch tests.

usage: git_liar.py PORTS_FILE COMMIT
Writes lines "NAME PORT". Names: silent (accepts and says nothing), closes, noise (no pkt-line), endless (refs without end), silent_pack (refs, then
nothing), garbage_pack (refs, then noise as the pack), many_objects (a pack that says it has 2^32-1 objects), bomb (a pack with one object said
to be 1 TiB), badref (a ref name with escapes and ".."), delta_bomb (a few bytes that say how to make 128 GiB), delta_double (a chain in which
each object is twice the one before), delta_lies (a delta that says another size than it makes), delta_loop (one that is its own base),
delta_thin (one whose base nobody has), delta_copy (one that copies from behind its base), truncated (half a pack), trailing (bytes
behind a pack's end), checksum (a pack with a wrong one), escapes (progress and an error with escape codes), slow (a byte a second).
"""
import hashlib
import os
import socketserver
import struct
import sys
import threading
import time
import zlib

CAPS = b"multi_ack_detailed side-band-64k ofs-delta agent=liar symref=HEAD:refs/heads/main"


def pkt(text):
    return b"%04x" % (len(text) + 4) + text


def refs(commit):
    return (pkt(commit + b" HEAD\0" + CAPS + b"\n") + pkt(commit + b" refs/heads/main\n") + b"0000")


def read_until_done(sock):
    data = b""
    while b"0009done" not in data:
        more = sock.recv(65536)
        if not more:
            return
        data += more


def band(data):
    return b"".join(pkt(b"\1" + data[i:i + 60000]) for i in range(0, len(data), 60000)) + b"0000"


def pack_with(entries):
    return b"PACK" + struct.pack(">II", 2, entries)


def size_header(kind, size):
    out = bytearray([kind << 4 | size & 15])
    size >>= 4
    while size:
        out[-1] |= 128
        out.append(size & 127)
        size >>= 7
    return bytes(out)


def varint(n):
    out = bytearray()
    while True:
        out.append(n & 127 | (128 if n > 127 else 0))
        n >>= 7
        if not n:
            return bytes(out)


def copy(offset, size):
    """Of a delta: size bytes of the base; at most 2^24 - 1."""
    parts, flags = b"", 128
    for i in range(4):
        if offset >> 8 * i & 255:
            flags |= 1 << i
            parts += bytes([offset >> 8 * i & 255])
    for i in range(3):
        if size >> 8 * i & 255:
            flags |= 16 << i
            parts += bytes([size >> 8 * i & 255])
    return bytes([flags]) + parts


def blob(data):
    return size_header(3, len(data)) + zlib.compress(data)


def blob_id(data):
    return hashlib.sha1(b"blob %d\0" % len(data) + data).digest()


def delta(base, body):
    """An object made of another by the other's id."""
    return size_header(7, len(body)) + base + zlib.compress(body)


def signed(body):
    return body + hashlib.sha1(body).digest()


def delta_pack(name):
    base = bytes(1 << 20)
    step = 0xFFFFF
    if name == "delta_bomb":
        copies = (1 << 37) // step
        body = varint(len(base)) + varint(copies * step) + copy(0, step) * copies
        entries = [blob(base), delta(blob_id(base), body)]
    elif name == "delta_double":
        entries, last = [blob(base)], blob_id(base)
        size, digest = len(base), None
        for i in range(4):  # ids of what is really made, as far as that is cheap; then the sizes speak for themselves
            body = varint(size) + varint(2 * size) + (copy(0, 1 << 20) + copy(0, 1 << 20)) * (1 << i)
            entries.append(delta(last, body))
            size *= 2
            digest = hashlib.sha1(b"blob %d\0" % size + bytes(size)).digest()
            last = digest
        entries.append(delta(last, varint(size) + varint(1 << 40) + copy(0, 1 << 20) * 1000))
    elif name == "delta_lies":
        entries = [blob(base), delta(blob_id(base), varint(len(base)) + varint(10) + copy(0, 1000) * 1000)]
    elif name == "delta_copy":
        entries = [blob(base), delta(blob_id(base), varint(len(base)) + varint(1000) + copy(len(base) - 10, 1000))]
    elif name == "delta_loop":
        body = zlib.compress(varint(10) + varint(10) + copy(0, 10))
        entries = [size_header(6, 7) + b"\0" + body]
    else:
        entries = [delta(bytes(range(20)), varint(10) + varint(10) + copy(0, 10))]
    return signed(pack_with(len(entries)) + b"".join(entries))


def pack_of(name):
    good = signed(pack_with(1) + blob(b"hello\n"))
    if name == "truncated":
        return good[:len(good) // 2]
    if name == "trailing":
        return good + bytes(100000)
    if name == "checksum":
        return good[:-1] + bytes([good[-1] ^ 1])
    return delta_pack(name)


def serve(name, sock, commit):
    sock.recv(4096)
    if name == "silent":
        time.sleep(60)
    elif name == "noise":
        sock.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\nno git here" * 10)
    elif name == "endless":
        line = pkt(b"0" * 40 + b" refs/heads/" + b"y" * 900 + b"\n")
        while True:
            sock.sendall(line * 100)
    elif name == "badref":
        sock.sendall(pkt(commit + b" refs/heads/../../x\x1b[31m\0" + CAPS + b"\n") + b"0000")
    elif name == "slow":
        for byte in refs(commit) * 100:
            sock.sendall(bytes([byte]))
            time.sleep(1)
    elif name == "escapes":
        sock.sendall(refs(commit))
        read_until_done(sock)
        sock.sendall(pkt(b"NAK\n") + pkt(b"\2\x1b]0;owned\7\x1b[2J\n") * 100 + pkt(b"\3\x1b[31mowned\x9b1m\n"))
    elif name.startswith("delta_") or name in ("truncated", "trailing", "checksum"):
        sock.sendall(refs(commit))
        read_until_done(sock)
        sock.sendall(pkt(b"NAK\n") + band(pack_of(name)))
        time.sleep(1)
    elif name.endswith("_pack") or name in ("many_objects", "bomb"):
        sock.sendall(refs(commit))
        if name == "silent_pack":
            time.sleep(60)
        read_until_done(sock)
        sock.sendall(pkt(b"NAK\n"))
        if name == "garbage_pack":
            sock.sendall(band(os.urandom(5000)))
        elif name == "many_objects":
            sock.sendall(band(pack_with(2**32 - 1) + bytes(1000)))
        else:
            sock.sendall(band(pack_with(1) + size_header(3, 2**40) + zlib.compress(bytes(1 << 20))))
        time.sleep(1)


class Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    allow_reuse_address = True


def main():
    names = ["silent", "closes", "noise", "endless", "silent_pack", "garbage_pack", "many_objects", "bomb", "badref", "delta_bomb",
             "delta_double", "delta_lies", "delta_loop", "delta_thin", "delta_copy", "truncated", "trailing", "checksum", "escapes", "slow"]
    commit = sys.argv[2].encode()
    lines = []
    for name in names:
        class Handler(socketserver.BaseRequestHandler):
            mode = name

            def handle(self):
                try:
                    serve(self.mode, self.request, commit)
                except OSError:
                    pass
        server = Server(("127.0.0.1", 0), Handler)
        lines.append(f"{name} {server.server_address[1]}\n")
        threading.Thread(target=server.serve_forever, daemon=True).start()
    with open(sys.argv[1] + ".new", "w") as out:
        out.writelines(lines)
    os.rename(sys.argv[1] + ".new", sys.argv[1])
    threading.Event().wait()


main()
