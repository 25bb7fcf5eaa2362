#!/usr/bin/env python3
"""Checks proto/vectors without any of the project's code: its own msgpack, base58, hashes from hashlib, Ed25519 by
`openssl pkeyutl`. It follows proto/PROTOCOL.md and quotes its sections.

usage: check.py [FOLDER]    prints TAP; FOLDER: proto/vectors of the sources
"""
import base64
import hashlib
import json
import os
import subprocess
import sys
import tempfile

count = failed = 0


def ok(good, what):
    global count, failed
    count += 1
    failed += not good
    print(("ok" if good else "not ok"), count, "-", what.replace("#", " "))


def b2(data):
    return hashlib.blake2b(data, digest_size=32).digest()


# PROTOCOL 1: canonical msgpack
class Refused(Exception):
    pass


def head(data, at):
    """(class, length of the head, number)"""
    if at >= len(data):
        raise Refused("ends")
    lead = data[at]
    if lead <= 0x7F:
        return "uint", 1, lead
    if lead >> 4 == 9:
        return "array", 1, lead & 15
    if lead >> 5 == 5:
        return "str", 1, lead & 31
    if lead == 0xC0:
        return "nil", 1, 0
    if lead in (0xC2, 0xC3):
        return "bool", 1, lead & 1
    forms = {0xC4: ("bin", 1, 0), 0xC5: ("bin", 2, 0x100), 0xC6: ("bin", 4, 0x10000),
             0xCC: ("uint", 1, 0x80), 0xCD: ("uint", 2, 0x100), 0xCE: ("uint", 4, 0x10000), 0xCF: ("uint", 8, 1 << 32),
             0xD9: ("str", 1, 0x20), 0xDA: ("str", 2, 0x100), 0xDB: ("str", 4, 0x10000),
             0xDC: ("array", 2, 0x10), 0xDD: ("array", 4, 0x10000)}
    if lead not in forms:
        raise Refused("lead byte %02x" % lead)
    kind, width, least = forms[lead]
    if at + 1 + width > len(data):
        raise Refused("ends")
    number = int.from_bytes(data[at + 1:at + 1 + width], "big")
    if number < least:
        raise Refused("not shortest")
    return kind, 1 + width, number


def decode_at(data, at, depth):
    kind, size, number = head(data, at)
    at += size
    if kind == "uint":
        return number, at
    if kind == "nil":
        return None, at
    if kind == "bool":
        return bool(number), at
    if kind in ("str", "bin"):
        if at + number > len(data):
            raise Refused("ends")
        raw = data[at:at + number]
        if kind == "bin":
            return raw, at + number
        try:
            return raw.decode("utf-8"), at + number
        except UnicodeDecodeError:
            raise Refused("utf-8") from None
    if depth == 0:
        raise Refused("depth")
    items = []
    for _ in range(number):
        if at >= len(data):
            raise Refused("ends")
        item, at = decode_at(data, at, depth - 1)
        items.append(item)
    return items, at


def decode(data, depth=8):
    value, at = decode_at(data, 0, depth)
    if at != len(data):
        raise Refused("trailing bytes")
    return value


def put_head(number, fix, fix_max, forms):
    if fix is not None and number <= fix_max:
        return bytes([fix | number])
    for lead, width in forms:
        if number < 1 << 8 * width:
            return bytes([lead]) + number.to_bytes(width, "big")
    raise ValueError


def encode(value):
    if value is None:
        return b"\xc0"
    if isinstance(value, bool):
        return b"\xc3" if value else b"\xc2"
    if isinstance(value, int):
        return put_head(value, 0, 0x7F, ((0xCC, 1), (0xCD, 2), (0xCE, 4), (0xCF, 8)))
    if isinstance(value, str):
        raw = value.encode()
        return put_head(len(raw), 0xA0, 31, ((0xD9, 1), (0xDA, 2), (0xDB, 4))) + raw
    if isinstance(value, bytes):
        return put_head(len(value), None, 0, ((0xC4, 1), (0xC5, 2), (0xC6, 4))) + value
    return put_head(len(value), 0x90, 15, ((0xDC, 2), (0xDD, 4))) + b"".join(map(encode, value))


