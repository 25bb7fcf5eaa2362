#!/usr/bin/env python3
"""Runs a program in a terminal of its own and talks to it: terminal.py SCRIPT COMMAND…; exits as the command did.
SCRIPT, a line each: "want REGEX" waits for it in what comes, "type TEXT" sends it (Python's escapes), "size ROWS COLUMNS",
"press KEY REGEX" presses it every two seconds until that comes: a shell about to start a command may miss one Ctrl-C."""
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
    def send(text):
        os.write(fd, text.encode().decode("unicode_escape").encode())
    for line in script:
        verb, _, rest = line.partition(" ")
        if verb == "type":
            send(rest)
        elif verb == "size":
            resize(fd, *map(int, rest.split()))
        elif verb in ("want", "press"):
            key, rest = rest.split(" ", 1) if verb == "press" else ("", rest)
            end, pressed = time.time() + 120, 0
            while not (found := re.search(rest, seen)):
                if key and time.time() > pressed + 2:
                    send(key)
                    pressed = time.time()
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
