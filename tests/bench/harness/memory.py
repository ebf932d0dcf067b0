"""Anonymous memory of a process (RssAnon: what it holds itself, without the files it maps) while it runs."""
import pathlib
import threading
import time


class AnonymousMemory(threading.Thread):
    """Looks at RssAnon every 10 ms until the process ends. Sizes in bytes, times of time.time()."""

    def __init__(self, pid):
        super().__init__(daemon=True)
        self.status = pathlib.Path(f"/proc/{pid}/status")
        self.samples = [(0.0, 0)]  # (when, bytes), where it changed
        self.start()

    def run(self):
        while True:
            try:
                lines = self.status.read_text().splitlines()
            except OSError:
                return
            sizes = [int(line.split()[1]) * 1024 for line in lines if line.startswith("RssAnon:")]
            if not sizes:
                return
            if sizes[0] != self.samples[-1][1]:
                self.samples.append((time.time(), sizes[0]))
            time.sleep(0.01)

    @property
    def peak(self):
        return max(size for _, size in self.samples)

    def peak_between(self, begin, end):
        """The largest size at any time from `begin` to `end`."""
        at_begin = [size for when, size in self.samples if when <= begin][-1]
        return max([at_begin] + [size for when, size in self.samples if begin < when <= end])
