"""Acquisition plans in KML, made up in the two dialects of real ones."""

import dataclasses
from datetime import datetime, timedelta

from pyproj import Geod

_WGS84 = Geod(ellps="WGS84")
_SPEED_M_S = 6_713.0
_HALF_WIDTH_M = 145_000.0


@dataclasses.dataclass(frozen=True, kw_only=True)
class Made:
    """A segment to be written."""

    start: datetime
    duration_s: float = 130.0
    lon: float = 10.0
    lat: float = 45.0
    azimuth_deg: float = 194.0
    segment_id: str = "41476-4"
    mode: str = "NOBS"
    timeliness: str = "NOMINAL"
    absolute_orbit: str = "41476"
    relative_orbit: str = "123"

    @property
    def ring(self) -> list[tuple[float, float]]:
        """A strip along a geodesic, in the order of real ones, not closed."""
        moments = [*range(0, int(self.duration_s), 60), self.duration_s]
        if len(moments) > 2 and moments[-1] - moments[-2] < 0.1:
            moments.pop(-2)
        one_side, other_side, middles = [], [], []
        for moment in moments:
            lon, lat, back = _WGS84.fwd(self.lon, self.lat, self.azimuth_deg, moment * _SPEED_M_S)
            heading = back + 180.0 if moment else self.azimuth_deg
            middles.append((lon, lat))
            one_side.append(_WGS84.fwd(lon, lat, heading - 90.0, _HALF_WIDTH_M)[:2])
            other_side.append(_WGS84.fwd(lon, lat, heading + 90.0, _HALF_WIDTH_M)[:2])
        return [middles[0], *one_side, middles[-1], *reversed(other_side)]


def published(satellite: str, period: tuple[str, str], *segments: Made) -> bytes:
    """As ESA publishes it: ISO-8859-1, times without a zone."""
    return _document(satellite, period, segments, zone="", prolog='encoding="iso-8859-1"', namespaces="").encode("latin-1")


def resaved(satellite: str, period: tuple[str, str], *segments: Made) -> bytes:
    """As Google Earth saves it: UTF-8, further namespaces, a link, TimeSpan with Z, styles numbered."""
    more = ' xmlns:gx="http://www.google.com/kml/ext/2.2" xmlns:atom="http://www.w3.org/2005/Atom"'
    return _document(satellite, period, segments, zone="Z", prolog='encoding="UTF-8"', namespaces=more).encode()


def _document(
    satellite: str, period: tuple[str, str], segments: tuple[Made, ...], *, zone: str, prolog: str, namespaces: str
) -> str:
    placemarks = "".join(_placemark(satellite, segment, zone) for segment in segments)
    link = '<atom:link rel="app" title="Google Earth Pro"></atom:link>' if namespaces else ""
    return f"""<?xml version="1.0" {prolog}?>
<kml xmlns="http://www.opengis.net/kml/2.2"{namespaces}><Document>
<name>S2 Planned Observations from {period[0]} to {period[1]}</name>{link}
<Folder><name>{satellite}</name><Folder><name>NOBS</name><Folder><name>NOMINAL</name>
{placemarks}
</Folder></Folder></Folder></Document></kml>"""


def _placemark(satellite: str, made: Made, zone: str) -> str:
    start, stop = (t.replace(tzinfo=None).isoformat(timespec="milliseconds") for t in (made.start, _stop(made)))
    data = {
        "ID": made.segment_id,
        "Timeliness": made.timeliness,
        "Mode": made.mode,
        "ObservationTimeStart": start,
        "ObservationTimeStop": stop,
        "OrbitAbsolute": made.absolute_orbit,
        "OrbitRelative": made.relative_orbit,
    }
    values = "".join(f'<Data name="{name}"><value>{value}</value></Data>\n' for name, value in data.items())
    ring = [*made.ring, made.ring[0]]
    return f"""<Placemark><name>{made.segment_id}</name>
<TimeSpan><begin>{start}{zone}</begin><end>{stop}{zone}</end></TimeSpan><styleUrl>#{satellite}_NOBS_NOMINAL</styleUrl>
<ExtendedData>{values}</ExtendedData>
<Polygon><outerBoundaryIs><LinearRing><coordinates>{" ".join(f"{lon},{lat},0" for lon, lat in ring)} </coordinates>
</LinearRing></outerBoundaryIs></Polygon></Placemark>
"""


def _stop(made: Made) -> datetime:
    return made.start + timedelta(seconds=made.duration_s + 0.9)  # real stops are later than the end of the polygon
