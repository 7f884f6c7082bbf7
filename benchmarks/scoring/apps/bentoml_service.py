"""A service class: BentoML parses the JSON and gives the value to the method."""

import bentoml
import score


@bentoml.service(workers=2, logging={"access": {"enabled": False}})
class Scorer:
    """As in BentoML's documentation."""

    def __init__(self) -> None:
        score.init()

    @bentoml.api
    def predict(self, data: list) -> list:
        """One request."""
        return score.predict(data)
