"""`s2chips export`: its options, and what it tells when it is done.

Not here: the job (`export_job`). Nothing heavy is imported before it runs, so that --help is quick.
"""

import argparse
from pathlib import Path
from typing import Any

CHOSEN = ("bands", "where", "without_ais", "assets", "array", "shard_chips", "shard_mb", "seed", "categories")
"""Options that are run config under the same name."""


def add_export_arguments(parser: argparse.ArgumentParser) -> None:
    """The options; their defaults are those of the job."""
    add = parser.add_argument
    add("--out", type=Path, required=True, help="the folder to make; an earlier export in it is replaced")
    formats = ("stac", "webdataset", "coco", "geoparquet", "all")
    some: Any = {"nargs": "+", "action": "extend"}
    add("--format", **some, choices=formats, help="what to write (default: all)")
    add("--split", **some, choices=("train", "val", "test"), help="which splits (default: all)")
    add("--bands", **some, metavar="BAND", help="only these bands, in this order, such as B04 B03 B02")
    add("--where", help="only chips for which this holds, such as 'qa_cloud_frac < 0.01 and length_m > 50'")
    add(
        "--without-ais",
        action="store_true",
        help="keyed hashes instead of MMSI and ids, no names, no exact AIS positions (key: S2CHIPS_EXPORT_KEY, else random)",
    )
    add("--assets", choices=("copy", "link"), help="copy the files of chips (default), or make hard links to them")
    add("--array", choices=("tif", "npy"), help="pixels in the shards: GeoTIFF (default), or numpy arrays")
    add("--shard-chips", type=int, help="most chips of a shard (default: 1000)")
    add("--shard-mb", type=int, help="most megabytes of a shard (default: 500)")
    add("--seed", type=int, help="of the order of chips in the shards (default: 0)")
    add("--categories", choices=("ship", "ship_type"), help="categories of COCO: one (default), or one for each ship type")


def run_export(options: argparse.Namespace, config_file: Path) -> bool:
    """Run the job and print what came of it. Whether it succeeded."""
    from s2chips_core.export.folder import read_manifest
    from s2chips_dagster.runs import Runs

    config = {name: value for name in CHOSEN if (value := getattr(options, name)) is not None}
    if options.format and "all" not in options.format:
        config["formats"] = list(dict.fromkeys(options.format))
    if options.split:
        config["split"] = list(dict.fromkeys(options.split))
    out = options.out.expanduser().resolve()
    done = Runs(config_file).export({"out": str(out), **config})
    if done:
        print("\n".join(summary(out, read_manifest(out))))
    return done


def summary(out: Path, manifest: dict[str, Any]) -> list[str]:
    """The lines that tell of an export."""
    from s2chips_core import layout

    splits = ", ".join(f"{count} {split}" for split, count in manifest["chips_by_split"].items())
    ships = "SYNTHETIC ships" if manifest["ais"] == "synthetic" else "ships"
    lines = [f"{manifest['chips']} chips ({splits}) with {manifest['labels']} labelled {ships}"]
    lines += [f"  left out: {count} {reason}" for reason, count in manifest["left_out"].items()]
    for split, made in manifest["coco"].items():
        told = f"{made['annotations']} boxes in {made['images']} images, {made['ships_without_box']} ships without a box"
        unknown = made["chips_without_labels"]
        lines.append(f"  coco {split}: {told}" + (f", {unknown} chips without labels left out" if unknown else ""))
    for split, counts in manifest["shards"].items():
        lines.append(f"  webdataset {split}: {sum(counts)} chips in {len(counts)} shard{'s' if len(counts) > 1 else ''}")
    lines.append(f"  folder: {out} ({manifest['files']} files, {manifest['bytes'] / 1e6:.1f} MB)")
    lines.append(f"  card: {out / layout.export_card()}")
    return lines
