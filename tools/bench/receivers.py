"""The receivers that tools/bench-peers compares: how each is started at its best, what it promises before it
answers, and how to see what it has kept.

Each gets an empty folder; its objects go into folder/objects.
SPDX-License-Identifier: Apache-2.0
"""
import json
import os
import shutil
import subprocess

MAX_PDU = 131072  # the most that DCMTK offers, and Sluice's default
# DCMTK without it delays small answers by Nagle's algorithm: 40 ms for each object (dcmtk/dcmnet/dul.cc).
DCMTK_ENV = {"TCP_NODELAY": "1"}
FILE_AND_NAME, FILE, NOTHING = "file and its name", "file", "nothing"

DCMQRSCP_CFG = """\
NetworkTCPPort = {port}
MaxPDUSize = {pdu}
MaxAssociations = 1000
HostTable BEGIN
HostTable END
VendorTable BEGIN
VendorTable END
AETable BEGIN
ANY-SCP {objects} RW (500, 500mb) ANY
AETable END
"""

# dcmrecv takes no storage class that its configuration does not name; these are sluice-bench's.
DCMRECV_CFG = """\
[[TransferSyntaxes]]
[Uncompressed]
TransferSyntax1 = LittleEndianExplicit
[[PresentationContexts]]
[Storage]
PresentationContext1 = CTImageStorage\\Uncompressed
PresentationContext2 = MRImageStorage\\Uncompressed
PresentationContext3 = DigitalXRayImageStorageForPresentation\\Uncompressed
PresentationContext4 = MultiframeGrayscaleWordSecondaryCaptureImageStorage\\Uncompressed
[[Profiles]]
[Bench]
PresentationContexts = Storage
"""


class Receiver:
    """name, durable (before the answer), indexed: as the table shows them. bench: options for
    sluice-bench. only: the numbers of associations that make sense; empty: all."""

    package = None  # Debian's, where it is not ours

    def is_possible(self):
        """False: this build cannot do it."""
        return True

    def __init__(self, name, durable, indexed="no", bench=(), only=()):
        self.name, self.durable, self.indexed = name, durable, indexed
        self.bench, self.only = list(bench), set(only)

    def program(self):
        raise NotImplementedError

    def command(self, folder, port):
        """Its command line; makes what it needs in folder."""
        raise NotImplementedError

    def env(self):
        return {}

    def is_settled(self, folder):
        """Nothing is left to do of what was answered."""
        return True

    def kept(self, folder, least):
        """Objects it has: files of at least so many bytes."""
        return sum(1 for path in files(os.path.join(folder, "objects"))
                   if not os.path.basename(path).startswith("index") and os.path.getsize(path) >= least)


def files(folder):
    return [os.path.join(d, name) for d, _, names in os.walk(folder) for name in names]


def objects_in(folder):
    objects = os.path.join(folder, "objects")
    os.mkdir(objects)
    return objects


class Floor(Receiver):
    def __init__(self, programs, sync, durable):
        super().__init__(f"floor-{sync}", durable)
        self.programs, self.sync = programs, sync

    def program(self):
        return os.path.join(self.programs, "sluice-bench")

    def command(self, folder, port):
        return [self.program(), "floor", "--sync", self.sync, "--port", str(port), objects_in(folder)]


class Sluiced(Receiver):
    """objects/ is its storage.root; index/ and control files lie beside the archive in it."""

    def __init__(self, programs, name, durable, settings, extra, **kind):
        super().__init__(name, durable, "LMDB", **kind)
        self.programs, self.settings, self.extra = programs, settings, extra

    def program(self):
        return os.path.join(self.programs, "sluiced")

    def command(self, folder, port):
        return [self.program(), *self._sets(
            {"dicom.port": port, "storage.root": objects_in(folder), **self.settings})]

    def is_possible(self):
        command = [self.program(), "--check-config", *self._sets({**self.settings, "storage.root": "/"})]
        return subprocess.run(command, capture_output=True).returncode == 0

    def _sets(self, settings):
        sets = [f"{key}={value}" for key, value in settings.items()] + self.extra
        return [word for one in sets for word in ("--set", one)]

    def is_settled(self, folder):
        """What is in spool/ is not in the index yet; but for empty files, which are names made ahead."""
        spool = os.path.join(folder, "objects", "spool")
        try:
            return not any(os.path.getsize(os.path.join(spool, name)) > 0 for name in os.listdir(spool))
        except FileNotFoundError:
            return False  # one was being moved

    def kept(self, folder, least):
        """In the archive tree: files get there after their index rows are committed."""
        return sum(1 for path in files(os.path.join(folder, "objects", "archive"))
                   if os.path.getsize(path) >= least)


