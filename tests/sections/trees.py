"""Settings for the tests of sections: the least that is allowed, and what is refused."""

import pytest

from s2chips_core.config import parse_settings
from s2chips_core.errors import ConfigError

SOMEWHERE = {"satellite_tracking": {"tiles": ["30STF"]}}


def refused(tree: object) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        parse_settings(tree, "x.yaml")
    return caught.value
