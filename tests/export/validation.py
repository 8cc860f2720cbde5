"""Validating STAC without a network, by two validators that are not ours."""

import json
from pathlib import Path
from typing import Any

import pystac.validation
import pytest
from pystac.validation.local_validator import get_local_schema_cache
from pystac.validation.stac_validator import JsonSchemaSTACValidator
from stac_validator import utilities
from stac_validator.validate import StacValidate

SCHEMAS = Path(__file__).parent / "schemas"


def local_schemas() -> dict[str, dict[str, Any]]:
    """Schemas by URL: core, GeoJSON and extensions."""
    schemas = get_local_schema_cache()
    for path in sorted(SCHEMAS.glob("*.json")):
        schema = json.loads(path.read_text(encoding="utf-8"))
        schemas[schema["$id"].removesuffix("#")] = schema
    return schemas


class OfflineValidator(JsonSchemaSTACValidator):
    """pystac's own, that fetches nothing."""

    def _get_schema(self, schema_uri: str) -> dict[str, Any]:
        assert schema_uri in self.schema_cache, f"no schema of {schema_uri} is here"
        return super()._get_schema(schema_uri)


def use_local_schemas(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let both validators have these schemas; any other one is an error."""
    schemas = local_schemas()
    validator = OfflineValidator()
    validator.schema_cache = schemas
    monkeypatch.setattr(pystac.validation.RegisteredValidator, "_validator", validator)

    def fetch(path: str, headers: object = None) -> dict[str, Any]:
        found: dict[str, Any] = schemas[path] if "://" in path else json.loads(Path(path).read_text(encoding="utf-8"))
        return found

    monkeypatch.setattr(utilities, "fetch_and_parse_file", fetch)
    utilities._fetch_and_parse_schema_cache_clear()


def stac_validator_says(path: Path) -> dict[str, Any]:
    """What stac-validator finds in a file."""
    judge = StacValidate(str(path))
    judge.run()
    [message] = judge.message
    return dict(message)
