#!/usr/bin/env python3
"""Servers of git:// that misbehave, each on a port of its own, for the fetch tests.

usage: git_liar.py PORTS_FILE COMMIT
Writes lines "NAME PORT". Names: silent (accepts and says nothing), closes, noise (no pkt-line), endless (refs without end), silent_pack (refs, then
nothing), garbage_pack (refs, then noise as the pack), many_objects (a pack that says it has 2^32-1 objects), bomb (a pack with one object said
to be 1 TiB), badref (a ref name with escapes and "..").
"""
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
    names = ["silent", "closes", "noise", "endless", "silent_pack", "garbage_pack", "many_objects", "bomb", "badref"]
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
