"""A file of TensorBoard's events, written where it is asked for: an error is raised there, and not in a thread."""

import io
import os
import socket
import time
from itertools import count
from pathlib import Path

from tensorboard.compat.proto.event_pb2 import Event, SessionLog
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.record_writer import RecordWriter

_number = count()  # of the files of this process


class EventFile:
    """Appends summaries to a file of its own in a folder; nothing is written, and no file made, before :meth:`flush`.

    Args:
        folder: where; it exists when events are written.
        purge_step: readers drop the events of earlier files from this step on.
    """

    def __init__(self, folder: Path, purge_step: int | None = None):
        name = f"events.out.tfevents.{time.time():010.0f}.{socket.gethostname()}.{os.getpid()}.{next(_number)}"
        self.path, self.begun = folder / name, False
        self.waiting = io.BytesIO()
        self._put(Event(wall_time=time.time(), file_version="brain.Event:2"))
        if purge_step is not None:
            start = SessionLog(status=SessionLog.START)
            self._put(Event(wall_time=time.time(), step=purge_step, session_log=start))

    def add(self, summary: Summary, step: int | None = None) -> None:
        """One summary at a step."""
        self._put(Event(wall_time=time.time(), step=step, summary=summary))

    def _put(self, event: Event) -> None:
        RecordWriter(self.waiting).write(event.SerializeToString())

    def flush(self) -> None:
        """Write what was added.

        Raises:
            OSError: if the file cannot be written.
        """
        if not self.waiting.getvalue():
            return
        with open(self.path, "ab" if self.begun else "xb") as file:
            file.write(self.waiting.getvalue())
        self.begun, self.waiting = True, io.BytesIO()
