"""Steps pass nothing to each other through Dagster: they read and write the dataset.

Dagster's default would pickle what an asset or op returns. In its place stands this, which refuses.
"""

from typing import Any, NoReturn

import dagster as dg


class NothingPassed(dg.IOManager):
    """Takes and gives nothing."""

    def handle_output(self, context: dg.OutputContext, obj: Any) -> None:
        """DagsterInvariantViolationError: a step has returned something."""
        _refuse(f"{context.step_key} returned {type(obj).__name__}")

    def load_input(self, context: dg.InputContext) -> Any:
        """DagsterInvariantViolationError: a step asks for what another returned."""
        _refuse(f"{context.name} is an input")


def _refuse(what: str) -> NoReturn:
    raise dg.DagsterInvariantViolationError(
        f"{what}; expected nothing: steps hand over through the dataset, so that nothing is pickled"
    )
