"""A LitAPI: LitServe parses the JSON in its HTTP processes and predicts in two others."""

import sys

import litserve
import score


class Scorer(litserve.LitAPI):
    """As in LitServe's documentation."""

    def setup(self, device) -> None:
        """Once in each worker."""
        score.init()

    def decode_request(self, request) -> list:
        """The rows."""
        return request["data"]

    def predict(self, x) -> list:
        """One request."""
        return score.predict(x)

    def encode_response(self, output) -> dict:
        """What becomes JSON."""
        return {"result": output}


if __name__ == "__main__":
    server = litserve.LitServer(Scorer(), accelerator="cpu", workers_per_device=2, fast_queue=True)
    server.run(
        host="127.0.0.1",
        port=int(sys.argv[1]),
        access_log=False,
        log_level="warning",
        generate_client_file=False,
    )
