"""What a wire script can send, as bytes: every PDU, whole or lying.

    rq [called= calling= max_pdu= version= app= contexts=sc/explicit+deflated,verification/implicit]
       [item=58:6162*10]                  more user information items (hex), ten times
    echo [id= pcid=3]                     C-ECHO-RQ
    store uid= [class=sc ts=explicit study= series= id= pdv=16368 inside=OTHER data=no size=N]
        00280102 US 40                    its elements (dataset.py); "file" sends a file of the corpus
    command [field=1 class= uid= id= data=yes bytes=N]   a command set, cut after N bytes
        00000110 gone
    data [pdv= last=no header=2] zeros N  fragments of a data set
    release | abort [source= reason=]
    pdv pcid=1 header=3 length=ffffffff hex 00          one P-DATA-TF PDU with one fragment that lies
    pdu type=4 length=ffffffff hex 00     any PDU
    hex 47 45 | text "GET /" | zeros 4096               anything
    random seed=7                         PDUs in any order, right and wrong
    NAME                                  what `define NAME` made

SPDX-License-Identifier: Apache-2.0
"""
import hashlib
import random
import struct

import rawscu
from dataset import ElementSet, number, uid_of, value_of
from p10 import read_p10
from rawscu import P_DATA, item, p_data_pdus, pdu

CONTEXTS = "sc/explicit,verification/implicit"
STORE, ECHO = 1, 3  # their presentation context IDs
PDV = 16368  # value bytes of a fragment, where the script says nothing


