"""The stubs of TensorFlow Serving's client without TensorFlow: the modules of messages, taken out of the two wheels.

usage: tfserving_stubs.py FOLDER

TensorFlow's wheel has some 270 MB, its modules of messages one: only those are fetched, as ranges of the file."""
import io, json, re, subprocess, sys, urllib.request, zipfile

PACKAGES = (("tensorflow-serving-api==2.21.*", r"tensorflow_serving/.*\.py$"), ("tensorflow-cpu==2.21.*", r"tensorflow/.*_pb2\.py$"))


class Ranges(io.RawIOBase):
    """A file at an address that is read in pieces."""

    def __init__(self, url):
        self.url, self.at = url, 0
        with urllib.request.urlopen(urllib.request.Request(url, method="HEAD")) as answer:
            self.size = int(answer.headers["content-length"])

    def seekable(self):
        return True

    def readable(self):
        return True

    def tell(self):
        return self.at

    def seek(self, to, whence=io.SEEK_SET):
        self.at = {io.SEEK_SET: 0, io.SEEK_CUR: self.at, io.SEEK_END: self.size}[whence] + to
        return self.at

    def readinto(self, buffer):
        last = min(self.at + len(buffer), self.size) - 1
        if last < self.at:
            return 0
        asked = urllib.request.Request(self.url, headers={"Range": f"bytes={self.at}-{last}"})
        with urllib.request.urlopen(asked) as answer:
            if answer.status != 206:
                raise SystemExit("the package index sends no parts of files: install tensorflow-serving-api instead")
            piece = answer.read()
        buffer[:len(piece)] = piece
        self.at += len(piece)
        return len(piece)


def address(package):
    """Where pip would fetch the package's wheel."""
    command = [sys.executable, "-m", "pip", "install", "--dry-run", "--no-deps", "--ignore-installed", "--quiet", "--report", "-"]
    report = json.loads(subprocess.run([*command, package], check=True, capture_output=True, text=True).stdout)
    return report["install"][0]["download_info"]["url"]


def main(folder):
    for package, wanted in PACKAGES:
        with zipfile.ZipFile(io.BufferedReader(Ranges(address(package)), 1 << 20)) as wheel:
            for name in wheel.namelist():
                if re.match(wanted, name):
                    wheel.extract(name, folder)


if __name__ == "__main__":
    main(sys.argv[1])
