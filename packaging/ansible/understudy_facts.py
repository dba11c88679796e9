#!/usr/bin/python3
"""Ansible: what a storage node serves, and whether it could serve more, as facts."""

DOCUMENTATION = """
module: understudy_facts
short_description: Fibre Channel takeover groups of a storage node
description:
  - Gathers what understudy serves on a node, in the fact C(understudy).
  - Changes nothing, so it does the same in check mode.
requirements:
  - python3-understudy on the node, and root
options:
  node:
    description:
      - The node's name in the cluster, where the cluster has not told it to the agent.
    type: str
  groups:
    description:
      - Groups to check, by name. Each has the parameters of ocf:understudy:vport.
      - The findings are in C(understudy.checks), by the group's name.
    type: dict
    default: {}
attributes:
  check_mode: {support: full}
"""

EXAMPLES = """
- name: What is served here
  understudy_facts:
  become: true

- name: A takeover would succeed
  ansible.builtin.assert:
    that: ansible_facts.understudy.healthy
"""

RETURN = """
ansible_facts:
  description: The fact understudy, with node, healthy, physical_ports, groups and checks.
  returned: always
  type: dict
"""

from ansible.module_utils.basic import AnsibleModule, missing_required_lib

try:
    import understudy
except ImportError:
    understudy = None


def physical(found):
    port = found.port
    return {
        "host": port.host,
        "wwpn": str(port.wwpn),
        "state": port.state,
        "fabric": str(port.fabric) if port.fabric else None,
        "speed": found.speed,
        "vports_in_use": port.vports_in_use,
        "vports_free": port.vports_free,
    }


def served(group):
    return {
        "group": group.group,
        "role": group.role,
        "since": group.since,
        "faults": group.faults,
        "ports": [
            {
                "wwpn": str(port.wwpn),
                "state": port.state,
                "host": port.host,
                "sessions": {str(s.initiator): s.state for s in port.sessions},
            }
            for port in group.ports
        ],
        "luns": [
            {
                "lun": lun.lun,
                "device": lun.device,
                "node": str(lun.node),
                "bytes": lun.bytes,
                "service": lun.service,
                "owner": lun.owner,
            }
            for lun in group.luns
        ],
    }


def checked(name, parameters, node):
    group = understudy.Group(name, **parameters)
    return [
        {"what": f.what, "verdict": f.verdict, "found": f.found, "advice": f.advice}
        for f in understudy.check(group, node)
    ]


def main():
    module = AnsibleModule(
        argument_spec={
            "node": {"type": "str"},
            "groups": {"type": "dict", "default": {}},
        },
        supports_check_mode=True,
    )
    if understudy is None:
        module.fail_json(msg=missing_required_lib("understudy"))
    node, groups = module.params["node"], module.params["groups"]
    try:
        status = understudy.status(node)
        facts = {
            "node": status.node,
            "healthy": status.healthy,
            "physical_ports": [physical(found) for found in status.physical_ports],
            "groups": [served(group) for group in status.groups],
            "checks": {n: checked(n, p, node) for n, p in groups.items()},
        }
    except understudy.Error as error:
        module.fail_json(
            msg=str(error), step=error.step, causes=error.causes, advice=error.advice
        )
    module.exit_json(changed=False, ansible_facts={"understudy": facts})


if __name__ == "__main__":
    main()
