//! Initiators' persistent reservations in the text form that LIO uses to preserve them
//! across a loss of power (APTPL): the text that LIO writes, and the text that LIO takes
//! (drivers/target/target_core_pr.c, target_core_configfs.c).

use crate::config::group::Group;
use crate::wwn::Wwn;

/// The line that begins a registration.
const BEGIN: &str = "PR_REG_START";
/// The line that ends a registration.
const END: &str = "PR_REG_END";

/// Returns whether a text that LIO wrote has any registration.
pub fn has_registrations(text: &str) -> bool {
    text.contains(BEGIN)
}

/// A registration. The holder's registration also has the reservation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Registration<'a> {
    fields: Vec<(&'a str, &'a str)>,
}

/// Parses the registrations in a text that LIO wrote.
pub(crate) fn registrations(text: &str) -> Vec<Registration<'_>> {
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
    /// Returns the value of a field; empty if the registration does not have it.
    pub(crate) fn get(&self, name: &str) -> &str {
        let field = self.fields.iter().find(|(its, _)| *its == name);
        field.map_or("", |(_, value)| value)
    }

    /// Returns whether the registration's initiator and port still belong to the group.
    /// LIO would keep any other registration forever, where nobody sees it.
    pub(crate) fn is_of(&self, group: &Group) -> bool {
        let wwn = |field| self.get(field).parse::<Wwn>().ok();
        let initiator = wwn("initiator_node");
        initiator.is_some_and(|name| group.initiators.contains(&name))
            && group.ports.iter().any(|port| Some(port.wwpn) == wwn("target_node"))
    }

    /// Returns the text that makes LIO restore this registration, once the LUN is mapped
    /// to the initiator.
    pub(crate) fn metadata(&self, lun: u16) -> String {
        let field = |(name, value): &(&str, &str)| match *name {
            // The LUN may have another number now.
            "mapped_lun" | "target_lun" => format!("{name}={lun}"),
            // LIO writes these two fields in hexadecimal, and parses a number that begins
            // with 0 as octal.
            "res_type" | "res_scope" => {
                format!("{name}={}", u8::from_str_radix(value, 16).unwrap_or_default())
            }
            name => format!("{name}={value}"),
        };
        self.fields.iter().map(field).collect::<Vec<_>>().join(",")
    }

    /// Returns the text of this registration as LIO writes it, with this number, this key
    /// and, for the holder, the type and scope of the reservation.
    pub(super) fn text(
        &self,
        number: usize,
        key: &str,
        held: Option<(&str, &str)>,
    ) -> String {
        let field = |(name, value): &(&str, &str)| match (*name, held) {
            ("sa_res_key", _) => format!("{name}={key}\n"),
            ("res_holder", Some((kind, scope))) => {
                format!("{name}=1\nres_type={kind}\nres_scope={scope}\n")
            }
            ("res_holder", None) => format!("{name}=0\n"),
            ("res_type" | "res_scope", _) => String::new(),
            _ => format!("{name}={value}\n"),
        };
        let fields: String = self.fields.iter().map(field).collect();
        format!("{BEGIN}: {number}\n{fields}{END}: {number}\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A text that Linux 6.12 wrote.
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
