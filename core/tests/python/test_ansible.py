"""The module for Ansible, called as Ansible calls it: JSON in, JSON out."""

import json
import pathlib
import subprocess
import sys

from test_understudy import GROUP, root  # noqa: F401

FACTS = pathlib.Path(__file__).parents[3] / "packaging/ansible/understudy_facts.py"


def gather(**arguments):
    arguments = json.dumps({"ANSIBLE_MODULE_ARGS": arguments})
    ran = subprocess.run(
        [sys.executable, FACTS], input=arguments, capture_output=True, text=True
    )
    return ran.returncode, json.loads(ran.stdout)


def test_what_a_node_serves_is_a_fact(root):  # noqa: F811
    code, said = gather(node="array-a")
    facts = said["ansible_facts"]["understudy"]
    assert (code, said["changed"]) == (0, False)
    assert (facts["node"], facts["healthy"], facts["groups"]) == ("array-a", True, [])
    assert facts["physical_ports"][0]["state"] == "Online"


def test_a_group_is_checked(root):  # noqa: F811
    _, said = gather(groups={"g": GROUP})
    findings = said["ansible_facts"]["understudy"]["checks"]["g"]
    assert any(f["what"] == "disks" and f["verdict"] == "bad" for f in findings)


def test_a_wrong_group_fails_with_the_reason(root):  # noqa: F811
    code, said = gather(groups={"g": {"wwnn": "nonsense"}})
    assert code == 1 and said["failed"]
    assert "'nonsense' is not a WWN" in said["msg"]
    assert said["step"] == "read the group"

