//! The name server: the ports, their names and their FC-4 types (FC-GS).

use crate::addr::Fcid;
use crate::bytes::Put;
use crate::ct::{Answer, Reject, Request, counted, has_type};
use crate::port::{Port, Ports, Registration};
use crate::zoning::Zoning;

/// The bit that marks the last entry of a list.
const LAST: u8 = 0x80;

/// Answers a request of the port at `from`, which is told only of the ports in its zones.
pub fn answer(
    ports: &mut Ports,
    zoning: &Zoning,
    from: Fcid,
    request: &Request,
) -> Answer {
    match change(ports, from, request) {
        Some(answer) => answer,
        None => look(&Seen { ports, zoning, by: ports.get(from) }, request),
    }
}

/// The ports that the asking port may know of.
struct Seen<'a> {
    ports: &'a Ports,
    zoning: &'a Zoning,
    by: Option<&'a Port>,
}

impl<'a> Seen<'a> {
    fn iter(&self) -> impl Iterator<Item = &'a Port> {
        let joins = |port: &&Port| {
            self.by.is_some_and(|by| self.zoning.joins(by.wwpn, port.wwpn))
        };
        self.ports.iter().filter(joins)
    }

    /// Returns what `what` takes from the port at an address, or a reject if no such port
    /// may be known.
    fn at(&self, fcid: Fcid, what: impl FnOnce(&Port) -> Vec<u8>) -> Answer {
        self.iter().find(|port| port.fcid == fcid).map(what).ok_or(Reject::NO_PORT)
    }

    fn with_type(&self, fc4: u8) -> impl Iterator<Item = &'a Port> {
        self.iter().filter(move |port| has_type(&port.names.types, fc4))
    }
}

/// Answers a request that changes nothing.
fn look(seen: &Seen, request: &Request) -> Answer {
    match request {
        Request::GpnId { fcid } => seen.at(*fcid, |port| name(port.wwpn.0)),
        Request::GnnId { fcid } => seen.at(*fcid, |port| name(port.node_name().0)),
        Request::GftId { fcid } => seen.at(*fcid, |port| port.names.types.to_vec()),
        Request::GspnId { fcid } => {
            seen.at(*fcid, |port| counted(&port.names.symbolic_port))
        }
        Request::GffId { fcid } => seen.at(*fcid, |port| features(&port.names)),
        Request::GidPn { wwpn } => {
            let port = seen.iter().find(|port| port.wwpn == *wwpn);
            Ok(list([port.ok_or(Reject::NO_PORT_NAME)?].into_iter(), |_, _| ()))
        }
        Request::GidNn { wwnn } => {
            let found = seen.iter().filter(|port| port.node_name() == *wwnn);
            non_empty(list(found, |_, _| ()), Reject::NO_NODE_NAME)
        }
        Request::GidFt { fc4 } => {
            non_empty(list(seen.with_type(*fc4), |_, _| ()), Reject::NO_TYPE)
        }
        Request::GpnFt { fc4 } => non_empty(
            list(seen.with_type(*fc4), |out, port| named_entry(out, port.wwpn.0)),
            Reject::NO_TYPE,
        ),
        Request::GnnFt { fc4 } => non_empty(
            list(seen.with_type(*fc4), |out, port| named_entry(out, port.node_name().0)),
            Reject::NO_TYPE,
        ),
        _ => Err(Reject::UNSUPPORTED),
    }
}

/// Carries out a request that changes the sender's entry. Returns `None` if the request
/// changes nothing.
fn change(ports: &mut Ports, from: Fcid, request: &Request) -> Option<Answer> {
    Some(match request {
        Request::RnnId { fcid, wwnn } => {
            register(ports, from, *fcid, |names| names.node_name = Some(*wwnn))
        }
        Request::RftId { fcid, types } => {
            register(ports, from, *fcid, |names| names.types = *types)
        }
        Request::RspnId { fcid, name } => {
            register(ports, from, *fcid, |names| names.symbolic_port.clone_from(name))
        }
        Request::RffId { fcid, features, fc4 } => register(ports, from, *fcid, |names| {
            names.features.insert(*fc4, *features);
        }),
        Request::RsnnNn { wwnn, name } => {
            let node = ports.iter_mut().filter(|port| port.node_name() == *wwnn);
            let named =
                node.map(|port| port.names.symbolic_node.clone_from(name)).count();
            if named == 0 { Err(Reject::NO_NODE_NAME) } else { Ok(Vec::new()) }
        }
        Request::DaId { fcid } => {
            register(ports, from, *fcid, |names| *names = Registration::default())
        }
        _ => return None,
    })
}

/// Changes the entry of the port at `from`. A port registers for itself only, because
/// this fabric has no third-party registration.
fn register(
    ports: &mut Ports,
    from: Fcid,
    fcid: Fcid,
    change: impl FnOnce(&mut Registration),
) -> Answer {
    let port = ports.get_mut(fcid).filter(|port| port.fcid == from);
    change(&mut port.ok_or(Reject::NO_PORT)?.names);
    Ok(Vec::new())
}

fn non_empty(body: Vec<u8>, reject: Reject) -> Answer {
    if body.is_empty() { Err(reject) } else { Ok(body) }
}

fn name(wwn: u64) -> Vec<u8> {
    wwn.to_be_bytes().to_vec()
}

/// Appends what follows the address of an entry in a list of names.
fn named_entry(out: &mut Vec<u8>, wwn: u64) {
    out.put_zeros(4);
    out.put_u64(wwn);
}

/// Returns a list of addresses, with what `more` appends to each. The last one is marked.
fn list<'a>(
    ports: impl Iterator<Item = &'a Port>,
    more: impl Fn(&mut Vec<u8>, &Port),
) -> Vec<u8> {
    let mut out = Vec::new();
    let mut last = None;
    for port in ports {
        last = Some(out.len());
        out.put_u32(port.fcid.0);
        more(&mut out, port);
    }
    if let Some(flags) = last.and_then(|at| out.get_mut(at)) {
        *flags |= LAST;
    }
    out
}

/// Returns the FC-4 features object: four bits for each type, eight types in a word.
fn features(names: &Registration) -> Vec<u8> {
    let mut out = vec![0; 128];
    for (fc4, bits) in &names.features {
        let at = usize::from(fc4 / 8 * 4 + 3 - fc4 % 8 / 2);
        if let Some(byte) = out.get_mut(at) {
            *byte |= (bits & 0xf) << (fc4 % 2 * 4);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn features_are_four_bits_a_type_in_words_of_eight_types() {
        let features_of = [(0, 1), (8, 2), (9, 1), (10, 4), (0x20, 8)].into();
        let object =
            features(&Registration { features: features_of, ..Default::default() });
        let mut expected = [0; 128];
        expected[3] = 0x01;
        expected[7] = 0x12;
        expected[6] = 0x04;
        expected[19] = 0x08;
        assert_eq!(object, expected);
    }
}