class Messages:
    """Makes the bytes; `play` has the script's variables (words(), variables) and notes what is sent."""

    def __init__(self, play):
        self.play = play
        self.defined = {}  # name -> bytes
        self.kinds = {"rq": self._rq, "echo": self._echo, "store": self._store, "command": self._command,
                      "data": self._data, "release": self._release, "abort": self._abort,
                      "pdv": self._pdv, "pdu": self._pdu, "random": self._random}

    def define(self, step, words, variables):
        self.defined[words[1]] = self.together(step, variables)

    def together(self, step, variables):
        """All messages of a step's body as one piece."""
        return b"".join(self.make(s, self.play.words(s, variables), variables)[0] for s in step.body)

    def make(self, step, words, variables):
        """(bytes, objects) of a message; objects: [(uid, sha256)] that it offers to store."""
        kind, named = words[0], dict(w.split("=", 1) for w in words[1:] if "=" in w)
        rest = [w for w in words[1:] if "=" not in w and w != "drip"]
        if kind in self.defined:
            return self.defined[kind], []
        if kind in ("hex", "text", "zeros"):
            return value_of("OB", [kind, *rest], "<") if kind != "text" else rest[0].encode(), []
        if kind not in self.kinds:
            raise step.wrong("nothing to send")
        made = self.kinds[kind](step, named, rest, variables)
        return made if isinstance(made, tuple) else (made, [])

    # ---- associations ----------------------------------------------------------------------------

    def _rq(self, _, o, __, variables):
        contexts = []
        for n, text in enumerate(filter(None, o.get("contexts", CONTEXTS).split(","))):
            abstract, syntaxes = text.split("/")
            contexts.append((2 * n + 1, uid_of(abstract), [uid_of(s) for s in syntaxes.split("+")]))
        items = b""
        if "item" in o:
            kind, _, value = o["item"].partition(":")
            value, _, times = value.partition("*")
            items = item(int(kind, 16), bytes.fromhex(value)) * int(times or 1)
        app = o.get("app", rawscu.APPLICATION_CONTEXT)
        app = "x" * number(app[5:]) if app.startswith("long:") else app
        return rawscu.associate_rq(
            contexts, o.get("called", "SLUICE"), o.get("calling", variables["me"]),
            None if o.get("max_pdu") == "none" else number(o.get("max_pdu", "16384")), items,
            number(o.get("version", "1")), app.encode().decode("unicode_escape"))

    def _release(self, *_):
        return pdu(rawscu.RELEASE_RQ, bytes(4))

    def _abort(self, _, o, *__):
        return pdu(rawscu.ABORT, bytes([0, 0, number(o.get("source", "0")), number(o.get("reason", "0"))]))

    # ---- messages --------------------------------------------------------------------------------

    def _command_bytes(self, step, defaults, variables):
        """A command set from {element number: value} and the element lines of a step."""
        elements = ElementSet(uid_of("implicit"), {})
        for tag, value in defaults.items():
            if value is not None:
                vr, words = ("US", [str(value)]) if isinstance(value, int) else ("UI", ["text", value])
                elements.add(step, ["%08X" % tag, vr, *words])
        for line in step.body:
            words = self.play.words(line, variables)
            if words[0].startswith("0000"):
                elements.add(line, words)
        body = elements.bytes()
        return struct.pack("<HHII", 0, 0, 4, len(body)) + body

    def _echo(self, step, o, _, variables):
        command = self._command_bytes(step, {0x0002: rawscu.VERIFICATION, 0x0100: 0x0030,
                                             0x0110: number(o.get("id", "1")), 0x0800: 0x0101}, variables)
        return b"".join(p_data_pdus(number(o.get("pcid", str(ECHO))), True, command, PDV))

    def _command(self, step, o, _, variables):
        fields = {0x0002: uid_of(o.get("class", "sc")), 0x0100: number(o.get("field", "1")),
                  0x0110: number(o.get("id", "1")), 0x0700: 0,
                  0x0800: 0x0101 if o.get("data") == "no" else 1, 0x1000: o.get("uid")}
        command = self._command_bytes(step, fields, variables)[:number(o.get("bytes", "65536"))]
        return b"".join(p_data_pdus(number(o.get("pcid", str(STORE))), True, command,
                                    number(o.get("pdv", str(PDV))), ends=o.get("last") != "no"))

    def _data(self, _, o, rest, __):
        value = value_of("OB", rest, "<")
        return b"".join(p_data_pdus(number(o.get("pcid", str(STORE))), False, value,
                                    number(o.get("pdv", str(PDV))), ends=o.get("last") != "no"))

    def _data_set(self, step, o, variables):
        if "file" in o:
            return read_p10(self.play.corpus(o["file"])).data_set
        study = o.get("study", variables["study"])
        uid = o.get("inside", o["uid"])
        elements = ElementSet(uid_of(o.get("ts", "explicit")), {
            0x00080016: ("UI", uid_of(o.get("class", "sc"))), 0x00080018: ("UI", uid),
            0x0020000D: ("UI", study), 0x0020000E: ("UI", o.get("series", variables["study"] + ".1"))})
        for line in step.body:
            words = self.play.words(line, variables)
            if not words[0].startswith("0000"):
                elements.add(line, words)
        if "size" in o:
            pixels = number(o["size"]) - len(elements.bytes()) - 12
            elements.add(step, ["7FE00010", "OW", "zeros", str(pixels)])
        return elements.bytes()

    def _store(self, step, o, rest, variables):
        uid, pcid = o["uid"], number(o.get("pcid", str(STORE)))
        fields = {0x0002: uid_of(o.get("class", "sc")), 0x0100: 1, 0x0110: number(o.get("id", "1")),
                  0x0700: 0, 0x0800: 0x0101 if o.get("data") == "no" else 1, 0x1000: uid}
        pdus = p_data_pdus(pcid, True, self._command_bytes(step, fields, variables), PDV)
        if o.get("data") == "no":
            return b"".join(pdus)
        data = self._data_set(step, o, variables)
        pdus += p_data_pdus(pcid, False, data, number(o.get("pdv", str(PDV))))
        sha256 = hashlib.sha256(data).hexdigest()
        self.play.note_offered(uid, sha256)
        return b"".join(pdus), [(uid, sha256)]

    # ---- what nobody should send -----------------------------------------------------------------

    def _pdv(self, _, o, rest, __):
        value = value_of("OB", rest, "<")
        length = int(o["length"], 16) if "length" in o else len(value) + 2
        fragment = struct.pack(">IBB", length, number(o.get("pcid", str(STORE))), number(o.get("header", "3")))
        return pdu(P_DATA, fragment + value)

    def _pdu(self, _, o, rest, __):
        body = value_of("OB", rest, "<") if rest else b""
        return pdu(int(o["type"], 16), body, int(o["length"], 16) if "length" in o else None)

    def _random(self, step, o, _, variables):
        """1 to 12 PDUs: right ones in any order, cut ones, ones of no type, ones of noise."""
        chance = random.Random(number(o["seed"]))
        uid = "%s.%d" % (variables["uid"], chance.randrange(4))
        right = [lambda: self._rq(step, {}, [], variables), lambda: self._echo(step, {}, [], variables),
                 lambda: self._store(step, {"uid": uid}, [], variables)[0],
                 lambda: self._release(), lambda: self._abort(step, {})]

        def noise():
            return pdu(chance.randrange(0, 9), chance.randbytes(chance.choice((0, 1, 4, 70, 300))))

        def cut():
            whole = chance.choice(right)()
            return whole[:chance.randrange(len(whole))]

        def flipped():
            whole = bytearray(chance.choice(right)())
            whole[chance.randrange(min(len(whole), 90))] ^= 1 << chance.randrange(8)
            return bytes(whole)
        begin = [right[0]()] if chance.random() < 0.8 else []
        return b"".join(begin + [chance.choice([*right, *right, noise, flipped, cut])()
                                 for _ in range(chance.randint(1, 12))])
