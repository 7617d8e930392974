"""Three versions of a model that wait for a release, and what the registry says of them."""

from __future__ import annotations

from mlflow.tracking import MlflowClient

from tasks.model_registry.promotion import CLAIM, REASONS, VERDICT, Candidacy
from tasks.model_registry.registration import DIGEST

PASSED = {VERDICT: "passed", REASONS: "Passed 2 of 2 rules."}
ALIAS = "champion"
LENIENT = """
[[rule]]
figure = "accuracy"
at_least = 0.01

[[rule]]
figure = "accuracy"
change_at_least = -1.0
"""


def three_versions(client: MlflowClient, name: str) -> None:
    client.create_registered_model(name)
    for number in (1, 2, 3):
        client.create_model_version(name, "s3://bucket/model", tags={DIGEST: f"digest-{number}"})
    client.set_registered_model_alias(name, ALIAS, "1")
    client.set_registered_model_alias(name, "candidate", "3")


def candidacy(number: int, name: str = "birds", champion: str | None = "1") -> Candidacy:
    return Candidacy(name, str(number), f"digest-{number}", f"token-{number}", champion)


def aliases(uri: str, name: str = "birds") -> dict[str, str]:
    found = MlflowClient(tracking_uri=uri).get_registered_model(name).aliases
    return {alias: str(version) for alias, version in found.items()}


def claims(uri: str, name: str = "birds") -> list[str]:
    tags = MlflowClient(tracking_uri=uri).get_registered_model(name).tags
    return [key for key in tags if key.startswith(CLAIM)]


def tags(uri: str, number: int, name: str = "birds") -> dict[str, str]:
    found: dict[str, str] = MlflowClient(tracking_uri=uri).get_model_version(name, str(number)).tags
    return found
