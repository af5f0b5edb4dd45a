"""Days of the books as Parquet files, below a folder of the operator's.

A file has its name only once it is whole and on the disk: it is written under another, synced and renamed. Amounts are
integers in minor units, identities strings, instants UTC to the microsecond.
"""

import asyncio
import json
import os
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from hashlib import file_digest
from pathlib import Path
from types import TracebackType
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from billing.domain.snapshot import ExportFile
from billing.store.export import FILES, DayRows

_TYPES: Mapping[type, pa.DataType] = {
    str: pa.string(),
    int: pa.int64(),
    bool: pa.bool_(),
    datetime: pa.timestamp("us", tz="UTC"),
}
_SCHEMAS = {name: pa.schema([(column, _TYPES[kind]) for column, kind in columns]) for name, columns in FILES.items()}
_MANIFEST = "manifest.json"


class ParquetDay:
    """The files of a day while they are written, as a context: whatever is not finished is removed."""

    def __init__(self, folder: Path, day: date, mark: str) -> None:
        self._folder = folder / day.isoformat()
        self._day = day
        self._mark = mark
        self._rows = dict.fromkeys(FILES, 0)
        self._writers: dict[str, pq.ParquetWriter] = {}

    async def __aenter__(self) -> "ParquetDay":
        await asyncio.to_thread(self._open)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        await asyncio.to_thread(self._clean)

    async def add(self, rows: DayRows) -> None:
        """Writes further rows of each file."""
        await asyncio.to_thread(self._write, rows)

    async def finish(self) -> tuple[ExportFile, ...]:
        """Gives the files their names, and last the manifest, which says that the day is whole."""
        return await asyncio.to_thread(self._finish)

    def _open(self) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        for name, schema in _SCHEMAS.items():
            self._writers[name] = pq.ParquetWriter(self._draft(f"{name}.parquet"), schema, compression="zstd")

    def _write(self, rows: DayRows) -> None:
        for name, of_file in rows._asdict().items():
            if of_file:
                self._writers[name].write_table(_table(_SCHEMAS[name], of_file))
                self._rows[name] += len(of_file)

    def _finish(self) -> tuple[ExportFile, ...]:
        files = []
        for name, writer in self._writers.items():
            writer.close()
            files.append(self._named(f"{name}.parquet", self._rows[name]))
        manifest = {"day": self._day.isoformat(), "files": [each._asdict() for each in files]}
        self._draft(_MANIFEST).write_text(json.dumps(manifest, indent=2) + "\n")
        self._named(_MANIFEST, 0)
        return tuple(files)

    def _named(self, name: str, rows: int) -> ExportFile:
        draft = self._draft(name)
        with draft.open("rb") as written:
            os.fsync(written.fileno())
            sha256 = file_digest(written, "sha256").hexdigest()
        size = draft.stat().st_size
        draft.replace(self._folder / name)
        folder = os.open(self._folder, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
        return ExportFile(f"{self._day.isoformat()}/{name}", rows, size, sha256)

    def _clean(self) -> None:
        for writer in self._writers.values():
            writer.close()
        for draft in self._folder.glob(f".{self._mark}-*"):
            draft.unlink()

    def _draft(self, name: str) -> Path:
        return self._folder / f".{self._mark}-{name}"


def _table(schema: pa.Schema, rows: Sequence[tuple[Any, ...]]) -> pa.Table:
    columns = zip(*rows, strict=True)
    return pa.Table.from_arrays(
        [pa.array(column, field.type) for column, field in zip(columns, schema, strict=True)], schema=schema
    )
