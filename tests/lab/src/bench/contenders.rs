//! The contenders of the bench. All of them bring a group of RAM disks up and down, each
//! by means of its own.

use serde_json::json;

use super::{INITIATOR, WWNN, WWPN, disk};

const METER: &str = "/run/understudy-lab-meter";
/// The iSCSI name that the other agents export under: they have no Fibre Channel.
const IQN: &str = "iqn.2026-01.lab.understudy:bench";

/// The file in the guests' shared folder that says to a contender what to do.
pub const FILE: &str = "bench.json";

/// A contender: something that starts and stops a group.
pub struct Contender {
    /// The contender's name in the report.
    pub name: &'static str,
    /// The numbers of threads that the contender is measured with. The fastest counts.
    pub lanes: &'static [usize],
    /// A script that the guest runs before the contender's first round.
    pub prepare: &'static str,
    /// Whether the contender takes seconds for each LUN. Its time is bounded then.
    pub is_slow: bool,
    /// What the contender finds in [`FILE`], for this many LUNs.
    pub file: fn(usize) -> String,
    /// Returns the actions of a round, for this many LUNs and threads. Each is a script
    /// that prints its measurement.
    pub actions: fn(usize, usize) -> Scripts,
}

/// An action's name and the script that prints its measurement.
type Scripts = Vec<(&'static str, String)>;

/// Returns all contenders in the order of a run. The slow one comes last, because its
/// time is what is left.
pub fn all() -> [Contender; 7] {
    let plain = |name, actions| Contender {
        name,
        lanes: &[1],
        prepare: "",
        is_slow: false,
        file: |_| String::new(),
        actions,
    };
    [
        plain("understudy", |luns, _| cycle("auto", luns)),
        Contender { lanes: &[1, 4, 16, 32, 64], ..plain("limit", limit) },
        plain("64-initiators", status),
        Contender {
            prepare: USE_HBA,
            ..plain("qla2xxx", |luns, _| cycle("qla2xxx", luns))
        },
        plain("dummy", dummy),
        Contender { file: saved, ..plain("rtslib", rtslib) },
        Contender { is_slow: true, ..plain("iscsi-agents", iscsi_agents) },
    ]
}

/// Has the guest use its emulated HBA, as a storage node does from its boot on.
const USE_HBA: &str = "set -e
    modprobe qla2xxx
    until grep -qsx Online $(grep -lsE '^0x2100' /sys/class/fc_host/host*/port_name |
        sed s/port_name/port_state/); do sleep 0.2; done
    systemctl start understudy-qla2xxx.service";

/// Returns calls of our agent. On qla2xxx each start but the first finds the port that a
/// stop keeps.
fn cycle(driver: &str, luns: usize) -> Scripts {
    let call = |action| (action, ours(driver, luns, INITIATOR, action));
    ["start", "monitor", "stop"].map(call).into()
}

/// Returns scripts that measure what an operator waits for, with as many initiators as a
/// large installation has.
fn status(luns: usize, _: usize) -> Scripts {
    let initiators = (0..64).map(|n| format!("20:00:52:54:00:75:04:{n:02x}"));
    let initiators = initiators.collect::<Vec<_>>().join(" ");
    let look = format!("{METER} measure understudy status");
    vec![
        ("start", ours("auto", luns, &initiators, "start")),
        ("status", look),
        ("stop", ours("auto", luns, &initiators, "stop")),
    ]
}

/// Returns a call of our agent, with the driver that its port is to have.
fn ours(driver: &str, luns: usize, initiators: &str, action: &str) -> String {
    let disks: Vec<_> = (0..luns).map(|lun| format!("{lun}={}", disk(lun))).collect();
    format!(
        "export OCF_ROOT=/usr/lib/ocf OCF_RESOURCE_INSTANCE=bench \
             OCF_RESKEY_CRM_meta_timeout=600000 OCF_RESKEY_ownership=none \
             OCF_RESKEY_wwnn={WWNN} OCF_RESKEY_ports={WWPN} \
             OCF_RESKEY_driver={driver} \
             OCF_RESKEY_initiators='{initiators}' OCF_RESKEY_disks='{}'
         {METER} measure /usr/lib/ocf/resource.d/understudy/vport {action}",
        disks.join(" ")
    )
}

fn limit(luns: usize, lanes: usize) -> Scripts {
    let call = |action| format!("{METER} measure {METER} limit {action} {luns} {lanes}");
    ["start", "stop"].map(|action| (action, call(action))).into()
}

/// Returns the actions of the smallest agent of all: a shell that looks for one file.
fn dummy(_: usize, _: usize) -> Scripts {
    let call = |action| {
        format!(
            "export OCF_ROOT=/usr/lib/ocf OCF_RESOURCE_INSTANCE=dummy \
                 OCF_RESKEY_state=/run/dummy.state
             {METER} measure /usr/lib/ocf/resource.d/pacemaker/Dummy {action}"
        )
    };
    ["start", "monitor", "stop"].map(|action| (action, call(action))).into()
}

/// Returns the file that targetcli would have saved of a group of this size.
fn saved(luns: usize) -> String {
    let store = |lun| {
        json!({
            "name": format!("lun_{lun}"), "dev": disk(lun), "plugin": "block",
            "readonly": false, "write_back": false, "wwn": format!("{lun:032x}"),
        })
    };
    let exported = |lun| {
        json!({
            "index": lun, "storage_object": format!("/backstores/block/lun_{lun}"),
            "alias": "link", "alua_tg_pt_gp_name": "default_tg_pt_gp",
        })
    };
    let mapped = |lun| {
        json!({
            "index": lun, "tpg_lun": lun, "alias": "link", "write_protect": false,
        })
    };
    let all = |of: fn(usize) -> serde_json::Value| (0..luns).map(of).collect::<Vec<_>>();
    let config = json!({
        "fabric_modules": [],
        "storage_objects": all(store),
        "targets": [{
            "fabric": "iscsi", "wwn": IQN,
            "tpgs": [{
                "tag": 1, "enable": true, "attributes": {}, "parameters": {},
                "luns": all(exported),
                "node_acls": [{
                    "node_wwn": format!("{IQN}-initiator"), "attributes": {},
                    "mapped_luns": all(mapped),
                }],
                "portals": [{
                    "ip_address": "127.0.0.1", "port": 3260,
                    "iser": false, "offload": false,
                }],
            }],
        }],
    });
    config.to_string()
}

fn rtslib(luns: usize, _: usize) -> Scripts {
    let tree = format!("/sys/kernel/config/target/iscsi/{IQN}/tpgt_1/acls");
    let there = format!("$(ls -d {tree}/*/lun_* 2> /dev/null | wc -l)");
    let start = format!(
        "{METER} measure targetctl restore /lab/{FILE} && [ {there} -eq {luns} ]"
    );
    let stop = format!("{METER} measure targetctl clear && [ {there} -eq 0 ]");
    vec![("start", start), ("stop", stop)]
}

/// Returns the actions of the iSCSI agents: a resource for the target, then one for each
/// LUN. They run one after the other. Pacemaker would gain nothing by starting them side
/// by side, because they take a lock.
fn iscsi_agents(luns: usize, _: usize) -> Scripts {
    let call = |action, order: &str| {
        format!(
            "cat > /run/agents << 'END'
set -e
export OCF_ROOT=/usr/lib/ocf OCF_RESKEY_implementation=lio-t
agents=/usr/lib/ocf/resource.d/heartbeat
target() {{
    OCF_RESOURCE_INSTANCE=target OCF_RESKEY_iqn={IQN} \\
        OCF_RESKEY_portals=127.0.0.1:3260 $agents/iSCSITarget {action}
}}
luns() {{
    for lun in $(seq 0 {last}); do
        OCF_RESOURCE_INSTANCE=lun$lun OCF_RESKEY_target_iqn={IQN} \\
            OCF_RESKEY_lun=$lun OCF_RESKEY_path=/dev/ram$lun \\
            OCF_RESKEY_allowed_initiators={IQN}-initiator \\
            $agents/iSCSILogicalUnit {action}
    done
}}
{order}
END
{METER} measure /bin/sh /run/agents",
            last = luns - 1
        )
    };
    vec![
        ("start", call("start", "target; luns")),
        ("monitor", call("monitor", "luns")),
        ("stop", call("stop", "luns; target")),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_lun_is_there_for_everybody() {
        for contender in all().iter().filter(|c| c.name != "dummy") {
            let scripts =
                (contender.actions)(3, 32).into_iter().map(|(_, script)| script);
            let all: String = scripts.chain([(contender.file)(3)]).collect();
            let named = all.contains(&disk(2)) || all.contains(" 3 32");
            assert!(named || all.contains("seq 0 2"), "{}: {all}", contender.name);
        }
    }
}