class Dcmtk(Receiver):
    package = "dcmtk"

    def __init__(self, name, words, **kind):
        super().__init__(name, NOTHING, **kind)
        self.words = words

    def program(self):
        return shutil.which(self.words[0])

    def env(self):
        return DCMTK_ENV

    def command(self, folder, port):
        return [self.program(), *self.words[1:], "+B", "--max-pdu", str(MAX_PDU),
                "--output-directory", objects_in(folder), str(port)]


class Dcmrecv(Dcmtk):
    def command(self, folder, port):
        config = os.path.join(folder, "dcmrecv.cfg")
        with open(config, "w") as out:
            out.write(DCMRECV_CFG)
        self.words = ["dcmrecv", "--config-file", config, "Bench", "--disable-host-lookup"]
        return super().command(folder, port)


class Dcmqrscp(Dcmtk):
    """A process for each association, all of them with the one index file under a lock."""

    def command(self, folder, port):
        config = os.path.join(folder, "dcmqrscp.cfg")
        with open(config, "w") as out:
            out.write(DCMQRSCP_CFG.format(port=port, pdu=MAX_PDU, objects=objects_in(folder)))
        return [self.program(), "+B", "--config", config]


class Orthanc(Receiver):
    package = "orthanc"

    def __init__(self):
        super().__init__("orthanc", FILE, "SQLite (WAL, unsynced)")

    def program(self):
        return shutil.which("Orthanc", path=os.environ.get("PATH", "") + os.pathsep + "/usr/sbin")

    def env(self):
        return DCMTK_ENV

    def command(self, folder, port):
        config = os.path.join(folder, "orthanc.json")
        settings = {
            "StorageDirectory": objects_in(folder), "IndexDirectory": os.path.join(folder, "index"),
            "SyncStorageArea": True, "StorageCompression": False, "StoreMD5ForAttachments": False,
            "HttpServerEnabled": False, "DicomServerEnabled": True, "DicomPort": port,
            "DicomCheckCalledAet": False, "DicomAlwaysAllowStore": True, "MaximumPduLength": MAX_PDU,
            "SaveJobs": False, "MetricsEnabled": False, "Plugins": [],
        }
        with open(config, "w") as out:
            json.dump(settings, out)
        return [self.program(), config]


NONE = {"storage.durability": "none"}
WINDOW = {"dicom.async_window": 8}


def all_receivers(programs, extra):
    """In the order of a round: what is compared stands close together. extra: more --set for sluiced."""
    return [
        Floor(programs, "none", NOTHING),
        Sluiced(programs, "sluiced-none", NOTHING, NONE, extra),
        Dcmtk("storescp-fork", ["storescp", "--fork"]),
        Floor(programs, "plain", FILE),
        Sluiced(programs, "sluiced", FILE_AND_NAME, {}, extra),
        Floor(programs, "named", FILE_AND_NAME),
        Sluiced(programs, "sluiced-window", FILE_AND_NAME, WINDOW, extra, bench=["-w", "8"], only=[1]),
        Orthanc(),
        Dcmtk("storescp", ["storescp"]),
        Dcmrecv("dcmrecv", ["dcmrecv"]),
        Dcmqrscp("dcmqrscp", ["dcmqrscp"], indexed="one file for all"),
    ]


def versus(programs, extra):
    """Another build, or other settings."""
    return [
        Sluiced(programs, "sluiced-versus", FILE_AND_NAME, {}, extra),
        Sluiced(programs, "sluiced-none-versus", NOTHING, NONE, extra),
    ]
