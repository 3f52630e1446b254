"""Jobs in the background, seen from outside: their ranks, and signals to them."""

import os
import pathlib
import signal
import subprocess
import time

from refrain import command, environment


class Running:
    """A job that runs; `ranks` are found in /proc below the process that was started."""

    def __init__(self, job, *options, ranks=1, **extra_environment):
        self.size = ranks
        self.process = subprocess.Popen(command(job, *options, ranks=ranks), env=environment(**extra_environment),
                                        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                        text=True)
        self.program = f"refrain-{job}"

    def ranks(self):
        """Process ids of the ranks, by rank (Open MPI tells each in its environment)."""
        if self.size == 1:
            return [self.process.pid]
        found = {}
        for folder in pathlib.Path("/proc").glob("[0-9]*"):
            try:
                if self.program not in (folder / "cmdline").read_bytes().split(b"\0")[0].decode() or not self._is_mine(
                    int(folder.name)
                ):
                    continue
                for word in (folder / "environ").read_bytes().split(b"\0"):
                    if word.startswith((b"OMPI_COMM_WORLD_RANK=", b"PMI_RANK=")):
                        found[int(word.split(b"=")[1])] = int(folder.name)
            except OSError:
                continue
        return [found[rank] for rank in sorted(found)]

    def _is_mine(self, pid):
        while pid > 1:
            if pid == self.process.pid:
                return True
            pid = int(pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[1])
        return False

    def until(self, condition, seconds=120, interval=0.001):
        """Waits for `condition()`; returns False if the job ended first."""
        end = time.monotonic() + seconds
        while not condition():
            if self.process.poll() is not None:
                return False
            assert time.monotonic() < end, "the awaited moment did not come"
            time.sleep(interval)
        return True

    def kill(self, victims, number=signal.SIGKILL):
        for pid in victims:
            try:
                os.kill(pid, number)
            except ProcessLookupError:
                pass

    def wait(self, seconds=120):
        """Its exit code and all that it said; no process of it is left."""
        text, _ = self.process.communicate(timeout=seconds)
        return self.process.returncode, text
