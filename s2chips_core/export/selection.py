"""Which chips are exported.

Here: reading the index and choosing its rows. Not here: the files of the chips (`chip_files`).
"""

import ast
import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from s2chips_core import layout, tables
from s2chips_core.ais.synthetic import SOURCE as SYNTHETIC
from s2chips_core.errors import InputError, MixedAisError, StorageError
from s2chips_core.export.options import ExportOptions
from s2chips_core.index.parts import COMMIT_LOCK
from s2chips_core.index.records import INDEX_SCHEMA, SWIR_BANDS
from s2chips_core.storage import Storage

OF_VALUES = ("str", "dt")
"""Texts and times have methods of their own under these; all of them only compute."""
METHODS = (*OF_VALUES, "isna", "notna", "isin", "between", "abs")
"""What a condition may ask of a column."""
REMEDY = "materialise tiles_index (job index_tiles), then export again"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """The chosen rows."""

    rows: pa.Table
    """`INDEX_SCHEMA`, sorted by `scene_datetime`, then `chip_id`."""
    left_out: dict[str, int]
    """Chips that were not chosen, by reason; only reasons that occur."""


def read_index(storage: Storage) -> pa.Table:
    """`tiles.parquet` as it is now.

    Raises:
        StorageError: there is none.
        MixedAisError: it has chips of real and of synthetic AIS.
    """
    with storage.lock(COMMIT_LOCK):
        key = layout.tiles_index()
        if not storage.exists(key):
            raise StorageError(key, f"is not there: {REMEDY}")
        rows = tables.read_arrow(storage, key, INDEX_SCHEMA)
    sources = sorted(pc.unique(rows["ais_source"]).to_pylist())
    if SYNTHETIC in sources and len(sources) > 1:
        raise MixedAisError(None, sources)
    return rows


def select_chips(rows: pa.Table, options: ExportOptions) -> Selection:
    """The rows that the options ask for.

    Raises:
        InputError: the condition cannot be evaluated, or nothing is left.
    """
    left_out: dict[str, int] = {}

    def keep(rows: pa.Table, mask: pa.Array | pa.ChunkedArray, reason: str) -> pa.Table:
        kept = rows.filter(mask)
        if kept.num_rows < rows.num_rows:
            left_out[reason] = rows.num_rows - kept.num_rows
        return kept

    total = rows.num_rows
    rows = keep(rows, pc.is_in(rows["split"], value_set=pa.array(options.splits)), "of another split")
    if options.where is not None:
        rows = keep(rows, pa.array(_evaluate(options.where, rows)), "not where asked")
    if options.bands is not None:
        wanted = set(options.bands)
        has = [wanted <= set(bands) for bands in rows["bands"].to_pylist()]
        rows = keep(rows, pa.array(has, pa.bool_()), "without one of the bands")
        rows = _with_bands(rows, options.bands)
    if not rows.num_rows:
        told = ", ".join(f"{count} {reason}" for reason, count in left_out.items()) or "the index is empty"
        raise InputError("export", f"no chip of {total} ({told})", "options that leave at least one chip")
    return Selection(rows=rows.sort_by([("scene_datetime", "ascending"), ("chip_id", "ascending")]), left_out=left_out)


def _with_bands(rows: pa.Table, bands: Sequence[str]) -> pa.Table:
    columns = {
        "bands": pa.array([list(bands)] * rows.num_rows, INDEX_SCHEMA.field("bands").type),
        "has_swir": pa.array([not SWIR_BANDS.isdisjoint(bands)] * rows.num_rows, pa.bool_()),
    }
    for name, column in columns.items():
        rows = rows.set_column(rows.schema.get_field_index(name), rows.schema.field(name), column)
    return rows


def _refuse_methods(where: str) -> None:
    """Refuse what a condition has no need of: columns have methods that write files.

    Raises:
        ValueError: it names one of these.
        SyntaxError: it is no expression.
    """
    for node in ast.walk(ast.parse(where.strip(), mode="eval")):
        if isinstance(node, ast.Attribute) and node.attr not in METHODS:
            of_values = isinstance(node.value, ast.Attribute) and node.value.attr in OF_VALUES
            if not of_values or node.attr.startswith("_"):
                raise ValueError(f"{node.attr} is none of {', '.join(METHODS)}, nor of what .str and .dt have")


def _evaluate(where: str, rows: pa.Table) -> np.ndarray:
    """Which rows satisfy a condition; what is not known satisfies none, nor its opposite. Times are compared as UTC."""
    # Types that know of not knowing: NaN is unlike everything, so that `heading_deg != 0` would hold for it.
    names = [f.name for f in rows.schema if f.name != "geometry" and not pa.types.is_nested(f.type)]
    frame = rows.select(names).to_pandas(types_mapper=_NULLABLE.get)
    for name in frame.select_dtypes("datetimetz").columns:
        # `eval` makes times without a zone of texts, and does not compare these with times that have one.
        frame[name] = frame[name].dt.tz_localize(None)
    columns = f"the columns are {', '.join(frame.columns)}"
    expected = "a condition on columns of the index, such as qa_cloud_frac < 0.01"
    try:
        _refuse_methods(where)
        # No name but those of columns is known to it.
        found = frame.eval(_strict(where), engine="python", local_dict={}, global_dict={})
    except Exception as error:
        raise InputError("export option where", where, f"{expected} ({error}); {columns}") from error
    if not isinstance(found, pd.Series) or not pd.api.types.is_bool_dtype(found.dtype):
        raise InputError("export option where", where, f"{expected}; {columns}")
    return found.fillna(value=False).to_numpy(dtype=bool)


_NULLABLE: Mapping[pa.DataType, Any] = {
    pa.string(): pd.StringDtype(),
    pa.int64(): pd.Int64Dtype(),
    pa.float64(): pd.Float64Dtype(),
    pa.bool_(): pd.BooleanDtype(),
}


def _strict(where: str) -> str:
    """The same condition, in which `a in [...]` and `a == "x"`, which is the same to pandas, are as unknown as `a`."""

    class Strict(ast.NodeTransformer):
        def visit_Compare(self, node: ast.Compare) -> ast.AST:
            if len(node.ops) > 1 or not isinstance(node.ops[0], ast.In | ast.NotIn | ast.Eq | ast.NotEq):
                return node
            within = isinstance(node.ops[0], ast.In | ast.Eq)
            known = ast.Compare(node.left, [ast.NotEq() if within else ast.Eq()], [node.left])
            return ast.BoolOp(ast.Or() if within else ast.And(), [node, known])

    try:
        return ast.unparse(Strict().visit(ast.parse(where, mode="eval")))
    except SyntaxError:
        return where  # to be refused, or read in pandas' own way
