"""A Model: KServe parses the JSON of its v1 protocol; two processes share the port. It reads its own flags."""

import kserve
import numpy as np
import score


class Scorer(kserve.Model):
    """As in KServe's documentation."""

    def load(self) -> bool:
        """Before the workers start; they get the object, not this process's modules."""
        score.init()
        self.model = score.model
        self.ready = True
        return True

    def predict(self, payload, headers=None, response_headers=None) -> dict:
        """One request."""
        rows = np.asarray(payload["instances"], dtype=np.float64)
        return {"predictions": self.model.predict(rows).tolist()}


if __name__ == "__main__":
    model = Scorer("model")
    model.load()
    kserve.ModelServer().start([model])