def plain(value):
    """A decoded value as the vectors' JSON writes it."""
    if isinstance(value, bytes):
        return {"bin": value.hex()}
    return [plain(v) for v in value] if isinstance(value, list) else value


# PROTOCOL 2
ALPHABET = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"


def base58(data):
    number, text = int.from_bytes(data, "big"), ""
    while number:
        number, digit = divmod(number, 58)
        text = ALPHABET[digit] + text
    return "1" * (len(data) - len(data.lstrip(b"\0"))) + text


def unbase58(text):
    number = 0
    for c in text:
        number = number * 58 + ALPHABET.index(c)
    return number.to_bytes((number.bit_length() + 7) // 8, "big")


def node_id(key):
    return "did:key:z" + base58(b"\xed\x01" + key)


def project_id(founder, nonce):
    return b2(b"talkoo-project" + founder + nonce)


def topic(project):
    return b2(b"talkoo-topic" + project)


def pem(der, label):
    return "-----BEGIN %s-----\n%s\n-----END %s-----\n" % (label, base64.b64encode(der).decode(), label)


def openssl_verify(key, message, signature):
    with tempfile.TemporaryDirectory() as folder:
        names = {}
        for name, content in (("key", pem(bytes.fromhex("302a300506032b6570032100") + key, "PUBLIC KEY").encode()),
                              ("message", message), ("signature", signature)):
            names[name] = os.path.join(folder, name)
            with open(names[name], "wb") as f:
                f.write(content)
        done = subprocess.run(["openssl", "pkeyutl", "-verify", "-rawin", "-pubin", "-inkey", names["key"], "-in", names["message"],
                               "-sigfile", names["signature"]], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)
        return done.returncode == 0


def openssl_public(seed):
    der = bytes.fromhex("302e020100300506032b657004220420") + seed
    done = subprocess.run(["openssl", "pkey", "-pubout", "-outform", "DER"], input=pem(der, "PRIVATE KEY").encode(),
                          stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=False)
    return done.stdout[-32:]


def check_ids(vectors):
    for one in vectors["keys"]:
        key = bytes.fromhex(one["public"])
        ok(openssl_public(bytes.fromhex(one["seed"])) == key, "public key of seed " + one["seed"][-2:])
        ok(node_id(key) == one["node_id"], "node id " + one["node_id"])
    for one in vectors["projects"]:
        project = project_id(bytes.fromhex(one["founder"]), bytes.fromhex(one["nonce"]))
        ok(project.hex() == one["project"], "project id")
        ok(topic(project).hex() == one["topic"], "topic")
    for one in vectors["links"]:
        ok(one["text"].startswith("talkoo:" + one["project"] + "?"), "link names its project")
        ok(all("seed=" + seed in one["text"] for seed in one["seeds"]), "link names its seeds")


# PROTOCOL 3
def tree(leaves):
    if len(leaves) == 1:
        return b2(b"\0" + leaves[0])
    split = 1
    while split * 2 < len(leaves):
        split *= 2
    return b2(b"\1" + tree(leaves[:split]) + tree(leaves[split:]))


def blob_digest(blob):
    leaves = [blob[i:i + 16384] for i in range(0, len(blob), 16384)]
    return {"size": len(blob), "sha256": hashlib.sha256(blob).hexdigest(), "root": (tree(leaves) if leaves else b2(b"")).hex()}


def path_root(leaf, index, count, path):
    """What the path leads to, as RFC 9162 2.1.3.2 walks it; None: it is too long or too short."""
    place, last, root = index, count - 1, b2(b"\0" + leaf)
    for one in path:
        if last == 0:
            return None
        if place & 1 or place == last:
            root = b2(b"\1" + one + root)
            while place and not place & 1:
                place, last = place >> 1, last >> 1
        else:
            root = b2(b"\1" + root + one)
        place, last = place >> 1, last >> 1
    return root if last == 0 else None


def check_merkle(vectors):
    for one in vectors["paths"]:
        blob = bytes((7 * i + 13 * (i // 16384)) & 255 for i in range(one["size"]))
        leaves = [blob[i:i + 16384] for i in range(0, len(blob), 16384)]
        path = [bytes.fromhex(h) for h in one["path"]]
        what = "path of leaf %d of %d bytes" % (one["leaf"], one["size"])
        ok(path_root(leaves[one["leaf"]], one["leaf"], len(leaves), path) == tree(leaves), what)
        ok(path_root(leaves[one["leaf"]], one["leaf"], len(leaves), path + path[:1] + [b"\0" * 32]) is None, what + " made longer")
    for one in vectors["digests"]:
        blob = bytes((7 * i + 13 * (i // 16384)) & 255 for i in range(one["size"]))
        ok(blob_digest(blob) == one, "digest of %d bytes" % one["size"])


def check_msgpack(vectors):
    for text in vectors["canonical"]:
        data = bytes.fromhex(text)
        try:
            ok(encode(decode(data, vectors["depth"])) == data, "canonical " + text)
        except Refused as why:
            ok(False, "canonical %s: %s" % (text, why))
    for text in vectors["refused"]:
        try:
            decode(bytes.fromhex(text), vectors["depth"])
            ok(False, "refused " + text)
        except Refused:
            ok(True, "refused " + text)


# PROTOCOL 4
DAY = 86400000
KINDS = {1: ("project", 400 * DAY), 2: ("job", 200 * DAY), 3: ("cancel", 200 * DAY), 4: ("claim", 1800000), 5: ("result", 180 * DAY),
         6: ("node", DAY)}


def signed_bytes(network, data):
    return b"talkoo-record-v1\0" + bytes([len(network)]) + network.encode() + data


def check_body(kind, author, record_topic, key, depends, body):
    if kind == "project":
        ok(len(key) == 16 and topic(project_id(author, key)) == record_topic, "project proves its topic")
    elif kind == "job":
        ok(topic(body[0]) == record_topic and key == b"", "job's topic is its project's")
    elif kind == "claim":
        ok(len(key) == 32 and key in depends, "claim's key is its job, and it depends on it")
    elif kind == "node":
        ok(record_topic == bytes(32) and key == b"" and depends == [], "node stands in no topic")
        ok(all(0 < port < 65536 and "[" not in host for host, port in body[0]) and len(body[0]) <= 4, "node's addresses")
    else:
        ok(body[0] in depends and key == b"", kind + " depends on its job")


def check_record(one):
    data, signature = bytes.fromhex(one["bytes"]), bytes.fromhex(one["signature"])
    value = decode(data)
    ok(plain(value) == one["value"] and encode(value) == data, one["kind"] + ": bytes are the value's canonical form")
    ok(b2(data).hex() == one["id"], one["kind"] + ": id")
    version, kind, author, record_topic, created, expires, key, sequence, depends, body = value
    ok(version == 1 and KINDS[kind][0] == one["kind"] and expires - created == KINDS[kind][1], one["kind"] + ": kind and lifetime")
    ok(len(data) <= (16384 if kind == 5 else 4096) and sequence < 1 << 63 and len(depends) <= 4, one["kind"] + ": limits")
    ok(openssl_verify(author, signed_bytes(one["network"], data), signature), one["kind"] + ": signature")
    ok(not openssl_verify(author, signed_bytes("other", data), signature), one["kind"] + ": not in another network")
    check_body(one["kind"], author, record_topic, key, depends, body)
    if one["kind"] == "result" and body[4] is not None:
        check_statement_of(one["kind"], author, record_topic, body)


def refusal(one):
    """Why PROTOCOL 4 refuses it, in the order in which it is checked."""
    data = bytes.fromhex(one["bytes"])
    if not 0 < len(data) <= 16384:
        return "size"
    try:
        value = decode(data)
    except Refused:
        return "canonical"
    if not isinstance(value, list) or len(value) != 10 or value[0] != 1 or not 0 < value[1] < 65536:
        return "envelope"
    if len(data) > 4096 and value[1] != 5:
        return "size"
    if value[1] in KINDS and value[5] - value[4] != KINDS[value[1]][1]:
        return "lifetime"
    if not openssl_verify(value[2], signed_bytes(one["network"], data), bytes.fromhex(one["signature"])):
        return "signature"
    return "ok"


def check_records(vectors):
    for one in vectors["records"]:
        check_record(one)
    for one in vectors["refused"]:
        ok(refusal(one) == one["why"], "refused for %s: %s" % (one["why"], one["what"]))


# PROTOCOL 13
def check_livelog(vectors):
    for number, one in enumerate(vectors["chunks"]):
        text, signature = one["text"].encode(), bytes.fromhex(one["signature"])
        signed = (b"talkoo-log-v1\0" + bytes([len(one["network"])]) + one["network"].encode() + bytes.fromhex(one["job"]) +
                  one["offset"].to_bytes(8, "big") + bytes([one["end"]]) + text)
        what = "log chunk %d" % number
        ok(openssl_verify(bytes.fromhex(one["volunteer"]), signed, signature), what + ": signature")
        ok(not openssl_verify(bytes.fromhex(one["volunteer"]), signed[:-1] + b"!", signature), what + ": of these bytes only")
        ok(encode([6, one["offset"], one["end"], text, signature]).hex() == one["message"], what + ": message")


# PROTOCOL 14.3, from its text alone
INFINITY = 1 << 64


def number(n):
    digits = [n & 127]
    while n >> 7:
        n >>= 7
        digits.append(n & 127 | 128)
    return bytes(reversed(digits))


class Message:
    """Reads and writes one; bounds are (expires, prefix of an id)."""

    def __init__(self, data=b"\x61"):
        self.data, self.at, self.before, self.skipped = bytearray(data), 1, 0, None

    def read_number(self):
        n = 0
        while True:
            digit = self.data[self.at]
            self.at += 1
            n = n << 7 | digit & 127
            if digit < 128:
                return n

    def read(self, size):
        self.at += size
        return bytes(self.data[self.at - size:self.at])

    def ranges(self):
        while self.at < len(self.data):
            delta = self.read_number()
            self.before = INFINITY if delta == 0 else self.before + delta - 1
            bound = (self.before, self.read(self.read_number()).ljust(32, b"\0"))
            mode = self.read_number()
            payload = self.read(16) if mode == 1 else [self.read(32) for _ in range(self.read_number())] if mode == 2 else None
            yield bound, mode, payload

    def put_bound(self, bound):
        self.data += number(0 if bound[0] == INFINITY else 1 + bound[0] - self.before) + number(len(bound[1])) + bound[1]
        self.before = bound[0]

    def put(self, bound, mode, payload=b""):
        if self.skipped is not None:
            self.put_bound(self.skipped)
            self.data += b"\0"
            self.skipped = None
        self.put_bound(bound)
        self.data += bytes([mode]) + payload


def fingerprint(items):
    total = sum(int.from_bytes(i, "little") for _, i in items) % (1 << 256)
    return hashlib.sha256(total.to_bytes(32, "little") + number(len(items))).digest()[:16]


def shortest_between(low, high):
    if low[0] != high[0]:
        return (high[0], b"")
    same = 0
    while low[1][same] == high[1][same]:
        same += 1
    return (high[0], high[1][:same + 1])


def split(out, items, bound):
    if len(items) < 32:
        return out.put(bound, 2, number(len(items)) + b"".join(i for _, i in items))
    at = 0
    for part in range(16):
        end = at + len(items) // 16 + (part < len(items) % 16)
        out.put(bound if part == 15 else shortest_between(items[end - 1], items[end]), 1, fingerprint(items[at:end]))
        at = end


def answer(items, data, is_initiator, have, need):
    out, message, at = Message(), Message(data), 0
    for bound, mode, payload in message.ranges():
        end = at
        while end < len(items) and items[end] < bound:
            end += 1
        mine = items[at:end]
        at = end
        # a bound is said as it was read: without the zeros that its reader put behind it
        short = (bound[0], bound[1].rstrip(b"\0"))
        if mode == 1 and payload != fingerprint(mine):
            split(out, mine, short)
        elif mode == 2 and not is_initiator:
            out.put(short, 2, number(len(mine)) + b"".join(i for _, i in mine))
        else:
            if mode == 2:
                have += [i for _, i in mine if i not in payload]
                need += [i for i in payload if i not in [m for _, m in mine]]
            out.skipped = short
    return bytes(out.data)


def check_comparison(topic_hex, one):
    sides = {who: sorted((i["expires"], bytes.fromhex(i["id"])) for i in one["items"] if i["in"] in (who, "both") and i["expires"] > one["cutoff"])
             for who in ("initiator", "responder")}
    have, need, said = [], [], []
    first = Message()
    split(first, sides["initiator"], (INFINITY, b""))
    data = bytes(first.data)
    while True:
        who = ("initiator", "responder")[len(said) % 2]
        said.append((who, encode([bytes.fromhex(topic_hex), 5, one["cutoff"], 1 + len(said) % 2, data]).hex()))
        data = answer(sides["responder" if who == "initiator" else "initiator"], data, who == "responder", have, need)
        if who == "responder" and data == b"\x61":
            break
    ok(said == [(m["type"], m["body"]) for m in one["said"]], "comparison, %s: %d messages" % (one["what"], len(said)))
    alone = {who: {i["id"] for i in one["items"] if i["in"] == who and i["expires"] > one["cutoff"]} for who in sides}
    ok({i.hex() for i in have} == alone["initiator"] and {i.hex() for i in need} == alone["responder"] and
       (len(have), len(need)) == (one["have"], one["need"]), "comparison, %s: %d here alone, %d there" % (one["what"], len(have), len(need)))


# PROTOCOL 14.1, 15
def check_gossip(vectors):
    project_topic = bytes.fromhex(vectors["topic"])
    for one in vectors["messages"]:
        body, kind = decode(bytes.fromhex(one["body"]), 8), one["type"]
        ids = [b2(n.to_bytes(4, "big")) for n in range(one.get("ids", 0))]
        if kind == "record":
            ok(encode(body).hex() == one["body"] and len(body[0]) <= 4096 and len(body[1]) == 64, "message record")
            signed = decode(body[0], 8)
            ok(signed[1] == 2 and signed[3] == project_topic, "message record: a job of the topic")
        elif kind == "peers-get":
            ok(encode(body).hex() == one["body"] and len(body) == 1 and body[0] in (project_topic, bytes(32)), "message peers-get")
        elif kind == "peers":
            opened = [decode(signed, 8) for signed, _ in body[1]]
            ok(encode(body).hex() == one["body"] and all(r[1] == 6 and len(s) == 64 for r, (_, s) in zip(opened, body[1])),
               "message peers: %d node records" % len(opened))
        else:
            want = [project_topic, ids] if kind == "have" else [ids]
            ok(encode(want).hex() == one["body"], "message %s of %d" % (kind, len(ids)))
    for one in vectors["comparisons"]:
        check_comparison(vectors["topic"], one)


# PROTOCOL 6
def pae(payload_type, payload):
    return b"DSSEv1 %d %s %d %s" % (len(payload_type), payload_type.encode(), len(payload), payload)


INTOTO = "application/vnd.in-toto+json"


def check_statement(what, payload):
    """What holds within a statement; returns it."""
    statement = json.loads(payload)
    predicate = statement["predicate"]
    own = predicate["talkoo"]
    ok(statement["_type"] == "https://in-toto.io/Statement/v1" and
       statement["predicateType"] == "https://in-toto.io/attestation/test-result/v0.1", what + ": in-toto Statement v1, test result v0.1")
    ok(json.dumps(statement, separators=(",", ":"), ensure_ascii=False).encode() == payload, what + ": compact JSON")
    (subject,) = statement["subject"]
    ok(subject["digest"]["sha256"] == own["source"]["sha256"] and subject["name"] == "talkoo:%s@%s" % (own["project"], own["ref"]) and
       len(subject["digest"]["gitCommit"]) in (40, 64), what + ": subject")
    word = {"passed": "PASSED", "failed": "FAILED", "timeout": "FAILED" if own["accel"] == "kvm" else "WARNED"}[own["outcome"]]
    ok(predicate["result"] == word, what + ": result word")
    if "index" not in own:
        ok(predicate["passedTests"] == [s["name"] for s in own["steps"] if s["exitCode"] == 0] and
           predicate["failedTests"] == [s["name"] for s in own["steps"] if s["exitCode"] != 0], what + ": names of steps")
    return statement


def check_statement_of(what, author, record_topic, body):
    own = check_statement(what, body[4])["predicate"]["talkoo"]
    ok(body[1] is None and body[2] == "" and body[3] is None, what + ": nothing is said twice")
    ok(openssl_verify(author, pae(INTOTO, body[4]), body[5]), what + ": the statement's signature is the author's")
    ok(own["node"] == node_id(author) and own["job"] == body[0].hex() and topic(bytes.fromhex(own["project"])) == record_topic,
       what + ": author, job and project agree")


def check_statements(vectors):
    for number, one in enumerate(vectors["statements"]):
        what = "statement %d" % number
        own = check_statement(what, one["payload"].encode())["predicate"]["talkoo"]
        envelope = json.loads(one["envelope"])
        (signature,) = envelope["signatures"]
        ok(envelope["payloadType"] == INTOTO and base64.b64decode(envelope["payload"]) == one["payload"].encode() and
           signature["keyid"] == own["node"] and base64.b64decode(signature["sig"]).hex() == one["signature"], what + ": envelope")
        key = unbase58(own["node"][len("did:key:z"):])[2:]
        ok(openssl_verify(key, pae(INTOTO, one["payload"].encode()), bytes.fromhex(one["signature"])), what + ": signature")
        if "index" in one:
            ok(blob_digest(one["index"].encode()) == own["index"] and list(json.loads(one["index"])) == ["steps", "artifacts"], what + ": index")


def check_urls(vectors):
    # the rules are prose (PROTOCOL 7); here only that normal forms look like ones
    for one in vectors["urls"]:
        normal = one["normal"]
        ok(normal is None or (normal == normal.strip("/ ") and "@" not in normal.split("/")[2] and "//" not in normal.split("://", 1)[1].lstrip("/")),
           "url " + one["text"])


def check_channel(vectors):
    """Proofs and hellos (PROTOCOL 11.2, 11.5), and the sizes of what is said (11.1, 11.3); Noise itself has published vectors."""
    network = vectors["network"].encode()
    for one in vectors["nodes"]:
        what = one["role"]
        proof = bytes.fromhex(one["proof"])
        key, not_after, signature = proof[:32], proof[32:40], proof[40:]
        role = {"initiator": b"\1", "responder": b"\2"}[what]
        message = b"talkoo-session-v1\0" + bytes([len(network)]) + network + role + bytes.fromhex(one["static_public"]) + not_after
        ok(key.hex() == one["id"] and int.from_bytes(not_after, "big") == vectors["unix_ms"] + 86400000, what + ": the proof's id and time")
        ok(len(signature) == 64 and openssl_verify(key, message, signature), what + ": the proof's signature")
        hello = bytes.fromhex(one["hello"])
        low, high, features, kinds, time, topics, port = decode(hello, 4)
        ok(1 == low <= high and features == 0 and all(isinstance(k, int) for k in kinds) and abs(time - vectors["unix_ms"]) < 10 and
           all(len(t) == 32 for t in topics) and len(topics) <= 256 and port in (0, 8255), what + ": hello")
        said = bytes.fromhex("".join(one["says"]))
        sizes = []
        while said:
            size = int.from_bytes(said[:2], "big")
            sizes.append(size)
            said = said[2 + size:]
        shake = [32, 32 + 16 + 104 + 16] if what == "initiator" else [32 + 32 + 16 + 104 + 16]
        ok(sizes == shake + [3 + len(hello) + 16], what + ": says its part of the handshake, and one frame with its hello")


def main():
    here = os.path.dirname(os.path.abspath(__file__))
    folder = sys.argv[1] if len(sys.argv) > 1 else os.path.join(here, "..", "..", "proto", "vectors")
    for name, check in (("gossip", check_gossip), ("ids", check_ids), ("livelog", check_livelog), ("merkle", check_merkle), ("msgpack", check_msgpack), ("records", check_records),
                        ("statements", check_statements), ("urls", check_urls), ("channel", check_channel)):
        with open(os.path.join(folder, name + ".json"), encoding="utf-8") as f:
            check(json.load(f))
    print("1..%d" % count)
    return 1 if failed or not count else 0


if __name__ == "__main__":
    sys.exit(main())
