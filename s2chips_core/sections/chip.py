"""The sections of a chip: `tiling` (what it is), `masks` and `gate` (when it is refused), `splits` (what it is for).

With the format of the file, which is in `storage`, they decide what is in a chip. Not here: how many a run makes (`runs`).
"""

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from s2chips_core.sections.section import Fraction, Section

SclClass = Annotated[int, Field(ge=0, le=11)]
Band = Literal["B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B11", "B12"]
CLAY10: tuple[Band, ...] = ("B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B11", "B12")
"""The bands that the Clay foundation model was trained with on Sentinel-2 L2A, in the order of its metadata."""


class Tiling(Section):
    """What a chip is."""

    chip_size_px: int = Field(256, ge=32, le=2048, multiple_of=4, description="Side of a chip, 10 m pixels.")
    band_profile: Literal["core", "clay10"] = Field(
        "core",
        description="Which bands a chip has: `core` = bands_core and, with include_swir, bands_swir; `clay10` = the ten "
        f"bands of the Clay model ({' '.join(CLAY10)}), whatever those three say.",
    )
    bands_core: tuple[Band, ...] = Field(("B02", "B03", "B04", "B08"), min_length=1, description="Bands of every chip.")
    bands_swir: tuple[Band, ...] = Field(("B11", "B12"), description="Bands appended with `include_swir`.")
    include_swir: bool = Field(False, description="Append the SWIR bands, brought from 20 m to 10 m.")
    resample: Literal["bicubic", "cubic", "bilinear", "nearest"] = Field(
        "bicubic", description="How 20 m becomes 10 m; `bicubic` is GDAL's `cubic`."
    )

    @model_validator(mode="after")
    def _each_once(self) -> "Tiling":
        both = self.bands_core + self.bands_swir
        if len(set(both)) < len(both):
            raise ValueError(f"each band once over bands_core and bands_swir, they are {', '.join(both)}")
        return self

    @property
    def bands(self) -> tuple[str, ...]:
        """The bands of a chip in file order: core, then SWIR; those of `clay10` in Clay's order."""
        if self.band_profile == "clay10":
            return CLAY10
        return self.bands_core + (self.bands_swir if self.include_swir else ())

    @property
    def decides(self) -> dict[str, Any]:
        """The keys that decide what is in a chip, as a tree that gives a Tiling of the same chips.

        With `core` the profile is left out, so that the hash of settings from before there were profiles is still theirs.
        """
        tree = self.model_dump(mode="json", exclude={"band_profile"})
        if self.band_profile == "core":
            return tree
        looked_at = {key: value for key, value in tree.items() if key not in ("bands_core", "bands_swir", "include_swir")}
        return {"band_profile": self.band_profile, **looked_at}


class Masks(Section):
    """Which masks judge a chip."""

    use_scl: bool = Field(True, description="Read ESA's scene classification (SCL) for cloud and land.")
    use_ndwi: bool = Field(True, description="Measure water with NDWI = (B03 - B08) / (B03 + B08).")
    persist: bool = Field(False, description="Write cloud, land, water and valid masks beside the chip.")


class Gate(Section):
    """When a chip is refused. Fractions are of the valid pixels of the centre window."""

    enabled: bool = Field(True, description="Refuse chips; when off the numbers are still measured and stored.")
    center_window_px: int = Field(64, ge=2, multiple_of=2, description="Side of the centre window, 10 m pixels.")
    max_cloud_center_frac: Fraction = Field(0.05, description="Most cloud in the centre window, 0 to 1.")
    max_land_center_frac: Fraction = Field(0.2, description="Most land in the centre window, 0 to 1.")
    ndwi_water_thresh: float = Field(0.05, ge=-1, le=1, description="NDWI above this is water, -1 to 1.")
    min_water_center_frac: Fraction = Field(0.5, description="Least water in the centre window, 0 to 1.")
    cloud_classes: tuple[SclClass, ...] = Field(
        (7, 8, 9, 10),
        description="SCL classes that count as cloud: 7 unclassified, 8 and 9 cloud, 10 thin cirrus; 3 is cloud shadow.",
    )
    land_classes: tuple[SclClass, ...] = Field(
        (4, 5), description="SCL classes that count as land: 4 vegetation, 5 bare ground."
    )
    max_nodata_frac: Fraction = Field(0.05, description="Most nodata in the whole chip, 0 to 1.")
    on_missing_scl: Literal["ndwi_only", "reject"] = Field(
        "ndwi_only", description="A scene without SCL: judge by NDWI alone (and say so), or refuse."
    )


class Splits(Section):
    """Shares of train, val and test."""

    train: Fraction = Field(0.8, description="Share of train.")
    val: Fraction = Field(0.1, description="Share of val.")
    test: Fraction = Field(0.1, description="Share of test.")
    by: Literal["chip_id", "mmsi"] = Field("chip_id", description="`mmsi`: one vessel is never in two splits.")

    @model_validator(mode="after")
    def _whole(self) -> "Splits":
        if abs(self.train + self.val + self.test - 1.0) > 1e-9:
            raise ValueError(f"train + val + test = 1, they are {self.train + self.val + self.test:g}")
        return self
