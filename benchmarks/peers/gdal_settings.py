"""GDAL over HTTP, as its documentation recommends for Cloud-Optimized GeoTIFFs; shared by the readers that use GDAL."""

THREADS = 16
GDAL_HTTP = {
    "GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR",
    "GDAL_HTTP_MERGE_CONSECUTIVE_RANGES": "YES",
    "GDAL_HTTP_MULTIPLEX": "YES",
    "GDAL_INGESTED_BYTES_AT_OPEN": 32768,
    "CPL_VSIL_CURL_ALLOWED_EXTENSIONS": ".tif",
    "VSI_CACHE": "TRUE",
    "VSI_CACHE_SIZE": 5_000_000,
    "GDAL_CACHEMAX": 512 * 1024 * 1024,  # bytes: rasterio takes no unit
    "GDAL_HTTP_MAX_RETRY": 5,
    "GDAL_HTTP_RETRY_DELAY": 0.1,
    "GDAL_HTTP_RETRY_CODES": "ALL",
}
