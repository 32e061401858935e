#!/usr/bin/env python3
"""The files that others read: do they parse, and do they say what the rest of the project says?

Each check is a sentence. Nothing here needs a cluster, a container engine or Slack. The manifests of the Slack app are
looked at in tests/forms.
"""

import json
import re
import sys
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parent.parent
COMPOSE = ROOT / "docker-compose.yml"
KUBERNETES = ROOT / "manifests/kubernetes"
HYDRA = ROOT / "manifests/hooks/hydra.yaml"


def read(path):
    return path.read_text(encoding="utf-8")


def documents(path):
    return [document for document in yaml.safe_load_all(read(path)) if document is not None]


def doors():
    return json.loads(read(ROOT / "src/http/openapi.json"))["paths"]


def version():
    return re.search(r'^version = "(.+)"$', read(ROOT / "Cargo.toml"), re.M)[1]


def kubernetes(kind):
    (found,) = [d for d in documents(KUBERNETES / "countersign.yaml") if d["kind"] == kind]
    return found


def container():
    (found,) = kubernetes("Deployment")["spec"]["template"]["spec"]["containers"]
    return found


def every_yaml_file_parses():
    files = [COMPOSE, *sorted((ROOT / "manifests").rglob("*.yaml"))]
    assert len(files) >= 5, files
    for path in files:
        if "node_modules" not in path.parts:
            assert documents(path), f"{path} is empty"


def probes_ask_doors_that_exist_on_the_port_that_is_served():
    c = container()
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        asked = c[probe]["httpGet"]
        assert asked["path"] in doors() and asked["port"] == c["ports"][0]["name"], asked
    listen = re.search(r'listen = "0\.0\.0\.0:(\d+)"', read(KUBERNETES / "config/countersign.toml"))
    assert c["ports"][0]["containerPort"] == int(listen[1])
    assert kubernetes("Service")["spec"]["ports"][0]["targetPort"] == c["ports"][0]["name"]
    assert f"127.0.0.1:{listen[1]}:{listen[1]}" in read(COMPOSE)
    assert f"EXPOSE {listen[1]}" in read(ROOT / "Dockerfile")


def the_pod_hangs_together():
    deployment = kubernetes("Deployment")["spec"]
    pod = deployment["template"]
    assert deployment["selector"]["matchLabels"] == pod["metadata"]["labels"]
    assert kubernetes("Service")["spec"]["selector"] == pod["metadata"]["labels"]
    volumes = {volume["name"]: volume for volume in pod["spec"]["volumes"]}
    assert {mount["name"] for mount in container()["volumeMounts"]} == set(volumes)
    assert volumes["data"]["persistentVolumeClaim"]["claimName"] == kubernetes("PersistentVolumeClaim")["metadata"]["name"]
    (kustomization,) = documents(KUBERNETES / "kustomization.yaml")
    (generated,) = kustomization["configMapGenerator"]
    assert volumes["config"]["configMap"]["name"] == generated["name"]
    for name in [*kustomization["resources"], *generated["files"]]:
        assert (KUBERNETES / name).is_file(), name


def one_process_has_the_file_and_has_time_to_stop():
    deployment = kubernetes("Deployment")["spec"]
    assert deployment["replicas"] == 1 and deployment["strategy"]["type"] == "Recreate"
    assert deployment["template"]["spec"]["terminationGracePeriodSeconds"] >= 25
    (compose,) = documents(COMPOSE)
    assert int(compose["services"]["countersign"]["stop_grace_period"].rstrip("s")) >= 25
    config = read(KUBERNETES / "config/countersign.toml")
    assert 'url = "sqlite:///data/' in config
    assert any(mount["mountPath"] == "/data" for mount in container()["volumeMounts"])
    assert any(volume.split(":")[1] == "/data" for volume in compose["services"]["countersign"]["volumes"])


def the_user_is_the_same_everywhere():
    user = re.search(r"^USER (\d+):(\d+)$", read(ROOT / "Dockerfile"), re.M)
    pod = kubernetes("Deployment")["spec"]["template"]["spec"]["securityContext"]
    assert (int(user[1]), int(user[2])) == (pod["runAsUser"], pod["runAsGroup"]) and pod["fsGroup"] == int(user[2])
    # A file that the group may read is refused as the receipts' key.
    assert pod["fsGroupChangePolicy"] == "OnRootMismatch"


def every_secret_of_the_configuration_is_handed_over():
    names = set(re.findall(r'env = "(\w+)"', read(KUBERNETES / "config/countersign.toml")))
    (compose,) = documents(COMPOSE)
    assert set(compose["services"]["countersign"]["environment"]) == names
    kustomization = read(KUBERNETES / "kustomization.yaml")
    assert set(re.findall(r"--from-literal=(\w+)=", kustomization)) == names


def the_image_is_built_with_the_toolchain_that_is_tested_and_has_one_name():
    toolchain = re.search(r'channel = "(.+)"', read(ROOT / "rust-toolchain.toml"))[1]
    dockerfile = read(ROOT / "Dockerfile")
    assert f"FROM rust:{toolchain}-slim-bookworm AS build" in dockerfile
    image = f"countersign:{version()}"
    (compose,) = documents(COMPOSE)
    assert compose["services"]["countersign"]["image"] == image == container()["image"]
    for source in re.findall(r"^COPY (?!--from)(\S+) ", dockerfile, re.M):
        assert (ROOT / source).exists(), source


def hydra_calls_the_hook_as_the_comment_configures_it():
    hook = documents(HYDRA)[0]["oauth2"]["token_hook"]
    comment = read(HYDRA)
    name = re.search(r'name = "(\w+)"', comment)[1]
    assert hook["url"].endswith(f"/hooks/{name}")
    assert f'header = "{hook["auth"]["config"]["name"]}"' in comment
    assert hook["auth"]["type"] == "api_key" and hook["auth"]["config"]["in"] == "header"


CHECKS = [
    every_yaml_file_parses,
    probes_ask_doors_that_exist_on_the_port_that_is_served,
    the_pod_hangs_together,
    one_process_has_the_file_and_has_time_to_stop,
    the_user_is_the_same_everywhere,
    every_secret_of_the_configuration_is_handed_over,
    the_image_is_built_with_the_toolchain_that_is_tested_and_has_one_name,
    hydra_calls_the_hook_as_the_comment_configures_it,
]


def main():
    failed = 0
    for check in CHECKS:
        sentence = check.__name__.replace("_", " ")
        try:
            check()
            print(f"ok      {sentence}")
        except Exception as error:  # whatever it is, it is told, and the others still run
            failed += 1
            print(f"FAILED  {sentence}: {type(error).__name__}: {error}")
    print(f"{len(CHECKS) - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
