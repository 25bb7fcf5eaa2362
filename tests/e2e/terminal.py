#!/usr/bin/env python3
"""Runs a program in a terminal of its own and talks to it: terminal.py SCRIPT COMMAND…; exits as the command did.
SCRIPT, a line each: "want REGEX" waits for it in what comes, "type TEXT" sends it (Python's escapes), "size ROWS COLUMNS"."""
import fcntl, os, pty, re, select, struct, sys, termios, time

def resize(fd, rows, columns):
    fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

def main():
    with open(sys.argv[1]) as file:
        script = file.read().splitlines()
    pid, fd = pty.fork()
    if pid == 0:
        time.sleep(0.2)  # the size is there when it starts
        os.execvp(sys.argv[2], sys.argv[2:])
    resize(fd, 31, 97)
    seen, alive = "", True
    def pump(seconds):
        nonlocal seen, alive
        if not select.select([fd], [], [], seconds)[0]:
            return
        try:
            got = os.read(fd, 65536)
        except OSError:
            got = b""
        alive = alive and bool(got)
        text = got.decode(errors="replace")
        seen += text
        sys.stdout.write(text)
        sys.stdout.flush()
    for line in script:
        verb, _, rest = line.partition(" ")
        if verb == "type":
            os.write(fd, rest.encode().decode("unicode_escape").encode())
        elif verb == "size":
            resize(fd, *map(int, rest.split()))
        elif verb == "want":
            end = time.time() + 120
            while not (found := re.search(rest, seen)):
                if time.time() > end or not alive:
                    print(f"\nterminal.py: never came: {rest}")
                    os.close(fd)
                    return 99
                pump(0.2)
            seen = seen[found.end():]
    while alive:
        pump(60)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

sys.exit(main())
