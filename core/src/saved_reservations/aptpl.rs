//! Initiators' persistent reservations in the form in which LIO keeps them across a loss of
//! power (APTPL): what it writes to a file, and what it wants to be told
//! (drivers/target/target_core_pr.c, target_core_configfs.c).

use crate::config::group::Group;
use crate::wwn::Wwn;

/// What begins each registration in LIO's text.
const BEGIN: &str = "PR_REG_START";
/// What ends it.
const END: &str = "PR_REG_END";

/// Returns whether anything is registered in a text of LIO's.
pub fn has_registrations(text: &str) -> bool {
    text.contains(BEGIN)
}

/// A registration, and the reservation that comes with it where it is the holder's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registration<'a> {
    fields: Vec<(&'a str, &'a str)>,
}

/// Returns every registration of a text of LIO's.
pub fn registrations(text: &str) -> Vec<Registration<'_>> {
    let mut found = Vec::new();
    let mut fields = Vec::new();
    for line in text.lines() {
        if line.starts_with(BEGIN) {
            fields.clear();
        } else if line.starts_with(END) {
            found.push(Registration { fields: std::mem::take(&mut fields) });
        } else {
            fields.extend(line.split_once('='));
        }
    }
    found
}

impl Registration<'_> {
    /// Returns the value of a field; empty where the registration has none.
    pub fn get(&self, name: &str) -> &str {
        let field = self.fields.iter().find(|(its, _)| *its == name);
        field.map_or("", |(_, value)| value)
    }

    /// Returns whether the initiator and the port are still the group's. LIO would keep a
    /// registration of any other for good, where nobody sees it.
    pub fn is_of(&self, group: &Group) -> bool {
        let wwn = |field| self.get(field).parse::<Wwn>().ok();
        let initiator = wwn("initiator_node");
        initiator.is_some_and(|name| group.initiators.contains(&name))
            && group.ports.iter().any(|port| Some(port.wwpn) == wwn("target_node"))
    }

    /// Returns the text that makes LIO have this registration again, once the LUN is
    /// mapped to its initiator.
    pub fn metadata(&self, lun: u16) -> String {
        let field = |(name, value): &(&str, &str)| match *name {
            // By the number that the LUN has now.
            "mapped_lun" | "target_lun" => format!("{name}={lun}"),
            // Written as hexadecimal digits, read as octal ones where they begin with 0.
            "res_type" | "res_scope" => {
                format!("{name}={}", u8::from_str_radix(value, 16).unwrap_or_default())
            }
            name => format!("{name}={value}"),
        };
        self.fields.iter().map(field).collect::<Vec<_>>().join(",")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As Linux 6.12 has written it.
    const TEXT: &str = "PR_REG_START: 0\n\
        initiator_fabric=fc\ninitiator_node=20:00:52:54:00:75:03:01\n\
        sa_res_key=43981\nres_holder=1\nres_type=08\nres_scope=00\nres_all_tg_pt=0\n\
        mapped_lun=0\ntarget_fabric=fc\ntarget_node=20:01:75:64:00:00:00:0a\ntpgt=1\n\
        port_rtpi=1\ntarget_lun=0\nPR_REG_END: 0\n\
        PR_REG_START: 1\n\
        initiator_fabric=fc\ninitiator_node=20:00:52:54:00:75:03:02\n\
        sa_res_key=18446744073709551615\nres_holder=0\nres_all_tg_pt=0\n\
        mapped_lun=0\ntarget_fabric=fc\ntarget_node=20:01:75:64:00:00:00:0a\ntpgt=1\n\
        port_rtpi=1\ntarget_lun=0\nPR_REG_END: 1\n";

    #[test]
    fn each_registration_is_told_as_lio_reads_it() {
        let found = registrations(TEXT);
        assert_eq!(found.len(), 2);
        assert_eq!(
            found[0].metadata(7),
            "initiator_fabric=fc,initiator_node=20:00:52:54:00:75:03:01,sa_res_key=43981,\
             res_holder=1,res_type=8,res_scope=0,res_all_tg_pt=0,mapped_lun=7,\
             target_fabric=fc,target_node=20:01:75:64:00:00:00:0a,tpgt=1,port_rtpi=1,\
             target_lun=7"
        );
        assert_eq!(found[1].get("sa_res_key"), "18446744073709551615");
    }

    #[test]
    fn nothing_registered_is_nothing() {
        for text in ["", "No Registrations or Reservations", "PR_REG_START: 0\nhalf"] {
            assert_eq!(registrations(text), [], "{text}");
        }
    }
}
