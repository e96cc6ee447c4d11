"""The examples of running it elsewhere are what the command takes."""

from __future__ import annotations

import json
import re
from pathlib import Path
from urllib.parse import urlsplit

import yaml

from ostinato.cli.serve import parser
from ostinato.version import __version__

EXAMPLES = Path(__file__).parents[3] / "examples" / "serving"
DOCKERFILE = (EXAMPLES / "Dockerfile").read_text()


def of_image(name: str) -> list[str]:
    found = re.search(rf"^{name} (\[.*\])$", DOCKERFILE, re.MULTILINE)
    assert found
    return json.loads(found[1])


ENTRY = of_image("ENTRYPOINT")


def test_the_image_begins_what_there_is() -> None:
    assert ENTRY[:2] == ["ostinato", "serve"]
    given = parser().read([*ENTRY[2:], *of_image("CMD")])
    assert (given.host, given.sessions) == ("0.0.0.0", "/sessions/sessions.sqlite")
    assert given.run == ["lm=/models/lm"]
    assert "COPY model /models/lm\n" in DOCKERFILE
    assert f"ARG OSTINATO={__version__}\n" in DOCKERFILE


def test_the_compose_file_has_time_to_drain() -> None:
    services = yaml.safe_load((EXAMPLES / "compose.yaml").read_text())["services"]
    given = parser().read([*ENTRY[2:], *services["serve"]["command"]])
    assert urlsplit(given.sessions).hostname in services
    assert given.run
    assert given.tokens.removeprefix("/run/secrets/") in services["serve"]["secrets"]
    assert services["serve"]["deploy"]["replicas"] == 2
    assert int(services["serve"]["stop_grace_period"].removesuffix("s")) > given.drain_seconds


def test_the_manifest_has_time_to_drain_and_asks_paths_that_are_there() -> None:
    parts = list(yaml.safe_load_all((EXAMPLES / "kubernetes.yaml").read_text()))
    deployment = next(each for each in parts if each["kind"] == "Deployment")["spec"]["template"]["spec"]
    (container,) = deployment["containers"]
    given = parser().read([*ENTRY[2:], *container["args"]])
    assert given.run
    names = {each["metadata"]["name"] for each in parts if each["kind"] == "Service"}
    assert urlsplit(given.sessions).hostname in names
    wait = container["lifecycle"]["preStop"]["exec"]["command"][1]
    assert deployment["terminationGracePeriodSeconds"] > given.drain_seconds + int(wait)
    paths = {container[probe]["httpGet"]["path"] for probe in ("startupProbe", "readinessProbe", "livenessProbe")}
    assert paths == {"/healthz", "/readyz"}
    secret = deployment["volumes"][0]["secret"]["secretName"]
    assert f"create secret generic {secret} " in (EXAMPLES / "kubernetes.yaml").read_text()
    assert given.tokens.startswith(container["volumeMounts"][0]["mountPath"])
