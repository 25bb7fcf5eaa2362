#!/usr/bin/env python3
"""A tiny HTTP server for the fetch tests: git http-backend as a CGI, and some servers that misbehave.

usage: git_http.py ROOT PORT_FILE [CERTIFICATE_AND_KEY]        with a certificate: https
Paths: /MODE/REPOSITORY/… with MODE one of
  git       git http-backend on ROOT
  same      redirects the list of refs to /git/… on this server
  loop      redirects to itself
  other     redirects to another host name of this machine
  dumb      an answer of the wrong type
  secret    401
  gone      404
  garbage   a right type and nonsense
  endless   a list of refs without end
  cut       a proper list of refs, then half a pack
  hang      accepts and says nothing
"""
import http.server
import os
import socketserver
import ssl
import subprocess
import sys
import time

ADVERTISEMENT = "application/x-git-upload-pack-advertisement"


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def answer(self, status, kind, body, **headers):
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        for key, value in headers.items():
            self.send_header(key, value)
        self.end_headers()
        self.wfile.write(body)

    def cgi(self, path, body, cut=False):
        path, _, query = path.partition("?")
        env = dict(os.environ, GIT_PROJECT_ROOT=self.server.root, GIT_HTTP_EXPORT_ALL="1", PATH_INFO=path,
                   QUERY_STRING=query, REQUEST_METHOD=self.command, REMOTE_ADDR="127.0.0.1",
                   CONTENT_TYPE=self.headers.get("Content-Type", ""), CONTENT_LENGTH=str(len(body)))
        out = subprocess.run(["git", "http-backend"], input=body, env=env, stdout=subprocess.PIPE).stdout
        head, _, body = out.partition(b"\r\n\r\n")
        fields = dict(line.decode().split(": ", 1) for line in head.split(b"\r\n"))
        if cut and self.command == "POST":
            body = body[:len(body) // 2]
        self.answer(int(fields.get("Status", "200").split()[0]), fields.get("Content-Type", "text/plain"), body)

    def endless(self):
        self.send_response(200)
        self.send_header("Content-Type", ADVERTISEMENT)
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(b"001e# service=git-upload-pack\n0000")
        line = b"0" * 40 + b" refs/heads/" + b"x" * 900
        try:
            for i in range(10**9):
                text = line + b"%010d\n" % i
                self.wfile.write(b"%04x" % (len(text) + 4) + text)
        except OSError:
            pass

    def handle_any(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        mode, _, rest = self.path[1:].partition("/")
        port = self.server.server_address[1]
        if mode in ("git", "cut"):
            self.cgi("/" + rest, body, cut=mode == "cut")
        elif mode == "same":
            self.answer(301, "text/plain", b"there", Location="/git/" + rest)
        elif mode == "loop":
            self.answer(302, "text/plain", b"here", Location=self.path)
        elif mode == "other":
            self.answer(302, "text/plain", b"away", Location=f"http://localhost:{port}/git/{rest}")
        elif mode == "dumb":
            self.answer(200, "text/html", b"<html>")
        elif mode == "secret":
            self.answer(401, "text/plain", b"who?", **{"WWW-Authenticate": "Basic realm=x"})
        elif mode == "garbage":
            self.answer(200, ADVERTISEMENT, b"\0\1\2garbage" * 100)
        elif mode == "endless":
            self.endless()
        elif mode == "hang":
            time.sleep(60)
        else:
            self.answer(404, "text/plain", b"no")
        if mode == "endless":
            self.close_connection = True

    do_GET = do_POST = handle_any


class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
    daemon_threads = True

    def handle_error(self, *_):
        pass


def main():
    server = Server(("127.0.0.1", 0), Handler)
    server.root = sys.argv[1]
    if len(sys.argv) > 3:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(sys.argv[3])
        server.socket = context.wrap_socket(server.socket, server_side=True)
    with open(sys.argv[2] + ".new", "w") as out:
        out.write(str(server.server_address[1]))
    os.rename(sys.argv[2] + ".new", sys.argv[2])
    server.serve_forever()


main()
