"""The module as a program uses it, on trees of files that look like a node."""

import json
import pathlib

import pytest

import understudy

WWPN = "20:01:75:64:00:00:00:0a"
GROUP = {
    "wwnn": "20:00:75:64:00:00:00:0a",
    "ports": [WWPN],
    "disks": ["0=naa.600140575de500000000000000000001"],
    "initiators": ["20:00:52:54:00:75:03:01"],
}


@pytest.fixture
def root(tmp_path, monkeypatch):
    """A node with one physical port, online."""
    monkeypatch.setenv("UNDERSTUDY_ROOT", str(tmp_path))
    port = tmp_path / "sys/class/fc_host/host2"
    port.mkdir(parents=True)
    for name, value in {
        "port_name": "0x2000525400000001",
        "port_state": "Online",
        "fabric_name": "0x1000000000000001",
        "speed": "10 Gbit",
        "vport_create": "",
        "npiv_vports_inuse": "1",
        "max_npiv_vports": "255",
    }.items():
        (port / name).write_text(value + "\n")
    return tmp_path


def refused(call, *arguments, **named):
    with pytest.raises(understudy.Error) as error:
        call(*arguments, **named)
    return error.value


@pytest.mark.parametrize(
    "text", [WWPN, "200175640000000a", "0x200175640000000A", "naa.200175640000000a"]
)
def test_a_name_is_read_in_any_spelling(text):
    assert str(understudy.Wwn(text)) == WWPN
    assert understudy.Wwn(text) == understudy.Wwn(WWPN)
    assert int(understudy.Wwn(text)) == 0x200175640000000A
    assert len({understudy.Wwn(text), understudy.Wwn(WWPN)}) == 1


def test_a_node_is_called_as_its_cluster_calls_it(root):
    name = root / "run/understudy/node"
    name.parent.mkdir(parents=True)
    name.write_text("array-c\n")
    assert understudy.status().node == "array-c"
    assert understudy.status("array-d").node == "array-d"


def test_names_have_an_order():
    assert understudy.Wwn("20" + "0" * 13 + "1") < understudy.Wwn(WWPN)
    assert repr(understudy.Wwn(WWPN)) == f"Wwn('{WWPN}')"


def test_a_wrong_name_is_refused_in_the_agents_words():
    error = refused(understudy.Wwn, "20:01:zz")
    assert "'20:01:zz' is not a WWN" in str(error)
    assert (error.kind, error.step, error.path) == ("configuration", "read the name", None)


def test_a_group_says_everything_that_is_wrong():
    error = refused(understudy.Group, "g", wwnn="nonsense", ports=WWPN)
    for part in ["'nonsense' is not a WWN", "disks is not set", "initiators is not set"]:
        assert part in str(error)
    assert "'colour' is no parameter" in str(refused(understudy.Group, "g", colour="red"))


def test_a_list_is_its_words():
    group = understudy.Group("g", **GROUP)
    assert group.name == "g"
    assert group.parameters["ports"] == WWPN
    initiators = ["20" + "0" * 13 + str(n) for n in (1, 2)]
    two = understudy.Group("g", **{**GROUP, "initiators": initiators})
    assert two.parameters["initiators"].count(" ") == 1


def test_a_node_that_serves_nothing(root):
    status = understudy.status("array-a")
    assert (status.node, status.groups, status.healthy) == ("array-a", [], True)
    [physical] = status.physical_ports
    port = physical.port
    assert (port.host, port.state, physical.speed) == ("host2", "Online", "10 Gbit")
    assert (port.vports_in_use, port.vports_free) == (1, 254)
    assert int(port.fabric) == 0x1000000000000001
    (root / "sys/class/fc_host/host2/port_state").write_text("Linkdown\n")
    assert not understudy.status().healthy


def test_a_group_that_was_begun_and_is_not_there(root):
    entry = {
        "group": "g",
        "wwnn": GROUP["wwnn"],
        "wwpn": WWPN,
        "physical_port": "20:00:52:54:00:00:00:01",
        "host": "host2",
        "role": "guest",
        "since": 1700000000,
        "ownership": "none",
        "disks": [{"lun": 0, "device": GROUP["disks"][0][2:], "node": "/dev/sdb"}],
    }
    ports = root / "run/understudy/ports"
    ports.mkdir(parents=True)
    (root / "run/understudy").chmod(0o700)
    (ports / "200175640000000a.json").write_text(json.dumps(entry))
    (ports / "200175640000000a.json").chmod(0o600)
    [served] = understudy.status("array-a").groups
    assert (served.group, served.role, served.since) == ("g", "guest", 1700000000)
    [port] = served.ports
    assert (port.wwpn, port.state, port.sessions) == (understudy.Wwn(WWPN), "absent", [])
    [lun] = served.luns
    assert (lun.lun, lun.node, lun.bytes) == (0, pathlib.Path("/dev/sdb"), None)
    assert (lun.service, lun.owner, lun.key) == ("absent", "not-reserved", None)
    assert served.faults


def test_what_speaks_against_a_takeover(root):
    findings = understudy.check(understudy.Group("g", **GROUP))
    bad = {finding.what: finding for finding in findings if finding.verdict == "bad"}
    assert "naa.600140575de500000000000000000001" in bad["disks"].found
    assert bad["disks"].advice
    assert "parameters" not in bad


def test_a_plan_is_refused_with_the_reason_and_the_advice(root):
    group = understudy.Group("g", **GROUP)
    assert understudy.plan(group, "stop") == []
    error = refused(understudy.plan, group, "start")
    assert error.kind == "node"
    assert error.causes and error.advice and str(error).startswith(error.step)
    assert "'restart' is neither" in str(refused(understudy.plan, group, "restart"))


def test_a_disk_that_is_not_there(root):
    error = refused(understudy.reservation, pathlib.Path("/dev/sdx"))
    assert error.step == "read the reservation"
    assert error.path.endswith("/dev/sdx")


def test_a_key_names_its_node():
    assert understudy.key_of("array-a").startswith("0x7573")
    assert understudy.key_of("array-a") != understudy.key_of("array-b")
