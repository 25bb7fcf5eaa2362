#!/usr/bin/env python3
"""A second implementation of proto/PROTOCOL.md, "Canonical source tar", written from that text, for comparison.

usage: srctar.py GIT_DIR COMMIT > TAR
Reads the repository with git's plumbing; shares nothing with the C writer.
"""
import subprocess
import sys


def git(repo, *args):
    return subprocess.run(["git", "--git-dir", repo, *args], check=True, stdout=subprocess.PIPE).stdout


def blocks(data):
    return data + bytes(-len(data) % 512)


def record(key, value):
    rest = len(key) + len(value) + 3
    length = rest + 1
    while len(str(length)) + rest != length:
        length = len(str(length)) + rest
    return b"%d %s=%s\n" % (length, key, value)


def split(path):
    if len(path) <= 100:
        return b"", path
    for i, byte in enumerate(path[:-1]):
        if byte == ord("/") and 0 < i <= 155 and len(path) - i - 1 <= 100:
            return path[:i], path[i + 1:]
    return None


def header(path, mode, kind, size, mtime, target=b""):
    prefix, name = split(path) or (b"", path[:100])
    block = bytearray(512)

    def put(at, data):
        block[at:at + len(data)] = data

    put(0, name)
    put(100, b"%07o\0" % mode)
    put(108, b"0000000\0")
    put(116, b"0000000\0")
    put(124, b"%011o\0" % (size if size < 8 ** 11 else 0))
    put(136, b"%011o\0" % mtime)
    put(148, b" " * 8)
    put(156, kind)
    put(157, target[:100])
    put(257, b"ustar\00000")
    put(329, b"0000000\0")
    put(337, b"0000000\0")
    put(345, prefix)
    put(148, b"%06o\0 " % sum(block))
    return bytes(block)


def entry(path, mode, kind, mtime, content=b"", target=b""):
    records = b""
    if split(path) is None:
        records += record(b"path", path)
    if len(target) > 100:
        records += record(b"linkpath", target)
    if len(content) >= 8 ** 11:
        records += record(b"size", b"%d" % len(content))
    out = b""
    if records:
        out += header(b"PaxHeader", 0o644, b"x", len(records), mtime) + blocks(records)
    return out + header(path, mode, kind, len(content), mtime, target) + blocks(content)


def walk(repo, tree, path, mtime, out):
    for line in git(repo, "ls-tree", "-z", tree).split(b"\0")[:-1]:
        meta, name = line.split(b"\t", 1)
        mode, _, oid = meta.split(b" ")
        mode, oid, full = int(mode, 8), oid.decode(), path + name
        kind = mode & 0o170000
        if kind == 0o100000:
            out.write(entry(full, 0o755 if mode & 0o100 else 0o644, b"0", mtime, git(repo, "cat-file", "blob", oid)))
        elif kind == 0o120000:
            out.write(entry(full, 0o777, b"2", mtime, b"", git(repo, "cat-file", "blob", oid)))
        elif kind in (0o040000, 0o160000):
            out.write(entry(full + b"/", 0o755, b"5", mtime))
            if kind == 0o040000:
                walk(repo, oid, full + b"/", mtime, out)
        else:
            raise SystemExit(f"mode {mode:o}")


def main():
    repo, commit = sys.argv[1:]
    text = git(repo, "cat-file", "commit", commit).split(b"\n\n")[0].split(b"\n")
    tree = text[0].split()[1].decode()
    time = int(next(line for line in text if line.startswith(b"committer ")).split()[-2])
    out = sys.stdout.buffer
    walk(repo, tree, b"", min(max(time, 0), 8 ** 11 - 1), out)
    out.write(bytes(1024))


main()
